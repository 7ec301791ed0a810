/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "format.h"
#include "log.h"
#include "log-tail.h"
#include "name.h"
#include "pkram-messages.h"
#include "report.h"
#include "returned.h"
#include "system-node.h"
#include "time-util.h"

/* Returns what a kind of damage means, to follow "Dropped node 'x' of the previous kernel: ". */
static const char *damage_text(uint32_t damage) {
        static const char *const table[] = {
                [PKRAM_DAMAGE_NONE]     = "unknown reason",
                [PKRAM_DAMAGE_HEADER]   = "invalid metadata page",
                [PKRAM_DAMAGE_CHECKSUM] = "metadata checksum mismatch",
                [PKRAM_DAMAGE_BOUNDS]   = "a value in its metadata is out of range",
                [PKRAM_DAMAGE_RANGE]    = "a page lies outside of the preserved memory",
                [PKRAM_DAMAGE_TWICE]    = "a page is claimed twice",
                [PKRAM_DAMAGE_COUNT]    = "the totals in its metadata do not add up",
                [PKRAM_DAMAGE_NAME]     = "invalid or duplicate name",
                [PKRAM_DAMAGE_BUSY]     = "a page is used by the firmware or the boot loader",
                [PKRAM_DAMAGE_FEATURE]  = "it needs a feature that the running kernel does not have",
        };

        return damage < ELEMENTSOF(table) ? table[damage] : "unknown kind of damage";
}

/* Returns why nothing at all was restored, or NULL if that is not so. */
static const char *boot_failure_text(uint32_t result) {
        switch (result) {
        case PKRAM_BOOT_NOTHING:
                return "pkram= on the command line points at memory that holds no super block";
        case PKRAM_BOOT_STALE:
                return "the super block was not sealed for this boot: after a crash, a kernel without PKRAM in "
                        "between, or an old pkram= on the command line";
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

        f.node = node->name;
        f.owner = node->owner;
        f.kernel = info->prev_release[0] ? info->prev_release : NULL;
        f.bytes = node->bytes;
        f.objects = node->objects;
        f.generation = node->info.generation;
        return f;
}

static void log_restored(const StoreNode *node, const struct pkram_ioctl_info *info) {
        JournalFields f = node_fields(node, info);
        char bytes[FORMAT_MAX], usec[FORMAT_MAX];

        f.usec = info->restored_ns / NSEC_PER_USEC;
        journal_entry(LOG_INFO, PKRAM_MESSAGE_RESTORED_STR, &f,
                      "Restored node '%s' of %s: %llu object%s, %s, kexecs survived: %llu, from kernel %s, "
                      "all nodes in %s.", f.node, f.owner, (unsigned long long) f.objects, f.objects == 1 ? "" : "s",
                      format_bytes(bytes, f.bytes), (unsigned long long) f.generation, f.kernel ?: "unknown",
                      format_usec(usec, f.usec));
}

static const PersistNode *plan_find(const PersistPlan *plan, uint64_t id) {
        for (size_t i = 0; plan && i < plan->n; i++)
                if (plan->nodes[i].id == id)
                        return plan->nodes + i;
        return NULL;
}

static void log_lost(const StoreNode *node, const struct pkram_ioctl_info *info, const PersistPlan *plan) {
        const PersistNode *planned = plan_find(plan, node->info.id);
        JournalFields f = node_fields(node, info);
        char bytes[FORMAT_MAX];
        bool why;

        f.kernel = NULL;
        (void) format_bytes(bytes, f.bytes);
        if (planned && planned->written) {
                journal_entry(LOG_INFO, PKRAM_MESSAGE_PERSISTED_STR, &f,
                              "Wrote node '%s' of %s to disk for the next boot: %llu object%s, %s.",
                              f.node, f.owner, (unsigned long long) f.objects, f.objects == 1 ? "" : "s", bytes);
                return;
        }
        /* What keeps all nodes from the disk was logged once. */
        why = planned && !(planned->drop == PERSIST_DROP_FAILED && plan->error < 0);
        journal_entry(LOG_WARNING, PKRAM_MESSAGE_LOST_STR, &f,
                      "Node '%s' of %s will be lost in this shutdown: %llu object%s, %s%s%s.",
                      f.node, f.owner, (unsigned long long) f.objects, f.objects == 1 ? "" : "s", bytes,
                      why ? "; not written to disk: " : "", why ? persist_drop_text(planned) : "");
}

/* Marks what the old system recorded as found. It may have been a pkramd that recorded no owners. */
static void mark_found(KexecRecord *record, const char *owner, const char *name) {
        for (size_t i = 0; i < record->n_nodes; i++) {
                KexecRecordNode *n = record->nodes + i;

                /*
                 * An older tree with the name may have been restored, but not that one. A tree that was mounted has no
                 * older one: it was stored just before the kexec.
                 */
                if ((!n->unstored || n->why == TREE_LOST_MOUNTED) && streq(n->name, name) &&
                    (!n->owner || !owner || streq(n->owner, owner)))
                        n->found = true;
        }
}

/* Names shared memory whose node was restored. */
static int report_add_shared(KexecReport *report, const StoreNode *node) {
        _cleanup_free_ char *name = NULL;
        int r;

        r = returned_shared_name(node->owner, node->name, &name);
        return r > 0 && report->shared.n < KEXEC_RECORD_NODES_MAX ? string_list_add(&report->shared, name) : MIN(r, 0);
}

/* Every node: as lost or written to disk without a report, else as restored, if an earlier kernel stored it. */
static int log_nodes(Store *s, const struct pkram_ioctl_info *info, const PersistPlan *plan, KexecReport *report) {
        const Peer root = { .pidfd = -EBADF, .owner = (char *) OWNER_ROOT };
        _cleanup_(store_list_freep) StoreList *l = NULL;
        int r;

        r = store_list_new(s, &root, /* owner= */ NULL, &l, /* reterr_error= */ NULL);
        if (r < 0)
                return r;

        for (;;) {
                _cleanup_node_ StoreNode node = {};

                r = store_list_next(l, &node, /* reterr_error= */ NULL);
                if (r < 0)
                        return r;
                if (r == 0)
                        return 0;

                if (system_node_name(node.info.name))
                        continue;
                if (!report) {
                        log_lost(&node, info, plan);
                        continue;
                }
                if (!(node.info.flags & PKRAM_NODE_INHERITED))
                        continue;
                log_restored(&node, info);
                mark_found(&report->record, node.owner, node.name);
                r = report_add_shared(report, &node);
                if (r < 0)
                        return r;
                report->restored_nodes++;
                (void) inc_u64(&report->restored_bytes, node.bytes);
        }
}

static int log_dropped(const PkramDevice *device, const struct pkram_ioctl_info *info, KexecReport *report) {
        struct pkram_node_info nodes[16];
        uint64_t cursor = 0;
        uint32_t n;
        int r;

        do {
                r = pkram_device_list(device, PKRAM_LIST_DROPPED, &cursor, nodes, ELEMENTSOF(nodes), &n);
                if (r < 0)
                        return r;

                for (uint32_t i = 0; i < n; i++) {
                        _cleanup_free_ char *text = name_sanitize(nodes[i].name);
                        const char *name = nodes[i].name[0] ? text : NULL, *owner = NULL;
                        JournalFields f = JOURNAL_FIELDS_NONE;
                        KernelName kernel_owner, kernel_name;

                        if (!text)
                                return -ENOMEM;
                        /* What describes it is gone, but its kernel name may tell whose it was. */
                        if (node_name_decode(nodes[i].name, &kernel_owner, &kernel_name)) {
                                owner = kernel_owner.text;
                                name = kernel_name.text;
                        }

                        f.node = name ?: "";
                        f.owner = owner;
                        f.kernel = info->prev_release[0] ? info->prev_release : NULL;
                        journal_entry(LOG_ERR, PKRAM_MESSAGE_DROPPED_STR, &f,
                                      "Dropped node '%s'%s%s of the previous kernel: %s.",
                                      name ?: "(unknown)", owner ? " of " : "", owner ?: "",
                                      damage_text(nodes[i].damage));
                        if (name)
                                mark_found(&report->record, owner, name);
                        r = kexec_report_add_lost(report, owner, name, damage_text(nodes[i].damage));
                        if (r < 0)
                                return r;
                }
        } while (n == ELEMENTSOF(nodes));

        return 0;
}

/* Returns why a tree was not stored, to follow "Tree 'x' was lost: ". */
static const char *unstored_text(TreeLost why) {
        static const char *const table[] = {
                [TREE_LOST_UNKNOWN] = "it could not be stored during shutdown; see 'journalctl -b -1' and 'journalctl "
                        "-b -t pkram-replay'",
                [TREE_LOST_IN_USE]  = "it was in use for writing during shutdown; see 'journalctl -b -1' for the "
                                      "processes, and add RequiresMountsFor= or After= to their units",
                [TREE_LOST_TIMEOUT] = "it took longer to store than its unit may take to stop; "
                                      "raise TimeoutStopSec= of pkram-tree@.service, TimeoutSec= of a mount unit, "
                                      "or x-systemd.mount-timeout= in /etc/fstab",
                [TREE_LOST_MOUNTED] = "it was mounted when the kexec started without a shutdown, "
                                      "as with 'kexec -e' or 'systemctl kexec --force'; 'systemctl kexec' stores "
                                      "trees first",
        };

        return table[why];
}

/* Logs what the old system had and was neither restored nor dropped by name, and what it could not store. */
static int log_missing(const struct pkram_ioctl_info *info, KexecReport *report) {
        static const char gone[] = "it was stored before the kexec but is missing; see 'journalctl -k -g pkram'";
        int r;

        for (size_t i = 0; i < report->record.n_nodes; i++) {
                const KexecRecordNode *n = report->record.nodes + i;
                const char *reason = n->unstored ? unstored_text(n->why) : gone;
                JournalFields f = JOURNAL_FIELDS_NONE;

                if (n->found)
                        continue;
                f.node = n->name;
                f.owner = n->owner;
                f.bytes = n->bytes;
                f.kernel = info->prev_release[0] ? info->prev_release : NULL;
                journal_entry(LOG_ERR, PKRAM_MESSAGE_DROPPED_STR, &f, "%s '%s'%s%s was lost: %s.",
                              n->unstored ? "Tree" : "Node", n->name, n->owner ? " of " : "", n->owner ?: "", reason);
                r = kexec_report_add_lost(report, n->owner, n->name, reason);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void log_sealed(const struct pkram_ioctl_info *info) {
        JournalFields f = JOURNAL_FIELDS_NONE;
        char when[FORMAT_MAX];

        if (info->sealed_ns == 0)
                return;
        f.kernel = info->prev_release[0] ? info->prev_release : NULL;
        f.realtime_usec = info->sealed_ns / NSEC_PER_USEC;
        journal_entry(LOG_INFO, PKRAM_MESSAGE_SEALED_STR, &f, "Kernel %s sealed what it kept at %s.",
                      f.kernel ?: "unknown", format_timestamp(when, f.realtime_usec));
}

/* Takes out a node that the old system stored for itself. 1: *ret and *ret_size are it; 0: there is none that can be
 * used. */
static int take_system_node(const PkramDevice *device, const char *name, PkramHandle *ret_handle, char **ret,
                            size_t *ret_size) {
        int r;

        r = system_node_load(device, name, ret_handle, ret, ret_size);
        if (r == -ENOENT)
                return 0;
        if (r == -EBADMSG || r == -EFBIG) {
                log_warning("Failed to parse node '%s' of the previous system, removing it.", name);
                r = system_node_remove(ret_handle, name);
                return r < 0 ? r : 0;
        }
        return r < 0 ? r : 1;
}

static int take_record(const PkramDevice *device, KexecRecord *ret) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = take_system_node(device, SYSTEM_NODE_RECORD, &h, &text, &n);
        if (r <= 0)
                return r;
        r = kexec_record_parse(text, n, ret);
        if (r == -EBADMSG)
                log_warning("Ignoring the previous system's record of the kexec, which cannot be parsed.");
        else if (r < 0)
                return r;
        return system_node_remove(&h, SYSTEM_NODE_RECORD);
}

/* Writes the last lines of the old system into this one's journal, marked as such. */
static int replay_log(const PkramDevice *device, const struct pkram_ioctl_info *info, uint64_t *ret_lines) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_log_tail_ LogTail tail = {};
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = take_system_node(device, SYSTEM_NODE_LOG, &h, &text, &n);
        if (r <= 0)
                return r;
        r = log_tail_parse(text, n, &tail);
        if (r == -EBADMSG)
                log_warning("Ignoring the last lines of the previous system's log, which cannot be parsed.");
        else if (r < 0)
                return r;

        for (size_t i = 0; i < tail.n_lines; i++) {
                JournalFields f = JOURNAL_FIELDS_NONE;

                f.identifier = "pkram-replay";
                f.boot_id = tail.boot_id;
                f.realtime_usec = tail.lines[i].usec;
                f.kernel = info->prev_release[0] ? info->prev_release : NULL;
                journal_entry(tail.lines[i].priority, PKRAM_MESSAGE_REPLAYED_STR, &f, "%s", tail.lines[i].text);
        }
        *ret_lines = tail.n_lines;

        /* Twice is better than never: it goes only now. */
        return system_node_remove(&h, SYSTEM_NODE_LOG);
}

/* When this kernel began, by the clock on the wall. */
static uint64_t started_usec(void) {
        uint64_t now = now_usec(CLOCK_REALTIME), up = now_usec(CLOCK_BOOTTIME);

        return now > up ? now - up : 0;
}

/* Fills in what is known, and logs it on the way. */
static int make_report(Store *s, const PkramDevice *device, const struct pkram_ioctl_info *info, KexecReport *report) {
        char text[FORMAT_MAX], usec[FORMAT_MAX];
        const char *failure;
        int r;

        report->started_usec = started_usec();
        if (info->prev_release[0]) {
                report->previous_kernel = strdup(info->prev_release);
                if (!report->previous_kernel)
                        return log_error_errno(-ENOMEM, "Failed to create kexec report");
        }

        failure = boot_failure_text(info->boot_result);
        if (failure) {
                JournalFields f = JOURNAL_FIELDS_NONE;

                journal_entry(LOG_WARNING, PKRAM_MESSAGE_DROPPED_STR, &f,
                              "Nothing restored from the previous kernel: %s.", failure);
                r = kexec_report_add_lost(report, /* owner= */ NULL, /* name= */ NULL, failure);
                return r < 0 ? log_error_errno(r, "Failed to create kexec report") : 0;
        }

        report->sealed_usec = info->sealed_ns > 0 ? info->sealed_ns / NSEC_PER_USEC : UINT64_MAX;
        log_sealed(info);
        r = take_record(device, &report->record);
        if (r < 0)
                return log_error_errno(r, "Failed to read the previous system's record of the kexec");
        r = log_nodes(s, info, /* plan= */ NULL, report);
        if (r < 0)
                return log_error_errno(r, "Failed to list nodes");
        r = log_dropped(device, info, report);
        if (r >= 0)
                r = log_missing(info, report);
        if (r < 0)
                return log_error_errno(r, "Failed to list dropped nodes");
        log_info("Restored %llu node%s with %s from kernel %s in %s, dropped %llu.",
                 (unsigned long long) report->restored_nodes, report->restored_nodes == 1 ? "" : "s",
                 format_bytes(text, report->restored_bytes), info->prev_release,
                 format_usec(usec, info->restored_ns / NSEC_PER_USEC), (unsigned long long) report->lost_nodes);

        r = replay_log(device, info, &report->log_lines);
        return r < 0 ? log_error_errno(r, "Failed to read the last lines of the previous system's log") : 0;
}

int report_lost(Store *s, const struct pkram_ioctl_info *info, const PersistPlan *plan) {
        int r = log_nodes(s, info, plan, /* report= */ NULL);

        return r < 0 ? log_error_errno(r, "Failed to list nodes") : 0;
}

int report_waiting(const PkramDevice *device, struct json_object **ret) {
        const Peer root = { .pidfd = -EBADF, .owner = (char *) OWNER_ROOT };
        _cleanup_json_ struct json_object *names = json_object_new_array();
        _cleanup_(store_list_freep) StoreList *l = NULL;
        _cleanup_(store_freep) Store *s = NULL;
        Config config;
        int r;

        config_init(&config);
        r = names ? store_new(device, &config, &s) : -ENOMEM;
        if (r >= 0)
                r = store_list_new(s, &root, /* owner= */ OWNER_ROOT, &l, /* reterr_error= */ NULL);
        while (r >= 0) {
                _cleanup_node_ StoreNode node = {};
                _cleanup_free_ char *name = NULL;

                r = store_list_next(l, &node, /* reterr_error= */ NULL);
                if (r <= 0)
                        break;
                if (node.info.flags & PKRAM_NODE_INHERITED)
                        r = returned_shared_name(node.owner, node.name, &name);
                if (name)
                        r = json_append(names, json_object_new_string(name));
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(names);
        return 0;
}

int report_restored(Store *s, const PkramDevice *device, const struct pkram_ioctl_info *info,
                    const char *report_path) {
        _cleanup_report_ KexecReport report = KEXEC_REPORT_NONE;
        int r;

        /* /run and the kernel outlive a soft-reboot: nothing has been restored since. */
        if (access(report_path, F_OK) >= 0) {
                log_info("The last kexec has been reported already.");
                return 0;
        }
        if (info->boot_result == PKRAM_BOOT_NONE)
                return 0;

        r = make_report(s, device, info, &report);
        if (r < 0)
                return r;
        report.restored_usec = now_usec(CLOCK_REALTIME);
        r = kexec_report_write(report_path, &report);
        return r < 0 ? log_error_errno(r, "Failed to write '%s'", report_path) : 0;
}
