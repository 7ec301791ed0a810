/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The varlink interface language, parsed at run time: the .varlink file is what
 * messages are checked against, so that it cannot drift away from the code.
 */
#pragma once

#include <json-c/json.h>

#include "macro.h"

typedef enum IdlKind {
        IDL_BOOL,
        IDL_INT,
        IDL_FLOAT,
        IDL_STRING,
        IDL_OBJECT,
        IDL_ENUM,   /* fields are its values */
        IDL_STRUCT, /* fields are its members */
        IDL_ARRAY,  /* of element */
        IDL_MAP,    /* from strings to element */
        IDL_NAMED,  /* type of that name in the interface */
} IdlKind;

typedef struct IdlType IdlType;
typedef struct IdlField IdlField;

struct IdlType {
        IdlKind kind;
        bool nullable;
        char *name;
        IdlType *element;
        IdlField *fields;
        size_t n_fields, allocated;
};

struct IdlField {
        char *name;
        IdlType type;
};

typedef enum IdlSymbolKind {
        IDL_TYPE,
        IDL_METHOD,
        IDL_ERROR,
} IdlSymbolKind;

typedef struct IdlSymbol {
        IdlSymbolKind kind;
        char *name;
        bool commented; /* a comment stands right before it */
        IdlType input;  /* what a type is, a method takes, an error tells */
        IdlType output; /* what a method returns */
} IdlSymbol;

typedef struct IdlInterface {
        char *name;
        char *text;
        IdlSymbol *symbols;
        size_t n_symbols, allocated;
} IdlInterface;

/*
 * Parses an interface description. Errors: -EINVAL with the line (from 1) in
 * *reterr_line, -EEXIST for a name used twice, -ENOENT for a type that is not
 * there, -ENOMEM.
 */
int idl_parse(const char *text, IdlInterface **ret, unsigned *reterr_line);
IdlInterface *idl_free(IdlInterface *interface);
DEFINE_CLEANUP(IdlInterface *, idl_free)

/* The symbol of that kind and name, borrowed, or NULL. */
const IdlSymbol *idl_find(const IdlInterface *interface, IdlSymbolKind kind, const char *name);

/*
 * Checks o (NULL means an empty object) against a type: every member known and of
 * its type, none missing that has to be there. Nothing is converted. -EINVAL, and
 * then *reterr_field, if given, is the path of the offending field, as in
 * "objects[2].name", to be freed (may be NULL without memory).
 */
int idl_validate(const IdlInterface *interface, const IdlType *type, struct json_object *o, char **reterr_field);
