/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/inotify.h>

#include "device-disk.h"
#include "kexec-record.h"
#include "kexec-trees.h"
#include "log.h"
#include "mount-table.h"
#include "name.h"
#include "system-node.h"
#include "tree-record.h"

/* Where libmount replaces utab. It makes the directory for the first mount. */
#define UTAB_PARENT "/run"
#define UTAB_DIRECTORY "mount"

static int tree_record_add_tree(const KexecTree *tree, void *userdata) {
        if (name_validate(tree->name, NULL) < 0)
                return 0;
        return kexec_record_add_unstored(userdata, OWNER_ROOT, tree->name, TREE_LOST_MOUNTED);
}

static int remove_record(const PkramDevice *device) {
        _cleanup_handle_ PkramHandle h = PKRAM_HANDLE_NONE;
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = system_node_load(device, SYSTEM_NODE_RECORD, &h, &text, &n);
        if (r == -ENOENT)
                return 0;
        if (r < 0 && r != -EBADMSG && r != -EFBIG)
                return r;
        return system_node_remove(&h, SYSTEM_NODE_RECORD);
}

int tree_record_update(Manager *m) {
        _cleanup_record_ KexecRecord record = KEXEC_RECORD_NONE;
        const PkramDevice *device = store_device(m->store);
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = kexec_for_each_tree(m->utab_path, m->mounts_path ?: MOUNT_TABLE, tree_record_add_tree, &record);
        if (r >= 0 && record.n_nodes > 0)
                r = kexec_record_format(&record, &text, &n);
        if (r < 0 || (text && m->tree_record && streq(text, m->tree_record)) || (!text && !m->tree_record))
                return r;

        r = text ? system_node_save(device, SYSTEM_NODE_RECORD, text, n) : remove_record(device);
        if (r < 0)
                return pkram_errno_is_missing(r) ? 0 : r;
        free(m->tree_record);
        m->tree_record = TAKE_PTR(text);
        return 0;
}

static void update_and_log(Manager *m) {
        int r;

        r = tree_record_update(m);
        if (r < 0)
                log_warning("Failed to note which trees are mounted, ignoring: %s", strerror(-r));
}

static int on_table(_unused_ sd_event_source *source, const struct inotify_event *event, void *userdata) {
        if (event->mask & IN_Q_OVERFLOW || (event->len > 0 && streq(event->name, "utab")))
                update_and_log(userdata);
        return 0;
}

static int watch_table(Manager *m) {
        int r;

        m->tree_record_table = sd_event_source_disable_unref(m->tree_record_table);
        r = sd_event_add_inotify(m->event, &m->tree_record_table, UTAB_PARENT "/" UTAB_DIRECTORY,
                                 IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_ONLYDIR, on_table, m);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                update_and_log(m);
        return r;
}

static int on_parent(_unused_ sd_event_source *source, const struct inotify_event *event, void *userdata) {
        int r;

        if (event->len == 0 || !streq(event->name, UTAB_DIRECTORY))
                return 0;
        r = watch_table(userdata);
        if (r < 0)
                log_warning("Failed to watch the table of mounted trees, ignoring: %s", strerror(-r));
        return 0;
}

void tree_record_start(Manager *m) {
        struct pkram_ioctl_info info;
        int r;

        /* The next boot looks for the record in memory only, and a crash or power loss is no kexec. */
        r = store_info(m->store, &info, /* reterr_error= */ NULL);
        if (r >= 0 && (info.flags & DISK_INFO_FLAG))
                return;

        r = sd_event_add_inotify(m->event, &m->tree_record_parent, UTAB_PARENT, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR,
                                 on_parent, m);
        if (r >= 0)
                r = watch_table(m);
        if (r < 0)
                log_warning("Failed to watch the table of mounted trees, ignoring: %s", strerror(-r));
}

void tree_record_stop(Manager *m) {
        m->tree_record_parent = sd_event_source_disable_unref(m->tree_record_parent);
        m->tree_record_table = sd_event_source_disable_unref(m->tree_record_table);
        free(m->tree_record);
        m->tree_record = NULL;
}
