/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "device-disk.h"
#include "json-util.h"
#include "kexec-report.h"
#include "log.h"
#include "methods.h"
#include "run-notes.h"

static struct json_object *status_limits_to_json(const Config *c, const struct pkram_ioctl_info *info) {
        _cleanup_json_ struct json_object *array = json_object_new_array();

        if (!array)
                return NULL;

        for (LimitId i = 0; i < _LIMIT_MAX; i++) {
                _cleanup_json_ struct json_object *o = json_object_new_object();

                if (!o ||
                    json_add_string(o, "name", limit_name(i)) < 0 ||
                    json_add_u64(o, "maximum", c->limit[i]) < 0)
                        return NULL;
                if (info && i == LIMIT_TOTAL_BYTES &&
                    json_add_u64(o, "current", store_pages_to_bytes(info->data_pages + info->meta_pages)) < 0)
                        return NULL;
                if (info && i == LIMIT_NODES && json_add_u64(o, "current", info->nr_nodes) < 0)
                        return NULL;
                if (json_append(array, TAKE_PTR(o)) < 0)
                        return NULL;
        }

        return TAKE_PTR(array);
}

/* root: the address of the super block is for root only, as it is in sysfs. */
static int add_kernel_fields(struct json_object *o, const struct pkram_ioctl_info *i, bool root) {
        char pfn[2 * sizeof(i->super_pfn) + 1];

        (void) snprintf(pfn, sizeof(pfn), "%llx", (unsigned long long) i->super_pfn);

        if (json_add_int(o, "interfaceVersion", i->uapi_version) < 0 ||
            json_add_int(o, "formatVersion", i->format_version) < 0 ||
            json_add_string(o, "bootResult", boot_result_to_string(i->boot_result)) < 0 ||
            json_add_string(o, "imageState", image_state_to_string(i->image_state)) < 0 ||
            (root && json_add_string(o, "superBlock", pfn) < 0) ||
            json_add_u64(o, "generation", i->generation) < 0 ||
            json_add_u64(o, "nodes", i->nr_nodes) < 0 ||
            json_add_u64(o, "droppedNodes", i->nr_dropped) < 0 ||
            json_add_u64(o, "bytes", store_pages_to_bytes(i->data_pages)) < 0 ||
            json_add_u64(o, "metadataBytes", store_pages_to_bytes(i->meta_pages)) < 0 ||
            json_add_u64(o, "restoreUSec", i->restored_ns / NSEC_PER_USEC) < 0)
                return -ENOMEM;

        if (i->prev_release[0] && json_add_string(o, "previousKernel", i->prev_release) < 0)
                return -ENOMEM;
        if (i->sealed_ns > 0 && json_add_u64(o, "sealedUSec", i->sealed_ns / NSEC_PER_USEC) < 0)
                return -ENOMEM;
        return 0;
}

/* What pkram-restore left about the kexec that started this kernel. Nothing, if none did, or it has not looked yet. */
static int add_last_kexec(struct json_object *o, const char *path, const Peer *peer) {
        _cleanup_json_ struct json_object *report = NULL;
        int r;

        r = kexec_report_read(path, &report);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return 0;
        /* Names of nodes are shown only to clients that could have listed them; every client may know the number. */
        if (!peer_may(peer, OWNER_KERNEL)) {
                kexec_report_hide_names(report);
                if (json_add(report, "lost", json_object_new_array()) < 0)
                        return -ENOMEM;
        }
        return json_add(o, "lastKexec", TAKE_PTR(report));
}

static int add_notes(struct json_object *o, const char *key, const char *directory) {
        _cleanup_json_ struct json_object *notes = NULL;
        int r;

        r = run_notes_read(directory, &notes);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                log_warning("Failed to read notes in %s, ignoring: %s", directory, strerror(-r));
                return 0;
        }
        return json_object_array_length(notes) == 0 ? 0 : json_add(o, key, TAKE_PTR(notes));
}

int add_run_notes(struct json_object *o, const Peer *peer) {
        int r;

        if (!peer_may(peer, OWNER_KERNEL))
                return 0;
        r = add_notes(o, "guests", GUESTS_DIRECTORY);
        return r < 0 ? r : add_notes(o, "processes", PROCESSES_DIRECTORY);
}

/* Returns why nodes cannot be written to disk now, or in memory at shutdown, or older ones read from there. NULL if
 * they can be, or if the disk is not used. */
static const char *status_disk_problem(const Config *c, const struct pkram_ioctl_info *info) {
        int r;

        if (info->flags & DISK_INFO_FLAG)
                return disk_problem_text(info->flags & DISK_INFO_FULL ? -EDQUOT :
                                         info->flags & DISK_INFO_READ_ONLY ? -EROFS : 0);
        /* A directory that has no nodes matters only if it is to be written to. */
        if (!c->disk ||
            (config_persist(c) == PERSIST_NO && !disk_may_have_nodes(PKRAM_DISK_DIRECTORY "/state")))
                return NULL;
        r = disk_directory_check(PKRAM_DISK_DIRECTORY);
        return r < 0 ? disk_error_text(r) : NULL;
}

int vl_method_get_status(
                Varlink *link,
                _unused_ struct json_object *parameters,
                _unused_ VarlinkFlags flags,
                void *userdata) {

        Manager *m = userdata;
        const Peer *peer = varlink_userdata(link);
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_error_ StoreError e = {};
        struct pkram_ioctl_info info;
        const char *problem = NULL;
        bool supported, denied;
        int r;

        r = store_info_of_clients(m->store, &info, &e);
        /* A device that may not be opened is of no use either, and the reason is part of the status. */
        denied = r == -EPERM || r == -EACCES;
        if (r < 0 && e.kind != STORE_ERROR_NOT_SUPPORTED && !denied && !disk_problem_text(r))
                return reply_store_error(link, r, &e);
        supported = r >= 0 && info.boot_result != PKRAM_BOOT_OFF;
        if (r < 0)
                problem = disk_problem_text(r);
        else
                problem = status_disk_problem(&m->config, &info);
        if (r >= 0 && !supported)
                (void) store_error_set(&e, -ENODEV, STORE_ERROR_NOT_SUPPORTED, NULL,
                                       "PKRAM is disabled: this is a kdump kernel, memory encryption is active, "
                                       "or the super block could not be allocated.");

        o = json_object_new_object();
        if (!o ||
            json_add_string(o, "version", PKRAM_VERSION) < 0 ||
            json_add_bool(o, "supported", supported) < 0 ||
            (!supported && json_add_string(o, "reason", e.reason ?: problem ?: "") < 0) ||
            (denied && json_add_bool(o, "accessDenied", true) < 0) ||
            (problem && json_add_string(o, "diskProblem", problem) < 0) ||
            (supported && json_add_string(o, "place", place_to_string(info.flags & DISK_INFO_FLAG)) < 0) ||
            json_add_string(o, "owner", peer->owner) < 0 ||
            json_add_string(o, "kexecPolicy", kexec_policy_to_string(m->config.kexec_policy)) < 0 ||
            json_add(o, "limits", status_limits_to_json(&m->config, supported ? &info : NULL)) < 0 ||
            (r >= 0 && add_kernel_fields(o, &info, peer->uid == 0) < 0) ||
            add_last_kexec(o, m->report_path, peer) < 0 || add_run_notes(o, peer) < 0)
                return -ENOMEM;

        return varlink_reply(link, TAKE_PTR(o));
}
