/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Hands the next kernel to the running one with kexec_file_load(2), or takes it back. All of it needs
 * CAP_SYS_BOOT and fails with -EPERM without. */

/* The system call, replaceable for tests; returns 0, or -1 with errno set. */
typedef long (*kexec_file_load_t)(int kernel_fd, int initrd_fd, unsigned long cmdline_len, const char *cmdline,
                                  unsigned long flags);

typedef struct KexecLoad {
        int kernel_fd;                  /* open for reading */
        const char *const *initrds;     /* paths, NULL-terminated; NULL or empty for none */
        const int *initrd_fd;           /* used if there are no such paths; NULL for none */
        const char *cmdline;            /* as kexec_cmdline_build() made it */
        kexec_file_load_t syscall;      /* NULL for the real one */
} KexecLoad;

/* Loads a kernel. What was loaded before is replaced, or stays as it was on failure.
 *
 * Several initial RAM disks are joined in the order given, as boot loaders do it.
 *
 * Returns 0, or a negative errno:
 *   -EPERM        no CAP_SYS_BOOT, or lockdown or the kexec_load_disabled sysctl forbid it
 *   -EBUSY        another kexec load is in progress, try again
 *   -ENOEXEC      the running kernel cannot load this image
 *   -EKEYREJECTED the image's signature is missing or not trusted
 *   -EADDRNOTAVAIL there is no room for it beside preserved memory
 *   -ENOSYS       the running kernel was built without kexec_file_load(2)
 *   others        from opening or reading the initial RAM disks: *reterr_path says which (not freed by the caller,
 *                 one of request->initrds), or NULL; reterr_path itself may be NULL */
int kexec_load(const KexecLoad *request, const char **reterr_path);

/* Takes the loaded kernel out again. 0 also if none was loaded. call: NULL for the real system call. */
int kexec_unload(kexec_file_load_t call);

/* Is a kernel loaded? 1 or 0, or a negative errno; path: NULL for /sys/kernel/kexec_loaded. */
int kexec_is_loaded(const char *path);

/* Joins files into one memfd, each padded with zeroes to a multiple of 4 bytes: there the kernel looks for the next
 * cpio archive. ret_fd: read-write descriptor, closed by the caller. reterr_path: as above. */
int kexec_initrd_join(const char *const *paths, const char **reterr_path, int *ret_fd);

/* What to tell the user about a failed kexec_load(): a full clause that says what to do. Never NULL. */
const char *kexec_load_error(int r);
