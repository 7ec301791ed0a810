/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-image.h"

#include "kexec-image.h"

static uint8_t bytes[IMG_SIZE];
static uint8_t *const info = bytes + IMG_SETUP + IMG_INFO;

static int setup(void **state) {
        (void) state;
        make_image(bytes);
        return 0;
}

static int read_n(size_t n, KexecImage *ret) {
        int fd = make_file(bytes, n), r;

        r = kexec_image_read(fd, ret);
        close(fd);
        return r;
}

static KexecImage read_good(void) {
        KexecImage image;

        assert_int_equal(read_n(IMG_SIZE, &image), 0);
        return image;
}

static void check_refused(int error) {
        KexecImage image, before;

        memset(&image, 0xa5, sizeof(image));
        before = image;
        assert_int_equal(read_n(IMG_SIZE, &image), error);
        /* Results are not touched on failure. */
        assert_memory_equal(&image, &before, sizeof(image));
}

static void test_good(void **state) {
        KexecImage image = read_good();

        (void) state;
        assert_true(image.has_pkram);
        assert_int_equal(image.n_formats, 1);
        assert_int_equal(image.formats[0].version, 7);
        assert_int_equal(image.formats[0].incompat_features, 0x8000000000000005);
        assert_int_equal(image.formats[0].node_incompat_features, 9);
        assert_int_equal(image.arch, KEXEC_ARCH_X86_64);
        assert_int_equal(image.boot_protocol, 0x020f);
        assert_int_equal(image.cmdline_max, 2047);
        assert_true(image.relocatable);
        assert_string_equal(image.release, "6.12.107-pkram");
}

static void test_stock_kernel_has_no_tag(void **state) {
        KexecImage image;

        (void) state;
        put32(info + 8, 16);
        image = read_good();
        assert_false(image.has_pkram);
        assert_int_equal(image.n_formats, 0);
}

static void test_tag_after_unknown_tag(void **state) {
        KexecImage image;

        (void) state;
        memmove(info + 28, info + 16, 32);
        put32(info + 8, 16 + 12 + 32);
        memcpy(info + 16, "ABCD", 4);
        put32(info + 20, 12);
        put32(info + 24, 0xffffffff);
        put32(info + 36, 9);
        image = read_good();
        assert_true(image.has_pkram);
        assert_int_equal(image.formats[0].version, 9);
}

static void test_longer_tag(void **state) {
        KexecImage image;

        (void) state;
        put32(info + 8, 16 + 40);
        put32(info + 20, 40);
        image = read_good();
        assert_true(image.has_pkram);
        assert_int_equal(image.formats[0].version, 7);
}

static void test_longer_fixed_part(void **state) {
        KexecImage image;

        (void) state;
        memmove(info + 24, info + 16, 32);
        put32(info + 4, 24);
        put32(info + 8, 56);
        image = read_good();
        assert_true(image.has_pkram);
}

static void test_tag_outside_total_is_not_seen(void **state) {
        KexecImage image;

        (void) state;
        put32(info + 8, 16);    /* the bytes of the tag are still there */
        image = read_good();
        assert_false(image.has_pkram);
}

static void test_bad_tags(void **state) {
        static const uint32_t lengths[] = { 0, 1, 7, 8, 16, 31, 33, 0x7fffffff, 0xffffffff };

        (void) state;
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
                make_image(bytes);
                put32(info + 20, lengths[i]);
                check_refused(-EBADMSG);
        }
}

static void test_tag_without_room(void **state) {
        (void) state;
        for (uint32_t total = 17; total < 48; total++) {
                put32(info + 8, total);
                check_refused(-EBADMSG);
        }
}

static void test_two_tags(void **state) {
        KexecImage image;

        (void) state;
        memcpy(info + 48, info + 16, 32);
        put32(info + 48 + 8, 6);
        put32(info + 8, 80);
        image = read_good();
        assert_int_equal(image.n_formats, 2);
        assert_non_null(kexec_image_format(&image, 7));
        assert_non_null(kexec_image_format(&image, 6));
        assert_null(kexec_image_format(&image, 5));
        assert_null(kexec_image_format(&image, 0));
}

/* More than are looked for: the first ones count. */
static void test_many_tags(void **state) {
        KexecImage image;

        (void) state;
        for (unsigned i = 1; i < 2 * KEXEC_IMAGE_FORMATS_MAX; i++) {
                memcpy(info + 16 + i * 32, info + 16, 32);
                put32(info + 16 + i * 32 + 8, 7 + i);
        }
        put32(info + 8, 16 + 2 * KEXEC_IMAGE_FORMATS_MAX * 32);
        image = read_good();
        assert_int_equal(image.n_formats, KEXEC_IMAGE_FORMATS_MAX);
        assert_non_null(kexec_image_format(&image, 7));
        assert_null(kexec_image_format(&image, 7 + KEXEC_IMAGE_FORMATS_MAX));
}

static void test_bad_kernel_info_sizes(void **state) {
        static const uint32_t pairs[][2] = {
                { 0, 48 }, { 15, 48 }, { 49, 48 }, { 16, 0 }, { 16, 15 }, { 16, 0xffffffff },
                { 0xfffffff0, 0xffffffff },
                { 16, IMG_CODE - IMG_INFO + 1 }, { 16, 65537 },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
                make_image(bytes);
                put32(info + 4, pairs[i][0]);
                put32(info + 8, pairs[i][1]);
                check_refused(-EBADMSG);
        }
}

static void test_bad_kernel_info_offsets(void **state) {
        static const uint32_t offsets[] = { 0, IMG_INFO + 1, IMG_CODE - 11, IMG_CODE - 1, IMG_CODE, 0x80000000,
                                            0xffffffff };

        (void) state;
        for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
                make_image(bytes);
                put32(bytes + 0x268, offsets[i]);
                check_refused(-EBADMSG);
        }
}

static void test_info_magic(void **state) {
        (void) state;
        memcpy(info, "LToQ", 4);
        check_refused(-EBADMSG);
}

static void test_old_protocol_has_no_info(void **state) {
        KexecImage image;

        (void) state;
        put16(bytes + 0x206, 0x020e);
        put32(bytes + 0x268, 0xffffffff);       /* means something else there, must not be followed */
        image = read_good();
        assert_false(image.has_pkram);
        assert_int_equal(image.arch, KEXEC_ARCH_X86_64);
}

static void test_short_header_has_no_info(void **state) {
        KexecImage image;

        (void) state;
        bytes[0x201] = 0x66;                    /* ends at 0x268, just before the field */
        put32(bytes + 0x268, 0xffffffff);
        image = read_good();
        assert_false(image.has_pkram);
}

static void test_very_old_protocol(void **state) {
        KexecImage image;

        (void) state;
        put16(bytes + 0x206, 0x0204);
        image = read_good();
        assert_false(image.relocatable);
        assert_int_equal(image.arch, KEXEC_ARCH_I386);
        assert_int_equal(image.cmdline_max, 255);
}

static void test_32_bit(void **state) {
        (void) state;
        put16(bytes + 0x236, 0);
        assert_int_equal(read_good().arch, KEXEC_ARCH_I386);
}

static void test_not_relocatable(void **state) {
        (void) state;
        bytes[0x234] = 0;
        assert_false(read_good().relocatable);
}

static void test_not_an_image(void **state) {
        (void) state;
        put16(bytes + 0x1fe, 0);
        check_refused(-ENOEXEC);
        make_image(bytes);
        memcpy(bytes + 0x202, "HdrX", 4);
        check_refused(-ENOEXEC);
        memset(bytes, 0, sizeof(bytes));
        check_refused(-ENOEXEC);
        memset(bytes, 0xff, sizeof(bytes));
        check_refused(-ENOEXEC);
}

static void test_zimage(void **state) {
        (void) state;
        bytes[0x211] = 0;
        check_refused(-ENOEXEC);
}

static void test_every_truncation(void **state) {
        KexecImage image;

        (void) state;
        for (size_t n = 0; n < IMG_SIZE; n++)
                assert_int_equal(read_n(n, &image), n < 1024 ? -ENOEXEC : -EBADMSG);
        assert_int_equal(read_n(IMG_SIZE, &image), 0);
}

static void test_more_setup_than_file(void **state) {
        (void) state;
        bytes[0x1f1] = 255;
        check_refused(-EBADMSG);
}

static void test_zero_setup_sects_means_four(void **state) {
        (void) state;
        /* Everything moves by a sector; shorten the code accordingly. */
        memmove(info + 512, info, 48);
        bytes[0x1f1] = 0;
        put32(bytes + 0x1f4, (IMG_CODE - 512) / 16);
        assert_true(read_good().has_pkram);
}

static void test_code_longer_than_file(void **state) {
        (void) state;
        put32(bytes + 0x1f4, IMG_CODE / 16 + 1);
        check_refused(-EBADMSG);
        put32(bytes + 0x1f4, 0xffffffff);
        check_refused(-EBADMSG);
}

static void test_release_strings(void **state) {
        char *release = (char*) bytes + 0x600;

        (void) state;

        /* No pointer, or one behind the setup code. */
        put16(bytes + 0x20e, 0);
        assert_string_equal(read_good().release, "");
        put16(bytes + 0x20e, 0xffff);
        assert_string_equal(read_good().release, "");
        put16(bytes + 0x20e, IMG_SETUP - 512);
        assert_string_equal(read_good().release, "");

        /* Not printable: nothing of it is shown. */
        put16(bytes + 0x20e, 0x400);
        release[3] = '\033';
        assert_string_equal(read_good().release, "");

        /* Without an end. */
        memset(release, 'x', IMG_SETUP - 0x600);
        assert_string_equal(read_good().release, "");

        /* Cut off by the end of the setup code, without reading on. */
        put16(bytes + 0x20e, IMG_SETUP - 512 - 3);
        assert_string_equal(read_good().release, "");

        /* The longest that fits. */
        memset(release, 'x', 63);
        release[63] = 0;
        put16(bytes + 0x20e, 0x400);
        assert_int_equal(strlen(read_good().release), 63);
}

static void test_random_damage_never_hurts(void **state) {
        uint32_t seed = 1;
        unsigned good = 0, bad = 0;

        (void) state;
        for (unsigned i = 0; i < 20000; i++) {
                KexecImage image;
                int r;

                make_image(bytes);
                for (unsigned k = 0; k < 1 + i % 4; k++) {
                        size_t at;

                        seed = seed * 1664525 + 1013904223;
                        /* Within the header or within kernel_info. */
                        at = seed & 0x100 ? 0x1f0 + (seed >> 16) % 0x90 : IMG_SETUP + IMG_INFO + (seed >> 16) % 32;
                        seed = seed * 1664525 + 1013904223;
                        bytes[at] = (uint8_t) (seed >> 24);
                }

                r = read_n(IMG_SIZE, &image);
                assert_true(r == 0 || r == -ENOEXEC || r == -EBADMSG);
                if (r == 0) {
                        good++;
                        assert_true(memchr(image.release, 0, sizeof(image.release)));
                        assert_true((unsigned) image.arch < _KEXEC_ARCH_MAX);
                } else
                        bad++;
        }
        assert_true(good > 100);
        assert_true(bad > 100);
}

static void test_open(void **state) {
        char *dir = make_dir(), *path, *fifo;
        KexecImage image;
        int fd = -EBADF;

        (void) state;
        assert_true(asprintf(&path, "%s/vmlinuz", dir) > 0);
        assert_true(asprintf(&fifo, "%s/fifo", dir) > 0);
        write_file(path, bytes, sizeof(bytes));
        assert_return_code(mkfifo(fifo, 0600), errno);

        assert_int_equal(kexec_image_open(path, &image, &fd), 0);
        assert_true(image.has_pkram);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(kexec_image_open(path, &image, NULL), 0);

        assert_int_equal(kexec_image_open(dir, &image, NULL), -ENOEXEC);
        assert_int_equal(kexec_image_open(fifo, &image, NULL), -ENOEXEC);
        assert_int_equal(kexec_image_open("/dev/null", &image, NULL), -ENOEXEC);
        assert_int_equal(kexec_image_open("/nonexistent/vmlinuz", &image, NULL), -ENOENT);

        rm_rf(dir);
        free(path);
        free(fifo);
        free(dir);
}

static void test_errors_have_words(void **state) {
        (void) state;
        assert_non_null(strstr(kexec_image_error(-ENOEXEC), "not a kernel image"));
        assert_non_null(strstr(kexec_image_error(-EBADMSG), "cut short"));
        assert_string_equal(kexec_image_error(-EACCES), strerror(EACCES));
        assert_string_equal(kexec_arch_to_string(KEXEC_ARCH_X86_64), "x86-64");
        assert_string_equal(kexec_arch_to_string((KexecArch) 77), "unknown");
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_good),
                T(test_stock_kernel_has_no_tag),
                T(test_tag_after_unknown_tag),
                T(test_longer_tag),
                T(test_longer_fixed_part),
                T(test_tag_outside_total_is_not_seen),
                T(test_bad_tags),
                T(test_tag_without_room),
                T(test_two_tags),
                T(test_many_tags),
                T(test_bad_kernel_info_sizes),
                T(test_bad_kernel_info_offsets),
                T(test_info_magic),
                T(test_old_protocol_has_no_info),
                T(test_short_header_has_no_info),
                T(test_very_old_protocol),
                T(test_32_bit),
                T(test_not_relocatable),
                T(test_not_an_image),
                T(test_zimage),
                T(test_every_truncation),
                T(test_more_setup_than_file),
                T(test_zero_setup_sects_means_four),
                T(test_code_longer_than_file),
                T(test_release_strings),
                T(test_random_damage_never_hurts),
                T(test_open),
                T(test_errors_have_words),
        };

        return cmocka_run_group_tests_name("kexec-image", tests, NULL, NULL);
}
