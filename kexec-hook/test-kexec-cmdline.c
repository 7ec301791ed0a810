/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <linux/pkram.h>

#include "test-util.h"

#include "kexec-cmdline.h"

static void check_strip(const char *in, const char *expected) {
        char *out = NULL;

        assert_int_equal(kexec_cmdline_strip(in, &out), 0);
        assert_string_equal(out, expected);
        free(out);
}

static void check_build(const char *base, uint64_t pfn, const char *expected) {
        char *out = NULL;

        assert_int_equal(kexec_cmdline_build(base, pfn, KEXEC_CMDLINE_MAX, &out), 0);
        assert_string_equal(out, expected);
        free(out);
}

static void test_strip_nothing(void **state) {
        (void) state;
        check_strip("", "");
        check_strip("root=/dev/vda1 ro quiet", "root=/dev/vda1 ro quiet");
}

static void test_strip_everywhere(void **state) {
        (void) state;
        check_strip("pkram=1", "");
        check_strip("pkram=0x12 ro", "ro");
        check_strip("ro pkram=0x12", "ro");
        check_strip("ro pkram=0x12 quiet", "ro quiet");
        check_strip("pkram=1 pkram=2 ro pkram=3", "ro");
        check_strip("pkram= ro", "ro");
}

static void test_strip_behind_dashes(void **state) {
        (void) state;
        /* The decompressor does not know "--". */
        check_strip("ro -- emergency pkram=0x5 arg", "ro -- emergency arg");
        check_strip("-- pkram=0x5", "--");
}

static void test_strip_white_space(void **state) {
        (void) state;
        check_strip("  ro \t\n pkram=1\tquiet\n", "ro quiet");
        check_strip(" \n", "");
        check_strip("pkram=1\n", "");
}

static void test_strip_similar_words(void **state) {
        (void) state;
        check_strip("pkram xpkram=1 pkram.x=1 mypkram=2 pkramx=3 PKRAM=4",
                    "pkram xpkram=1 pkram.x=1 mypkram=2 pkramx=3 PKRAM=4");
        check_strip("a=pkram=1", "a=pkram=1");
}

static void test_strip_quotes(void **state) {
        (void) state;
        /* Inside a quoted value it is no word. */
        check_strip("dyndbg=\"file a.c +p pkram=1 x\" ro", "dyndbg=\"file a.c +p pkram=1 x\" ro");
        check_strip("\"init arg pkram=1\" ro", "\"init arg pkram=1\" ro");
        /* A quoted word or value is the parameter anyway. */
        check_strip("\"pkram=0x5\" ro", "ro");
        check_strip("pkram=\"0x5 ro\" quiet", "quiet");
        check_strip("\"pkram=0x5 ro\" quiet", "quiet");
        /* A quote in the middle of a word does not end it. */
        check_strip("a=\"x y\"z pkram=1 b", "a=\"x y\"z b");
        /* An unfinished one reaches to the end. */
        check_strip("a=\"x pkram=1 b", "a=\"x pkram=1 b");
        check_strip("pkram=\"x ro quiet", "");
}

static void test_control_characters(void **state) {
        char *out = (char*) 1;

        (void) state;
        assert_int_equal(kexec_cmdline_strip("ro \033[2J", &out), -EINVAL);
        assert_int_equal(kexec_cmdline_strip("ro\177", &out), -EINVAL);
        assert_int_equal(kexec_cmdline_build("\001", 5, KEXEC_CMDLINE_MAX, &out), -EINVAL);
        assert_ptr_equal(out, (char*) 1);
        /* Bytes above ASCII pass. */
        check_strip("name=\303\244 pkram=1", "name=\303\244");
}

static void test_build(void **state) {
        (void) state;
        check_build("root=/dev/vda1 ro", 0x12345, "pkram=0x12345 root=/dev/vda1 ro");
        check_build("", 0x12345, "pkram=0x12345");
        check_build(NULL, 0x12345, "pkram=0x12345");
        check_build("ro", UINT64_MAX, "pkram=0xffffffffffffffff ro");
}

static void test_build_replaces(void **state) {
        (void) state;
        check_build("pkram=0x99 ro -- pkram=1", 0x12, "pkram=0x12 ro --");
        /* Building twice changes nothing. */
        check_build("pkram=0x12 ro", 0x12, "pkram=0x12 ro");
}

static void test_build_without_super_block(void **state) {
        (void) state;
        check_build("pkram=0x99 ro", 0, "ro");
        check_build(NULL, 0, "");
}

static void test_limit(void **state) {
        const size_t most = KEXEC_CMDLINE_MAX - PKRAM_CMDLINE_ROOM - 1;
        char base[KEXEC_CMDLINE_MAX + 2], *out = NULL;

        (void) state;

        /* The limit is the kernel's, which puts a word in front, and not that of the line that is made here. */
        assert_int_equal(kexec_cmdline_max_base(KEXEC_CMDLINE_MAX), most);
        assert_int_equal(kexec_cmdline_max_base(UINT32_MAX), most);
        assert_int_equal(kexec_cmdline_max_base(255), 255 - PKRAM_CMDLINE_ROOM - 1);
        assert_int_equal(kexec_cmdline_max_base(PKRAM_CMDLINE_ROOM), 0);

        for (size_t length = most - 30; length < sizeof(base); length++)
                for (unsigned with = 0; with < 2; with++) {
                        memset(base, 'a', sizeof(base));
                        base[length] = 0;
                        if (length > most) {
                                assert_int_equal(kexec_cmdline_build(base, with ? UINT64_MAX : 0, UINT32_MAX, &out),
                                                 -E2BIG);
                                assert_null(out);
                                continue;
                        }
                        assert_int_equal(kexec_cmdline_build(base, with ? UINT64_MAX : 0, UINT32_MAX, &out), 0);
                        assert_true(strlen(out) <= KEXEC_CMDLINE_MAX);
                        free(out);
                        out = NULL;
                }

        /* The image's own limit counts, too, and what was stripped does not. */
        assert_int_equal(kexec_cmdline_build("abcdef", 0, 5 + PKRAM_CMDLINE_ROOM + 1, &out), -E2BIG);
        assert_int_equal(kexec_cmdline_build("pkram=123456789 abcde", 0, 5 + PKRAM_CMDLINE_ROOM + 1, &out), 0);
        assert_string_equal(out, "abcde");
        free(out);
}

static void write_text(const char *path, const char *text) {
        write_file(path, text, strlen(text));
}

static void test_read_running(void **state) {
        char *dir = make_dir(), *path, *out = NULL, *big;

        (void) state;
        assert_true(asprintf(&path, "%s/cmdline", dir) > 0);

        write_text(path, "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 initrd=\\initrd.img pkram=0x7 ro\n");
        assert_int_equal(kexec_cmdline_read_running(path, &out), 0);
        assert_string_equal(out, "root=/dev/vda1 ro");
        free(out);
        out = NULL;

        write_text(path, "kexec_jump_back_entry=0x1 elfcorehdr=2 noinitrd=1 quiet");
        assert_int_equal(kexec_cmdline_read_running(path, &out), 0);
        assert_string_equal(out, "noinitrd=1 quiet");
        free(out);
        out = NULL;

        write_file(path, "a\0b", 3);
        assert_int_equal(kexec_cmdline_read_running(path, &out), -EBADMSG);

        big = calloc(1, 64 * 1024 + 1);
        assert_non_null(big);
        memset(big, 'x', 64 * 1024 + 1);
        write_file(path, big, 64 * 1024 + 1);
        free(big);
        assert_int_equal(kexec_cmdline_read_running(path, &out), -EFBIG);

        assert_int_equal(kexec_cmdline_read_running("/nonexistent/cmdline", &out), -ENOENT);
        assert_null(out);

        /* The real one. */
        assert_int_equal(kexec_cmdline_read_running(NULL, &out), 0);
        assert_null(strstr(out, "BOOT_IMAGE="));
        free(out);

        rm_rf(dir);
        free(path);
        free(dir);
}

static void test_has_word(void **state) {
        (void) state;
        assert_true(kexec_cmdline_has_word("quiet", "quiet"));
        assert_true(kexec_cmdline_has_word("a=b  quiet -- x", "quiet"));
        assert_true(kexec_cmdline_has_word("a=\"b c\" \"quiet\"", "quiet"));
        assert_false(kexec_cmdline_has_word("", "quiet"));
        assert_false(kexec_cmdline_has_word("-- quiet", "quiet"));
        assert_false(kexec_cmdline_has_word("unquiet quieter quiet=1 a=\"b quiet c\"", "quiet"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_strip_nothing),
                cmocka_unit_test(test_strip_everywhere),
                cmocka_unit_test(test_strip_behind_dashes),
                cmocka_unit_test(test_strip_white_space),
                cmocka_unit_test(test_strip_similar_words),
                cmocka_unit_test(test_strip_quotes),
                cmocka_unit_test(test_control_characters),
                cmocka_unit_test(test_build),
                cmocka_unit_test(test_build_replaces),
                cmocka_unit_test(test_build_without_super_block),
                cmocka_unit_test(test_limit),
                cmocka_unit_test(test_read_running),
                cmocka_unit_test(test_has_word),
        };

        return cmocka_run_group_tests_name("kexec-cmdline", tests, NULL, NULL);
}
