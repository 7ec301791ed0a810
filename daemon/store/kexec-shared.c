/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "kexec-shared.h"
#include "log.h"
#include "node-name.h"
#include "peer.h"
#include "service-manager.h"
#include "shared-memory.h"

#define SHARED_MEMORY_UNIT "pkram-shm.service"

/* Returns 1 with the text, which was made by asprintf(3), or -ENOMEM. */
#define PROBLEM(ret, ...) (asprintf(ret, __VA_ARGS__) < 0 ? (*(ret) = NULL, -ENOMEM) : 1)

/* Will a process of that unit still be there when shared memory is stored? */
static bool writer_stays(const char *unit, void *userdata) {
        /* Without an answer of the service manager it is taken to be stopped in time. */
        return !unit || kexec_unit_stops_before_unit(userdata, unit, SHARED_MEMORY_UNIT) == 0;
}

int kexec_shared_writers(sd_bus *bus, const char *directory, SharedWriters *ret) {
        struct stat st;

        if (!bus)
                return 0;
        return shared_writers_find(stat(directory, &st) < 0 ? 0 : st.st_dev, writer_stays, bus, ret);
}

/* Returns 1 with the text in *ret or, if no process writes, without, or -ENOMEM. */
static int writers_problem(const SharedWriters *writers, dev_t device, uint64_t inode, char **ret) {
        _cleanup_free_ char *text = shared_writers_text(writers, device, inode);

        return text ? PROBLEM(ret, "it is in use for writing by %s, which the shutdown does not stop before "
                              SHARED_MEMORY_UNIT, text) : 1;
}

int kexec_segment_problem(const Segment *segment, const SharedWriters *writers, char **ret) {
        const char *obstacle;
        int r;

        *ret = NULL;
        r = segment_obstacle(segment, &obstacle);
        if (r == -EINVAL || r == -EIDRM)
                return 0;
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return PROBLEM(ret, "it cannot be examined (%s)", strerror(-r));
        return obstacle ? PROBLEM(ret, "%s", obstacle) : writers_problem(writers, /* device= */ 0,
                                                                         (uint64_t) segment->id, ret);
}

int kexec_shared_file_problem(const char *file, const struct stat *st, const SharedWriters *writers, char **ret) {
        const char *obstacle = shared_file_obstacle(file, st);

        *ret = NULL;
        if (obstacle)
                return PROBLEM(ret, "%s", obstacle);
        return writers_problem(writers, st->st_dev, st->st_ino, ret);
}

const char *kexec_shared_unit_problem(sd_bus *bus) {
        int r;

        if (!bus)
                return NULL;
        r = service_manager_unit_is_active(bus, SHARED_MEMORY_UNIT);
        if (r < 0 && service_manager_error_is_final(r)) {
                log_warning("Failed to read the state of " SHARED_MEMORY_UNIT ", assuming that it is active: %s",
                            strerror(-r));
                return NULL;
        }
        /* The service manager runs the stop command of an active unit only. A unit that it has not loaded is an error
         * of its own. */
        return r > 0 ? NULL : SHARED_MEMORY_UNIT ", which stores it, is not active";
}

int kexec_inherited_nodes(const PkramDevice *device, UnitList *ret) {
        struct pkram_node_info nodes[64];
        uint64_t cursor = 0;
        uint32_t n;
        int r;

        do {
                r = pkram_device_list(device, /* flags= */ 0, &cursor, nodes, ELEMENTSOF(nodes), &n);
                for (uint32_t i = 0; r >= 0 && i < n; i++)
                        if ((nodes[i].flags & PKRAM_NODE_INHERITED) &&
                            (strstr(nodes[i].name, SYSV_PREFIX) || strstr(nodes[i].name, POSIX_PREFIX)))
                                r = unit_list_add(ret, nodes[i].name);
        } while (r >= 0 && n == ELEMENTSOF(nodes));
        return r;
}

int kexec_shared_node_problem(const UnitList *inherited, const char *node, char **ret) {
        if (!unit_list_has(inherited, node_name_encode(OWNER_ROOT, node).text))
                return 0;
        return PROBLEM(ret, "node '%s' holds contents that were not restored, and is not replaced (run 'systemctl "
                       "restart pkram-shm.service', or remove the node)", node);
}
