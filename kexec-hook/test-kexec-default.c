/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-image.h"

#include <stdbool.h>

#include "kexec-image.h"

static char *root;

static char *below(const char *path) {
        char *p;

        assert_true(asprintf(&p, "%s%s", root, path) > 0);
        return p;
}

static void touch(const char *path) {
        char *p = below(path);

        write_file(p, "", 0);
        free(p);
}

/* A kernel with or without PKRAM. */
static void install(const char *path, bool pkram) {
        static uint8_t image[IMG_SIZE];
        char *p = below(path);

        make_image(image);
        if (!pkram)
                put32(image + IMG_SETUP + IMG_INFO + 8, 16);
        write_file(p, image, sizeof(image));
        free(p);
}

static void make_link(const char *target, const char *path) {
        char *p = below(path);

        (void) unlink(p);
        assert_return_code(symlink(target, p), errno);
        free(p);
}

static int setup(void **state) {
        char *boot;

        (void) state;
        root = make_dir();
        boot = below("/boot");
        assert_return_code(mkdir(boot, 0700), errno);
        free(boot);
        return 0;
}

static int teardown(void **state) {
        (void) state;
        rm_rf(root);
        free(root);
        return 0;
}

static void check_kernel(const char *expected) {
        char *found = NULL, *e;

        if (!expected) {
                assert_int_equal(kexec_default_kernel(root, "6.12.1", &found), -ENOENT);
                assert_null(found);
                return;
        }

        e = below(expected);
        assert_int_equal(kexec_default_kernel(root, "6.12.1", &found), 0);
        assert_string_equal(found, e);
        free(e);
        free(found);
}

static void check_initrd(const char *kernel, const char *expected) {
        char *found = NULL, *k = below(kernel), *e;

        if (!expected) {
                assert_int_equal(kexec_default_initrd(k, &found), -ENOENT);
                assert_null(found);
        } else {
                e = below(expected);
                assert_int_equal(kexec_default_initrd(k, &found), 0);
                assert_string_equal(found, e);
                free(e);
                free(found);
        }
        free(k);
}

static void test_kernel(void **state) {
        (void) state;
        check_kernel(NULL);

        touch("/boot/vmlinuz-6.11.9");
        check_kernel(NULL);             /* neither linked nor running */
        touch("/boot/vmlinuz-6.12.1");
        check_kernel("/boot/vmlinuz-6.12.1");
        touch("/boot/vmlinuz-6.12.2");
        check_kernel("/boot/vmlinuz-6.12.1");

        make_link("vmlinuz-6.11.9", "/boot/vmlinuz");
        check_kernel("/boot/vmlinuz-6.11.9");
        make_link("boot/vmlinuz-6.12.2", "/vmlinuz");
        check_kernel("/boot/vmlinuz-6.12.2");

        /* A link to a kernel that is gone is passed over. */
        make_link("boot/vmlinuz-9", "/vmlinuz");
        check_kernel("/boot/vmlinuz-6.11.9");
}

static void test_kernel_with_pkram_first(void **state) {
        (void) state;

        /* The distribution's own kernel, which is what the link knows, and the one that is running. */
        install("/boot/vmlinuz-6.12.9", false);
        make_link("boot/vmlinuz-6.12.9", "/vmlinuz");
        check_kernel("/boot/vmlinuz-6.12.9");
        install("/boot/vmlinuz-6.12.1", true);
        check_kernel("/boot/vmlinuz-6.12.1");

        /* Both have it: the link wins. */
        install("/boot/vmlinuz-6.12.9", true);
        check_kernel("/boot/vmlinuz-6.12.9");

        /* Neither: the first there is. */
        install("/boot/vmlinuz-6.12.9", false);
        install("/boot/vmlinuz-6.12.1", false);
        check_kernel("/boot/vmlinuz-6.12.9");
}

static void test_kernel_running(void **state) {
        char *found = NULL;

        (void) state;
        /* With the running kernel's own release: nothing below this root. */
        assert_int_equal(kexec_default_kernel(root, NULL, &found), -ENOENT);
}

static void test_initrd(void **state) {
        (void) state;
        touch("/boot/vmlinuz-6.12.1");
        check_initrd("/boot/vmlinuz-6.12.1", NULL);

        touch("/boot/initrd.img-6.12.2");
        check_initrd("/boot/vmlinuz-6.12.1", NULL);
        touch("/boot/initrd-6.12.1");
        check_initrd("/boot/vmlinuz-6.12.1", "/boot/initrd-6.12.1");
        touch("/boot/initramfs-6.12.1.img");
        check_initrd("/boot/vmlinuz-6.12.1", "/boot/initramfs-6.12.1.img");
        touch("/boot/initrd.img-6.12.1");
        check_initrd("/boot/vmlinuz-6.12.1", "/boot/initrd.img-6.12.1");

        /* Through a link. */
        make_link("boot/vmlinuz-6.12.1", "/vmlinuz");
        check_initrd("/vmlinuz", "/boot/initrd.img-6.12.1");
}

static void test_initrd_odd_names(void **state) {
        (void) state;
        touch("/boot/initrd.img-");
        touch("/boot/vmlinuz-");
        check_initrd("/boot/vmlinuz-", NULL);
        touch("/boot/vmlinuz");
        check_initrd("/boot/vmlinuz", NULL);
        check_initrd("/boot/gone", NULL);
        touch("/boot/bzImage-x");
        touch("/boot/initrd-x");
        check_initrd("/boot/bzImage-x", "/boot/initrd-x");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_kernel),
                T(test_kernel_with_pkram_first),
                T(test_kernel_running),
                T(test_initrd),
                T(test_initrd_odd_names),
        };

        return cmocka_run_group_tests_name("kexec-default", tests, NULL, NULL);
}
