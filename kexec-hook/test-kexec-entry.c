/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-image.h"

#include "kexec-entry.h"

static char *root;

static int setup(void **state) {
        (void) state;
        root = make_dir();
        return 0;
}

static int teardown(void **state) {
        (void) state;
        rm_rf(root);
        free(root);
        return 0;
}

/* Writes a file below root, with its directories. */
static void put_bytes(const char *path, const void *data, size_t n) {
        char *p, *command;

        assert_true(asprintf(&p, "%s%s", root, path) > 0);
        assert_true(asprintf(&command, "mkdir -p \"$(dirname '%s')\"", p) > 0);
        assert_int_equal(system(command), 0);
        write_file(p, data, n);
        free(command);
        free(p);
}

static void put_file(const char *path, const char *text) {
        put_bytes(path, text, strlen(text));
}

static void put_entry(const char *name, const char *more) {
        char path[128], text[512];

        (void) snprintf(path, sizeof(path), "/boot/loader/entries/%s", name);
        (void) snprintf(text, sizeof(text), "linux /vmlinuz\n%s", more);
        put_file(path, text);
}

static void put_kernel(const char *path, bool pkram) {
        static uint8_t image[IMG_SIZE];

        make_image(image);
        if (!pkram)
                put32(image + IMG_SETUP + IMG_INFO + 8, 16);
        put_bytes(path, image, sizeof(image));
}

static void put_variable(const char *name, const char *value) {
        char path[256];
        uint8_t data[512] = { 7 };
        size_t n = 4;

        (void) snprintf(path, sizeof(path), "/sys/firmware/efi/efivars/%s-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", name);
        for (; *value; value++, n += 2)
                data[n] = (uint8_t) *value;
        put_bytes(path, data, n + 2);
}

/* Compares the order of all entries, "a.conf b.conf". */
static void check_order(const char *expected) {
        KexecEntries e;
        char text[1024] = "";

        assert_int_equal(kexec_entries_load(root, &e), 0);
        for (size_t i = 0; i < e.n; i++) {
                strcat(text, i > 0 ? " " : "");
                strcat(text, e.entries[i].id);
        }
        assert_string_equal(text, expected);
        kexec_entries_done(&e);
}

static void check_path(const char *path, const char *expected) {
        assert_memory_equal(path, root, strlen(root));
        assert_string_equal(path + strlen(root), expected);
}

static void test_parse(void **state) {
        const KexecEntry *e;
        KexecEntries all;

        (void) state;
        check_order("");
        put_file("/boot/token/6.12/linux", "");
        put_file("/boot/loader/entries/a.conf", "# a comment\n"
                                                "title\tDebian 13\n"
                                                "version   6.12\r\n"
                                                "sort-key  debian\n"
                                                "machine-id 0123\n"
                                                "\n"
                                                "unknown  x\n"
                                                "linux  /token/6.12/linux\n"
                                                "initrd /token/ucode\n"
                                                "initrd token/6.12/initrd\n"
                                                "options root=/dev/vda1\n"
                                                "options quiet # 1\n");
        put_file("/efi/EFI/Linux/b.efi", "MZ");
        assert_int_equal(kexec_entries_load(root, &all), 0);
        assert_int_equal(all.n, 2);

        e = kexec_entries_find(&all, "a");
        assert_ptr_equal(e, all.entries);
        assert_ptr_equal(e, kexec_entries_find(&all, "a.conf"));
        assert_string_equal(e->title, "Debian 13");
        assert_string_equal(e->version, "6.12");
        assert_string_equal(e->machine_id, "0123");
        check_path(e->kernel, "/boot/token/6.12/linux");
        check_path(e->initrds[0], "/boot/token/ucode");
        check_path(e->initrds[1], "/boot/token/6.12/initrd");
        assert_null(e->initrds[2]);
        assert_string_equal(e->options, "root=/dev/vda1 quiet # 1");

        e = kexec_entries_find(&all, "b.efi");
        check_path(e->kernel, "/efi/EFI/Linux/b.efi");
        assert_null(e->options);
        assert_null(kexec_entries_find(&all, "c"));
        assert_null(kexec_entries_find(&all, ""));
        assert_null(kexec_entries_find(&all, "a.co"));
        kexec_entries_done(&all);
}

static void test_invalid(void **state) {
        (void) state;
        put_file("/boot/vmlinuz", "");
        put_file("/boot/loader/entries/empty.conf", "");
        put_file("/boot/loader/entries/gone.conf", "linux /gone\n");
        put_file("/boot/loader/entries/up.conf", "linux ../vmlinuz\n");
        put_file("/boot/loader/entries/up2.conf", "linux /x/../vmlinuz\n");
        put_file("/boot/loader/entries/up3.conf", "linux /x/..\n");
        put_file("/boot/loader/entries/only-slash.conf", "linux /\n");
        put_file("/boot/loader/entries/efi.conf", "efi /EFI/shell.efi\n");
        put_file("/boot/loader/entries/.hidden.conf", "linux /vmlinuz\n");
        put_file("/boot/loader/entries/backup.conf~", "linux /vmlinuz\n");
        put_bytes("/boot/loader/entries/nul.conf", "linux /vmlinuz\n\0", 16);
        put_entry("arm.conf", "architecture aa64\n");
        put_entry("up4.conf", "initrd ../../etc/shadow\n");
        put_entry("x64.conf", "architecture X64\n");
        check_order("x64.conf");
}

static void test_order(void **state) {
        (void) state;
        put_file("/boot/vmlinuz", "");
        put_entry("b-6.9.conf", "");
        put_entry("b-6.10.conf", "");
        check_order("b-6.10.conf b-6.9.conf");
        put_entry("d.conf", "sort-key debian\nversion 6.9\n");
        put_entry("e.conf", "sort-key debian\nversion 6.10\n");
        put_entry("f.conf", "sort-key arch\nversion 1\n");
        check_order("f.conf e.conf d.conf b-6.10.conf b-6.9.conf");
        /* Entries that could not be booted come last. */
        put_entry("g+0-3.conf", "sort-key aaa\n");
        put_entry("h+2-1.conf", "sort-key aab\n");
        put_entry("i+3.conf", "sort-key aaa\n");
        put_entry("c++.conf", "");
        put_entry("c+1-.conf", "");
        check_order("i.conf h.conf f.conf e.conf d.conf c+1-.conf c++.conf b-6.10.conf b-6.9.conf g.conf");
}

static void test_default(void **state) {
        (void) state;
        put_file("/boot/vmlinuz", "");
        put_entry("a.conf", "");
        put_entry("b.conf", "");
        put_entry("c.conf", "");
        check_order("c.conf b.conf a.conf");
        put_file("/boot/loader/loader.conf", "timeout 3\ndefault nothing*\n");
        check_order("c.conf b.conf a.conf");
        put_file("/boot/loader/loader.conf", "timeout 3\ndefault A*\n");
        check_order("a.conf c.conf b.conf");
        put_file("/boot/loader/loader.conf", "default @saved\n");
        check_order("c.conf b.conf a.conf");
        put_variable("LoaderEntryLastBooted", "b.conf");
        check_order("b.conf c.conf a.conf");
        put_variable("LoaderEntryDefault", "a.conf");
        check_order("a.conf c.conf b.conf");
        put_variable("LoaderEntryDefault", "\xff");
        check_order("b.conf c.conf a.conf");
}

static void test_with_pkram(void **state) {
        KexecEntries all;
        bool found;

        (void) state;
        put_file("/boot/loader/entries/a.conf", "linux /a\n");
        put_file("/boot/loader/entries/b.conf", "linux /b\n");
        put_kernel("/boot/a", true);
        put_kernel("/boot/b", false);
        assert_int_equal(kexec_entries_load(root, &all), 0);
        assert_string_equal(kexec_entries_default(&all, &found)->id, "a.conf");
        assert_true(found);
        put_kernel("/boot/b", true);
        assert_string_equal(kexec_entries_default(&all, &found)->id, "b.conf");
        assert_true(found);
        put_kernel("/boot/a", false);
        put_kernel("/boot/b", false);
        assert_string_equal(kexec_entries_default(&all, &found)->id, "b.conf");
        assert_false(found);
        kexec_entries_done(&all);
        assert_null(kexec_entries_default(&(KexecEntries) {}, &found));
        assert_false(found);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_parse),
                T(test_invalid),
                T(test_order),
                T(test_default),
                T(test_with_pkram),
        };

        return cmocka_run_group_tests_name("kexec-entry", tests, NULL, NULL);
}
