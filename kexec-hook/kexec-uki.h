/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Takes unified kernel images apart: PE files with a kernel, initial RAM disks and a command line as sections, see the
 * UAPI group's specification. Every offset in the file is checked before it is used: the file is not trusted. */

typedef struct KexecUki {
        int kernel_fd;  /* memfd with the contents of .linux */
        int initrd_fd;  /* memfd with .ucode and .initrd, or -EBADF if the image has neither */
        char *cmdline;  /* contents of .cmdline without white space at the end, or NULL if the image has none */
} KexecUki;

#define KEXEC_UKI_NULL ((KexecUki) { .kernel_fd = -EBADF, .initrd_fd = -EBADF })

/* Reads a unified kernel image. If it has several profiles, the sections before the first profile are used.
 *
 * ret: the caller calls kexec_uki_done(). It is written on success only. Returns 0, or a negative errno:
 *   -ENOEXEC   not a PE file with a section .linux
 *   -EBADMSG   a section is not within the file, or the command line is not text
 *   -EFBIG     a section is larger than a kernel, initial RAM disks or a command line may be
 *   others     as from open(2), fstat(2), pread(2), memfd_create(2) and write(2) */
int kexec_uki_open(const char *path, KexecUki *ret);

/* The same for the kernel alone: the other parts are checked, but not copied. Returns a descriptor, which the caller
 * closes, or a negative errno. */
int kexec_uki_open_kernel(const char *path);

/* Closes the descriptors and frees the command line. */
void kexec_uki_done(KexecUki *u);
