/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "cmdline-advice.h"
#include "test.h"

/* Checks what is added to a command line, and returns the first advice. */
static CmdlineAdvice check_applied(const char *cmdline, int count, const char *expected) {
        CmdlineAdvice advice[CMDLINE_ADVICE_MAX] = {};
        _cleanup_free_ char *applied = NULL;
        int n = cmdline_advise(cmdline, advice);

        assert_int_equal(n, count);
        assert_ok(cmdline_apply(cmdline, advice, (size_t) n, &applied));
        assert_string_equal(applied, expected);
        return advice[0];
}

static void test_quiet(void **state) {
        CmdlineAdvice a;

        (void) state;
        a = check_applied("root=/dev/vda", 1, "quiet root=/dev/vda");
        assert_string_equal(a.text, "The kernel prints all messages to the console");
        a = check_applied("console=tty0 console=ttyS1,115200n8", 1, "quiet console=tty0 console=ttyS1,115200n8");
        assert_non_null(strstr(a.text, "serial line of 115200 baud, which takes 6.9 ms"));
        a = check_applied("console=ttyS0", 1, "quiet console=ttyS0");
        assert_non_null(strstr(a.text, "9600 baud, which takes 83.3 ms"));
        a = check_applied("console=ttyS0,0", 1, "quiet console=ttyS0,0");
        assert_non_null(strstr(a.text, "9600 baud"));
        check_applied("", 1, "quiet ");
}

/* What follows "--" is for init, and init gets no further words. */
static void test_words_of_init(void **state) {
        (void) state;
        check_applied("ro -- quiet", 1, "quiet ro -- quiet");
        check_applied("ro quiet -- debug", 0, "ro quiet -- debug");
}

static void test_is_fast_already(void **state) {
        (void) state;
        check_applied("quiet console=ttyS0", 0, "quiet console=ttyS0");
        check_applied("\"quiet\"", 0, "\"quiet\"");
        check_applied("loglevel=3", 0, "loglevel=3");
        check_applied("loglevel=3 console=ttyS0 systemd.show_status=yes", 0,
                      "loglevel=3 console=ttyS0 systemd.show_status=yes");
}

static void test_show_status(void **state) {
        CmdlineAdvice a;

        (void) state;
        a = check_applied("loglevel=3 console=ttyS0,57600", 1,
                          "systemd.show_status=auto loglevel=3 console=ttyS0,57600");
        assert_non_null(strstr(a.text, "a line for each unit to a serial line of 57600 baud"));
}

/* They were given on purpose. */
static void test_slow_words(void **state) {
        CmdlineAdvice a;

        (void) state;
        a = check_applied("debug", 1, "debug");
        assert_null(a.add);
        assert_string_equal(a.text, "'debug' on the command line makes the kernel print debugging messages");
        check_applied("ignore_loglevel console=ttyS0", 1, "ignore_loglevel console=ttyS0");
        check_applied("quiet memtest=4", 1, "quiet memtest=4");
        check_applied("quiet memtest", 1, "quiet memtest");
        check_applied("nomemtest debugpat", 1, "quiet nomemtest debugpat");
        check_applied("debug ignore_loglevel initcall_debug memtest=1", 4,
                      "debug ignore_loglevel initcall_debug memtest=1");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_quiet),
                cmocka_unit_test(test_words_of_init),
                cmocka_unit_test(test_is_fast_already),
                cmocka_unit_test(test_show_status),
                cmocka_unit_test(test_slow_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
