/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads from a kernel image what a kexec that keeps memory has to know about it.
 *
 * An x86 bzImage says about itself, in its setup header and in the kernel_info block behind it, whether it has
 * PKRAM. The file name, the release string and the configuration file beside it are not consulted: they can be
 * wrong, the image cannot. Every offset in the file is checked before it is followed: the file is not trusted. */

#include <stdbool.h>
#include <stdint.h>

typedef enum KexecArch {
        KEXEC_ARCH_I386,        /* has no 64-bit entry point */
        KEXEC_ARCH_X86_64,
        _KEXEC_ARCH_MAX,
} KexecArch;

/* Longest release string kept, without the NUL: as long as utsname's. */
#define KEXEC_IMAGE_RELEASE_MAX 64U

/* Versions of the on-memory format that are remembered of an image; more than any kernel will read. */
#define KEXEC_IMAGE_FORMATS_MAX 8U

/* A version of the on-memory format that an image reads. */
typedef struct KexecFormat {
        uint32_t version;
        uint64_t incompat_features;     /* bits of incompatible features of the store that it understands */
        uint64_t node_incompat_features; /* the same of nodes */
} KexecFormat;

typedef struct KexecImage {
        KexecArch arch;
        uint16_t boot_protocol;         /* 0x020f is 2.15 */
        bool relocatable;               /* may be loaded anywhere: needed to keep it off preserved memory */
        bool has_pkram;                 /* a PKRAM tag is there; n_formats is 0 otherwise */
        unsigned n_formats;
        KexecFormat formats[KEXEC_IMAGE_FORMATS_MAX];
        uint32_t cmdline_max;           /* longest command line it takes, in bytes without the NUL */
        char release[KEXEC_IMAGE_RELEASE_MAX + 1]; /* as uname -r shows it, printable ASCII only; "" if unknown */
} KexecImage;

/* Reads an image from a descriptor that supports pread(2). The file position does not matter nor change.
 *
 * Returns 0, or a negative errno:
 *   -ENOEXEC   not a bzImage (also: empty, a directory, a zImage; see kexec-uki.h for unified kernel images)
 *   -EBADMSG   a bzImage, but cut short, or its header contradicts itself
 *   others     as from pread(2) and fstat(2)
 * ret is written on success only. */
int kexec_image_read(int fd, KexecImage *ret);

/* The same for a path. ret_fd (may be NULL) is the descriptor that was read, for loading exactly what was
 * checked; the caller closes it. */
int kexec_image_open(const char *path, KexecImage *ret, int *ret_fd);

/* The format of that version if the image reads it, or NULL. */
const KexecFormat *kexec_image_format(const KexecImage *image, uint32_t version);

/* One clause saying what is wrong, for errors of the two functions above: "is not a kernel image (a bzImage, or a
 * unified kernel image that contains one)". Never NULL; static, or strerror(3)'s buffer. */
const char *kexec_image_error(int r);

const char *kexec_arch_to_string(KexecArch arch);

/* The kernel to start when the user names none. Looked at in this order:
 *   1. ROOT/vmlinuz, which Debian points at its newest installed kernel;
 *   2. ROOT/boot/vmlinuz, where other systems have that link;
 *   3. ROOT/boot/vmlinuz-RELEASE, with RELEASE of the running kernel (release, may be NULL for uname(2)'s).
 * The first that is an image with PKRAM wins: the links do not cover kernels that were built locally. If none has it,
 * it is the first that exists, so that the caller can tell what is wrong with it. Links are resolved, so that the
 * version shows.
 *
 * root: "" or a directory to look below, without a slash at the end.
 * ret: path, freed by the caller. Returns 0, -ENOENT if there is none, -ENOMEM. */
int kexec_default_kernel(const char *root, const char *release, char **ret);

/* The initial RAM disk that belongs to a kernel: beside DIR/vmlinuz-VERSION (or bzImage-, kernel-, linux-) one of
 * DIR/initrd.img-VERSION, DIR/initramfs-VERSION.img, DIR/initrd-VERSION, in this order.
 *
 * ret: path, freed by the caller. Returns 0, -ENOENT if there is none, -ENOMEM. */
int kexec_default_initrd(const char *kernel, char **ret);
