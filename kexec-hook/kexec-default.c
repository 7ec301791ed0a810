/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which kernel and initial RAM disk are taken when the user names none: see kexec-image.h for the rule. */

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "kexec-image.h"
#include "kexec-util.h"

/* Resolves links, so that /vmlinuz becomes /boot/vmlinuz-VERSION. */
static int resolve(const char *path, char **ret) {
        char *p;

        p = realpath(path, NULL);
        if (!p)
                return errno == ENOMEM ? -ENOMEM : -ENOENT;

        *ret = p;
        return 0;
}

int kexec_default_kernel(const char *root, const char *release, char **ret) {
        static const char *const links[] = { "/vmlinuz", "/boot/vmlinuz" };
        _cleanup_free_ char *versioned = NULL;
        struct utsname u;
        int r;

        assert(root);
        assert(ret);

        for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
                _cleanup_free_ char *p = NULL;

                if (asprintf(&p, "%s%s", root, links[i]) < 0) {
                        p = NULL;
                        return -ENOMEM;
                }

                /* A dangling link, left by a removed kernel, is passed over. */
                r = resolve(p, ret);
                if (r != -ENOENT)
                        return r;
        }

        if (!release) {
                if (uname(&u) < 0)
                        return -errno;
                release = u.release;
        }

        if (asprintf(&versioned, "%s/boot/vmlinuz-%s", root, release) < 0) {
                versioned = NULL;
                return -ENOMEM;
        }

        return resolve(versioned, ret);
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

        r = resolve(kernel, &resolved);
        if (r < 0)
                return r;

        /* realpath() gives an absolute path, so there is a slash. */
        base = strrchr(resolved, '/') + 1;
        for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
                if (strncmp(base, prefixes[i], strlen(prefixes[i])) == 0) {
                        version = base + strlen(prefixes[i]);
                        break;
                }
        if (!version || !*version)
                return -ENOENT;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                _cleanup_free_ char *p = NULL;

                if (asprintf(&p, "%.*s%s%s%s", (int) (base - resolved), resolved, names[i].before, version,
                             names[i].after) < 0) {
                        p = NULL;
                        return -ENOMEM;
                }

                r = resolve(p, ret);
                if (r != -ENOENT)
                        return r;
        }

        return -ENOENT;
}
