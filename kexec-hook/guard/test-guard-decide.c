/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <linux/pkram.h>

#include "test-util.h"

#include "guard-decide.h"
#include "macro.h"

static struct pkram_ioctl_info info;

/* What the guard does, from the mark to the end. image_state: of the loaded image. */
static GuardAction decide(int forced, int config_result, KexecPolicy configured, int device_result,
                          uint32_t image_state) {
        KexecPolicy policy = guard_policy(forced, config_result, configured);
        KexecCheck check = {};

        info = (struct pkram_ioctl_info) { .format_version = 1, .super_pfn = 0x1234, .image_state = image_state };
        if (device_result >= 0)
                kexec_check(&(KexecFacts) { .info = &info, .n_nodes = 1 }, /* image= */ NULL, policy, &check);
        return guard_decide(policy, device_result, &check);
}

/* A kexec that preserves everything is let through without a word, whatever else is wrong. */
static void test_keeps(void **state) {
        (void) state;
        for (int forced = -1; forced <= 1; forced++)
                for (int config = -1; config <= 0; config++)
                        for (KexecPolicy p = 0; p < _KEXEC_POLICY_MAX; p++)
                                assert_int_equal(decide(forced, config, p, 0, PKRAM_IMAGE_KEEPS), GUARD_PASS);
}

/* One that loses something, or may, needs consent: the mark, or a configuration that could be read. */
static void test_loses(void **state) {
        static const struct {
                int forced, config_result;
                KexecPolicy configured;
                GuardAction action;
        } table[] = {
                {  0,       0,       KEXEC_POLICY_REFUSE, GUARD_REFUSE },
                {  0,       0,       KEXEC_POLICY_WARN,   GUARD_WARN   },
                {  0,       0,       KEXEC_POLICY_FORCE,  GUARD_WARN   },
                {  0,       0,       _KEXEC_POLICY_MAX,   GUARD_REFUSE },
                /* The mark counts for more than the configuration, also for one that cannot be read. */
                {  1,       0,       KEXEC_POLICY_REFUSE, GUARD_WARN   },
                {  1,       -EACCES, KEXEC_POLICY_REFUSE, GUARD_WARN   },
                /* What a configuration that cannot be read left behind does not count. */
                {  0,       -EACCES, KEXEC_POLICY_FORCE,  GUARD_REFUSE },
                {  0,       -ENOMEM, KEXEC_POLICY_WARN,   GUARD_REFUSE },
                /* A mark that cannot be looked for is none. */
                {  -EACCES, 0,       KEXEC_POLICY_REFUSE, GUARD_REFUSE },
                {  -EACCES, 0,       KEXEC_POLICY_WARN,   GUARD_WARN   },
                {  -EIO,    -EIO,    KEXEC_POLICY_FORCE,  GUARD_REFUSE },
        };
        static const uint32_t states[] = { PKRAM_IMAGE_NONE, PKRAM_IMAGE_NO_SUPPORT, PKRAM_IMAGE_NO_PARAM,
                                           PKRAM_IMAGE_VERSION, 99 };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                for (size_t s = 0; s < ELEMENTSOF(states); s++)
                        assert_int_equal(decide(table[i].forced, table[i].config_result, table[i].configured, 0,
                                                states[s]),
                                         table[i].action);
                /* A device that does not answer may hold anything, whatever image is loaded. */
                assert_int_equal(decide(table[i].forced, table[i].config_result, table[i].configured, -EIO,
                                        PKRAM_IMAGE_KEEPS),
                                 table[i].action);
        }
}

/* A tree that cannot be stored, and memory of services, are refused like a node. */
static void test_trees_and_units(void **state) {
        static const char *const units[] = { "redis.service" };
        static const KexecTreeProblem problem = { .name = "web", .path = "/srv/web", .limit = "ObjectsMax",
                                                  .maximum = 10, .needed = 11 };
        KexecCheck check;

        (void) state;
        info = (struct pkram_ioctl_info) { .image_state = PKRAM_IMAGE_KEEPS };
        kexec_check(&(KexecFacts) { .info = &info, .n_trees = 1, .problems = &problem, .n_problems = 1 }, NULL,
                    KEXEC_POLICY_REFUSE, &check);
        assert_int_equal(guard_decide(KEXEC_POLICY_REFUSE, 0, &check), GUARD_REFUSE);
        kexec_check(&(KexecFacts) { .info = &info, .n_trees = 1, .problems = &problem, .n_problems = 1 }, NULL,
                    KEXEC_POLICY_WARN, &check);
        assert_int_equal(guard_decide(KEXEC_POLICY_WARN, 0, &check), GUARD_WARN);

        kexec_check(&(KexecFacts) { .info = &info, .units = units, .n_units = 1 }, NULL, KEXEC_POLICY_REFUSE, &check);
        assert_int_equal(guard_decide(KEXEC_POLICY_REFUSE, 0, &check), GUARD_PASS);
        info.image_state = PKRAM_IMAGE_NO_SUPPORT;
        kexec_check(&(KexecFacts) { .info = &info, .units = units, .n_units = 1 }, NULL, KEXEC_POLICY_REFUSE, &check);
        assert_int_equal(guard_decide(KEXEC_POLICY_REFUSE, 0, &check), GUARD_REFUSE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_keeps),
                cmocka_unit_test(test_loses),
                cmocka_unit_test(test_trees_and_units),
        };

        return cmocka_run_group_tests_name("guard-decide", tests, NULL, NULL);
}
