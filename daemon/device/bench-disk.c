/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Measures how long storing a file on disk and loading it again takes, and how long dd(1) takes for the same bytes on
 * the same file system: bench-disk DIRECTORY MIB. What is written is synchronised with the disk, and leaves the page
 * cache before it is read. Prints lines NAME VALUE "ns". Where a nanosecond is an instruction, these are instructions.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "device-disk.h"
#include "disk-format.h"

_printf_(1, 2) __attribute__((noreturn)) static void bench_fail(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vfprintf(stderr, format, ap);
        va_end(ap);
        (void) fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

static void bench_check(int r, const char *what) {
        if (r < 0)
                bench_fail("Failed to %s: %s", what, strerror(-r));
}

static uint64_t now_ns(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}

static void print_since(const char *name, uint64_t begin) {
        (void) printf("%s %" PRIu64 " ns\n", name, now_ns() - begin);
}

/* A file in memory. No block of it is like another one. */
static int data_create(size_t size) {
        int fd = memfd_create("data", MFD_CLOEXEC);
        uint64_t *p, state = 1;

        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                bench_fail("Failed to create a memfd: %m");
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                bench_fail("Failed to map a memfd: %m");
        for (size_t i = 0; i < size / sizeof(*p); i++)
                p[i] = state = state * 6364136223846793005 + 1442695040888963407;
        (void) munmap(p, size);
        return fd;
}

/* Has the next reader read the disk. */
static void cache_drop(const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                bench_fail("Failed to open '%s': %m", path);
        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void) close(fd);
}

static void dd(const char *from, const char *to, const char *conversion) {
        _cleanup_free_ char *input = NULL, *output = NULL;
        pid_t pid;
        int r, status;

        if (asprintf(&input, "if=%s", from) < 0 || asprintf(&output, "of=%s", to) < 0)
                bench_fail("Out of memory");
        char *argv[] = { (char *) "dd", input, output, (char *) "bs=1M", (char *) conversion, NULL };
        posix_spawn_file_actions_t actions;

        (void) posix_spawn_file_actions_init(&actions);
        (void) posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        if (r > 0)
                bench_fail("Failed to run dd: %s", strerror(r));
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
                bench_fail("dd failed");
}

static bool is_same(int a, int b, size_t size) {
        void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, a, 0), *q = mmap(NULL, size, PROT_READ, MAP_SHARED, b, 0);
        bool same = p != MAP_FAILED && q != MAP_FAILED && memcmp(p, q, size) == 0;

        (void) munmap(p, size);
        (void) munmap(q, size);
        return same;
}

static void measure_node(const char *directory, int data, size_t size) {
        _cleanup_free_ char *path = NULL, *file = NULL;
        const DiskBoot boot = { .boot_id = "0123456789abcdef0123456789abcdef", .release = "bench" };
        _cleanup_(disk_device_freep) DiskDevice *disk = NULL;
        _cleanup_disk_directory_ DiskDirectory d = DISK_DIRECTORY_NONE;
        char name[DISK_FILE_NAME_MAX];
        PkramDevice device;
        PkramHandle h;
        uint64_t begin;
        int loaded;

        if (asprintf(&path, "%s/nodes", directory) < 0)
                bench_fail("Out of memory");
        bench_check(disk_device_new(path, &boot, NULL, NULL, &disk), "set up the device");
        device = disk_device(disk);
        /* It creates its directory with the first call. */
        struct pkram_ioctl_info info;
        bench_check(pkram_device_info(&device, &info), "open the device");

        begin = now_ns();
        bench_check(pkram_save_begin(&device, "bench", &h), "begin to save");
        bench_check(pkram_save_file(&h, data, NULL, NULL), "save the file");
        bench_check(pkram_save_commit(&h, /* replace= */ true, NULL), "commit the node");
        print_since("disk_store", begin);
        pkram_handle_done(&h);

        bench_check(disk_directory_open(path, &d), "open the directory");
        disk_file_name("bench", name);
        if (asprintf(&file, "%s/nodes.%s/%s", path, d.record.token, name) < 0)
                bench_fail("Out of memory");
        cache_drop(file);

        begin = now_ns();
        bench_check(pkram_load_begin(&device, "bench", &h, NULL), "begin to load");
        bench_check(pkram_load_file(&h, 0, PKRAM_FD_NONE, &loaded), "load the file");
        print_since("disk_load", begin);
        if (!is_same(data, loaded, size))
                bench_fail("What was loaded is not what was stored");
        (void) close(loaded);
        bench_check(pkram_load_remove(&h, "bench"), "remove the node");
        pkram_handle_done(&h);
}

static void measure_dd(const char *directory, int data) {
        _cleanup_free_ char *path = NULL, *from = NULL, *to = NULL;
        int target = memfd_create("target", MFD_CLOEXEC);
        uint64_t begin;

        if (target < 0 || asprintf(&path, "%s/dd", directory) < 0 ||
            asprintf(&from, "/proc/%i/fd/%i", (int) getpid(), data) < 0 ||
            asprintf(&to, "/proc/%i/fd/%i", (int) getpid(), target) < 0)
                bench_fail("Out of memory");

        begin = now_ns();
        dd(from, path, "conv=fsync");
        print_since("dd_store", begin);
        cache_drop(path);
        begin = now_ns();
        dd(path, to, "conv=notrunc");
        print_since("dd_load", begin);
        (void) unlink(path);
        (void) close(target);
}

int main(int argc, char *argv[]) {
        unsigned long mib = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
        int data;

        if (mib < 1 || mib > 65536) {
                (void) fputs("bench-disk DIRECTORY MIB\n", stderr);
                return EXIT_FAILURE;
        }
        /* The directory may be in memory, so that no disk is waited for. */
        disk_in_memory_override = 0;
        data = data_create(MIB(mib));
        measure_node(argv[1], data, MIB(mib));
        measure_dd(argv[1], data);
        (void) close(data);
        return EXIT_SUCCESS;
}
