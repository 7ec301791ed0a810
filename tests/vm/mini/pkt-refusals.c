/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Misuse of /dev/pkram: each has its errno, and leaves nothing behind. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkt.h"

static int failures, checks;

static void expect(const char *what, int r, int wanted) {
        checks++;
        if (r != wanted)
                failures += complain("%s: got %s, wanted %s", what, r < 0 ? strerror(-r) : "success",
                                     wanted < 0 ? strerror(-wanted) : "success");
}

static int memfd(size_t size) {
        int fd = memfd_create("refusals", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, size) < 0 || pwrite(fd, "data", 4, 0) != 4)
                exit(complain("cannot make a memfd: %m"));
        return fd;
}

static int simple(int dev, unsigned long command) {
        struct pkram_ioctl_simple s = { .size = sizeof(s) };

        return device_call(dev, command, &s);
}

static int commit(int dev, uint32_t flags) {
        struct pkram_ioctl_commit c = { .size = sizeof(c), .flags = flags };

        return device_call(dev, PKRAM_IOC_SAVE_COMMIT, &c);
}

static int save_fd(int dev, int fd) {
        struct pkram_ioctl_save_file f = { .size = sizeof(f), .fd = fd };

        return device_call(dev, PKRAM_IOC_SAVE_FILE, &f);
}

static void bad_names(int dev) {
        struct pkram_ioctl_name n = { .size = sizeof(n) };
        static const char *const bad[] = { "", ".", "..", "a/b", "/", "a\nb", "\x1f", "a\x7f" };
        static const unsigned long calls[] = { PKRAM_IOC_SAVE_BEGIN, PKRAM_IOC_LOAD_BEGIN, PKRAM_IOC_REMOVE };

        for (size_t c = 0; c < 3; c++) {
                for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                        expect("a bad name", node_begin(dev, calls[c], bad[i]), -EINVAL);
                memset(n.name, 'n', sizeof(n.name));
                expect("a name without end", device_call(dev, calls[c], &n), -ENAMETOOLONG);
        }
        n.name[255] = 0;
        expect("a name of 255 bytes", device_call(dev, PKRAM_IOC_SAVE_BEGIN, &n), 0);
        expect("abort", simple(dev, PKRAM_IOC_SAVE_ABORT), 0);
        expect("load of a node that is not there", node_begin(dev, PKRAM_IOC_LOAD_BEGIN, "absent"), -ENOENT);
        expect("removal of a node that is not there", node_begin(dev, PKRAM_IOC_REMOVE, "absent"), -ENOENT);
}

static void bad_structs(int dev) {
        struct { struct pkram_ioctl_info i; uint64_t tail; } big = { .i.size = sizeof(big) };
        struct pkram_ioctl_info i = { .size = 8 };
        struct pkram_ioctl_list l = { .size = sizeof(l), .node_size = sizeof(struct pkram_node_info) };
        struct pkram_ioctl_simple s = { .size = sizeof(s), .reserved = 1 };
        struct pkram_node_info node;

        expect("a larger struct with a zero tail", device_call(dev, PKRAM_IOC_INFO, &big), 0);
        big.tail = 1;
        big.i.size = sizeof(big);
        big.i.flags = 0;
        expect("a larger struct with something in its tail", device_call(dev, PKRAM_IOC_INFO, &big), -E2BIG);
        expect("a struct that is too small", device_call(dev, PKRAM_IOC_INFO, &i), -EINVAL);
        i.size = sizeof(i);
        i.flags = 1;
        expect("an unknown flag", device_call(dev, PKRAM_IOC_INFO, &i), -EINVAL);
        expect("a null pointer", device_call(dev, PKRAM_IOC_INFO, NULL), -EFAULT);
        expect("an unknown command", device_call(dev, _IO(PKRAM_IOC_MAGIC, 0x7f), &i), -ENOTTY);
        expect("another driver's command", device_call(dev, _IO('x', 1), &i), -ENOTTY);

        l.nodes = (uintptr_t) &node;
        expect("a listing of nothing", device_call(dev, PKRAM_IOC_LIST, &l), -EINVAL);
        l.capacity = 4097;
        expect("a listing of too much", device_call(dev, PKRAM_IOC_LIST, &l), -EINVAL);
        l.capacity = 1;
        l.flags = 1U << 31;
        expect("a listing with an unknown flag", device_call(dev, PKRAM_IOC_LIST, &l), -EINVAL);

        expect("begin", node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "structs"), 0);
        expect("a reserved field that is set", device_call(dev, PKRAM_IOC_SAVE_ABORT, &s), -EINVAL);
        expect("abort", simple(dev, PKRAM_IOC_SAVE_ABORT), 0);
}

static void wrong_state(int dev) {
        struct pkram_ioctl_stat st = { .size = sizeof(st) };
        int fd = memfd(4096);

        expect("commit when idle", commit(dev, 0), -EBADFD);
        expect("abort when idle", simple(dev, PKRAM_IOC_SAVE_ABORT), -EBADFD);
        expect("end of a load when idle", simple(dev, PKRAM_IOC_LOAD_END), -EBADFD);
        expect("save of a file when idle", save_fd(dev, fd), -EBADFD);
        expect("stat when idle", device_call(dev, PKRAM_IOC_LOAD_STAT, &st), -EBADFD);
        expect("begin", node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "state"), 0);
        expect("a second begin", node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "state2"), -EBADFD);
        expect("a load while saving", node_begin(dev, PKRAM_IOC_LOAD_BEGIN, "state"), -EBADFD);
        expect("abort", simple(dev, PKRAM_IOC_SAVE_ABORT), 0);
        close(fd);
}

static void bad_files(int dev) {
        int fd, pipes[2], other;
        char *p;

        expect("begin", node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "files"), 0);
        expect("descriptor -1", save_fd(dev, -1), -EBADF);
        expect("a closed descriptor", save_fd(dev, 999), -EBADF);
        fd = open("/dev/null", O_RDONLY);
        expect("a device", save_fd(dev, fd), -EINVAL);
        close(fd);
        fd = open("/proc/version", O_RDONLY);
        expect("a file of /proc", save_fd(dev, fd), -EINVAL);
        close(fd);
        fd = open("/", O_RDONLY | O_DIRECTORY);
        expect("a directory", save_fd(dev, fd), -EINVAL);
        close(fd);
        if (pipe(pipes) == 0)
                expect("a pipe", save_fd(dev, pipes[0]), -EINVAL);

        fd = memfd(8192);
        p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        expect("a file that is mapped shared-writable", save_fd(dev, fd), -EBUSY);
        munmap(p, 4096);
        expect("the same file, unmapped", save_fd(dev, fd), 0);
        expect("a file that is saved already", save_fd(dev, fd), -EBUSY);
        other = device_open();
        expect("begin elsewhere", node_begin(other, PKRAM_IOC_SAVE_BEGIN, "files2"), 0);
        expect("a file that is saved in another node", save_fd(other, fd), -EBUSY);
        close(other);
        expect("abort", simple(dev, PKRAM_IOC_SAVE_ABORT), 0);
        close(fd);
}

static void bad_bytes(int dev) {
        static char data[100];
        struct pkram_ioctl_bytes b = {
                .size = sizeof(b), .object = PKRAM_OBJECT_NEW, .data = (uintptr_t) data, .length = sizeof(data),
        }, c;
        struct pkram_ioctl_stat st = { .size = sizeof(st) };
        struct pkram_ioctl_load_file load = { .size = sizeof(load), .target_fd = -1, .charge_pidfd = -1 };
        int other;

        expect("begin", node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "bytes"), 0);
        c = b, c.object = 0;
        expect("bytes for an object that is not there", device_call(dev, PKRAM_IOC_SAVE_BYTES, &c), -EINVAL);
        c = b, c.offset = 1;
        expect("bytes at an offset", device_call(dev, PKRAM_IOC_SAVE_BYTES, &c), -EINVAL);
        c = b, c.length = (1ULL << 30) + 1;
        expect("more than 1 GiB of bytes", device_call(dev, PKRAM_IOC_SAVE_BYTES, &c), -EINVAL);
        c = b, c.data = 16;
        expect("bytes from nowhere", device_call(dev, PKRAM_IOC_SAVE_BYTES, &c), -EFAULT);
        c = b;
        expect("bytes after a failure", device_call(dev, PKRAM_IOC_SAVE_BYTES, &c), -EBADFD);
        expect("commit after a failure", commit(dev, 0), -EBADFD);
        expect("abort after a failure", simple(dev, PKRAM_IOC_SAVE_ABORT), 0);
        expect("begin again", node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "bytes"), 0);
        expect("bytes", device_call(dev, PKRAM_IOC_SAVE_BYTES, &b), 0);
        expect("commit with an unknown flag", commit(dev, 1U << 7), -EINVAL);
        expect("commit", commit(dev, 0), 0);

        expect("begin under a name that is taken", node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "bytes"), 0);
        b.object = PKRAM_OBJECT_NEW;
        expect("bytes", device_call(dev, PKRAM_IOC_SAVE_BYTES, &b), 0);
        expect("commit under a name that is taken", commit(dev, 0), -EEXIST);
        expect("commit again, replacing", commit(dev, PKRAM_COMMIT_REPLACE), 0);

        expect("load", node_begin(dev, PKRAM_IOC_LOAD_BEGIN, "bytes"), 0);
        st.object = 1;
        expect("stat behind the last object", device_call(dev, PKRAM_IOC_LOAD_STAT, &st), -ENODATA);
        expect("a file from a byte stream", device_call(dev, PKRAM_IOC_LOAD_FILE, &load), -EINVAL);
        b.object = 0, b.offset = 1000, b.length = sizeof(data);
        expect("bytes behind the end", device_call(dev, PKRAM_IOC_LOAD_BYTES, &b), 0);
        expect("how many", b.length, 0);
        other = device_open();
        expect("removal while another loads", node_begin(other, PKRAM_IOC_REMOVE, "bytes"), -EBUSY);
        close(other);
        expect("end of the load", simple(dev, PKRAM_IOC_LOAD_END), 0);
        expect("removal", node_begin(dev, PKRAM_IOC_REMOVE, "bytes"), 0);
}

/* Without CAP_SYS_ADMIN a descriptor that was opened with it does nothing; without root there is none. */
static void unprivileged(int dev) {
        pid_t pid = fork();
        int status = 1;

        if (pid == 0) {
                struct pkram_ioctl_info i = { .size = sizeof(i) };

                failures = 0;
                if (setgid(65534) < 0 || setuid(65534) < 0)
                        _exit(2);
                expect("a call without privilege", device_call(dev, PKRAM_IOC_INFO, &i), -EPERM);
                expect("begin without privilege", node_begin(dev, PKRAM_IOC_SAVE_BEGIN, "mine"), -EPERM);
                expect("open without privilege", device_open(), -EACCES);
                _exit(failures ? 1 : 0);
        }
        waitpid(pid, &status, 0);
        expect("everything without privilege", status, 0);
}

int cmd_refusals(int argc, char **argv) {
        struct pkram_ioctl_info before = { .size = sizeof(before) }, after = { .size = sizeof(after) };
        int dev = device_open();

        (void) argc;
        (void) argv;
        if (dev < 0)
                return complain("cannot open the device: %s", strerror(-dev));
        expect("info", device_call(dev, PKRAM_IOC_INFO, &before), 0);
        bad_names(dev);
        bad_structs(dev);
        wrong_state(dev);
        bad_files(dev);
        bad_bytes(dev);
        unprivileged(dev);
        expect("info", device_call(dev, PKRAM_IOC_INFO, &after), 0);
        expect("no node is left", after.nr_nodes - before.nr_nodes, 0);
        expect("no data page is left", after.data_pages - before.data_pages, 0);
        printf("%d checks, %d failed\n", checks, failures);
        return failures ? 1 : 0;
}
