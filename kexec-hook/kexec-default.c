/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which kernel and initial RAM disk are taken when the user names none: see kexec-image.h for the rule. */

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "kexec-image.h"
#include "macro.h"

/* Resolves links, so that /vmlinuz becomes /boot/vmlinuz-VERSION. */
static int kernel_path_resolve(const char *path, char **ret) {
        char *p;

        p = realpath(path, NULL);
        if (!p)
                return errno == ENOMEM ? -ENOMEM : -ENOENT;

        *ret = p;
        return 0;
}

static bool has_pkram(const char *path) {
        KexecImage image;

        return kexec_image_open(path, &image, /* ret_fd= */ NULL) >= 0 && image.has_pkram;
}

int kexec_default_kernel(const char *root, const char *release, char **ret) {
        _cleanup_free_ char *first = NULL;
        struct utsname u;
        int r;

        assert(root);
        assert(ret);

        if (!release) {
                if (uname(&u) < 0)
                        return -errno;
                release = u.release;
        }

        const char *const candidates[][2] = {
                { "/vmlinuz",       ""      },
                { "/boot/vmlinuz",  ""      },
                { "/boot/vmlinuz-", release },
        };

        for (size_t i = 0; i < ELEMENTSOF(candidates); i++) {
                _cleanup_free_ char *p = NULL, *resolved = NULL;

                if (asprintf(&p, "%s%s%s", root, candidates[i][0], candidates[i][1]) < 0) {
                        p = NULL;
                        return -ENOMEM;
                }

                /* A dangling link, left by a removed kernel, is passed over. */
                r = kernel_path_resolve(p, &resolved);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;

                if (has_pkram(resolved)) {
                        *ret = TAKE_PTR(resolved);
                        return 0;
                }
                if (!first)
                        first = TAKE_PTR(resolved);
        }

        if (!first)
                return -ENOENT;

        *ret = TAKE_PTR(first);
        return 0;
}

int kexec_default_initrd(const char *kernel, char **ret) {
        static const char *const prefixes[] = { "vmlinuz-", "bzImage-", "kernel-", "linux-" };
        static const struct {
                const char *before, *after;
        } names[] = {
                { "initrd.img-", ""     },      /* Debian, Ubuntu */
                { "initramfs-",  ".img" },      /* Fedora, Arch */
                { "initrd-",     ""     },      /* SUSE */
        };
        _cleanup_free_ char *resolved = NULL;
        const char *base, *version = NULL;
        int r;

        assert(kernel);
        assert(ret);

        r = kernel_path_resolve(kernel, &resolved);
        if (r < 0)
                return r;

        /* realpath() gives an absolute path, so there is a slash. */
        base = strrchr(resolved, '/') + 1;
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (strncmp(base, prefixes[i], strlen(prefixes[i])) == 0) {
                        version = base + strlen(prefixes[i]);
                        break;
                }
        if (!version || !*version)
                return -ENOENT;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *p = NULL;

                if (asprintf(&p, "%.*s%s%s%s", (int) (base - resolved), resolved, names[i].before, version,
                             names[i].after) < 0) {
                        p = NULL;
                        return -ENOMEM;
                }

                r = kernel_path_resolve(p, ret);
                if (r != -ENOENT)
                        return r;
        }

        return -ENOENT;
}
