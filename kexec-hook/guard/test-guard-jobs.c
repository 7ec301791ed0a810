/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-util.h"

#include "guard-jobs.h"

static void test_kinds(void **state) {
        (void) state;
        assert_int_equal(shutdown_kind_of_job("kexec.target", "start"), SHUTDOWN_KEXEC);
        assert_int_equal(shutdown_kind_of_job("systemd-kexec.service", "start"), SHUTDOWN_KEXEC);
        assert_int_equal(shutdown_kind_of_job("reboot.target", "start"), SHUTDOWN_OTHER);
        assert_int_equal(shutdown_kind_of_job("systemd-poweroff.service", "start"), SHUTDOWN_OTHER);
        assert_int_equal(shutdown_kind_of_job("halt.target", "start"), SHUTDOWN_OTHER);
        assert_int_equal(shutdown_kind_of_job("soft-reboot.target", "start"), SHUTDOWN_SOFT_REBOOT);
}

static void test_other_jobs(void **state) {
        (void) state;
        /* Every kind of shutdown has these. */
        assert_int_equal(shutdown_kind_of_job("shutdown.target", "start"), SHUTDOWN_NONE);
        assert_int_equal(shutdown_kind_of_job("umount.target", "start"), SHUTDOWN_NONE);
        /* An aborted kexec may have a stop job left. */
        assert_int_equal(shutdown_kind_of_job("kexec.target", "stop"), SHUTDOWN_NONE);
        assert_int_equal(shutdown_kind_of_job("kexec.target", "verify-active"), SHUTDOWN_NONE);
        assert_int_equal(shutdown_kind_of_job("my-kexec.target", "start"), SHUTDOWN_NONE);
        assert_int_equal(shutdown_kind_of_job("", ""), SHUTDOWN_NONE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kinds),
                cmocka_unit_test(test_other_jobs),
        };

        return cmocka_run_group_tests_name("guard-jobs", tests, NULL, NULL);
}
