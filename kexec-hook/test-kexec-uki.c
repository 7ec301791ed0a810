/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-image.h"

#include "kexec-image.h"
#include "kexec-uki.h"

enum {
        UKI_PE          = 128,
        UKI_OPTIONAL    = 240,
        UKI_TABLE       = UKI_PE + 24 + UKI_OPTIONAL,
        UKI_CONTENTS    = 1024,
};

/* A unified kernel image that is being built. */
typedef struct Uki {
        uint8_t data[32 * 1024];
        size_t size;
        unsigned n;
} Uki;

static char *dir, *path;

static void uki_begin(Uki *u) {
        memset(u, 0, sizeof(*u));
        memcpy(u->data, "MZ", 2);
        put32(u->data + 60, UKI_PE);
        memcpy(u->data + UKI_PE, "PE\0\0\x64\x86", 6);
        put16(u->data + UKI_PE + 20, UKI_OPTIONAL);
        u->size = UKI_CONTENTS;
}

static void uki_add(Uki *u, const char *name, const void *contents, size_t n) {
        uint8_t *p = u->data + UKI_TABLE + (size_t) u->n * 40;

        memcpy(p, name, strlen(name));
        put32(p + 8, (uint32_t) n);                             /* without padding */
        put32(p + 12, 0x1000 * (u->n + 1));
        put32(p + 16, (uint32_t) ((n + 511) & ~(size_t) 511));  /* with padding */
        put32(p + 20, (uint32_t) u->size);
        put16(u->data + UKI_PE + 6, (uint16_t) ++u->n);
        assert_true(u->size + n + 512 <= sizeof(u->data));
        memcpy(u->data + u->size, contents, n);
        u->size += (n + 511) & ~(size_t) 511;
}

static void uki_make(Uki *u) {
        static uint8_t image[IMG_SIZE];

        make_image(image);
        uki_begin(u);
        uki_add(u, ".text", "code", 4);
        uki_add(u, ".osrel", "ID=test\n", 8);
        uki_add(u, ".cmdline", "quiet root=LABEL=x\n\0", 20);
        uki_add(u, ".initrd", "cpio2", 5);
        uki_add(u, ".linux", image, sizeof(image));
}

static int uki_open(const Uki *u, size_t size, KexecUki *ret) {
        int r, fd;

        write_file(path, u->data, size);
        r = kexec_uki_open(path, ret);
        /* The kernel alone is found in the same images. */
        fd = kexec_uki_open_kernel(path);
        assert_int_equal(fd < 0 ? fd : 0, r);
        if (fd >= 0)
                close(fd);
        return r;
}

static int setup(void **state) {
        (void) state;
        dir = make_dir();
        assert_true(asprintf(&path, "%s/test.efi", dir) > 0);
        return 0;
}

static int teardown(void **state) {
        (void) state;
        rm_rf(dir);
        free(dir);
        free(path);
        return 0;
}

static void check_contents(int fd, const void *expected, size_t n) {
        char *buffer = malloc(n + 1);

        assert_non_null(buffer);
        assert_int_equal(lseek(fd, 0, SEEK_END), n);
        assert_int_equal(pread(fd, buffer, n + 1, 0), n);
        assert_memory_equal(buffer, expected, n);
        free(buffer);
}

static void test_parts(void **state) {
        static uint8_t image[IMG_SIZE];
        static Uki u;
        KexecUki k;
        KexecImage parsed;

        (void) state;
        make_image(image);
        uki_make(&u);
        assert_int_equal(uki_open(&u, u.size, &k), 0);
        check_contents(k.kernel_fd, image, sizeof(image));
        check_contents(k.initrd_fd, "cpio2\0\0\0", 8);
        assert_string_equal(k.cmdline, "quiet root=LABEL=x");
        assert_int_equal(kexec_image_read(k.kernel_fd, &parsed), 0);
        assert_true(parsed.has_pkram);
        assert_string_equal(parsed.release, "6.12.107-pkram");
        kexec_uki_done(&k);
        assert_true(k.kernel_fd < 0 && k.initrd_fd < 0 && !k.cmdline);

        /* Microcode comes first, wherever its section is. */
        uki_add(&u, ".ucode", "cpio1a", 6);
        assert_int_equal(uki_open(&u, u.size, &k), 0);
        check_contents(k.initrd_fd, "cpio1a\0\0cpio2\0\0\0", 16);
        kexec_uki_done(&k);

        /* Sections of a profile, and second sections with the same name, are not used. */
        uki_add(&u, ".cmdline", "second", 6);
        uki_add(&u, ".profile", "ID=x\n", 5);
        uki_add(&u, ".linux", "other", 5);
        assert_int_equal(uki_open(&u, u.size, &k), 0);
        check_contents(k.kernel_fd, image, sizeof(image));
        assert_string_equal(k.cmdline, "quiet root=LABEL=x");
        kexec_uki_done(&k);
}

static void test_without(void **state) {
        static Uki u;
        KexecUki k;

        (void) state;
        uki_begin(&u);
        uki_add(&u, ".linux", "x", 1);
        assert_int_equal(uki_open(&u, u.size, &k), 0);
        assert_true(k.kernel_fd >= 0 && k.initrd_fd < 0);
        assert_null(k.cmdline);
        kexec_uki_done(&k);

        /* An EFI program without a kernel. */
        uki_begin(&u);
        uki_add(&u, ".text", "x", 1);
        assert_int_equal(uki_open(&u, u.size, &k), -ENOEXEC);
        uki_add(&u, ".linux", "", 0);
        assert_int_equal(uki_open(&u, u.size, &k), -ENOEXEC);
        uki_begin(&u);
        assert_int_equal(uki_open(&u, u.size, &k), -ENOEXEC);
}

static void test_wrong(void **state) {
        static Uki u;
        static char large[5000];
        KexecUki k;

        (void) state;
        assert_int_equal(kexec_uki_open("/nonexistent", &k), -ENOENT);
        assert_int_equal(kexec_uki_open("/", &k), -ENOEXEC);
        assert_int_equal(kexec_uki_open("/dev/null", &k), -ENOEXEC);

        uki_make(&u);
        assert_int_equal(uki_open(&u, 0, &k), -ENOEXEC);
        assert_int_equal(uki_open(&u, 63, &k), -ENOEXEC);
        assert_int_equal(uki_open(&u, UKI_PE + 23, &k), -ENOEXEC);
        assert_int_equal(uki_open(&u, UKI_TABLE + 39, &k), -EBADMSG);
        assert_int_equal(uki_open(&u, u.size - IMG_SIZE, &k), -EBADMSG);

        u.data[UKI_PE] = 'X';
        assert_int_equal(uki_open(&u, u.size, &k), -ENOEXEC);
        uki_make(&u);
        put32(u.data + 60, 0xffffffff);
        assert_int_equal(uki_open(&u, u.size, &k), -ENOEXEC);
        uki_make(&u);
        put16(u.data + UKI_PE + 6, 0xffff);
        assert_int_equal(uki_open(&u, u.size, &k), -EBADMSG);
        uki_make(&u);
        put32(u.data + UKI_TABLE + 4 * 40 + 20, 0xfffffff0);
        assert_int_equal(uki_open(&u, u.size, &k), -EBADMSG);

        memset(large, 'a', sizeof(large));
        uki_begin(&u);
        uki_add(&u, ".linux", "x", 1);
        uki_add(&u, ".cmdline", large, 4097);
        assert_int_equal(uki_open(&u, u.size, &k), -EFBIG);
        uki_begin(&u);
        uki_add(&u, ".linux", "x", 1);
        uki_add(&u, ".cmdline", "a\33b", 3);
        assert_int_equal(uki_open(&u, u.size, &k), -EBADMSG);
}

/* Every byte of the headers gets some other values. Nothing may crash, and what is read must be within the file. */
static void test_any_header(void **state) {
        static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
        static Uki u;

        (void) state;
        uki_make(&u);
        for (size_t i = 0; i < UKI_TABLE + 5 * 40; i++)
                for (size_t j = 0; j < sizeof(values); j++) {
                        uint8_t old = u.data[i];
                        KexecUki k = KEXEC_UKI_NULL;

                        /* The optional header is not read. */
                        if (i > UKI_PE + 24 && i < UKI_TABLE - 4)
                                continue;
                        u.data[i] = values[j];
                        if (uki_open(&u, u.size, &k) >= 0) {
                                assert_true(lseek(k.kernel_fd, 0, SEEK_END) <= (off_t) u.size + 3);
                                kexec_uki_done(&k);
                        }
                        u.data[i] = old;
                }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_parts),
                T(test_without),
                T(test_wrong),
                T(test_any_header),
        };

        return cmocka_run_group_tests_name("kexec-uki", tests, NULL, NULL);
}
