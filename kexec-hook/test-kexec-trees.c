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

/* Writes a file that is to be unlinked. */
static void write_table(char *path, const char *text) {
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
        (void) close(fd);
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

        (void) state;
        write_table(path, text);
        assert_int_equal(kexec_for_each_tree(path, NULL, add_name, names), -ECANCELED);
        assert_string_equal(names, "a b\\\t@/a c;\\99\\0;late!timeout;");
        (void) unlink(path);
}

static void test_options(void **state) {
        static const char text[] =
                "ID=61 SRC=web TARGET=/srv/web ROOT=/ OPTS=helper=pkram,x-pkram.verify\n"
                "SRC=tmpfs TARGET=/srv/helper=pkram ROOT=/ OPTS=x-helper=pkram,helper=pkram2\n"
                "SRC=db TARGET=/srv/db ROOT=/ OPTS=x-pkram.socket=/x,helper=pkram\n"
                "SRC=nfs TARGET=/n ROOT=/ ATTRS=helper=pkram\n"
                "\n";
        char path[] = "/tmp/test-kexec-trees-XXXXXX", names[64] = "";

        (void) state;
        write_table(path, text);
        assert_int_equal(kexec_for_each_tree(path, NULL, add_name, names), 0);
        assert_string_equal(names, "web@/srv/web;db@/srv/db;");
        (void) unlink(path);

        assert_int_equal(kexec_for_each_tree(path, NULL, add_name, names), 0);
        assert_string_equal(names, "web@/srv/web;db@/srv/db;");
        assert_int_equal(kexec_for_each_tree("/proc/self/cmdline/x", NULL, add_name, names), -ENOTDIR);
}

/* Programs unmount and move file systems without libmount. */
static void test_mounted(void **state) {
        static const char text[] =
                "SRC=a\\040b TARGET=/srv/a\\040b OPTS=helper=pkram\n"
                "SRC=unmounted TARGET=/srv/unmounted OPTS=helper=pkram\n"
                "SRC=moved TARGET=/srv/from OPTS=helper=pkram\n"
                "SRC=other TARGET=/srv/other OPTS=helper=pkram\n"
                "SRC=covered TARGET=/srv/covered OPTS=helper=pkram\n"
                "SRC=anywhere OPTS=helper=pkram\n";
        static const char kernel[] =
                "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
                "30 21 0:40 / /srv/a\\040b rw shared:9 - tmpfs none rw,size=8192k\n"
                "31 21 0:41 / /srv/to rw shared:10 - tmpfs moved rw\n"
                "32 21 8:2 / /srv/other rw - ext4 other rw\n"
                "33 21 0:42 / /srv/covered rw - tmpfs covered rw\n"
                "34 33 8:2 / /srv/covered rw - ext4 /dev/sda2 rw\n"
                "not a mount\n";
        char path[] = "/tmp/test-kexec-trees-XXXXXX", mounts[] = "/tmp/test-kexec-trees-XXXXXX", names[128] = "";

        (void) state;
        write_table(path, text);
        write_table(mounts, kernel);
        assert_int_equal(kexec_for_each_tree(path, mounts, add_name, names), 0);
        assert_string_equal(names, "a b@/srv/a b;moved@/srv/from;covered@/srv/covered;anywhere;");

        (void) unlink(mounts);
        assert_int_equal(kexec_for_each_tree(path, mounts, add_name, names), -ENOENT);
        (void) unlink(path);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_options),
                cmocka_unit_test(test_mounted),
        };

        return cmocka_run_group_tests_name("kexec-trees", tests, NULL, NULL);
}
