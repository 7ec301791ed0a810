/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-util.h"

#include "kexec-trees.h"

static int add_name(const KexecTree *tree, void *userdata) {
        char *names = userdata;

        if (strcmp(tree->name, "stop") == 0)
                return -ECANCELED;
        (void) strcat(names, tree->name);
        if (tree->path)
                (void) strcat(strcat(names, "@"), tree->path);
        if (tree->lost)
                (void) strcat(strcat(names, "!"), tree->lost);
        (void) strcat(names, ";");
        return 0;
}

static void test_names(void **state) {
        static const char text[] =
                "SRC=a\\040b\\134\\011 TARGET=/a\\040c OPTS=helper=pkram\n"
                "TARGET=/none OPTS=helper=pkram\n"
                "SRC=no TARGET=/no OPTS=helper=other\n"
                "OPTS=helper=pkram SRC=\\99\\0\n"
                "SRC=late OPTS=x-pkram.lost=timeout,helper=pkram\n"
                "SRC=other OPTS=helper=other,x-pkram.lost=timeout\n"
                "SRC=stop OPTS=helper=pkram\n"
                "SRC=never OPTS=helper=pkram\n";
        char path[] = "/tmp/test-kexec-trees-XXXXXX", names[64] = "";
        int fd;

        (void) state;
        fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
        (void) close(fd);
        assert_int_equal(kexec_for_each_tree(path, add_name, names), -ECANCELED);
        assert_string_equal(names, "a b\\\t@/a c;\\99\\0;late!timeout;");
        (void) unlink(path);
}

static void test_count(void **state) {
        static const char text[] =
                "ID=61 SRC=web TARGET=/srv/web ROOT=/ OPTS=helper=pkram,x-pkram.verify\n"
                "SRC=tmpfs TARGET=/srv/helper=pkram ROOT=/ OPTS=x-helper=pkram,helper=pkram2\n"
                "SRC=db TARGET=/srv/db ROOT=/ OPTS=x-pkram.socket=/x,helper=pkram\n"
                "SRC=nfs TARGET=/n ROOT=/ ATTRS=helper=pkram\n"
                "\n";
        char path[] = "/tmp/test-kexec-trees-XXXXXX";
        uint64_t n = 77;
        int fd;

        (void) state;
        fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(kexec_count_trees(path, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
        assert_int_equal(kexec_count_trees(path, &n), 0);
        assert_int_equal(n, 2);
        (void) close(fd);
        (void) unlink(path);

        assert_int_equal(kexec_count_trees(path, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(kexec_count_trees("/proc/self/cmdline/x", &n), -ENOTDIR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_count),
        };

        return cmocka_run_group_tests_name("kexec-trees", tests, NULL, NULL);
}
