/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/sysmacros.h>

#include "fdstore-node.h"
#include "fdstore-policy.h"
#include "file-util.h"
#include "kexec-units.h"
#include "log.h"
#include "service-manager.h"

/* More descriptors than a process can have are no valid answer. */
#define STORED_FDS_MAX (1U << 20)

void stored_fds_done(StoredFds *s) {
        for (size_t i = 0; i < s->n; i++) {
                free(s->fds[i].name);
                free(s->fds[i].path);
        }
        free(s->fds);
        *s = (StoredFds) {};
}

void preserving_units_done(PreservingUnits *u) {
        for (size_t i = 0; i < u->n; i++) {
                free(u->units[i].name);
                free(u->units[i].notify_access);
        }
        free(u->units);
        *u = (PreservingUnits) {};
}

/*
 * Reads the drop-in that the generator wrote for this boot, if it has been loaded. The caller frees *ret, which is
 * NULL if there is none. Returns 0, or a negative errno.
 */
static int generated_drop_in_read(sd_bus *bus, const char *root, const char *path, char **ret) {
        _cleanup_free_ char *found = NULL;
        char **paths = NULL;
        size_t size;
        int r;

        r = sd_bus_get_property_strv(bus, MANAGER_NAME, path, UNIT_IFACE, "DropInPaths", /* reterr_error= */ NULL,
                                     &paths);
        if (r < 0)
                return r;
        for (char **p = paths; p && *p; p++) {
                const char *name = strrchr(*p, '/');

                if (r >= 0 && name && streq(name + 1, FDSTORE_DROP_IN_NAME) &&
                    asprintf(&found, "%s%s", root, *p) < 0) {
                        found = NULL;
                        r = -ENOMEM;
                }
                free(*p);
        }
        free(paths);
        if (r < 0 || !found)
                return r;
        r = file_read(found, KIB(64), ret, &size);
        return r == -ENOENT ? 0 : MIN(r, 0);
}

/* Undoes what the drop-in changed: it serves a single start, but stays loaded. */
static int preserving_unit_correct(sd_bus *bus, const char *root, const char *path, PreservingUnit *unit) {
        _cleanup_free_ char *drop_in = NULL, *main_only = NULL;
        int r;

        r = generated_drop_in_read(bus, root, path, &drop_in);
        if (r < 0 || !drop_in)
                return r;
        if (strstr(drop_in, FDSTORE_DROP_IN_ROOT)) {
                unit->rooted = true;
                unit->has_commands = false;
        }
        if (strstr(drop_in, FDSTORE_DROP_IN_NOTIFY)) {
                main_only = strdup("main");
                if (!main_only)
                        return -ENOMEM;
                free(unit->notify_access);
                unit->notify_access = TAKE_PTR(main_only);
        }
        return 0;
}

/* Is an array property of a unit empty? Returns 1, 0, or a negative errno. */
static int unit_property_is_empty(sd_bus *bus, const char *path, const char *property) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *contents;
        char type;
        int r;

        r = sd_bus_get_property(bus, MANAGER_NAME, path, SERVICE_IFACE, property, /* reterr_error= */ NULL, &reply,
                                "a(sasbttttuii)");
        if (r >= 0)
                r = sd_bus_message_peek_type(reply, &type, &contents);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, type, contents);
        return r < 0 ? r : sd_bus_message_at_end(reply, /* complete= */ false) != 0;
}

/* Finds out how the unit changes its root. */
static int preserving_unit_read_root(sd_bus *bus, const char *path, PreservingUnit *unit) {
        static const char *const settings[] = { "RootDirectory", "RootImage" };
        static const char *const commands[] = {
                "ExecCondition", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost",
        };
        int start_only, r;

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                _cleanup_free_ char *value = NULL;

                r = sd_bus_get_property_string(bus, MANAGER_NAME, path, SERVICE_IFACE, settings[i],
                                               /* reterr_error= */ NULL, &value);
                if (r < 0)
                        return r;
                unit->rooted = unit->rooted || (*value && !streq(value, "/"));
        }
        if (!unit->rooted)
                return 0;
        r = sd_bus_get_property_trivial(bus, MANAGER_NAME, path, SERVICE_IFACE, "RootDirectoryStartOnly",
                                        /* reterr_error= */ NULL, 'b', &start_only);
        if (r < 0)
                return r;
        unit->rooted = !start_only;
        for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
                r = unit_property_is_empty(bus, path, commands[i]);
                if (r < 0)
                        return r;
                unit->has_commands = unit->has_commands || r == 0;
        }
        return 0;
}

/* Fills in *unit if the unit preserves a store that is not empty. Returns 1, 0 if it does not, or a negative errno. */
static int preserving_unit_read(sd_bus *bus, const char *root, const char *name, const char *path,
                                PreservingUnit *unit) {
        _cleanup_free_ char *preserve = NULL;
        uint32_t n_fds;
        int r;

        r = sd_bus_get_property_trivial(bus, MANAGER_NAME, path, SERVICE_IFACE, "NFileDescriptorStore",
                                        /* reterr_error= */ NULL, 'u', &n_fds);
        if (r < 0)
                return r;
        if (n_fds == 0)
                return 0;
        /* Before version 254 there is no such property, and no store outlives its service. */
        r = sd_bus_get_property_string(bus, MANAGER_NAME, path, SERVICE_IFACE, "FileDescriptorStorePreserve",
                                       /* reterr_error= */ NULL, &preserve);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        if (!streq(preserve, "yes"))
                return 0;

        r = sd_bus_get_property_string(bus, MANAGER_NAME, path, SERVICE_IFACE, "NotifyAccess",
                                       /* reterr_error= */ NULL, &unit->notify_access);
        if (r < 0)
                return r;
        r = preserving_unit_read_root(bus, path, unit);
        if (r < 0)
                return r;
        r = preserving_unit_correct(bus, root, path, unit);
        if (r < 0)
                return r;
        unit->own_policy = unit_files_fold(bus, root, path, FDSTORE_POLICY_KEY, fdstore_policy_parse);
        unit->name = strdup(name);
        return unit->name ? 1 : -ENOMEM;
}

bool service_manager_error_is_final(int r) {
        return r == -ENOMEM || r == -ETIMEDOUT || r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE;
}

int service_manager_list_preserving(sd_bus *bus, const char *root, PreservingUnits *ret) {
        _cleanup_preserving_units_ PreservingUnits found = {};
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        size_t allocated = 0;
        int r;

        r = sd_bus_call_method(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "ListUnitsByPatterns",
                               /* reterr_error= */ NULL, &reply, "asas", 0, 1, "*.service");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        if (r < 0)
                return r;

        for (;;) {
                const char *name, *active, *path, *job_type;
                PreservingUnit unit = {};

                r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL, &active, NULL, NULL, &path, NULL,
                                        &job_type, NULL);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;

                r = preserving_unit_read(bus, root, name, path, &unit);
                if (r == 1)
                        r = GREEDY_REALLOC(found.units, allocated, found.n + 1);
                else if (r == 0)
                        continue;
                if (r < 0) {
                        free(unit.name);
                        free(unit.notify_access);
                        if (service_manager_error_is_final(r))
                                return r;
                        /* One that cannot be read must not cost the stores of all others. */
                        log_warning("Failed to read the properties of %s, ignoring its file descriptors: %s", name,
                                    strerror(-r));
                        found.error = found.error ?: r;
                        continue;
                }
                unit.stopped = (streq(active, "inactive") || streq(active, "failed")) &&
                               !streq(job_type, "start") && !streq(job_type, "restart");
                unit.stopping = !unit.stopped && (streq(active, "deactivating") || streq(job_type, "stop"));
                found.units[found.n++] = unit;
        }

        *ret = TAKE(found, (PreservingUnits) {});
        return 0;
}

int service_manager_dump_store(sd_bus *bus, const char *unit, StoredFds *ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_stored_fds_ StoredFds found = {};
        size_t allocated = 0;
        int r;

        r = sd_bus_call_method(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "DumpUnitFileDescriptorStore",
                               /* reterr_error= */ NULL, &reply, "s", unit);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "(suuutuusu)");
        if (r < 0)
                return r;

        for (;;) {
                uint32_t mode, major, minor, rmajor, rminor, flags;
                const char *name, *path;
                uint64_t inode;
                StoredFd *fd;

                r = sd_bus_message_read(reply, "(suuutuusu)", &name, &mode, &major, &minor, &inode, &rmajor, &rminor,
                                        &path, &flags);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                if (found.n >= STORED_FDS_MAX)
                        return -EBADMSG;

                r = GREEDY_REALLOC(found.fds, allocated, found.n + 1);
                if (r < 0)
                        return r;
                fd = &found.fds[found.n++];
                *fd = (StoredFd) {
                        .name = strdup(name),
                        .path = strdup(path),
                        .mode = mode,
                        .dev = makedev(major, minor),
                        .inode = inode,
                        .flags = (int) flags & ~STORED_FD_FLAGS_IGNORED,
                };
                if (!fd->name || !fd->path)
                        return -ENOMEM;
        }

        *ret = TAKE(found, (StoredFds) {});
        return 0;
}

int service_manager_unit_is_active(sd_bus *bus, const char *unit) {
        _cleanup_free_ char *path = NULL, *state = NULL;
        int r;

        r = manager_find_unit(bus, unit, &path);
        if (r >= 0)
                r = sd_bus_get_property_string(bus, MANAGER_NAME, path, UNIT_IFACE, "ActiveState",
                                               /* reterr_error= */ NULL, &state);
        return r < 0 ? r : streq(state, "active");
}

int service_manager_preserves_stores(sd_bus *bus, const char *root) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s/dev/liveupdate", root) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (access(path, F_OK) < 0)
                return 0;
        r = service_manager_version(bus);
        return r < 0 ? r : r >= 262;
}

int service_manager_start_timeout(sd_bus *bus, const char *unit, uint64_t *ret) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = manager_find_unit(bus, unit, &path);
        if (r < 0)
                return r;
        return sd_bus_get_property_trivial(bus, MANAGER_NAME, path, SERVICE_IFACE, "TimeoutStartUSec",
                                           /* reterr_error= */ NULL, 't', ret);
}

int service_manager_reload_unit(sd_bus *bus, const char *unit) {
        return sd_bus_call_method(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "ReloadUnit",
                                  /* reterr_error= */ NULL,
                                  /* ret_reply= */ NULL, "ss", unit, "replace");
}

int service_manager_version(sd_bus *bus) {
        _cleanup_free_ char *version = NULL;
        int r;

        r = sd_bus_get_property_string(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "Version",
                                       /* reterr_error= */ NULL, &version);
        return r < 0 ? r : atoi(version);
}
