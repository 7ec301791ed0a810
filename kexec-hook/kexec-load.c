/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "file-util.h"
#include "kexec-load.h"
#include "macro.h"

/* An initial RAM disk above this is refused by the kernel anyway (it must fit below 2 GiB on old ones). */
#define INITRD_TOTAL_MAX (UINT64_C(4) << 30)

#define COPY_BUFFER_SIZE KIB(256)

static long kexec_file_load_real(int kernel_fd, int initrd_fd, unsigned long cmdline_len, const char *cmdline,
                                 unsigned long flags) {
        return syscall(__NR_kexec_file_load, kernel_fd, initrd_fd, cmdline_len, cmdline, flags);
}

static int open_regular(const char *path) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;

        return TAKE_FD(fd);
}

/* Appends a file and its padding; *total counts what the memfd holds. */
static int append_file(int to, const char *path, uint64_t *total) {
        static const char zeroes[4];
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *buf = NULL;
        int r;

        fd = open_regular(path);
        if (fd < 0)
                return fd;

        buf = malloc(COPY_BUFFER_SIZE);
        if (!buf)
                return -ENOMEM;

        for (;;) {
                ssize_t l = read(fd, buf, COPY_BUFFER_SIZE);
                if (l < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (l == 0)
                        break;

                *total += (uint64_t) l;
                if (*total > INITRD_TOTAL_MAX)
                        return -EFBIG;

                r = write_all(to, buf, (size_t) l);
                if (r < 0)
                        return r;
        }

        r = write_all(to, zeroes, (size_t) (-*total & 3));
        if (r < 0)
                return r;
        *total += -*total & 3;

        return 0;
}

int kexec_initrd_join(const char *const *paths, const char **reterr_path, int *ret_fd) {
        _cleanup_close_ int fd = -EBADF;
        uint64_t total = 0;
        int r;

        assert(paths);
        assert(ret_fd);

        fd = memfd_create("pkram-initrd", MFD_CLOEXEC);
        if (fd < 0) {
                if (reterr_path)
                        *reterr_path = NULL;
                return -errno;
        }

        for (; *paths; paths++) {
                r = append_file(fd, *paths, &total);
                if (r < 0) {
                        if (reterr_path)
                                *reterr_path = *paths;
                        return r;
                }
        }

        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int open_initrd(const char *const *paths, const char **reterr_path, int *ret_fd) {
        int fd;

        if (paths[1])
                return kexec_initrd_join(paths, reterr_path, ret_fd);

        /* A single one needs no copy. */
        fd = open_regular(paths[0]);
        if (fd < 0) {
                if (reterr_path)
                        *reterr_path = paths[0];
                return fd;
        }

        *ret_fd = fd;
        return 0;
}

int kexec_load(const KexecLoad *request, const char **reterr_path) {
        _cleanup_close_ int opened = -EBADF;
        kexec_file_load_t call;
        int initrd_fd = -EBADF;
        unsigned long flags = 0;
        int r;

        assert(request);
        assert(request->kernel_fd >= 0);
        assert(request->cmdline);

        if (reterr_path)
                *reterr_path = NULL;

        if (request->initrds && request->initrds[0]) {
                r = open_initrd(request->initrds, reterr_path, &opened);
                if (r < 0)
                        return r;
                initrd_fd = opened;
        } else if (request->initrd_fd)
                initrd_fd = *request->initrd_fd;
        else
                flags |= KEXEC_FILE_NO_INITRAMFS;

        call = request->syscall ?: kexec_file_load_real;

        /* The length counts the NUL. */
        if (call(request->kernel_fd, initrd_fd, strlen(request->cmdline) + 1, request->cmdline, flags) < 0)
                return -errno;

        return 0;
}

int kexec_unload(kexec_file_load_t call) {
        if (!call)
                call = kexec_file_load_real;

        /* Descriptors and command line are not looked at. */
        if (call(-1, -1, 0, NULL, KEXEC_FILE_UNLOAD) < 0)
                return -errno;

        return 0;
}

int kexec_is_loaded(const char *path) {
        _cleanup_free_ char *value = NULL;
        int r;

        r = virtual_file_read(AT_FDCWD, path ?: "/sys/kernel/kexec_loaded", 16, &value);
        if (r < 0)
                return r;

        if (strcmp(value, "1\n") == 0 || strcmp(value, "1") == 0)
                return 1;
        if (strcmp(value, "0\n") == 0 || strcmp(value, "0") == 0)
                return 0;

        return -EBADMSG;
}

const char *kexec_load_error(int r) {
        switch (r) {
        case -EPERM:
                return "the kernel does not allow it: run this as root, and see that neither kernel lockdown nor "
                       "the sysctl kernel.kexec_load_disabled forbids it";
        case -EBUSY:
                return "another kexec load is in progress: try again";
        case -ENOEXEC:
                return "the running kernel cannot load this image: a relocatable 64-bit bzImage is needed";
        case -EKEYREJECTED:
        case -ENOKEY:
        case -ENODATA:
                return "the image's signature is missing or not trusted, and this system requires one";
        case -EADDRNOTAVAIL:
                return "there is no room for the image beside preserved memory: remove or retrieve some nodes first";
        case -ENOMEM:
                return "there is not enough free memory to hold the image";
        case -ENOSYS:
                return "the running kernel was built without CONFIG_KEXEC_FILE";
        default:
                return strerror(r < 0 ? -r : r);
        }
}
