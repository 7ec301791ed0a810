/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base64.h"
#include "format.h"
#include "json-check.h"
#include "json-util.h"
#include "json-writer.h"
#include "log.h"
#include "test.h"
#include "utf8.h"

/* --- base64 --- */

static void test_base64_round_trip(_unused_ void **state) {
        uint8_t data[300];

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t) (i * 7 + 3);

        for (size_t n = 0; n <= sizeof(data); n++) {
                _cleanup_free_ char *text = NULL;
                _cleanup_free_ void *back = NULL;
                size_t size;

                assert_ok(base64_encode(data, n, &text));
                assert_ok(base64_decode(text, strlen(text), n, &back, &size));
                assert_int_equal(size, n);
                assert_memory_equal(back, data, n);
        }
}

static void test_base64_vectors(_unused_ void **state) {
        static const char *const vectors[][2] = {
                { "",       ""         },
                { "f",      "Zg=="     },
                { "fo",     "Zm8="     },
                { "foo",    "Zm9v"     },
                { "foob",   "Zm9vYg==" },
                { "fooba",  "Zm9vYmE=" },
                { "foobar", "Zm9vYmFy" },
        };

        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                _cleanup_free_ char *text = NULL;

                assert_ok(base64_encode(vectors[i][0], strlen(vectors[i][0]), &text));
                assert_string_equal(text, vectors[i][1]);
        }
}

static void test_base64_garbage(_unused_ void **state) {
        static const char *const bad[] = {
                "Z", "Zg", "Zg=", "Zm9", "====", "=Zg=", "Z===", "Zg==Zg==", "Zm 9v", "Zm9v\n", "Zm-_", "Zh==", "Zm9=",
        };
        _cleanup_free_ void *back = NULL;
        size_t size;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_errno(base64_decode(bad[i], strlen(bad[i]), 100, &back, &size), EINVAL);
        assert_null(back);
}

static void test_base64_limit(_unused_ void **state) {
        _cleanup_free_ void *back = NULL;
        size_t size;

        assert_errno(base64_decode("Zm9vYmFy", 8, 5, &back, &size), EFBIG);
        assert_ok(base64_decode("Zm9vYmFy", 8, 6, &back, &size));
}

/* --- JSON --- */

static int check(const char *text) {
        return json_check(text, strlen(text), NULL);
}

static void test_json_good(_unused_ void **state) {
        static const char *const good[] = {
                "{}", "[]", "null", "true", "false", "0", "-0", "12", "-9223372036854775808", "9223372036854775807",
                "1.5", "1e3", "-1.25E-7", "\"\"", "\"a\\u00e4\\n\\\\\\/\"", " { \"a\" : [ 1 , 2 ] } ", "\"\xc3\xa4\"",
                "\"\\ud83d\\ude00\"", "{\"a\":{\"a\":{\"a\":1}}}", "[[],{},[{}]]",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_json_ struct json_object *o = NULL;

                assert_int_equal(check(good[i]), 0);
                assert_int_equal(json_parse_strict(good[i], strlen(good[i]), &o, NULL), 0);
        }
}

static void test_json_bad(_unused_ void **state) {
        static const char *const bad[] = {
                "", " ", "{", "}", "[", "]", "{]", "[1,]", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\"}", "{\"a\":}",
                "01", "+1", ".5", "1.", "1e", "-", "NaN", "Infinity", "-Infinity", "nan", "True", "nul", "nulll", "\"",
                "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"",
                "\"\t\"", "1 2", "{} {}", "// x\n1", "/* x */1", "\"\\u0000\"", "[1 2]", "{\"a\":1 \"b\":2}",
                "\xef\xbb\xbf{}", "0x10",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_json_ struct json_object *o = NULL;

                assert_errno(check(bad[i]), EINVAL);
                assert_errno(json_parse_strict(bad[i], strlen(bad[i]), &o, NULL), EINVAL);
        }
}

static void test_json_bad_utf8(_unused_ void **state) {
        static const char *const bad[] = {
                "\"\x80\"", "\"\xc3\"", "\"\xc0\x80\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
                "\"\xff\"",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_errno(check(bad[i]), EINVAL);
}

static void test_json_integers_do_not_saturate(_unused_ void **state) {
        assert_errno(check("9223372036854775808"), ERANGE);
        assert_errno(check("-9223372036854775809"), ERANGE);
        assert_errno(check("{\"a\":99999999999999999999999999}"), ERANGE);
        assert_int_equal(check("99999999999999999999.0"), 0);
}

static void test_json_duplicate_keys(_unused_ void **state) {
        static const char *const bad[][2] = {
                { "{\"a\":1,\"a\":2}",                   "a" },
                { "[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]", "b" },
                { "{\"a\":1,\"\\u0061\":2}",             "a" },
                { "{\"\":1,\"\":2}",                     ""  },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_json_ struct json_object *o = NULL;
                _cleanup_free_ char *key = NULL;

                assert_errno(json_parse_strict(bad[i][0], strlen(bad[i][0]), &o, &key), EEXIST);
                assert_string_equal(key, bad[i][1]);
        }

        assert_int_equal(check("{\"a\":{\"a\":1},\"b\":{\"a\":1}}"), 0);
}

static void test_json_depth(_unused_ void **state) {
        char text[256];

        memset(text, '[', 100);
        memset(text + 100, ']', 100);
        assert_errno(json_check(text, 200, NULL), ELOOP);
        assert_int_equal(json_check(text + 100 - JSON_DEPTH_MAX, 2 * JSON_DEPTH_MAX, NULL), 0);
        assert_errno(json_check(text + 100 - JSON_DEPTH_MAX - 1, 2 * JSON_DEPTH_MAX + 2, NULL), ELOOP);
}

static void test_json_not_terminated(_unused_ void **state) {
        /* Exactly as many bytes as the text has, for AddressSanitizer to watch. */
        static const char text[] = "{\"key\":[\"\\u00e4\xc3\xa4\",1e5]}";

        for (size_t n = 0; n < sizeof(text); n++) {
                _cleanup_free_ char *copy = malloc(n + 1);

                memcpy(copy, text, n);
                copy = realloc(copy, MAX(n, (size_t) 1));
                assert_int_equal(json_check(copy, n, NULL), n == sizeof(text) - 1 ? 0 : -EINVAL);
        }
}

/* Fills a text of that size with a piece that is repeated, between a beginning and an end. */
static char *repeat(const char *begin, const char *piece, const char *end, size_t size, size_t *ret) {
        char *text = malloc(size), *p = text;

        assert_non_null(text);
        p = mempcpy(p, begin, strlen(begin));
        while ((size_t) (p - text) + strlen(piece) + strlen(end) <= size)
                p = mempcpy(p, piece, strlen(piece));
        p = mempcpy(p, end, strlen(end));
        *ret = (size_t) (p - text);
        return text;
}

/* Bytes that malloc(3) has handed out. */
static size_t heap_bytes(void) {
        struct mallinfo2 m = mallinfo2();

        return m.uordblks + m.hblkhd;
}

static void test_json_memory(_unused_ void **state) {
        static const struct {
                const char *begin, *piece, *end;
        } texts[] = {
                { "{\"x\":[",     "{},",                       "{}]}"      },
                { "[",            "[],",                       "[]]"       },
                { "[",            "[[[[]]]],",                 "[]]"       },
                { "[",            "0,",                        "0]"        },
                { "[",            "true,",                     "null]"     },
                { "[",            "\"\",",                     "0]"        },
                { "[",            "1.5,",                      "0]"        },
                { "[",            "{\"a\":0},",                "0]"        },
                { "[",            "{\"data\":\"QUFBQUFBQUE=\"},", "0]"      },
                { "\"",           "aaaaaaaa",                  "\""        },
                { "\"",           "\\n",                      "\""        },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_json_ struct json_object *o = NULL;
                size_t n, before, after;
                _cleanup_free_ char *text = repeat(texts[i].begin, texts[i].piece, texts[i].end, MIB(4), &n);
                int r;

                before = heap_bytes();
                r = json_parse_bounded(text, n, /* memory_min= */ KIB(64), &o, NULL);
                after = heap_bytes();
                if (r < 0)
                        assert_errno(r, E2BIG);
                /* The text itself and what the tokener needs for a while come on top. */
                assert_true(after - before <= (JSON_MEMORY_FACTOR - 4) * n);
                assert_int_equal(json_check(text, n, NULL), 0);
        }
}

static void test_json_memory_of_keys(_unused_ void **state) {
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_free_ char *text = malloc(MIB(4));
        char *p = text;

        *p++ = '{';
        for (unsigned i = 0; p < text + MIB(4) - 32; i++)
                p += sprintf(p, "\"%x\":0,", i);
        p += sprintf(p, "\"\":0}");
        assert_errno(json_parse_bounded(text, (size_t) (p - text), KIB(64), &o, NULL), E2BIG);
        assert_int_equal(json_check(text, (size_t) (p - text), NULL), 0);
}

/* Estimates of what json-c takes must not be below what it does take. */
static void test_json_memory_estimate(_unused_ void **state) {
        static const char *const pieces[] = {
                "{},", "[],", "0,", "true,", "\"\",", "1.5,", "{\"a\":0},", "{\"fileDescriptor\":1000},",
                "{\"name\":\"name of an object\",\"data\":\"QUFBQUFBQUE=\"},",
                "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0},",
                "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],",
        };

        for (size_t i = 0; i < ELEMENTSOF(pieces); i++) {
                _cleanup_json_ struct json_object *o = NULL;
                size_t n, low = 0, high = MIB(64), before;
                _cleanup_free_ char *text = repeat("[", pieces[i], "0]", KIB(64), &n);

                /* The least memory that it may be parsed with. */
                while (low < high) {
                        size_t middle = (low + high) / 2;
                        int r;

                        r = json_parse_bounded(text, n, middle, &o, NULL);
                        if (r < 0)
                                low = middle + 1;
                        else
                                high = middle;
                        o = json_object_unref(o);
                }
                before = heap_bytes();
                assert_ok(json_parse_bounded(text, n, low, &o, NULL));
                if (heap_bytes() - before > low)
                        fail_msg("'%s' takes %zu bytes, and was taken for %zu", pieces[i], heap_bytes() - before, low);
        }
}

static void test_json_nul(_unused_ void **state) {
        assert_errno(json_check("{}\0", 3, NULL), EINVAL);
        assert_errno(json_check("\"a\0b\"", 5, NULL), EINVAL);
}

static void test_json_getters_do_not_convert(_unused_ void **state) {
        static const char text[] = "{\"i\":1,\"s\":\"1\",\"b\":true,\"n\":null,\"d\":1.0}";
        _cleanup_json_ struct json_object *o = NULL;

        assert_ok(json_parse_strict(text, strlen(text), &o, NULL));
        assert_int_equal(json_get_int(o, "i", -1), 1);
        assert_int_equal(json_get_int(o, "s", -1), -1);
        assert_int_equal(json_get_int(o, "b", -1), -1);
        assert_int_equal(json_get_int(o, "d", -1), -1);
        assert_null(json_get_string(o, "i"));
        assert_false(json_get_bool(o, "i", false));
        assert_true(json_get_bool(o, "b", false));
        assert_null(json_get(o, "n"));
        assert_null(json_get(o, "x"));
        assert_null(json_get(NULL, "x"));
}

/* --- UTF-8, numbers --- */

static void test_utf8(_unused_ void **state) {
        char buffer[4];

        for (uint32_t c = 1; c <= 0x10ffff; c += c < 0x900 ? 1 : 37) {
                size_t n;

                if (c >= 0xd800 && c < 0xe000)
                        continue;
                n = utf8_encode(buffer, c);
                assert_int_equal(utf8_char_length(buffer, n), n);
                assert_int_equal(utf8_decode(buffer, (int) n), c);
                assert_errno(utf8_char_length(buffer, n - 1), EINVAL);
        }
}

static void test_utf8_sanitize(_unused_ void **state) {
        _cleanup_free_ char *s = utf8_sanitize("a\xff\xc3\xa4\xc3");

        assert_string_equal(s, "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd");
        assert_true(utf8_is_valid(s));
        assert_false(utf8_is_valid("a\xff"));
}

static void test_utf8_escape(_unused_ void **state) {
        static const char *const table[][2] = {
                { "",                      ""                            },
                { "a b\\x2dc 'd' $(e)",    "a b\\x2dc 'd' $(e)"          },
                { "\xc3\xa4\xe2\x82\xac",  "\xc3\xa4\xe2\x82\xac"        },
                { "a\x1b[31mb\n\x7f",      "a\\x1b[31mb\\x0a\\x7f"       },
                { "\xc2\x9b" "31m\xc2\x80", "\\xc2\\x9b31m\\xc2\\x80"    },
                { "\xc2\xa0\xc2\x9f",      "\xc2\xa0\\xc2\\x9f"          },
                { "\xff\xc3",              "\\xff\\xc3"                  },
                { "x\xe2\x80\xaey",        "x\\xe2\\x80\\xaey"           },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *s = utf8_escape(table[i][0]);

                assert_string_equal(s, table[i][1]);
        }
}

/* The prefix is for the journal only, however standard error was redirected since systemd set $JOURNAL_STREAM. */
static void test_log_prefix(_unused_ void **state) {
        _cleanup_close_ int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), fd = memfd_create("log", MFD_CLOEXEC);
        static const char *const table[][2] = {
                { NULL,     "test-basic: text\n"    },
                { "1:2",    "test-basic: text\n"    },
                { "x",      "test-basic: text\n"    },
                { "%llu:%llu",  "<4>text\n"         },
                { "%llu:%llu ", "test-basic: text\n" },
        };
        struct stat st;

        assert_true(saved >= 0);
        assert_ok(fstat(fd, &st));
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char stream[64], text[64] = "";

                assert_ok(unsetenv("JOURNAL_STREAM"));
                if (i < 3)
                        (void) snprintf(stream, sizeof(stream), "%s", table[i][0] ?: "");
                else
                        (void) snprintf(stream, sizeof(stream), i == 3 ? "%llu:%llu" : "%llu:%llu ",
                                        (unsigned long long) st.st_dev, (unsigned long long) st.st_ino);
                if (table[i][0])
                        assert_ok(setenv("JOURNAL_STREAM", stream, 1));
                assert_ok(ftruncate(fd, 0));
                assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
                assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
                log_warning("text");
                assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
                assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
                assert_string_equal(text, table[i][1]);
        }
        assert_ok(unsetenv("JOURNAL_STREAM"));
}

static void test_format(_unused_ void **state) {
        char b[FORMAT_MAX];

        assert_string_equal(format_bytes(b, 0), "0B");
        assert_string_equal(format_bytes(b, 1023), "1023B");
        assert_string_equal(format_bytes(b, 1024), "1.0K");
        assert_string_equal(format_bytes(b, MIB(1) - 1), "1.0M");
        assert_string_equal(format_bytes(b, GIB(3) / 2), "1.5G");
        assert_string_equal(format_bytes(b, UINT64_MAX), "16.0E");
        assert_string_equal(format_usec(b, 999), "999us");
        assert_string_equal(format_usec(b, 1500), "1.5ms");
        assert_string_equal(format_usec(b, 61 * USEC_PER_SEC), "1min 1s");
        assert_string_equal(format_usec(b, 7260 * USEC_PER_SEC), "2h 1min");
}

static void test_json_writer(_unused_ void **state) {
        _cleanup_(json_writer_done) JsonWriter w = {};
        char every[128];

        for (unsigned i = 0; i < sizeof(every) - 1; i++)
                every[i] = (char) (i + 1);
        every[sizeof(every) - 1] = 0;

        for (unsigned i = 0; i < 2; i++) {
                _cleanup_json_ struct json_object *o = NULL;

                json_writer_reset(&w);
                json_writer_begin(&w, NULL);
                json_writer_begin(&w, "empty");
                json_writer_end(&w);
                json_writer_string(&w, "every", every);
                json_writer_string(&w, "none", "");
                json_writer_string(&w, "more", "\"\xc3\xa9\\");
                json_writer_begin(&w, "inner");
                json_writer_u64(&w, "zero", 0);
                json_writer_u64(&w, "ten", 10);
                json_writer_u64(&w, "most", UINT64_MAX);
                json_writer_end(&w);
                json_writer_bool(&w, "yes", true);
                json_writer_bool(&w, "no", false);
                json_writer_end(&w);
                assert_ok(json_writer_check(&w));
                assert_int_equal(strlen(w.text), w.length);

                assert_ok(json_parse_strict(w.text, w.length, &o, NULL));
                assert_int_equal(json_object_object_length(o), 7);
                assert_int_equal(json_object_object_length(json_get(o, "empty")), 0);
                assert_string_equal(json_get_string(o, "every"), every);
                assert_string_equal(json_get_string(o, "none"), "");
                assert_string_equal(json_get_string(o, "more"), "\"\xc3\xa9\\");
                assert_int_equal(json_get_int(json_get(o, "inner"), "zero", -1), 0);
                assert_int_equal(json_get_int(json_get(o, "inner"), "ten", -1), 10);
                assert_int_equal(json_get_int(json_get(o, "inner"), "most", -1), INT64_MAX);
                assert_true(json_get_bool(o, "yes", false));
                assert_false(json_get_bool(o, "no", true));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_base64_round_trip),
                cmocka_unit_test(test_base64_vectors),
                cmocka_unit_test(test_base64_garbage),
                cmocka_unit_test(test_base64_limit),
                cmocka_unit_test(test_json_good),
                cmocka_unit_test(test_json_bad),
                cmocka_unit_test(test_json_bad_utf8),
                cmocka_unit_test(test_json_integers_do_not_saturate),
                cmocka_unit_test(test_json_duplicate_keys),
                cmocka_unit_test(test_json_depth),
                cmocka_unit_test(test_json_not_terminated),
                cmocka_unit_test(test_json_memory),
                cmocka_unit_test(test_json_memory_of_keys),
                cmocka_unit_test(test_json_memory_estimate),
                cmocka_unit_test(test_json_nul),
                cmocka_unit_test(test_json_getters_do_not_convert),
                cmocka_unit_test(test_json_writer),
                cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_utf8_sanitize),
                cmocka_unit_test(test_utf8_escape),
                cmocka_unit_test(test_log_prefix),
                cmocka_unit_test(test_format),
        };

        return cmocka_run_group_tests_name("basic", tests, NULL, NULL);
}
