/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-util.h"

#include "kexec-crash.h"
#include "macro.h"

static void test_check(void **state) {
        static const struct {
                const char *cmdline, *running;
                uint64_t reserved;
                int result;
                const char *wanted;
        } table[] = {
                { "ro quiet", "ro crashkernel=256M", MIB(256), 1, NULL },
                { "ro quiet", "ro", 0, 1, NULL },
                /* The same words get the same memory. */
                { "crashkernel=256M ro", "ro crashkernel=256M", MIB(256), 1, "256M" },
                { "crashkernel=2G-4G:128M,4G-:256M", "crashkernel=2G-4G:128M,4G-:256M", MIB(128), 1,
                  "2G-4G:128M,4G-:256M" },
                { "crashkernel=1G,high crashkernel=256M,low", "crashkernel=1G,high crashkernel=256M,low", MIB(1024), 1,
                  "1G,high 256M,low" },
                /* The running kernel has none, for whatever reason. */
                { "crashkernel=256M", "crashkernel=256M", 0, 0, "256M" },
                { "crashkernel=256M", "ro", 0, 0, "256M" },
                /* Less fits, more may not. */
                { "crashkernel=128M", "crashkernel=256M", MIB(256), 1, "128M" },
                { "crashkernel=262144K", "crashkernel=256M", MIB(256), 1, "262144K" },
                { "crashkernel=0x10000000", "crashkernel=256M", MIB(256), 1, "0x10000000" },
                { "crashkernel=256m@64M", "crashkernel=256M", MIB(256), 1, "256m@64M" },
                { "crashkernel=257M", "crashkernel=256M", MIB(256), 0, "257M" },
                { "crashkernel=1G", "crashkernel=256M", MIB(256), 0, "1G" },
                { "crashkernel=99999999999T", "crashkernel=256M", MIB(256), 0, "99999999999T" },
                /* Other forms that differ. */
                { "crashkernel=256M,high", "crashkernel=256M", MIB(256), 0, "256M,high" },
                { "crashkernel=2G-:256M", "crashkernel=256M", MIB(256), 0, "2G-:256M" },
                { "crashkernel=auto", "crashkernel=256M", MIB(256), 0, "auto" },
                { "crashkernel=-1", "crashkernel=256M", MIB(256), 0, "-1" },
                /* As the kernel reads it. */
                { "ro -- crashkernel=1G", "ro", 0, 1, NULL },
                { "x=\"a crashkernel=1G b\"", "ro", 0, 1, NULL },
                { "\"crashkernel=1G\"", "ro", 0, 0, "1G" },
                { "crashkernel=\"256M\"", "crashkernel=256M", MIB(256), 1, "256M" },
                { "crashkernel", "ro", 0, 1, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *wanted = NULL;

                assert_int_equal(kexec_crash_check(table[i].cmdline, table[i].running, table[i].reserved, &wanted),
                                 table[i].result);
                if (table[i].wanted)
                        assert_string_equal(wanted, table[i].wanted);
                else
                        assert_null(wanted);
        }
}

static void test_reserved(void **state) {
        uint64_t n;

        (void) state;
        assert_int_equal(kexec_crash_reserved("/nonexistent", &n), -ENOENT);
        assert_int_equal(kexec_crash_reserved("/proc/sys/kernel/hostname", &n), -EBADMSG);
        assert_int_equal(kexec_crash_reserved("/proc/sys/kernel/pid_max", &n), 0);
        assert_true(n > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_reserved),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
