/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "disk-format.h"
#include "test-disk-device.h"

static void note(const char *text, void *userdata) {
        Fixture *f = userdata;
        size_t n = strlen(f->notices);

        (void) snprintf(f->notices + n, sizeof(f->notices) - n, "%s\n", text);
}

void fixture_restart(Fixture *f, bool reboot) {
        disk_device_free(f->disk);
        if (reboot) {
                disk_fixture_reboot(&f->d);
                (void) snprintf(f->d.boot.release, sizeof(f->d.boot.release), "6.%s", f->d.boot.boot_id + 30);
        }
        assert_ok(disk_device_new(f->d.path, &f->d.boot, note, f, &f->disk));
        f->device = disk_device(f->disk);
        f->notices[0] = 0;
}

int fixture_setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        disk_fixture_init(&f->d);
        fixture_restart(f, true);
        *state = f;
        return 0;
}

int fixture_teardown(void **state) {
        Fixture *f = *state;

        disk_device_free(f->disk);
        disk_fixture_done(&f->d);
        free(f);
        return 0;
}

static uint64_t random_state = 1;

uint8_t random_byte(void) {
        random_state = random_state * 6364136223846793005 + 1442695040888963407;
        return (uint8_t) (random_state >> 56);
}

int make_file(void) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct timespec times[2] = { { .tv_sec = 1000, .tv_nsec = 7 }, { .tv_sec = -5, .tv_nsec = 8 } };
        _cleanup_free_ uint8_t *data = malloc(MIB(1) + 5000);

        assert_ok(fd);
        for (size_t i = 0; i < MIB(1) + 5000; i++)
                data[i] = random_byte();
        assert_int_equal(pwrite(fd, data, MIB(1) + 5000, 0), MIB(1) + 5000);
        assert_int_equal(pwrite(fd, data, 4096, MIB(3) + KIB(512)), 4096);
        assert_ok(ftruncate(fd, MIB(5) + 10));
        assert_ok(fchmod(fd, 0640));
        assert_ok(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
        assert_ok(futimens(fd, times));
        return fd;
}

int put(Fixture *f, const char *name, const char *data, int fd, bool replace) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        uint32_t object;
        uint64_t id;
        int r;

        r = pkram_save_begin(&f->device, name, &h);
        if (r >= 0)
                r = pkram_save_bytes(&h, data, strlen(data), &object);
        if (r >= 0 && fd >= 0)
                r = pkram_save_file(&h, fd, &object, NULL);
        if (r >= 0)
                r = pkram_save_commit(&h, replace, &id);
        return r;
}

char *get(Fixture *f, const char *name) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        void *data;
        size_t n;
        int r;

        r = pkram_load_begin(&f->device, name, &h, NULL);
        if (r >= 0)
                r = pkram_load_bytes(&h, 0, MIB(64), &data, &n);
        if (r < 0) {
                errno = -r;
                return NULL;
        }
        return data;
}

int get_file(Fixture *f, const char *name, int *ret) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        int r;

        r = pkram_load_begin(&f->device, name, &h, NULL);
        return r < 0 ? r : pkram_load_file(&h, 1, PKRAM_FD_NONE, ret);
}

int drop(Fixture *f, const char *name) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        int r;

        r = pkram_load_begin(&f->device, name, &h, NULL);
        return r < 0 ? r : pkram_load_remove(&h, name);
}

void assert_node(Fixture *f, const char *name, const char *data) {
        _cleanup_free_ char *have = get(f, name);

        if (!data) {
                assert_null(have);
                assert_int_equal(errno, ENOENT);
                return;
        }
        assert_non_null(have);
        assert_string_equal(have, data);
}

uint32_t list(Fixture *f, uint32_t flags, struct pkram_node_info *nodes, uint32_t n) {
        uint64_t cursor = 0;
        uint32_t have;

        assert_ok(pkram_device_list(&f->device, flags, &cursor, nodes, n, &have));
        return have;
}

void node_path(Fixture *f, const char *name, char *ret, size_t size) {
        _cleanup_disk_directory_ DiskDirectory d = DISK_DIRECTORY_NONE;
        char file[DISK_FILE_NAME_MAX] = "";

        assert_ok(disk_directory_open(f->d.path, &d));
        if (name)
                disk_file_name(name, file);
        (void) snprintf(ret, size, "%s/nodes.%s/%s", f->d.path, d.record.token, file);
}

void shell(const char *format, ...) {
        char command[1024];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(command, sizeof(command), format, ap);
        va_end(ap);
        assert_int_equal(system(command), 0);
}

void flip(const char *path, off_t offset) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t b;

        assert_ok(fd);
        assert_int_equal(pread(fd, &b, 1, offset), 1);
        b ^= 0x41;
        assert_int_equal(pwrite(fd, &b, 1, offset), 1);
}
