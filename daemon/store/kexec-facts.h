/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Collects what kexec_check() judges: stored nodes, mounted trees, shared memory, guests and processes, and units that
 * hold memory. */
#pragma once

#include <systemd/sd-bus.h>

#include "config.h"
#include "device.h"
#include "kexec-check.h"
#include "kexec-fdstores.h"
#include "kexec-programs.h"
#include "kexec-units.h"
#include "reboot-check.h"

/* What storing a tree takes. */
typedef struct TreeCost {
        uint64_t objects;       /* as ObjectsMax= counts them */
        uint64_t bytes;         /* of memory; a little less than the node will have */
} TreeCost;

/*
 * Counts what is in a directory of a tmpfs. An object is a file that is larger than TREE_PACKED_MAX, a stream of
 * packed files, or the table. Gives up after usec microseconds. Returns 1 if all was counted, 0 if the time was up and
 * *ret is too small, or a negative errno.
 */
int tree_cost(int directory, uint64_t usec, TreeCost *ret);

/* Facts that own what they point to. */
typedef struct KexecState {
        KexecFacts facts;
        struct pkram_ioctl_info info;
        KexecTreeProblem *problems;
        size_t problems_allocated;
        KexecSharedMemory *shared;
        size_t shared_allocated;
        KexecPrograms programs;
        UnitList units;
        KexecFdStores fdstores;
        char *crash_wanted;
        RebootCheck *reboot;    /* with KEXEC_STATE_FULL; NULL if it could not be made */
} KexecState;

void kexec_state_done(KexecState *s);
#define _cleanup_kexec_state_ _cleanup_(kexec_state_done)

typedef enum KexecStateFlags {
        /*
         * Looks at each tree, at the processes that use it, and at the state and the declarations of units. Takes
         * root's view of the file system, and up to 15 seconds for large trees. Without it, trees and shared memory
         * are only counted, each marked unit counts, and the memory of a crash kernel is not looked at.
         */
        KEXEC_STATE_FULL = 1 << 0,
} KexecStateFlags;

/*
 * Where pkramctl leaves the command line of the kernel that it loaded: the running kernel does not say it. Other
 * programs leave nothing there, and mostly load with the command line of the running kernel, which is assumed if
 * there is no such file.
 */
#define KEXEC_LOADED_CMDLINE "/run/pkram/kexec-cmdline"

/* Where it looks; tests have other places. */
typedef struct KexecSources {
        const char *utab;       /* NULL for /run/mount/utab */
        const char *mounts;     /* NULL for MOUNT_TABLE */
        const char *shm;        /* NULL for SHARED_MEMORY_DIRECTORY */
        const char *guests;     /* NULL for GUESTS_DIRECTORY */
        const char *processes;  /* NULL for PROCESSES_DIRECTORY */
        const char *units;      /* NULL for KEXEC_UNITS_DIR */
        const char *root;       /* NULL for "", before the directories of unit files */
        const char *disk;       /* NULL for PKRAM_DISK_DIRECTORY */
        const char *proc;       /* NULL for "/proc/1", of the service manager */
        const char *cmdline;    /* the next kernel's command line; NULL: see KEXEC_LOADED_CMDLINE */
        const char *loaded;     /* NULL for KEXEC_LOADED_CMDLINE */
        const char *running;    /* NULL for /proc/cmdline */
        const char *crash_size; /* NULL for /sys/kernel/kexec_crash_size */
        sd_bus *bus;            /* of the service manager; NULL: KEXEC_STATE_FULL connects to it, or does without */
} KexecSources;

/*
 * Collects the facts. Facts about trees and units that cannot be determined are logged as a warning and left out.
 * sources may be NULL. Returns 0, -ENOMEM, or what the device failed with, unless that means that there is no PKRAM.
 */
int kexec_state_collect(const PkramDevice *device, const Config *config, const KexecSources *sources,
                        KexecStateFlags flags, KexecState *ret);

/* For a process that exists only for this: what CheckKexec replies, as JSON text that the caller frees. -ENOMEM. */
struct json_object *kexec_check_to_json(const KexecCheck *check, const KexecState *state, KexecPolicy policy);
