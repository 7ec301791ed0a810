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
#include "macro.h"

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
        /* Which features the stored nodes need is known to the kernel: it judges when the image is loaded. */
        if (!kexec_image_format(image, info->format_version))
                return KEXEC_REASON_FORMAT;

        return KEXEC_REASON_KEEPS;
}

/* Appends to a text of limited size, which is cut where it is full. */
__attribute__((format(printf, 3, 4)))
static void text_add(char *text, size_t size, const char *format, ...) {
        size_t used = strlen(text);
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text + used, size - used, format, ap);
        va_end(ap);
}

/* Takes out what is left of characters that were cut: the journal does not show a message that is not UTF-8. */
static void text_drop_cut_characters(char *text) {
        char *to = text;

        for (const char *from = text; *from;) {
                unsigned char c = (unsigned char) *from;
                size_t length = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4, n = 1;

                while (n < length && ((unsigned char) from[n] & 0xc0) == 0x80)
                        n++;
                if (n == length) {
                        memmove(to, from, n);
                        to += n;
                }
                from += n;
        }
        *to = 0;
}

#define TEXT(check, ...) text_add((check)->text, sizeof((check)->text), __VA_ARGS__)
#define AT_ONCE(check, ...) text_add((check)->at_once, sizeof((check)->at_once), __VA_ARGS__)

/* Units, and pieces of shared memory, named in a text. */
#define NAMED_MAX 5U

/* What comes before an item of a list of n: "a", "a and b", "a, b, and c". */
static const char *list_separator(unsigned i, unsigned n) {
        return i == 0 ? "" : n == 2 ? " and " : i + 1 == n ? ", and " : ", ";
}

/* "what a.service and b.service store when they stop" */
static void add_units(char *text, size_t size, const KexecFacts *facts) {
        size_t n = facts->n_units > NAMED_MAX ? NAMED_MAX : facts->n_units;

        text_add(text, size, "what ");
        for (size_t i = 0; i < n; i++)
                text_add(text, size, "%s%s", i == 0 ? "" : i + 1 == facts->n_units ? " and " : ", ", facts->units[i]);
        if (facts->n_units > n)
                text_add(text, size, " and %zu other units", facts->n_units - n);
        text_add(text, size, " store%s when %s", facts->n_units == 1 ? "s" : "",
                 facts->n_units == 1 ? "it stops" : "they stop");
}

/* "shared memory (0x0052e2c1, /dev/shm/cache and 2 others)" */
static void add_shared(char *text, size_t size, const KexecFacts *facts) {
        size_t n = facts->n_shared > NAMED_MAX ? NAMED_MAX : facts->n_shared;

        text_add(text, size, "shared memory (");
        for (size_t i = 0; i < n; i++)
                text_add(text, size, "%s%.255s", i == 0 ? "" : ", ", facts->shared[i].name);
        if (facts->n_shared > n)
                text_add(text, size, " and %zu other%s", facts->n_shared - n, facts->n_shared - n == 1 ? "" : "s");
        text_add(text, size, ")");
}

/* "2 stored nodes, 1 mounted tree, and what redis.service stores when it stops" */
static void describe_facts(const KexecFacts *facts, KexecCheck *check) {
        unsigned n = (facts->n_nodes > 0) + (facts->n_trees > 0) + (facts->n_shared > 0) + (facts->n_units > 0), i = 0;

        if (n == 0)
                TEXT(check, "what services store when they stop");
        if (facts->n_nodes > 0)
                TEXT(check, "%s%" PRIu64 " stored node%s", list_separator(i++, n), facts->n_nodes,
                     facts->n_nodes == 1 ? "" : "s");
        if (facts->n_trees > 0)
                TEXT(check, "%s%" PRIu64 " mounted tree%s", list_separator(i++, n), facts->n_trees,
                     facts->n_trees == 1 ? "" : "s");
        if (facts->n_shared > 0) {
                TEXT(check, "%s", list_separator(i++, n));
                add_shared(check->text, sizeof(check->text), facts);
        }
        if (facts->n_units > 0) {
                TEXT(check, "%s", list_separator(i, n));
                add_units(check->text, sizeof(check->text), facts);
        }
}

static void describe_limit(KexecCheck *check, uint64_t needed, const char *limit, uint64_t maximum) {
        TEXT(check, "needs %" PRIu64 ", which exceeds %s=%" PRIu64, needed, limit, maximum);
}

/* Room for an item of a list, and for what follows the list. */
static bool text_has_room(const KexecCheck *check) {
        return strlen(check->text) <= sizeof(check->text) / 2;
}

/* Begins another item of a list. Returns false, and ends the list, if there is no room. */
static bool list_next(KexecCheck *check, bool *first) {
        if (!text_has_room(check)) {
                TEXT(check, "; and others");
                return false;
        }
        TEXT(check, "%s", *first ? "" : "; ");
        *first = false;
        return true;
}

static void describe_problem(const KexecTreeProblem *p, KexecCheck *check) {
        TEXT(check, "tree '%s' at '%s' ", p->name, p->path);
        if (p->limit && p->programs)
                TEXT(check, "with what %.255s will write to it ", p->programs);
        if (p->limit)
                describe_limit(check, p->needed, p->limit, p->maximum);
        else if (p->users)
                TEXT(check, "is in use for writing by %s, which the shutdown does not stop before", p->users);
        else if (p->idmapped || p->disk)
                TEXT(check, "cannot be stored (%s)", p->detail ?: "unknown error");
        else
                TEXT(check, "cannot be examined (%s)", p->detail ?: "unknown error");
}

static void describe_trees(const KexecFacts *facts, KexecCheck *check) {
        bool limit = false, size = false, users = false, loops = false, idmapped = false, disk = false;

        for (size_t i = 0; i < facts->n_problems; i++) {
                if (!text_has_room(check)) {
                        TEXT(check, "; %zu more trees cannot be stored", facts->n_problems - i);
                        break;
                }
                if (i > 0)
                        TEXT(check, "; ");
                describe_problem(facts->problems + i, check);
                if (facts->problems[i].limit)
                        *(strcmp(facts->problems[i].limit, KEXEC_LIMIT_SIZE) == 0 ? &size : &limit) = true;
                idmapped = idmapped || facts->problems[i].idmapped;
                disk = disk || facts->problems[i].disk;
                if (!facts->problems[i].limit && facts->problems[i].users) {
                        users = true;
                        loops = loops || strstr(facts->problems[i].users, "loop device ");
                }
        }
        TEXT(check, ".");
        if (limit)
                TEXT(check, " Remove files from the tree, or raise the limit in pkramd.conf and run 'systemctl reload "
                     "pkramd.service'.");
        if (size)
                TEXT(check, " Remove files from the tree, stop one of these, or remount the tree with a larger "
                     "size=.");
        if (users)
                TEXT(check, " Stop these processes, or add RequiresMountsFor= with the directory to their units.");
        if (loops)
                TEXT(check, " Detach loop devices with 'losetup -d'.");
        if (idmapped)
                TEXT(check, " Copy the contents of a tree with mapped owners, and mount it without X-mount.idmap=.");
        if (!limit && !size && !users && !idmapped && !disk)
                TEXT(check, " Unmount the tree to store it now.");
}

static bool fdstore_problem_is_refused(const KexecFdStoreProblem *p) { return p->limit || p->detail; }

/* Names units whose whole file descriptor store is lost. */
static void describe_fdstore_refusals(const KexecFacts *facts, KexecCheck *check) {
        bool first = true, limit = false, detail = false;

        for (size_t i = 0; i < facts->n_fdstore_problems; i++) {
                const KexecFdStoreProblem *p = facts->fdstore_problems + i;

                if (!fdstore_problem_is_refused(p))
                        continue;
                if (!list_next(check, &first))
                        break;
                TEXT(check, "the file descriptor store of %s ", p->unit);
                limit = limit || p->limit;
                detail = detail || !p->limit;
                if (p->limit)
                        describe_limit(check, p->needed, p->limit, p->maximum);
                else
                        TEXT(check, "cannot be preserved: %s", p->detail);
        }
        TEXT(check, ".");
        if (limit)
                TEXT(check, " Let the service keep less, or raise the limit in pkramd.conf.");
        if (detail)
                TEXT(check, " To do without a unit's descriptors, set X-Pkram-FdStore=no in it.");
}

/* Names single descriptors that are not preserved, which does not keep anything else from being preserved. */
static void describe_fdstore_losses(const KexecFacts *facts, KexecCheck *check) {
        for (size_t i = 0; i < facts->n_fdstore_problems; i++) {
                const KexecFdStoreProblem *p = facts->fdstore_problems + i;

                if (!p->lost)
                        continue;
                if (!text_has_room(check)) {
                        TEXT(check, " Other units lose file descriptors as well.");
                        break;
                }
                TEXT(check, " %s loses %" PRIu64 " file descriptor%s: %s.", p->unit, p->needed,
                     p->needed == 1 ? "" : "s", p->lost);
        }
}

static void describe_shared_losses(const KexecFacts *facts, KexecCheck *check) {
        bool first = true, limit = false;

        for (size_t i = 0; i < facts->n_shared; i++) {
                const KexecSharedMemory *m = facts->shared + i;

                if (!m->limit && !m->detail)
                        continue;
                if (!list_next(check, &first))
                        break;
                TEXT(check, "%.255s ", m->name);
                limit = limit || m->limit;
                if (m->limit)
                        describe_limit(check, m->needed, m->limit, m->maximum);
                else
                        TEXT(check, "cannot be stored: %s", m->detail);
        }
        TEXT(check, "%s of pkramd.conf.", limit ? ". Raise the limit, or take it out of [SharedMemory]" :
             ". Take it out of [SharedMemory]");
}

static void describe_program_losses(const KexecFacts *facts, KexecCheck *check) {
        bool first = true;

        for (size_t i = 0; i < facts->n_program_problems; i++) {
                const KexecProgramProblem *p = facts->program_problems + i;

                if (!list_next(check, &first))
                        break;
                TEXT(check, "%.255s (%.500s)", p->name, p->detail);
        }
        TEXT(check, ". Remove the cause, or stop %s.", facts->n_program_problems == 1 ? "it" : "them");
}

static bool facts_have_shared_loss(const KexecFacts *facts) {
        if (facts->n_shared > 0 && facts->shared_problem)
                return true;
        for (size_t i = 0; i < facts->n_shared; i++)
                if (facts->shared[i].limit || facts->shared[i].detail)
                        return true;
        return false;
}

static bool facts_have_fdstore_refusal(const KexecFacts *facts) {
        for (size_t i = 0; i < facts->n_fdstore_problems; i++)
                if (fdstore_problem_is_refused(facts->fdstore_problems + i))
                        return true;
        return false;
}

/* What would happen, and what to do about it. */
static void check_describe(const KexecFacts *facts, const KexecImage *image, KexecCheck *check) {
        const char *which = image ? "the given kernel" : "the loaded kernel";
        const struct pkram_ioctl_info *info = facts->info;
        char name[KEXEC_IMAGE_RELEASE_MAX + 4] = "";

        if (image && image->release[0])
                (void) snprintf(name, sizeof(name), " %s", image->release);

        switch (check->reason) {
        case KEXEC_REASON_NOTHING_STORED:
                if (facts->disk_problem)
                        TEXT(check, "Nothing can be stored, so a kexec or reboot loses nothing. "
                             "/var/lib/pkram/disk cannot be used: %s.", facts->disk_problem);
                else if (facts->info)
                        TEXT(check, "Nothing is stored, so a kexec loses nothing.");
                else
                        TEXT(check, "This kernel preserves no memory, so a kexec loses nothing. Nodes on disk "
                             "are kept.");
                return;
        case KEXEC_REASON_KEEPS:
                TEXT(check, "A kexec keeps ");
                if (facts->n_nodes + facts->n_trees > 0)
                        TEXT(check, "%s ", facts->n_nodes + facts->n_trees == 1 ? "the" : "all");
                describe_facts(facts, check);
                TEXT(check, ".");
                describe_fdstore_losses(facts, check);
                return;
        case KEXEC_REASON_TREE:
                if (facts->disk_problem) {
                        TEXT(check, "A kexec or reboot would lose %" PRIu64 " mounted tree%s: nothing can be stored. "
                             "/var/lib/pkram/disk cannot be used: %s.", facts->n_trees, facts->n_trees == 1 ? "" : "s",
                             facts->disk_problem);
                        return;
                }
                TEXT(check, "A kexec would lose %zu of %" PRIu64 " mounted tree%s: ", facts->n_problems,
                     facts->n_trees, facts->n_trees == 1 ? "" : "s");
                describe_trees(facts, check);
                return;
        case KEXEC_REASON_FDSTORE:
                TEXT(check, "A kexec would lose file descriptors: ");
                describe_fdstore_refusals(facts, check);
                describe_fdstore_losses(facts, check);
                return;
        case KEXEC_REASON_SHARED_MEMORY:
                TEXT(check, "A kexec would lose ");
                if (facts->shared_problem) {
                        add_shared(check->text, sizeof(check->text), facts);
                        TEXT(check, ": %s. Run 'systemctl enable --now pkram-shm.service'.", facts->shared_problem);
                        return;
                }
                TEXT(check, "shared memory: ");
                describe_shared_losses(facts, check);
                return;
        case KEXEC_REASON_STORE:
                TEXT(check, "A kexec would lose ");
                describe_facts(&(KexecFacts) {
                        .n_trees = facts->n_trees,
                        .shared = facts->shared,
                        .n_shared = facts->n_shared,
                        .units = facts->units,
                        .n_units = facts->n_units,
                }, check);
                TEXT(check, ": nothing can be stored. /var/lib/pkram/disk cannot be used: %s.", facts->store_problem);
                return;
        case KEXEC_REASON_PROGRAM:
                TEXT(check, "A kexec would lose guests or processes that cannot be saved: ");
                describe_program_losses(facts, check);
                return;
        case KEXEC_REASON_DISK:
                TEXT(check, "%s%s does not preserve memory. %s", image ? "The given kernel" : "The loaded kernel",
                     name, facts->on_disk);
                return;
        default:
                TEXT(check, "A kexec would lose ");
                describe_facts(facts, check);
                TEXT(check, ": ");
        }

        switch (check->reason) {
        case KEXEC_REASON_NO_IMAGE:
                TEXT(check, "no kernel is loaded. Load one with 'pkramctl kexec --no-reboot'.");
                return;
        case KEXEC_REASON_NO_SUPPORT:
                TEXT(check, "%s%s has no PKRAM. Load one that was built with CONFIG_PKRAM=y.", which, name);
                return;
        case KEXEC_REASON_NO_PARAMETER:
                TEXT(check, "its command line lacks pkram=0x%" PRIx64 ". Load it with 'pkramctl kexec --no-reboot', "
                     "or with kexec_file_load(2) as 'kexec -s -l' does.", (uint64_t) info->super_pfn);
                return;
        case KEXEC_REASON_FORMAT:
                if (image)
                        TEXT(check, "%s%s reads format version %" PRIu32 ", but the nodes are stored in version "
                             "%" PRIu32 ".", which, name,
                             image->n_formats > 0 ? image->formats[0].version : 0, (uint32_t) info->format_version);
                else
                        TEXT(check, "%s does not read format version %" PRIu32 ".", which,
                             (uint32_t) info->format_version);
                TEXT(check, " Load a kernel that does, or remove the nodes.");
                return;
        case KEXEC_REASON_ARCHITECTURE:
                if (image && image->arch != KEXEC_ARCH_X86_64)
                        TEXT(check, "%s%s is for %s, not %s.", which, name, kexec_arch_to_string(image->arch),
                             kexec_arch_to_string(KEXEC_ARCH_X86_64));
                else
                        TEXT(check, "%s%s cannot be relocated, so it may overwrite them.", which, name);
                TEXT(check, " Load another one.");
                return;
        default:
                TEXT(check, "the running kernel reports image state %" PRIu32 ", which this program does not know. "
                     "Use the pkramctl that belongs to this kernel.", (uint32_t) info->image_state);
        }
}

/* Would the image, and not what is stored, be the reason of a loss? */
static bool is_lost_by_image(KexecReason reason) {
        return reason == KEXEC_REASON_NO_SUPPORT || reason == KEXEC_REASON_NO_PARAMETER ||
                reason == KEXEC_REASON_FORMAT || reason == KEXEC_REASON_ARCHITECTURE;
}

/* A shutdown stores trees, shared memory and services' memory, and writes nodes to disk. 'kexec -e' and
 * 'systemctl kexec --force' skip it. */
static void describe_at_once(const KexecFacts *facts, KexecCheck *check) {
        unsigned n = (facts->n_trees > 0) + (facts->n_shared > 0) + (facts->n_units > 0), i = 0;

        if (check->reason == KEXEC_REASON_DISK) {
                AT_ONCE(check, "Without a shutdown, as with 'kexec -e', nothing is written to disk, and a kexec would "
                        "lose all of it. Use 'systemctl kexec'.");
                return;
        }
        if (n == 0)
                return;
        AT_ONCE(check, "Without a shutdown, as with 'kexec -e', a kexec would %slose ", check->keeps ? "" : "also ");
        if (facts->n_trees > 0)
                AT_ONCE(check, "%sthe contents of %" PRIu64 " mounted tree%s", list_separator(i++, n), facts->n_trees,
                        facts->n_trees == 1 ? "" : "s");
        if (facts->n_shared > 0) {
                AT_ONCE(check, "%s", list_separator(i++, n));
                add_shared(check->at_once, sizeof(check->at_once), facts);
        }
        if (facts->n_units > 0) {
                AT_ONCE(check, "%s", list_separator(i, n));
                add_units(check->at_once, sizeof(check->at_once), facts);
        }
        AT_ONCE(check, ". Use 'systemctl kexec'.");
}

/* Between preserved memory, crashkernel= may find no larger piece than the one that the running kernel has
 * reserved. */
static void describe_crash_kernel(const KexecFacts *facts, KexecCheck *check) {
        text_add(check->crash_kernel, sizeof(check->crash_kernel),
                 "The next kernel may find no memory for crashkernel=%.100s: this kernel has reserved %"
                 PRIu64 " MiB, and preserved memory may leave no larger piece. Without it there will be no crash "
                 "dumps. To reserve more, reboot with this parameter.", facts->crash_wanted,
                 facts->crash_reserved >> 20);
}

void kexec_check(const KexecFacts *facts, const KexecImage *image, KexecPolicy policy, KexecCheck *ret) {
        KexecCheck check = {};
        bool possible, nothing;

        assert(facts);
        assert(ret);

        possible = facts->info && facts->info->boot_result != PKRAM_BOOT_OFF;
        nothing = facts->n_nodes == 0 && facts->n_trees == 0 && facts->n_shared == 0 && facts->n_units == 0 &&
                facts->n_program_problems == 0;
        if (possible && nothing && facts->strict && image && reason_of_image(facts->info, image) != KEXEC_REASON_KEEPS)
                nothing = false;
        if (!possible && facts->disk_problem && facts->n_trees > 0) {
                check.n_trees = facts->n_trees;
                check.reason = KEXEC_REASON_TREE;
        } else if (!possible || nothing)
                check.reason = KEXEC_REASON_NOTHING_STORED;
        else {
                check.n_nodes = facts->n_nodes;
                check.n_trees = facts->n_trees;
                check.n_shared = facts->n_shared;
                check.n_units = facts->n_units;
                check.reason = image ? reason_of_image(facts->info, image) :
                        reason_of_loaded(facts->info->image_state);
                if (check.reason == KEXEC_REASON_KEEPS && facts->n_problems > 0)
                        check.reason = KEXEC_REASON_TREE;
                if (check.reason == KEXEC_REASON_KEEPS && facts->store_problem &&
                    facts->n_trees + facts->n_shared + facts->n_units > 0)
                        check.reason = KEXEC_REASON_STORE;
                if (check.reason == KEXEC_REASON_KEEPS && facts_have_fdstore_refusal(facts))
                        check.reason = KEXEC_REASON_FDSTORE;
                if (check.reason == KEXEC_REASON_KEEPS && facts_have_shared_loss(facts))
                        check.reason = KEXEC_REASON_SHARED_MEMORY;
                if (check.reason == KEXEC_REASON_KEEPS && facts->n_program_problems > 0)
                        check.reason = KEXEC_REASON_PROGRAM;
                if (is_lost_by_image(check.reason) && facts->on_disk && facts->n_units == 0 &&
                    facts->n_shared == 0 && facts->n_problems == 0 && facts->n_program_problems == 0)
                        check.reason = KEXEC_REASON_DISK;
        }

        check.keeps = check.reason == KEXEC_REASON_NOTHING_STORED || check.reason == KEXEC_REASON_KEEPS ||
                check.reason == KEXEC_REASON_DISK;
        /* Losing data needs a clear order: an unknown policy refuses. */
        check.allowed = check.keeps || policy == KEXEC_POLICY_WARN || policy == KEXEC_POLICY_FORCE;

        check_describe(facts, image, &check);
        if (possible)
                describe_at_once(facts, &check);
        if (facts->crash_wanted && possible &&
            facts->n_nodes + facts->n_trees + facts->n_shared + facts->n_units > 0)
                describe_crash_kernel(facts, &check);
        text_drop_cut_characters(check.text);
        text_drop_cut_characters(check.at_once);
        text_drop_cut_characters(check.crash_kernel);
        check.keeps_at_once = check.at_once[0] == 0 && kexec_reason_image_keeps(check.reason);
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
                [KEXEC_REASON_TREE]           = "tree",
                [KEXEC_REASON_FDSTORE]        = "fdStore",
                [KEXEC_REASON_SHARED_MEMORY]  = "sharedMemory",
                [KEXEC_REASON_PROGRAM]        = "program",
                [KEXEC_REASON_STORE]          = "store",
                [KEXEC_REASON_DISK]           = "disk",
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

        /* Ignore a stale mark: the kexec it was created for never started. */
        age = time(NULL) - st.st_mtim.tv_sec;
        if (age < -KEXEC_FORCE_SEC || age > KEXEC_FORCE_SEC)
                return 0;

        return S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid());
}
