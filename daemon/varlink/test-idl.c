/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "idl.h"
#include "json-util.h"
#include "test.h"
#include "varlink-idl-texts.h"

static void check_interface(const char *text, const char *name) {
        _cleanup_(idl_freep) IdlInterface *i = NULL;

        assert_int_equal(idl_parse(text, &i, NULL), 0);
        assert_string_equal(i->name, name);
        assert_string_equal(i->text, text);
        for (size_t n = 0; n < i->n_symbols; n++)
                if (!i->symbols[n].commented)
                        fail_msg("%s has no comment", i->symbols[n].name);
}

static void test_own_interfaces(_unused_ void **state) {
        check_interface(varlink_idl_io_pkram_Store, "io.pkram.Store");
        check_interface(varlink_idl_org_varlink_service, "org.varlink.service");
}

static void test_camel_case(_unused_ void **state) {
        _cleanup_(idl_freep) IdlInterface *i = NULL;

        assert_int_equal(idl_parse(varlink_idl_io_pkram_Store, &i, NULL), 0);
        for (size_t n = 0; n < i->n_symbols; n++) {
                const IdlSymbol *s = i->symbols + n;

                assert_true(s->name[0] >= 'A' && s->name[0] <= 'Z');
                assert_null(strchr(s->name, '_'));
                for (size_t f = 0; f < s->input.n_fields; f++) {
                        assert_true(s->input.fields[f].name[0] >= 'a' && s->input.fields[f].name[0] <= 'z');
                        assert_null(strchr(s->input.fields[f].name, '_'));
                }
        }
}

static void test_broken(_unused_ void **state) {
        static const char *const bad[] = {
                "", "interface", "interface 5", "method X() -> ()", "interface a.b\nfoo X ()",
                "interface a.b\nmethod X()", "interface a.b\nmethod X( -> ()", "interface a.b\ntype X (a: )",
                "interface a.b\ntype X (a: int, b)", "interface a.b\ntype X (a: int", "interface a.b\nerror X",
                "interface a.b\ntype X (a: []", "interface a.b\ntype X (a,)",
        };
        unsigned line;

        for (size_t n = 0; n < ELEMENTSOF(bad); n++) {
                IdlInterface *i = NULL;

                assert_errno(idl_parse(bad[n], &i, &line), EINVAL);
                assert_null(i);
        }
        IdlInterface *none = NULL;
        assert_errno(idl_parse("interface a.b\n\n\ntype X (a: int b)", &none, &line), EINVAL);
        assert_int_equal(line, 4);
}

static void test_names(_unused_ void **state) {
        IdlInterface *i = NULL;

        assert_errno(idl_parse("interface a.b\ntype X ()\nerror X ()", &i, NULL), EEXIST);
        assert_errno(idl_parse("interface a.b\ntype X (a: int, a: int)", &i, NULL), EEXIST);
        assert_errno(idl_parse("interface a.b\ntype X (a: Y)", &i, NULL), ENOENT);
        assert_null(i);
}

static void test_deep(_unused_ void **state) {
        IdlInterface *i = NULL;
        char text[4096] = "interface a.b\ntype X (a: ";

        for (unsigned n = 0; n < 100; n++)
                strcat(text, "[]");
        strcat(text, "int)");
        assert_errno(idl_parse(text, &i, NULL), EINVAL);
}

static const char example[] =
        "interface a.b\n"
        "type E (one, two)\n"
        "type S (i: int, s: ?string)\n"
        "method M(b: ?bool, f: ?float, e: ?E, l: ?[]S, m: ?[string]int, o: ?object, in: ?(x: int)) -> ()\n"
        "method N(s: string) -> ()\n";

/* Validates; NULL if fine, or the path, in a static buffer. */
static const char *validate(const char *method, const char *json) {
        static char path[256];
        _cleanup_(idl_freep) IdlInterface *i = NULL;
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_free_ char *field = NULL;

        assert_int_equal(idl_parse(example, &i, NULL), 0);
        if (json)
                assert_int_equal(json_parse_strict(json, strlen(json), &o, NULL), 0);
        if (idl_validate(i, &idl_find(i, IDL_METHOD, method)->input, o, &field) >= 0)
                return NULL;
        assert_non_null(field);
        (void) snprintf(path, sizeof(path), "%s", field);
        return path;
}

static void test_validate_good(_unused_ void **state) {
        assert_null(validate("M", NULL));
        assert_null(validate("M", "{}"));
        assert_null(validate("M", "{\"b\":null,\"l\":null}"));
        assert_null(validate("M",
                             "{\"b\":true,\"f\":1.5,\"e\":\"two\",\"l\":[{\"i\":1},{\"i\":2,\"s\":\"x\"}],"
                             "\"m\":{\"a\":1},\"o\":{\"any\":[]},\"in\":{\"x\":1}}"));
        assert_null(validate("M", "{\"f\":1}"));
        assert_null(validate("N", "{\"s\":\"\"}"));
}

static void test_validate_bad(_unused_ void **state) {
        assert_string_equal(validate("N", NULL), "s");
        assert_string_equal(validate("N", "{}"), "s");
        assert_string_equal(validate("N", "{\"s\":null}"), "s");
        assert_string_equal(validate("N", "{\"s\":1}"), "s");
        assert_string_equal(validate("N", "{\"s\":\"\",\"t\":1}"), "t");
        assert_string_equal(validate("M", "{\"b\":1}"), "b");
        assert_string_equal(validate("M", "{\"b\":\"true\"}"), "b");
        assert_string_equal(validate("M", "{\"f\":\"1\"}"), "f");
        assert_string_equal(validate("M", "{\"e\":\"three\"}"), "e");
        assert_string_equal(validate("M", "{\"e\":1}"), "e");
        assert_string_equal(validate("M", "{\"l\":{}}"), "l");
        assert_string_equal(validate("M", "{\"l\":[{\"i\":1},{}]}"), "l[1].i");
        assert_string_equal(validate("M", "{\"l\":[{\"i\":1,\"s\":2}]}"), "l[0].s");
        assert_string_equal(validate("M", "{\"l\":[null]}"), "l[0]");
        assert_string_equal(validate("M", "{\"l\":[{\"i\":1.0}]}"), "l[0].i");
        assert_string_equal(validate("M", "{\"m\":{\"a\":\"b\"}}"), "m.a");
        assert_string_equal(validate("M", "{\"o\":[]}"), "o");
        assert_string_equal(validate("M", "{\"in\":{\"x\":1,\"y\":2}}"), "in.y");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_own_interfaces),
                cmocka_unit_test(test_camel_case),
                cmocka_unit_test(test_broken),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_deep),
                cmocka_unit_test(test_validate_good),
                cmocka_unit_test(test_validate_bad),
        };

        return cmocka_run_group_tests_name("idl", tests, NULL, NULL);
}
