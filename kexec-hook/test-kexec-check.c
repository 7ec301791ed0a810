/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <linux/pkram.h>

#include "test-util.h"

#include "kexec-check.h"
#include "macro.h"

static struct pkram_ioctl_info info;
static KexecImage image;

static int setup(void **state) {
        (void) state;
        info = (struct pkram_ioctl_info) {
                .size = sizeof(info),
                .format_version = 3,
                .super_pfn = 0x1234,
                .nr_nodes = 2,
                .image_state = PKRAM_IMAGE_KEEPS,
        };
        image = (KexecImage) {
                .arch = KEXEC_ARCH_X86_64,
                .relocatable = true,
                .has_pkram = true,
                .n_formats = 2,
                .formats = { { .version = 2 }, { .version = 3 } },
                .release = "6.12.107",
        };
        return 0;
}

/* Judges with info.nr_nodes nodes, trees, and nothing else. */
static void judge(const KexecImage *i, uint64_t n_trees, KexecPolicy policy, KexecCheck *ret) {
        kexec_check(&(KexecFacts) { .info = &info, .n_nodes = info.nr_nodes, .n_trees = n_trees }, i, policy, ret);
}

static void check(const KexecImage *i, KexecPolicy policy, KexecReason reason, bool keeps, bool allowed,
                  const char *text) {
        KexecCheck c;

        judge(i, /* n_trees= */ 0, policy, &c);
        assert_int_equal(c.reason, reason);
        assert_int_equal(c.keeps, keeps);
        assert_int_equal(c.allowed, allowed);
        assert_non_null(strstr(c.text, text));
        assert_null(strchr(c.text, '\n'));
        assert_int_equal(c.text[strlen(c.text) - 1], '.');
}

/* Only one policy refuses a kexec for this reason, which is not that of the image. Returns the last result in *ret. */
static void check_refused(const KexecFacts *facts, KexecReason reason, const char *name, KexecCheck *ret) {
        for (KexecPolicy p = 0; p < _KEXEC_POLICY_MAX; p++) {
                kexec_check(facts, NULL, p, ret);
                assert_int_equal(ret->reason, reason);
                assert_false(ret->keeps);
                assert_int_equal(ret->allowed, p != KEXEC_POLICY_REFUSE);
        }
        assert_string_equal(kexec_reason_to_string(ret->reason), name);
        assert_true(kexec_reason_image_keeps(ret->reason));
}

static void test_nothing_stored(void **state) {
        KexecCheck c;

        (void) state;
        info.nr_nodes = 0;
        for (uint32_t s = 0; s < 6; s++) {
                info.image_state = s;
                check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_NOTHING_STORED, true, true, "Nothing is stored");
        }
        image.has_pkram = false;
        check(&image, KEXEC_POLICY_REFUSE, KEXEC_REASON_NOTHING_STORED, true, true, "Nothing is stored");

        /* A kernel without PKRAM stores nothing. */
        kexec_check(&(KexecFacts) { .n_trees = 5, .strict = true }, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NOTHING_STORED);
        assert_true(c.allowed);
        info.nr_nodes = 2;
        info.boot_result = PKRAM_BOOT_OFF;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_NOTHING_STORED, true, true, "Nothing is stored");
}

static void test_keeps(void **state) {
        (void) state;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_KEEPS, true, true, "keeps all 2 stored nodes.");
        check(&image, KEXEC_POLICY_REFUSE, KEXEC_REASON_KEEPS, true, true, "keeps all 2 stored nodes.");
        info.nr_nodes = 1;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_KEEPS, true, true, "keeps the 1 stored node.");
}

static void test_no_image(void **state) {
        (void) state;
        info.image_state = PKRAM_IMAGE_NONE;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_NO_IMAGE, false, false, "no kernel is loaded");
        /* What is loaded does not matter for an image that is going to be. */
        check(&image, KEXEC_POLICY_REFUSE, KEXEC_REASON_KEEPS, true, true, "keeps");
}

static void test_no_support(void **state) {
        (void) state;
        info.image_state = PKRAM_IMAGE_NO_SUPPORT;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_NO_SUPPORT, false, false, "the loaded kernel has no PKRAM");
        image.has_pkram = false;
        check(&image, KEXEC_POLICY_REFUSE, KEXEC_REASON_NO_SUPPORT, false, false,
              "the given kernel 6.12.107 has no PKRAM");
        image.release[0] = 0;
        check(&image, KEXEC_POLICY_REFUSE, KEXEC_REASON_NO_SUPPORT, false, false, "the given kernel has no PKRAM");
}

static void test_no_parameter(void **state) {
        (void) state;
        info.image_state = PKRAM_IMAGE_NO_PARAM;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_NO_PARAMETER, false, false, "pkram=0x1234");
}

static void test_format(void **state) {
        (void) state;
        info.image_state = PKRAM_IMAGE_VERSION;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_FORMAT, false, false, "format version 3");
        image.n_formats = 1;
        image.formats[0].version = 4;
        check(&image, KEXEC_POLICY_REFUSE, KEXEC_REASON_FORMAT, false, false, "reads format version 4");
}

static void test_architecture(void **state) {
        (void) state;
        image.arch = KEXEC_ARCH_I386;
        check(&image, KEXEC_POLICY_REFUSE, KEXEC_REASON_ARCHITECTURE, false, false, "is for i386");
        image.arch = KEXEC_ARCH_X86_64;
        image.relocatable = false;
        check(&image, KEXEC_POLICY_REFUSE, KEXEC_REASON_ARCHITECTURE, false, false, "cannot be relocated");
}

static void test_unknown_answer_is_a_loss(void **state) {
        (void) state;
        info.image_state = 99;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_UNKNOWN, false, false, "image state 99");
}

static void test_policies(void **state) {
        (void) state;
        info.image_state = PKRAM_IMAGE_NO_SUPPORT;
        check(NULL, KEXEC_POLICY_REFUSE, KEXEC_REASON_NO_SUPPORT, false, false, "would lose 2");
        check(NULL, KEXEC_POLICY_WARN, KEXEC_REASON_NO_SUPPORT, false, true, "would lose 2");
        check(NULL, KEXEC_POLICY_FORCE, KEXEC_REASON_NO_SUPPORT, false, true, "would lose 2");
        check(NULL, (KexecPolicy) 42, KEXEC_REASON_NO_SUPPORT, false, false, "would lose 2");
}

static void test_names(void **state) {
        KexecPolicy p;

        (void) state;
        for (KexecPolicy i = 0; i < _KEXEC_POLICY_MAX; i++) {
                assert_int_equal(kexec_policy_from_string(kexec_policy_to_string(i), &p), 0);
                assert_int_equal(p, i);
        }
        assert_int_equal(kexec_policy_from_string("Refuse", &p), -EINVAL);
        assert_int_equal(kexec_policy_from_string("", &p), -EINVAL);
        assert_null(kexec_policy_to_string(_KEXEC_POLICY_MAX));
        for (KexecReason i = 0; i < _KEXEC_REASON_MAX; i++)
                assert_non_null(kexec_reason_to_string(i));
        assert_null(kexec_reason_to_string(_KEXEC_REASON_MAX));
}

static void test_longest_text_fits(void **state) {
        KexecCheck c;

        (void) state;
        memset(image.release, 'r', KEXEC_IMAGE_RELEASE_MAX);
        image.release[KEXEC_IMAGE_RELEASE_MAX] = 0;
        info.nr_nodes = UINT64_MAX;
        info.super_pfn = UINT64_MAX;
        image.n_formats = 1;
        image.formats[0].version = UINT32_MAX;
        judge(&image, /* n_trees= */ 0, KEXEC_POLICY_REFUSE, &c);
        assert_true(strlen(c.text) < sizeof(c.text) - 1);
        assert_int_equal(c.text[strlen(c.text) - 1], '.');
}

static void test_force_mark(void **state) {
        char *dir = make_dir(), *path, *link;

        (void) state;
        assert_true(asprintf(&path, "%s/force", dir) > 0);
        assert_true(asprintf(&link, "%s/link", dir) > 0);

        assert_int_equal(kexec_force_get(path), 0);
        assert_int_equal(kexec_force_clear(path), 0);
        assert_int_equal(kexec_force_set(path), 0);
        assert_int_equal(kexec_force_set(path), 0);
        assert_int_equal(kexec_force_get(path), 1);

        /* One that was left behind is none, and can be made again. */
        const struct timespec old[2] = { { .tv_sec = time(NULL) - KEXEC_FORCE_SEC - 10 },
                                         { .tv_sec = time(NULL) - KEXEC_FORCE_SEC - 10 } };
        assert_return_code(utimensat(AT_FDCWD, path, old, 0), errno);
        assert_int_equal(kexec_force_get(path), 0);
        assert_int_equal(kexec_force_set(path), 0);
        assert_int_equal(kexec_force_get(path), 1);

        assert_return_code(symlink(path, link), errno);
        assert_int_equal(kexec_force_get(link), 0);
        assert_int_equal(kexec_force_set(link), -ELOOP);

        assert_int_equal(kexec_force_clear(path), 0);
        assert_int_equal(kexec_force_get(path), 0);
        assert_int_equal(kexec_force_set("/nonexistent/force"), -ENOENT);

        rm_rf(dir);
        free(path);
        free(link);
        free(dir);
}

#define T(f) cmocka_unit_test_setup(f, setup)

/* Mounted trees are not stored yet, and would be lost anyway. */
static void test_trees(void **state) {
        KexecCheck c;

        (void) state;
        judge(NULL, /* n_trees= */ 3, KEXEC_POLICY_REFUSE, &c);
        assert_true(c.keeps);
        assert_string_equal(c.text, "A kexec keeps all 2 stored nodes and 3 mounted trees.");
        info.nr_nodes = 0;
        info.image_state = PKRAM_IMAGE_NO_SUPPORT;
        judge(NULL, /* n_trees= */ 1, KEXEC_POLICY_REFUSE, &c);
        assert_false(c.keeps);
        assert_false(c.allowed);
        assert_int_equal(c.reason, KEXEC_REASON_NO_SUPPORT);
        assert_non_null(strstr(c.text, "would lose 1 mounted tree: "));
        info.boot_result = PKRAM_BOOT_OFF;
        judge(NULL, /* n_trees= */ 1, KEXEC_POLICY_REFUSE, &c);
        assert_true(c.keeps);
}

/* What services will store counts before anything is stored. */
static void test_units(void **state) {
        static const char *const units[] = { "a.service", "b.service", "c.service", "d.service", "e.service",
                                             "f.service" };
        KexecFacts facts = { .info = &info, .units = units, .n_units = 1 };
        KexecCheck c;

        (void) state;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_KEEPS);
        assert_string_equal(c.text, "A kexec keeps what a.service stores when it stops.");

        info.image_state = PKRAM_IMAGE_NO_SUPPORT;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NO_SUPPORT);
        assert_false(c.allowed);
        assert_non_null(strstr(c.text,
                               "would lose what a.service stores when it stops: the loaded kernel has no PKRAM."));

        image.has_pkram = false;
        facts.n_units = 2;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_non_null(strstr(c.text, "would lose what a.service and b.service store when they stop: "));
        facts.n_units = 6;
        facts.n_nodes = 1;
        facts.n_trees = 2;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_non_null(strstr(c.text, "would lose 1 stored node, 2 mounted trees, and what a.service, b.service, "
                                       "c.service, d.service, e.service and 1 other units store when they stop: "));

        /* A kernel without PKRAM cannot have been promised anything. */
        facts.info = NULL;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_true(c.keeps);
}

/* Shared memory that is going to be stored counts by name, as services do. */
/* What guests and processes will write to a tree counts, and those that cannot be saved are lost. */
static void test_programs(void **state) {
        KexecTreeProblem problem = {
                .name = "vm", .path = "/srv/vm", .limit = KEXEC_LIMIT_SIZE, .maximum = 1000, .needed = 1500,
                .programs = "web and db",
        };
        KexecProgramProblem programs[] = {
                { .name = "client", .detail = "client (12): descriptor 3 is a TCP connection" },
                { .name = "other", .detail = "it is traced" },
        };
        KexecFacts facts = { .info = &info, .n_trees = 1, .problems = &problem, .n_problems = 1 };
        KexecCheck c;

        (void) state;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_TREE);
        assert_string_equal(c.text, "A kexec would lose 1 of 1 mounted tree: tree 'vm' at '/srv/vm' with what web and "
                            "db will write to it needs 1500, which exceeds size=1000. Remove files from the tree, "
                            "stop one of these, or remount the tree with a larger size=.");
        problem.limit = "NodeBytesMax";
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_non_null(strstr(c.text, "with what web and db will write to it needs 1500, which exceeds "
                               "NodeBytesMax=1000. Remove files from the tree, or raise the limit"));

        facts.n_problems = 0;
        facts.program_problems = programs;
        facts.n_program_problems = 1;
        check_refused(&facts, KEXEC_REASON_PROGRAM, "program", &c);
        assert_string_equal(c.text, "A kexec would lose guests or processes that cannot be saved: client (client "
                            "(12): descriptor 3 is a TCP connection). Remove the cause, or stop it.");
        facts.n_program_problems = 2;
        facts.on_disk = "All of it is written to disk.";
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_non_null(strstr(c.text, "; other (it is traced). Remove the cause, or stop them."));

        /* Nor are they on disk. */
        info.image_state = PKRAM_IMAGE_NO_SUPPORT;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NO_SUPPORT);
        facts.n_trees = 0;
        info.image_state = PKRAM_IMAGE_KEEPS;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_PROGRAM);
}

static void test_shared_memory(void **state) {
        KexecSharedMemory shared[] = {
                { .name = "0x0052e2c1" }, { .name = "/dev/shm/a" }, { .name = "/dev/shm/b" }, { .name = "/dev/shm/c" },
                { .name = "/dev/shm/d" }, { .name = "/dev/shm/e" }, { .name = "/dev/shm/f" },
        };
        static const char *const units[] = { "a.service" };
        KexecFacts facts = { .info = &info, .shared = shared, .n_shared = 1 };
        KexecCheck c;

        (void) state;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_KEEPS);
        assert_int_equal(c.n_shared, 1);
        assert_string_equal(c.text, "A kexec keeps shared memory (0x0052e2c1).");
        assert_false(c.keeps_at_once);
        assert_string_equal(c.at_once, "Without a shutdown, as with 'kexec -e', a kexec would lose shared memory "
                            "(0x0052e2c1). Use 'systemctl kexec'.");

        /* An image that preserves nothing is refused, though nothing is stored yet. */
        info.image_state = PKRAM_IMAGE_NO_SUPPORT;
        facts.n_shared = 7;
        facts.n_trees = 1;
        facts.units = units;
        facts.n_units = 1;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NO_SUPPORT);
        assert_false(c.allowed);
        assert_non_null(strstr(c.text, "would lose 1 mounted tree, shared memory (0x0052e2c1, /dev/shm/a, /dev/shm/b, "
                               "/dev/shm/c, /dev/shm/d and 2 others), and what a.service stores when it stops: "));
        facts.n_trees = 0;
        facts.n_units = 0;

        /* What exceeds a limit is lost. */
        info.image_state = PKRAM_IMAGE_KEEPS;
        for (size_t i = 0; i < 2; i++) {
                shared[i].limit = "NodeBytesMax";
                shared[i].maximum = 65536;
                shared[i].needed = 70000 + i;
        }
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_SHARED_MEMORY);
        assert_false(c.keeps || c.allowed);
        assert_string_equal(kexec_reason_to_string(c.reason), "sharedMemory");
        assert_string_equal(c.text, "A kexec would lose shared memory: 0x0052e2c1 needs 70000, which exceeds "
                            "NodeBytesMax=65536; /dev/shm/a needs 70001, which exceeds NodeBytesMax=65536. Raise the "
                            "limit, or take it out of [SharedMemory] of pkramd.conf.");

        /* So is what cannot be stored at all. */
        for (size_t i = 0; i < 2; i++)
                shared[i].limit = NULL;
        shared[1].detail = "it is of huge pages";
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_SHARED_MEMORY);
        assert_false(c.keeps || c.allowed);
        assert_string_equal(c.text, "A kexec would lose shared memory: /dev/shm/a cannot be stored: it is of huge "
                            "pages. Take it out of [SharedMemory] of pkramd.conf.");

        /* Without the unit that stores it, all of it is lost. */
        facts.n_shared = 2;
        facts.shared_problem = "pkram-shm.service, which stores it, is not active";
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_SHARED_MEMORY);
        assert_false(c.keeps || c.allowed);
        assert_string_equal(c.text, "A kexec would lose shared memory (0x0052e2c1, /dev/shm/a): pkram-shm.service, "
                            "which stores it, is not active. Run 'systemctl enable --now pkram-shm.service'.");
        facts.n_shared = 0;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NOTHING_STORED);
}

/* pkramctl kexec starts no image without PKRAM, even if nothing is stored. */
static void test_strict(void **state) {
        KexecFacts facts = { .info = &info, .strict = true };
        KexecCheck c;

        (void) state;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NOTHING_STORED);
        image.has_pkram = false;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NO_SUPPORT);
        assert_false(c.allowed);
        assert_non_null(strstr(c.text, "would lose what services store when they stop: the given kernel 6.12.107 has "
                               "no PKRAM."));
        kexec_check(&facts, &image, KEXEC_POLICY_FORCE, &c);
        assert_true(c.allowed);
        assert_false(c.keeps);
}

/* Nodes that are written to disk are kept by an image without PKRAM, if nothing else can be lost. */
static void test_disk(void **state) {
        static const KexecTreeProblem problem = { .name = "log", .path = "/srv/log", .users = "sh (12)" };
        static const char *const units[] = { "a.service" };
        KexecFacts facts = { .info = &info, .n_nodes = 2, .on_disk = "A shutdown writes 2 nodes." };
        KexecCheck c;

        (void) state;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_KEEPS);
        image.has_pkram = false;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_DISK);
        assert_true(c.keeps && c.allowed && !c.keeps_at_once);
        assert_string_equal(c.text, "The given kernel 6.12.107 does not preserve memory. A shutdown writes 2 nodes.");
        assert_non_null(strstr(c.at_once, "lose all of it"));
        facts.n_units = 1;
        facts.units = units;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NO_SUPPORT);
        assert_false(c.keeps);
        facts.n_units = 0;
        facts.problems = &problem;
        facts.n_problems = 1;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NO_SUPPORT);
}

/* A tree that cannot be stored is lost by an image that preserves everything. */
static void test_tree_problems(void **state) {
        static const KexecTreeProblem problems[] = {
                { .name = "many", .path = "/srv/many", .limit = "ObjectsMax", .maximum = 4096, .needed = 5001 },
                { .name = "log", .path = "/srv/log", .users = "sh (12, writer.service)" },
                { .name = "old", .path = "/srv/old", .detail = "Permission denied" },
        };
        static const KexecTreeProblem loop = { .name = "images", .path = "/srv/images",
                                               .users = "loop device /dev/loop0" };
        KexecFacts facts = { .info = &info, .n_nodes = 1, .n_trees = 4, .problems = problems, .n_problems = 1 };
        KexecCheck c;

        (void) state;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_TREE);
        assert_false(c.keeps);
        assert_false(c.allowed);
        assert_string_equal(c.text, "A kexec would lose 1 of 4 mounted trees: tree 'many' at '/srv/many' needs 5001, "
                                    "which exceeds ObjectsMax=4096. Remove files from the tree, or raise the limit in "
                                    "pkramd.conf and run 'systemctl reload pkramd.service'.");
        kexec_check(&facts, NULL, KEXEC_POLICY_WARN, &c);
        assert_true(c.allowed);

        facts.n_problems = 3;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_TREE);
        assert_non_null(strstr(c.text, "in use for writing by sh (12, writer.service)"));
        assert_non_null(strstr(c.text, "RequiresMountsFor="));
        assert_non_null(strstr(c.text, "cannot be examined (Permission denied)"));
        assert_null(strstr(c.text, "losetup"));

        facts.problems = &(KexecTreeProblem) { .name = "m", .path = "/m", .detail = "it has mapped owners",
                                               .idmapped = true };
        facts.n_problems = 1;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_TREE);
        assert_non_null(strstr(c.text, "tree 'm' at '/m' cannot be stored (it has mapped owners). Copy the contents"));
        assert_null(strstr(c.text, "Unmount the tree"));

        facts.problems = &loop;
        facts.n_problems = 1;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_non_null(strstr(c.text, "in use for writing by loop device /dev/loop0, which"));
        assert_non_null(strstr(c.text, "Detach loop devices with 'losetup -d'."));
        facts.problems = problems;

        /* An image that loses everything is what to say first. */
        image.has_pkram = false;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_NO_SUPPORT);
}

/* 'kexec -e' skips the shutdown, in which trees and services are stored. */
static void test_at_once(void **state) {
        static const char *const units[] = { "a.service" };
        KexecFacts facts = { .info = &info, .n_nodes = 1 };
        KexecCheck c;

        (void) state;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_true(c.keeps_at_once);
        assert_string_equal(c.at_once, "");
        facts.n_trees = 2;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_true(c.keeps);
        assert_false(c.keeps_at_once);
        assert_string_equal(c.at_once, "Without a shutdown, as with 'kexec -e', a kexec would lose the contents of 2 "
                                       "mounted trees. Use 'systemctl kexec'.");
        facts.units = units;
        facts.n_units = 1;
        info.image_state = PKRAM_IMAGE_NONE;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_false(c.keeps_at_once);
        assert_non_null(strstr(c.at_once, "would also lose the contents of 2 mounted trees and what a.service stores "
                               "when it stops."));
        facts.n_trees = 0;
        facts.n_units = 0;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_false(c.keeps_at_once);
}

/* A crash kernel that may find no memory is no loss of what is stored, but it is said beforehand. */
static void test_crash_kernel(void **state) {
        char words[300];
        KexecFacts facts = { .info = &info, .n_nodes = 1, .crash_reserved = UINT64_C(128) << 20 };
        KexecCheck c;

        (void) state;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_string_equal(c.crash_kernel, "");
        facts.crash_wanted = "256M";
        for (unsigned i = 0; i < 2; i++) {
                kexec_check(&facts, i == 0 ? NULL : &image, KEXEC_POLICY_REFUSE, &c);
                assert_true(c.keeps && c.allowed);
                assert_int_equal(c.reason, KEXEC_REASON_KEEPS);
                assert_non_null(strstr(c.crash_kernel,
                                       "no memory for crashkernel=256M: this kernel has reserved 128 MiB,"));
        }
        /* It is said whatever else is in the way. */
        image.has_pkram = false;
        kexec_check(&facts, &image, KEXEC_POLICY_REFUSE, &c);
        assert_false(c.keeps);
        assert_non_null(strstr(c.crash_kernel, "crashkernel=256M"));
        /* However long it is, the text ends in a sentence. */
        memset(words, 'x', sizeof(words));
        words[sizeof(words) - 1] = 0;
        facts.crash_wanted = words;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.crash_kernel[strlen(c.crash_kernel) - 1], '.');
        /* Where nothing is preserved, nothing is in the way. */
        facts.n_nodes = 0;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_string_equal(c.crash_kernel, "");
}

/* A store that is lost as a whole is a reason to refuse, single descriptors are not. */
static void test_fdstores(void **state) {
        static const KexecFdStoreProblem lost = { .unit = "a.service", .needed = 1,
                                                  .lost = "'x' (it is a directory)" };
        static const KexecFdStoreProblem detail = { .unit = "b.service", .detail = "its node waits" };
        static const KexecFdStoreProblem limit = { .unit = "c.service", .limit = "UnitBytesMax", .maximum = 1,
                                                   .needed = 2 };
        KexecFdStoreProblem problems[] = { lost, detail, limit };
        KexecFacts facts = { .info = &info, .n_nodes = 1, .fdstore_problems = problems };
        KexecCheck c;

        (void) state;
        for (facts.n_fdstore_problems = 1; facts.n_fdstore_problems <= ELEMENTSOF(problems);
             facts.n_fdstore_problems++) {
                kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
                assert_int_equal(c.reason, facts.n_fdstore_problems == 1 ? KEXEC_REASON_KEEPS : KEXEC_REASON_FDSTORE);
                assert_int_equal(c.allowed, facts.n_fdstore_problems == 1);
                assert_non_null(strstr(c.text, "a.service loses 1 file descriptor: "));
        }
        assert_string_equal(c.text, "A kexec would lose file descriptors: "
                            "the file descriptor store of b.service cannot be preserved: its node waits; "
                            "the file descriptor store of c.service needs 2, which exceeds UnitBytesMax=1. "
                            "Let the service keep less, or raise the limit in pkramd.conf. "
                            "To do without a unit's descriptors, set X-Pkram-FdStore=no in it. "
                            "a.service loses 1 file descriptor: 'x' (it is a directory).");
        /* The remedies are those of the problems. */
        facts.fdstore_problems = &detail;
        facts.n_fdstore_problems = 1;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_null(strstr(c.text, "pkramd.conf"));
        facts.fdstore_problems = &limit;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_null(strstr(c.text, "X-Pkram-FdStore"));
}

/* While nothing can be stored, all that a shutdown stores is lost. */
static void test_store_problem(void **state) {
        static const char *const units[] = { "a.service" };
        static const KexecSharedMemory shared[] = { { .name = "0x00000001" } };
        KexecFacts facts = { .info = &info, .n_nodes = 2, .store_problem = "it is broken. Mend it" };
        KexecCheck c;

        (void) state;
        /* Nodes are in memory already. */
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_KEEPS);

        facts.units = units;
        facts.n_units = 1;
        facts.shared = shared;
        facts.n_shared = 1;
        check_refused(&facts, KEXEC_REASON_STORE, "store", &c);
        assert_string_equal(c.text, "A kexec would lose shared memory (0x00000001) and what a.service stores when it "
                            "stops: nothing can be stored. /var/lib/pkram/disk cannot be used: it is broken. "
                            "Mend it.");
        facts.n_shared = 0;
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_STORE);
}

/* A name or reason that is cut is UTF-8 nevertheless. */
static void test_cut_characters(void **state) {
        char name[301] = "", detail[901] = "";
        KexecProgramProblem program = { .name = "web", .detail = detail };
        KexecSharedMemory shared = { .name = name };
        KexecFacts facts = { .info = &info, .program_problems = &program, .n_program_problems = 1 };
        KexecCheck c;

        (void) state;
        for (size_t i = 0; i < 300; i++)
                (void) strcat(detail, "\u20ac");
        for (size_t i = 0; i < 150; i++)
                (void) strcat(name, "\u00e4");
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_int_equal(c.reason, KEXEC_REASON_PROGRAM);
        assert_non_null(strstr(c.text, "\u20ac). Remove the cause"));

        facts = (KexecFacts) { .info = &info, .shared = &shared, .n_shared = 1 };
        kexec_check(&facts, NULL, KEXEC_POLICY_REFUSE, &c);
        assert_non_null(strstr(c.text, "\u00e4)."));
        assert_non_null(strstr(c.at_once, "\u00e4)."));
}

/* However many trees there are, and however long their names, the text ends in a sentence or is cut. */
static void test_many_problems(void **state) {
        KexecTreeProblem problems[50];
        char name[256];
        KexecCheck c;

        (void) state;
        memset(name, 'n', 255);
        name[255] = 0;
        for (size_t i = 0; i < ELEMENTSOF(problems); i++)
                problems[i] = (KexecTreeProblem) { .name = name, .path = name, .limit = "OwnerBytesMax",
                                                   .maximum = UINT64_MAX, .needed = UINT64_MAX };
        kexec_check(&(KexecFacts) { .info = &info, .n_trees = 50, .problems = problems, .n_problems = 50 }, NULL,
                    KEXEC_POLICY_REFUSE, &c);
        assert_true(strlen(c.text) < sizeof(c.text) - 1);
        assert_non_null(strstr(c.text, "more trees cannot be stored. Remove files"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_nothing_stored),
                T(test_trees),
                T(test_units),
                T(test_programs),
                T(test_shared_memory),
                T(test_strict),
                T(test_disk),
                T(test_tree_problems),
                T(test_at_once),
                T(test_crash_kernel),
                T(test_fdstores),
                T(test_store_problem),
                T(test_cut_characters),
                T(test_many_problems),
                T(test_keeps),
                T(test_no_image),
                T(test_no_support),
                T(test_no_parameter),
                T(test_format),
                T(test_architecture),
                T(test_unknown_answer_is_a_loss),
                T(test_policies),
                T(test_names),
                T(test_longest_text_fits),
                T(test_force_mark),
        };

        return cmocka_run_group_tests_name("kexec-check", tests, NULL, NULL);
}
