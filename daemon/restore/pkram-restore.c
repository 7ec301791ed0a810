/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tells the journal what came back from the previous kernel, early in the boot and
 * before pkramd runs; with --lost, what is about to be lost because the system goes
 * down without kexec. It looks, and changes nothing.
 */
#include <stdio.h>

#include "format.h"
#include "log.h"
#include "pkram-messages.h"
#include "store.h"

/* What each kind of damage means, after "Dropped node 'x', which the previous kernel kept: ". */
static const char *damage_text(uint32_t damage) {
        static const char *const table[] = {
                [PKRAM_DAMAGE_NONE]     = "nobody knows why",
                [PKRAM_DAMAGE_HEADER]   = "a page that describes it is not one, or not its own",
                [PKRAM_DAMAGE_CHECKSUM] = "a page that describes it does not match its checksum",
                [PKRAM_DAMAGE_BOUNDS]   = "a number in its description is out of range",
                [PKRAM_DAMAGE_RANGE]    = "a page of it lies outside of the preserved memory",
                [PKRAM_DAMAGE_TWICE]    = "a page of it is claimed twice",
                [PKRAM_DAMAGE_COUNT]    = "the totals in its description do not add up",
                [PKRAM_DAMAGE_NAME]     = "its name is invalid or taken",
                [PKRAM_DAMAGE_BUSY]     = "a page of it is used by the firmware or the boot loader",
        };

        return damage < ELEMENTSOF(table) ? table[damage] : "of a kind of damage that this program does not know";
}

/* Why nothing at all came back, or NULL if that is not so. */
static const char *boot_failure_text(uint32_t result) {
        switch (result) {
        case PKRAM_BOOT_NOTHING:
                return "pkram= on the command line points at memory that holds no super block";
        case PKRAM_BOOT_STALE:
                return "the super block was not sealed for this boot: after a crash, a kernel without PKRAM in between, "
                        "or an old pkram= on the command line";
        case PKRAM_BOOT_DAMAGED:
                return "the super block or the map of preserved memory failed its checks";
        case PKRAM_BOOT_VERSION:
                return "it is in a format that this kernel does not read";
        default:
                return NULL;
        }
}

static JournalFields node_fields(const StoreNode *node, const struct pkram_ioctl_info *info) {
        JournalFields f = JOURNAL_FIELDS_NONE;

        f.node = node->info.name;
        f.owner = node->owner;
        f.kernel = info->prev_release[0] ? info->prev_release : NULL;
        f.bytes = store_pages_to_bytes(node->info.data_pages);
        f.objects = node->objects;
        f.generation = node->info.generation;
        return f;
}

static void log_restored(const StoreNode *node, const struct pkram_ioctl_info *info) {
        JournalFields f = node_fields(node, info);
        char bytes[FORMAT_MAX], usec[FORMAT_MAX];

        f.usec = info->restored_ns / NSEC_PER_USEC;
        journal_entry(LOG_INFO, PKRAM_MESSAGE_RESTORED_STR, &f,
                      "Restored node '%s' of %s: %llu objects, %s, kexecs survived: %llu, from kernel %s, all nodes in %s.",
                      f.node, f.owner, (unsigned long long) f.objects, format_bytes(bytes, f.bytes),
                      (unsigned long long) f.generation, f.kernel ?: "unknown", format_usec(usec, f.usec));
}

static void log_lost(const StoreNode *node, const struct pkram_ioctl_info *info) {
        JournalFields f = node_fields(node, info);
        char bytes[FORMAT_MAX];

        f.kernel = NULL;
        journal_entry(LOG_WARNING, PKRAM_MESSAGE_LOST_STR, &f,
                      "Node '%s' of %s is lost, since the system goes down without kexec: %llu objects, %s.",
                      f.node, f.owner, (unsigned long long) f.objects, format_bytes(bytes, f.bytes));
}

static int log_nodes(Store *s, const struct pkram_ioctl_info *info, bool lost, uint64_t *ret_n, uint64_t *ret_bytes) {
        const Peer root = { .pidfd = -EBADF, .owner = (char *) "uid:0" };
        _cleanup_(store_list_freep) StoreList *l = NULL;
        uint64_t n = 0, bytes = 0;
        int r;

        r = store_list_new(s, &root, &l, /* reterr_error= */ NULL);
        if (r < 0)
                return r;

        for (;;) {
                _cleanup_node_ StoreNode node = {};

                r = store_list_next(l, &node, /* reterr_error= */ NULL);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;

                if (lost)
                        log_lost(&node, info);
                else if (node.info.flags & PKRAM_NODE_INHERITED)
                        log_restored(&node, info);
                else
                        continue;

                n++;
                (void) inc_u64(&bytes, store_pages_to_bytes(node.info.data_pages));
        }

        *ret_n = n;
        *ret_bytes = bytes;
        return 0;
}

static int log_dropped(const PkramDevice *device, const struct pkram_ioctl_info *info) {
        struct pkram_node_info nodes[16];
        uint64_t cursor = 0;
        uint32_t n;
        int r;

        do {
                r = pkram_device_list(device, PKRAM_LIST_DROPPED, &cursor, nodes, ELEMENTSOF(nodes), &n);
                if (r < 0)
                        return r;

                for (uint32_t i = 0; i < n; i++) {
                        JournalFields f = JOURNAL_FIELDS_NONE;

                        f.node = nodes[i].name;
                        f.kernel = info->prev_release[0] ? info->prev_release : NULL;
                        journal_entry(LOG_ERR, PKRAM_MESSAGE_DROPPED_STR, &f,
                                      "Dropped node '%s', which the previous kernel kept: %s.",
                                      nodes[i].name[0] ? nodes[i].name : "(unknown)", damage_text(nodes[i].damage));
                }
        } while (n == ELEMENTSOF(nodes));

        return 0;
}

static int run(const PkramDevice *device, bool lost) {
        _cleanup_(store_freep) Store *s = NULL;
        struct pkram_ioctl_info info;
        char text[FORMAT_MAX], usec[FORMAT_MAX];
        const char *failure;
        uint64_t n, bytes;
        Config config;
        int r;

        config_init(&config);
        r = store_new(device, &config, &s);
        if (r < 0)
                return log_error_errno(r, "The store cannot be set up");

        r = store_info(s, &info, /* reterr_error= */ NULL);
        if (r < 0 && pkram_errno_is_missing(r)) {
                log_info("This kernel has no PKRAM: nothing is stored.");
                return 0;
        }
        if (r < 0)
                return log_error_errno(r, PKRAM_DEVICE " cannot be used");
        if (info.boot_result == PKRAM_BOOT_OFF) {
                log_info("PKRAM is off in this kernel: nothing is stored.");
                return 0;
        }

        r = log_nodes(s, &info, lost, &n, &bytes);
        if (r < 0)
                return log_error_errno(r, "The stored nodes cannot be listed");
        if (lost)
                return 0;

        failure = boot_failure_text(info.boot_result);
        if (failure) {
                JournalFields f = JOURNAL_FIELDS_NONE;

                journal_entry(LOG_WARNING, PKRAM_MESSAGE_DROPPED_STR, &f, "Nothing came back from the previous kernel: %s.", failure);
                return 0;
        }

        r = log_dropped(device, &info);
        if (r < 0)
                return log_error_errno(r, "The dropped nodes cannot be listed");

        if (info.boot_result == PKRAM_BOOT_RESTORED || info.boot_result == PKRAM_BOOT_PARTIAL)
                log_info("Restored %llu nodes with %s from kernel %s in %s, dropped %llu.",
                         (unsigned long long) n, format_bytes(text, bytes), info.prev_release,
                         format_usec(usec, info.restored_ns / NSEC_PER_USEC), (unsigned long long) info.nr_dropped);
        return 0;
}

#ifndef PKRAM_RESTORE_TEST
int main(int argc, char *argv[]) {
        bool lost = argc == 2 && streq(argv[1], "--lost");

        if (argc == 2 && streq(argv[1], "--version")) {
                puts("pkram-restore " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }

        if (argc > 1 && !lost) {
                bool help = argc == 2 && streq(argv[1], "--help");

                (void) fputs("pkram-restore [--lost|--help|--version]\n\n"
                             "Logs which nodes came back from the previous kernel, or with --lost which are about to be lost.\n"
                             "Run by pkram-restore.service and pkram-shutdown.service.\n", help ? stdout : stderr);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }

        return run(&pkram_device_kernel, lost) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
