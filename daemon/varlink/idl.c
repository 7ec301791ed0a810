/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "idl.h"

/* Types nest in the text, this is how deep at most. */
#define IDL_DEPTH_MAX 16U

typedef struct Parser {
        const char *p;
        unsigned line, depth;
        bool comment; /* a comment was skipped since the last empty line or token */
} Parser;

static void type_done(IdlType *t) {
        free(t->name);
        if (t->element) {
                type_done(t->element);
                free(t->element);
        }
        for (size_t i = 0; i < t->n_fields; i++) {
                free(t->fields[i].name);
                type_done(&t->fields[i].type);
        }
        free(t->fields);
}

static void symbol_done(IdlSymbol *s) {
        free(s->name);
        type_done(&s->input);
        type_done(&s->output);
}

IdlInterface *idl_free(IdlInterface *interface) {
        if (!interface)
                return NULL;

        for (size_t i = 0; i < interface->n_symbols; i++)
                symbol_done(interface->symbols + i);
        free(interface->symbols);
        free(interface->name);
        free(interface->text);
        free(interface);
        return NULL;
}

static void idl_skip(Parser *p) {
        p->comment = false;

        for (unsigned newlines = 0;;) {
                if (*p->p == '#') {
                        p->p += strcspn(p->p, "\n");
                        p->comment = true;
                        newlines = 0;
                } else if (*p->p == '\n') {
                        p->line++;
                        p->p++;
                        if (++newlines > 1)
                                    p->comment = false;
                } else if (*p->p == ' ' || *p->p == '\t' || *p->p == '\r')
                        p->p++;
                else
                        return;
        }
}

static bool idl_read_punct(Parser *p, const char *what) {
        const char *e;

        idl_skip(p);
        e = startswith(p->p, what);
        if (!e)
                return false;
        p->p = e;
        return true;
}

static int idl_read_name(Parser *p, const char *extra, char **ret) {
        const char *start;
        char *n;

        idl_skip(p);
        start = p->p;
        if (!isalpha((unsigned char) *start))
                return -EINVAL;
        while (isalnum((unsigned char) *p->p) || (*p->p && strchr(extra, *p->p)))
                p->p++;

        n = strndup(start, p->p - start);
        if (!n)
                return -ENOMEM;
        *ret = n;
        return 0;
}

static int parse_type(Parser *p, IdlType *t);

static int add_field(IdlType *t, char *field_name, IdlField **ret) {
        int r;

        for (size_t i = 0; i < t->n_fields; i++)
                if (streq(t->fields[i].name, field_name))
                        return -EEXIST;

        r = GREEDY_REALLOC(t->fields, t->allocated, t->n_fields + 1);
        if (r < 0)
                return r;

        t->fields[t->n_fields] = (IdlField) { .name = field_name };
        *ret = &t->fields[t->n_fields++];
        return 0;
}

/* What stands between parentheses: members of a struct or values of an enum. */
static int parse_fields(Parser *p, IdlType *t) {
        int r;

        t->kind = IDL_STRUCT;
        if (!idl_read_punct(p, "("))
                return -EINVAL;
        if (idl_read_punct(p, ")"))
                return 0;

        for (;;) {
                _cleanup_free_ char *n = NULL;
                IdlField *f;

                r = idl_read_name(p, "_", &n);
                if (r < 0)
                        return r;

                bool typed = idl_read_punct(p, ":");
                if (t->n_fields == 0)
                        t->kind = typed ? IDL_STRUCT : IDL_ENUM;
                else if (typed != (t->kind == IDL_STRUCT))
                        return -EINVAL;

                r = add_field(t, n, &f);
                if (r < 0)
                        return r;
                TAKE_PTR(n);

                if (typed) {
                        r = parse_type(p, &f->type);
                        if (r < 0)
                                return r;
                }

                if (idl_read_punct(p, ")"))
                        return 0;
                if (!idl_read_punct(p, ","))
                        return -EINVAL;
        }
}

static int parse_element(Parser *p, IdlType *t, IdlKind kind) {
        t->kind = kind;
        t->element = calloc(1, sizeof(IdlType));
        return t->element ? parse_type(p, t->element) : -ENOMEM;
}

static int parse_type_inner(Parser *p, IdlType *t) {
        static const struct {
                const char *name;
                IdlKind kind;
        } builtin[] = {
                { "bool",   IDL_BOOL   },
                { "int",    IDL_INT    },
                { "float",  IDL_FLOAT  },
                { "string", IDL_STRING },
                { "object", IDL_OBJECT },
        };
        _cleanup_free_ char *n = NULL;
        int r;

        if (idl_read_punct(p, "?"))
                t->nullable = true;
        if (idl_read_punct(p, "[]"))
                return parse_element(p, t, IDL_ARRAY);
        if (idl_read_punct(p, "[string]"))
                return parse_element(p, t, IDL_MAP);

        idl_skip(p);
        if (*p->p == '(')
                return parse_fields(p, t);

        r = idl_read_name(p, "", &n);
        if (r < 0)
                return r;

        for (size_t i = 0; i < ELEMENTSOF(builtin); i++)
                if (streq(n, builtin[i].name)) {
                        t->kind = builtin[i].kind;
                        return 0;
                }

        t->kind = IDL_NAMED;
        t->name = TAKE_PTR(n);
        return 0;
}

static int parse_type(Parser *p, IdlType *t) {
        int r;

        if (p->depth >= IDL_DEPTH_MAX)
                return -EINVAL;

        p->depth++;
        r = parse_type_inner(p, t);
        p->depth--;
        return r;
}

static int parse_symbol(Parser *p, IdlSymbol *s) {
        _cleanup_free_ char *keyword = NULL;
        int r;

        r = idl_read_name(p, "", &keyword);
        if (r < 0)
                return r;
        r = idl_read_name(p, "", &s->name);
        if (r < 0)
                return r;

        if (streq(keyword, "type")) {
                s->kind = IDL_TYPE;
                return parse_type(p, &s->input);
        }
        if (streq(keyword, "error")) {
                s->kind = IDL_ERROR;
                return parse_fields(p, &s->input);
        }
        if (!streq(keyword, "method"))
                return -EINVAL;

        s->kind = IDL_METHOD;
        r = parse_fields(p, &s->input);
        if (r < 0)
                return r;
        if (!idl_read_punct(p, "->"))
                return -EINVAL;
        return parse_fields(p, &s->output);
}

static int idl_check_names(const IdlInterface *interface, const IdlType *t) {
        int r;

        if (t->kind == IDL_NAMED && !idl_find(interface, IDL_TYPE, t->name))
                return -ENOENT;
        if (t->element) {
                r = idl_check_names(interface, t->element);
                if (r < 0)
                        return r;
        }
        if (t->kind == IDL_STRUCT)
                for (size_t i = 0; i < t->n_fields; i++) {
                        r = idl_check_names(interface, &t->fields[i].type);
                        if (r < 0)
                                return r;
                }

        return 0;
}

static int parse_interface(Parser *p, IdlInterface *interface) {
        _cleanup_free_ char *keyword = NULL;
        int r;

        r = idl_read_name(p, "", &keyword);
        if (r < 0)
                return r;
        if (!streq(keyword, "interface"))
                return -EINVAL;
        r = idl_read_name(p, ".-", &interface->name);
        if (r < 0)
                return r;

        for (;;) {
                idl_skip(p);
                if (*p->p == 0)
                        break;

                /* idl_skip() will be called again and then sees no comment any more. */
                bool commented = p->comment;

                r = GREEDY_REALLOC(interface->symbols, interface->allocated, interface->n_symbols + 1);
                if (r < 0)
                        return r;

                IdlSymbol *s = &interface->symbols[interface->n_symbols];
                *s = (IdlSymbol) {};
                interface->n_symbols++;
                r = parse_symbol(p, s);
                if (r < 0)
                        return r;
                s->commented = commented;

                for (size_t i = 0; i + 1 < interface->n_symbols; i++)
                        if (streq(interface->symbols[i].name, s->name))
                                return -EEXIST;
        }

        for (size_t i = 0; i < interface->n_symbols; i++) {
                r = idl_check_names(interface, &interface->symbols[i].input);
                if (r < 0)
                        return r;
                r = idl_check_names(interface, &interface->symbols[i].output);
                if (r < 0)
                        return r;
        }

        return 0;
}

int idl_parse(const char *text, IdlInterface **ret, unsigned *reterr_line) {
        _cleanup_(idl_freep) IdlInterface *interface = NULL;
        Parser p = { .line = 1 };
        int r;

        assert(text);
        assert(ret);

        interface = calloc(1, sizeof(IdlInterface));
        if (!interface)
                return -ENOMEM;
        p.p = interface->text = strdup(text);
        if (!interface->text)
                return -ENOMEM;

        r = parse_interface(&p, interface);
        if (r < 0) {
                if (reterr_line)
                        *reterr_line = p.line;
                return r;
        }

        *ret = TAKE_PTR(interface);
        return 0;
}

const IdlSymbol *idl_find(const IdlInterface *interface, IdlSymbolKind kind, const char *symbol_name) {
        for (size_t i = 0; i < interface->n_symbols; i++)
                if (interface->symbols[i].kind == kind && streq(interface->symbols[i].name, symbol_name))
                        return interface->symbols + i;
        return NULL;
}
