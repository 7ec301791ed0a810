/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "log-tail.h"
#include "test.h"

static void test_kmsg(_unused_ void **state) {
        _cleanup_log_tail_ LogTail t = {};
        uint64_t sequence;

        assert_int_equal(log_tail_add_kmsg(&t, "30,339,5140900,-;systemd-shutdown[1]: All filesystems unmounted.\n",
                                           339, 1000000, &sequence), 1);
        assert_int_equal(sequence, 339);
        assert_int_equal(t.lines[0].priority, 6);
        assert_int_equal(t.lines[0].usec, 6140900);
        assert_string_equal(t.lines[0].text, "systemd-shutdown[1]: All filesystems unmounted.");

        /* Keys after the text, fields before it that are not known yet. */
        assert_int_equal(log_tail_add_kmsg(&t,
                                           "3,340,1,-,caller=T1;sda: gone; really\n SUBSYSTEM=block\n DEVICE=b8:0\n",
                                           0, 0, NULL), 1);
        assert_string_equal(t.lines[1].text, "sda: gone; really");

        /* What journald has seen already. */
        assert_int_equal(log_tail_add_kmsg(&t, "3,338,1,-;old\n", 339, 0, &sequence), 0);
        assert_int_equal(t.n_lines, 2);

        assert_errno(log_tail_add_kmsg(&t, "", 0, 0, NULL), EBADMSG);
        assert_errno(log_tail_add_kmsg(&t, "hello; world", 0, 0, NULL), EBADMSG);
        assert_errno(log_tail_add_kmsg(&t, "3,4,5,-", 0, 0, NULL), EBADMSG);
        assert_int_equal(t.n_lines, 2);
}

static void test_round_trip(_unused_ void **state) {
        _cleanup_log_tail_ LogTail t = {}, back = {};
        _cleanup_free_ char *text = NULL;
        size_t n;

        t.boot_id = strdup("0123456789abcdef0123456789abcdef");
        assert_ok(log_tail_add(&t, 4, 123456789, "\"quoted\" and \\x0a, \xc3\xa4"));
        assert_ok(log_tail_add(&t, 7, 1, ""));
        assert_ok(log_tail_format(&t, &text, &n));
        assert_ok(log_tail_parse(text, n, &back));
        assert_int_equal(back.n_lines, 2);
        assert_string_equal(back.boot_id, t.boot_id);
        assert_string_equal(back.lines[0].text, t.lines[0].text);
        assert_int_equal(back.lines[0].priority, 4);
        assert_int_equal(back.lines[0].usec, 123456789);
}

static void test_limits(_unused_ void **state) {
        _cleanup_log_tail_ LogTail t = {}, back = {};
        _cleanup_free_ char *text = NULL, *line = malloc(100001);
        size_t n;

        for (unsigned i = 0; i < 3 * LOG_TAIL_LINES_MAX; i++) {
                char s[32];

                (void) snprintf(s, sizeof(s), "line %u", i);
                assert_ok(log_tail_add(&t, 6, i, s));
        }
        assert_int_equal(t.n_lines, LOG_TAIL_LINES_MAX);
        assert_string_equal(t.lines[t.n_lines - 1].text, "line 2999");
        assert_string_equal(t.lines[0].text, "line 2000");

        /* Long lines are cut, at the end of a character, and many of them push out the others. */
        memset(line, 'x', 100000);
        line[100000] = 0;
        memcpy(line + LOG_TAIL_LINE_MAX - 1, "\xc3\xa4", 2);
        for (unsigned i = 0; i < 100; i++)
                assert_ok(log_tail_add(&t, 6, 0, line));
        assert_int_equal(strlen(t.lines[t.n_lines - 1].text), LOG_TAIL_LINE_MAX - 1);
        assert_true(t.bytes <= LOG_TAIL_BYTES_MAX);
        assert_true(t.n_lines < 100);

        log_tail_keep(&t, 3);
        assert_int_equal(t.n_lines, 3);
        assert_ok(log_tail_format(&t, &text, &n));
        assert_ok(log_tail_parse(text, n, &back));
        assert_int_equal(back.n_lines, 3);
}

/* What another kernel's memory may hold. */
static void test_hostile(_unused_ void **state) {
        static const char *const bad[] = {
                "", "{", "[]", "{}", "null", "{\"version\":1}", "{\"version\":2,\"lines\":[]}",
                "{\"version\":\"1\",\"lines\":[]}", "{\"version\":1,\"lines\":{}}",
                "{\"version\":1,\"lines\":[],\"lines\":[]}", "{\"version\":1,\"lines\":[{\"text\":\"\xff\"}]}",
        };
        static const char odd[] =
                "{\"version\":1,\"bootId\":\"../../etc/passwd\",\"lines\":[1,null,[],{},{\"text\":5},"
                "{\"text\":\"a\\nb\\u001b[2Jc\\u0085d\",\"priority\":-1,\"usec\":-5},{\"text\":\"ok\",\"priority\":99999}]}";
        _cleanup_log_tail_ LogTail t = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_errno(log_tail_parse(bad[i], strlen(bad[i]), &t), EBADMSG);

        assert_ok(log_tail_parse(odd, strlen(odd), &t));
        assert_null(t.boot_id);
        assert_int_equal(t.n_lines, 2);
        assert_string_equal(t.lines[0].text, "a b [2Jc  d");
        assert_int_equal(t.lines[0].priority, 7);
        assert_int_equal(t.lines[0].usec, 0);
        assert_int_equal(t.lines[1].priority, 99999 & 7);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kmsg),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_hostile),
        };

        return cmocka_run_group_tests_name("log-tail", tests, NULL, NULL);
}
