/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pkram-fdstore asks the service manager: which units preserve their file descriptor
 * stores, what is in a store, and in which state a unit is.
 */
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include "macro.h"
#include "manager-bus.h"

/* Open flags that are of the descriptor, or of the kernel's O_LARGEFILE, which C programs on x86-64 cannot see. */
#define STORED_FD_FLAGS_IGNORED (O_CLOEXEC | 0100000)

/* One descriptor in a store, as DumpUnitFileDescriptorStore() describes it. */
typedef struct StoredFd {
        char *name;
        char *path;   /* what its link in /proc/PID/fd says */
        mode_t mode;
        dev_t dev;
        ino_t inode;
        int flags;    /* open flags, without STORED_FD_FLAGS_IGNORED */
} StoredFd;

typedef struct StoredFds {
        StoredFd *fds;
        size_t n;
} StoredFds;

void stored_fds_done(StoredFds *s);
#define _cleanup_stored_fds_ _cleanup_(stored_fds_done)

/* A unit that preserves its store. */
typedef struct PreservingUnit {
        char *name;
        bool stopped;        /* inactive or failed, and no job is going to start it */
        bool stopping;       /* not stopped yet, but on the way */
        char *notify_access; /* NotifyAccess= */
        bool rooted;         /* RootDirectory= or RootImage= applies to all of its commands */
        bool has_commands;   /* it has more commands than those of ExecStart= */
        int own_policy;      /* X-Pkram-FdStore= of the unit, an FdStorePolicy, or -1 */
} PreservingUnit;

typedef struct PreservingUnits {
        PreservingUnit *units;
        size_t n;
        int error; /* of the first unit that could not be read and is left out, a negative errno; or 0 */
} PreservingUnits;

void preserving_units_done(PreservingUnits *u);
#define _cleanup_preserving_units_ _cleanup_(preserving_units_done)

/*
 * Lists the services that have descriptors in their stores and keep them when they stop
 * (FileDescriptorStorePreserve=yes). root is put before the paths of unit files, "" for the real ones. A unit whose
 * properties cannot be read is logged and left out. Returns 0, -EBADMSG if the answer makes no sense, or another
 * negative errno.
 */
int service_manager_list_preserving(sd_bus *bus, const char *root, PreservingUnits *ret);

/* Returns true if after this error any further call would fail as well. Otherwise it is about a single unit. */
bool service_manager_error_is_final(int r);

/* Reads the store of a unit, the newest descriptor first. Errors as above. */
int service_manager_dump_store(sd_bus *bus, const char *unit, StoredFds *ret);

/* Reads TimeoutStartSec= of a unit, in microseconds, UINT64_MAX if there is none. Errors as above. */
int service_manager_start_timeout(sd_bus *bus, const char *unit, uint64_t *ret);

/* Asks a unit to reload, without waiting for it. Returns 0, or a negative errno. */
int service_manager_reload_unit(sd_bus *bus, const char *unit);

/* Returns 1 if a unit is active, 0 if not, or a negative errno. */
int service_manager_unit_is_active(sd_bus *bus, const char *unit);

/*
 * Returns 1 if the service manager preserves file descriptor stores across kexec itself: from version 262, on kernels
 * with the live update orchestrator, which have /dev/liveupdate. root is put before that path. Returns 0 if not, or a
 * negative errno if its version cannot be read.
 */
int service_manager_preserves_stores(sd_bus *bus, const char *root);

/*
 * Returns the major version of the service manager, such as 257, 0 if it cannot be told from its version
 * string, or a negative errno.
 */
int service_manager_version(sd_bus *bus);
