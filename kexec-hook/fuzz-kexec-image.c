/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libFuzzer target: any file as a kernel image. With -Dfuzz=true and clang. */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kexec-image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static int fd = -1;
        KexecImage image;

        if (fd < 0)
                fd = memfd_create("image", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t) size)
                abort();

        if (kexec_image_read(fd, &image) < 0)
                return 0;

        /* What it says may be wrong, but never out of range. */
        if (!memchr(image.release, 0, sizeof(image.release)) || !kexec_arch_to_string(image.arch))
                abort();
        for (const char *p = image.release; *p; p++)
                if (*p <= ' ' || *p > '~')
                        abort();
        if (image.n_formats > KEXEC_IMAGE_FORMATS_MAX || image.has_pkram != (image.n_formats > 0))
                abort();

        return 0;
}
