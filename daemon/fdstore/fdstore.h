/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pkram-fdstore does. A service that sets FileDescriptorStorePreserve=yes has the
 * service manager keep its descriptors while it is stopped. On the way into a kexec they are
 * stored, one node for each unit, owned by it; in the next kernel the unit's first
 * ExecStartPre= hands them to the service manager again, so that the service finds them in
 * LISTEN_FDS as after a restart.
 *
 * A file that is in the stores of several units becomes a node of its own. The first
 * thing in the next boot puts it into the store of pkram-fdstore.service, and each unit gets
 * it from there, so that all have the same file.
 */
#pragma once

#include "config.h"
#include "fd-table.h"
#include "fdstore-node.h"
#include "log.h"
#include "pkram-messages.h"
#include "store-calls.h"

/* Writes a journal entry about a unit's store. unit and node are borrowed; node may be NULL, n_fds UINT64_MAX. */
#define fdstore_log(priority, id, unit, name, n_fds, ...)                       \
        ({                                                                      \
                JournalFields _f = JOURNAL_FIELDS_NONE;                         \
                                                                                \
                _f.owner = (unit);                                              \
                _f.node = (name);                                               \
                _f.objects = (n_fds);                                           \
                _f.identifier = "pkram-fdstore";                                \
                journal_entry((priority), (id), &_f, __VA_ARGS__);              \
        })

#define fdstore_log_lost(priority, unit, ...) \
        fdstore_log(priority, PKRAM_MESSAGE_FDSTORE_LOST_STR, unit, /* name= */ NULL, UINT64_MAX, __VA_ARGS__)

/* Where everything is. Tests put other things there. */
typedef struct FdStoreEnvironment {
        sd_bus *bus;           /* the service manager */
        StoreLink store;
        const char *proc;      /* "/proc/PID" of the service manager */
        const char *root;      /* "", before the paths of unit files */
        const Config *config;  /* for fdstore_save() */
        unsigned stopping_msec; /* how long fdstore_save() waits for units that are about to stop */
        uint64_t timeout_usec; /* for a single answer of the service manager or of pkramd */
} FdStoreEnvironment;

/*
 * Stores the descriptors of all stopped units that preserve theirs, and logs what cannot be kept. Does nothing if the
 * service manager preserves them itself. Goes on after a unit that fails. A node that an earlier boot stored stays:
 * nothing is stored for its unit, which counts as -EEXIST. Returns 0 if everything was stored or is of a kind that is
 * never kept, or the first negative errno.
 */
int fdstore_save(const FdStoreEnvironment *e);

/*
 * Hands the stored descriptors of a unit to the service manager, as a process of that unit, and releases
 * the node once they are there. Returns 0, also if nothing is stored, or a negative errno; then
 * the node stays, and what was handed over is taken back, because its files are frozen. -EEXIST if the unit has
 * stored a descriptor under the same name in the meantime, or has a pipe of an attempt that was killed. -ENOBUFS if
 * the service manager did not take all of them.
 */
int fdstore_push(const FdStoreEnvironment *e, const char *unit);

/*
 * As a process of FDSTORE_UNIT: removes nodes that this boot stored for a kexec that did not happen, and
 * takes the shared files of the previous boot into the unit's own store. Returns 0, or the first negative errno.
 */
int fdstore_begin(const FdStoreEnvironment *e);

/* As a process of FDSTORE_UNIT: drops shared files that no stored node refers to any more. Errors as above. */
int fdstore_drop_shared(const FdStoreEnvironment *e);
