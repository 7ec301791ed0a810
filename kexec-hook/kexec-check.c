/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <linux/pkram.h>

#include "kexec-check.h"
#include "kexec-util.h"

static KexecReason reason_of_loaded(uint32_t image_state) {
        switch (image_state) {
        case PKRAM_IMAGE_NONE:
                return KEXEC_REASON_NO_IMAGE;
        case PKRAM_IMAGE_KEEPS:
                return KEXEC_REASON_KEEPS;
        case PKRAM_IMAGE_NO_SUPPORT:
                return KEXEC_REASON_NO_SUPPORT;
        case PKRAM_IMAGE_NO_PARAM:
                return KEXEC_REASON_NO_PARAMETER;
        case PKRAM_IMAGE_VERSION:
                return KEXEC_REASON_FORMAT;
        default:
                return KEXEC_REASON_UNKNOWN;
        }
}

static KexecReason reason_of_image(const struct pkram_ioctl_info *info, const KexecImage *image) {
        /* Preserved memory exists on x86-64 only. An image that must lie at one address may hit it. */
        if (image->arch != KEXEC_ARCH_X86_64 || !image->relocatable)
                return KEXEC_REASON_ARCHITECTURE;
        if (!image->has_pkram)
                return KEXEC_REASON_NO_SUPPORT;
        if (image->format_version != info->format_version)
                return KEXEC_REASON_FORMAT;

        return KEXEC_REASON_KEEPS;
}

__attribute__((format(printf, 2, 3)))
static void say(KexecCheck *check, const char *format, ...) {
        size_t used = strlen(check->text);
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(check->text + used, sizeof(check->text) - used, format, ap);
        va_end(ap);
}

/* "2 stored nodes and 1 mounted tree" */
static void say_what(KexecCheck *check) {
        if (check->n_nodes > 0 || check->n_trees == 0)
                say(check, "%" PRIu64 " stored node%s", check->n_nodes, check->n_nodes == 1 ? "" : "s");
        if (check->n_trees > 0)
                say(check, "%s%" PRIu64 " mounted tree%s", check->n_nodes > 0 ? " and " : "", check->n_trees,
                    check->n_trees == 1 ? "" : "s");
}

/* What would happen, and what to do about it. */
static void describe(const struct pkram_ioctl_info *info, const KexecImage *image, KexecCheck *check) {
        const char *which = image ? "the given kernel" : "the loaded kernel";
        char name[KEXEC_IMAGE_RELEASE_MAX + 4] = "";

        if (image && image->release[0])
                (void) snprintf(name, sizeof(name), " %s", image->release);

        switch (check->reason) {
        case KEXEC_REASON_NOTHING_STORED:
                say(check, "Nothing is stored, so a kexec loses nothing.");
                return;
        case KEXEC_REASON_KEEPS:
                say(check, "A kexec keeps %s ", check->n_nodes + check->n_trees == 1 ? "the" : "all");
                say_what(check);
                say(check, ".");
                return;
        default:
                say(check, "A kexec would lose ");
                say_what(check);
                say(check, ": ");
        }

        switch (check->reason) {
        case KEXEC_REASON_NO_IMAGE:
                say(check, "no kernel is loaded. Load one with 'pkramctl kexec --no-reboot'.");
                return;
        case KEXEC_REASON_NO_SUPPORT:
                say(check, "%s%s has no PKRAM. Load one that was built with CONFIG_PKRAM=y.", which, name);
                return;
        case KEXEC_REASON_NO_PARAMETER:
                say(check, "its command line lacks pkram=0x%" PRIx64 ". Load it with 'pkramctl kexec --no-reboot', or "
                    "with kexec_file_load(2) as 'kexec -s -l' does.", (uint64_t) info->super_pfn);
                return;
        case KEXEC_REASON_FORMAT:
                if (image)
                        say(check, "%s%s reads format version %" PRIu32 ", but the nodes are stored in version %" PRIu32 ".",
                            which, name, image->format_version, (uint32_t) info->format_version);
                else
                        say(check, "%s does not read format version %" PRIu32 ".", which, (uint32_t) info->format_version);
                say(check, " Load a kernel that does, or remove the nodes.");
                return;
        case KEXEC_REASON_ARCHITECTURE:
                if (image && image->arch != KEXEC_ARCH_X86_64)
                        say(check, "%s%s is for %s, not %s.", which, name, kexec_arch_to_string(image->arch),
                            kexec_arch_to_string(KEXEC_ARCH_X86_64));
                else
                        say(check, "%s%s cannot be relocated, so it may overwrite them.", which, name);
                say(check, " Load another one.");
                return;
        default:
                say(check, "the running kernel reports image state %" PRIu32 ", which this program does not know. "
                    "Use the pkramctl that belongs to this kernel.", (uint32_t) info->image_state);
        }
}

void kexec_check(const struct pkram_ioctl_info *info, const KexecImage *image, uint64_t n_trees, KexecPolicy policy,
                 KexecCheck *ret) {
        KexecCheck check = {};

        assert(ret);

        if (!info || info->boot_result == PKRAM_BOOT_OFF || (info->nr_nodes == 0 && n_trees == 0))
                check.reason = KEXEC_REASON_NOTHING_STORED;
        else {
                check.n_nodes = info->nr_nodes;
                check.n_trees = n_trees;
                check.reason = image ? reason_of_image(info, image) : reason_of_loaded(info->image_state);
        }

        check.keeps = check.reason == KEXEC_REASON_NOTHING_STORED || check.reason == KEXEC_REASON_KEEPS;
        /* A policy that is none of ours refuses: losing data needs a clear order. */
        check.allowed = check.keeps || policy == KEXEC_POLICY_WARN || policy == KEXEC_POLICY_FORCE;

        describe(info, image, &check);
        *ret = check;
}

const char *kexec_policy_to_string(KexecPolicy policy) {
        static const char *const table[_KEXEC_POLICY_MAX] = {
                [KEXEC_POLICY_REFUSE] = "refuse",
                [KEXEC_POLICY_WARN]   = "warn",
                [KEXEC_POLICY_FORCE]  = "force",
        };

        return (unsigned) policy < _KEXEC_POLICY_MAX ? table[policy] : NULL;
}

int kexec_policy_from_string(const char *s, KexecPolicy *ret) {
        assert(s);
        assert(ret);

        for (KexecPolicy p = 0; p < _KEXEC_POLICY_MAX; p++)
                if (strcmp(s, kexec_policy_to_string(p)) == 0) {
                        *ret = p;
                        return 0;
                }

        return -EINVAL;
}

const char *kexec_reason_to_string(KexecReason reason) {
        static const char *const table[_KEXEC_REASON_MAX] = {
                [KEXEC_REASON_NOTHING_STORED] = "nothingStored",
                [KEXEC_REASON_KEEPS]          = "keeps",
                [KEXEC_REASON_NO_IMAGE]       = "noImage",
                [KEXEC_REASON_NO_SUPPORT]     = "noSupport",
                [KEXEC_REASON_NO_PARAMETER]   = "noParameter",
                [KEXEC_REASON_FORMAT]         = "format",
                [KEXEC_REASON_ARCHITECTURE]   = "architecture",
                [KEXEC_REASON_UNKNOWN]        = "unknown",
        };

        return (unsigned) reason < _KEXEC_REASON_MAX ? table[reason] : NULL;
}

int kexec_force_set(const char *path) {
        _cleanup_close_ int fd = -EBADF;

        fd = open(path ?: KEXEC_FORCE_MARK, O_WRONLY|O_CREAT|O_CLOEXEC|O_NOCTTY|O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        return futimens(fd, NULL) < 0 ? -errno : 0;
}

int kexec_force_clear(const char *path) {
        if (unlink(path ?: KEXEC_FORCE_MARK) < 0 && errno != ENOENT)
                return -errno;

        return 0;
}

int kexec_force_get(const char *path) {
        struct stat st;
        time_t age;

        if (lstat(path ?: KEXEC_FORCE_MARK, &st) < 0)
                return errno == ENOENT ? 0 : -errno;

        /* Whoever forced a kexec that did not begin has not forced the next one. */
        age = time(NULL) - st.st_mtim.tv_sec;
        if (age < -KEXEC_FORCE_SEC || age > KEXEC_FORCE_SEC)
                return 0;

        return S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid());
}
