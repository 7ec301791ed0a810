/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes nodes in memory to disk, when the system shuts down without a kexec that preserves them.
 *
 * A plan lists all nodes, and mounted trees, which will be nodes by then. Their marks and Persist= of pkramd.conf
 * select nodes to write. Those that fit are written with all their objects, under the same kernel name. The next boot
 * finds them like nodes of a kernel without PKRAM: their manifests are the same. In this boot the copies are hidden.
 * They are removed when the node in memory is removed or replaced, see device-places.h. Therefore, a shutdown that is
 * cancelled leaves no copy that could be mistaken for a newer node.
 */
#pragma once

#include "device-disk.h"
#include "store.h"

/* Why a node is not written. */
typedef enum PersistDrop {
        PERSIST_DROP_NONE,
        PERSIST_DROP_UNMARKED,  /* pkramd.conf asks for a mark, and it has none */
        PERSIST_DROP_NEVER,     /* its mark forbids it, or it was not stored by pkramd */
        PERSIST_DROP_UNSTORABLE, /* a mounted tree that will be no node: it exceeds a limit, or is in use */
        PERSIST_DROP_ROOM,      /* it does not fit on the disk or exceeds PersistBytesMax= */
        PERSIST_DROP_TIME,      /* it exceeds PersistSecMax=, with -ETIME when that was over, else by the estimate */
        PERSIST_DROP_FAILED,    /* writing it failed */
} PersistDrop;

typedef struct PersistNode {
        char *owner, *name;
        char kernel_name[PKRAM_NODE_NAME_MAX + 1]; /* "" for a mounted tree */
        uint64_t id;            /* 0 for a mounted tree */
        uint32_t n_objects;
        uint64_t memory;        /* bytes of the node */
        int importance;         /* 0 to PERSIST_MAX */
        uint64_t bytes;         /* that it takes on disk, about */
        bool late;              /* by the estimate, there is no time for it: it is written after the others */
        PersistDrop drop;
        int error;              /* with PERSIST_DROP_FAILED or PERSIST_DROP_TIME: negative errno, or 0 */
        bool written;
} PersistNode;

typedef struct PersistPlan {
        PersistNode *nodes;     /* dropped ones last, late ones before them; else by importance, those of users last */
        size_t n, allocated;
        uint64_t room;          /* bytes that may be written */
        uint64_t rate;          /* bytes per second that the disk is expected to take */
        uint64_t usec_per_node; /* that each node takes in addition */
        uint64_t seconds;       /* that writing may take */
        bool try_late;          /* nodes that exceed the time by the estimate are late, and are not dropped */
        uint64_t bytes;         /* that are going to be written */
        size_t n_dropped;
        int error;              /* why no node can be written at all, a negative errno or 0 */
} PersistPlan;

void persist_plan_done(PersistPlan *p);
#define _cleanup_plan_ _cleanup_(persist_plan_done)

/* Lists all nodes of a store, which is one over memory alone. Returns 0, or a negative errno. */
int persist_plan_collect(PersistPlan *p, Store *s, PersistMode mode);

/*
 * Adds a mounted tree of root that will take so many bytes of memory. storable is false if storing it will fail.
 * Returns 0 or -ENOMEM.
 */
int persist_plan_add_tree(PersistPlan *p, const char *name, int persist, PersistMode mode, uint64_t bytes,
                          bool storable);

/*
 * Drops what does not fit: each node that alone is too much, and then the least important ones, until the rest fits.
 * With try_late, only room counts, and what exceeds the time becomes late in this order. room, rate, usec_per_node and
 * seconds are set.
 */
void persist_plan_fit(PersistPlan *p);

/* How long writing takes by this plan, also in seconds, at least 1 if there is something to write. */
uint64_t persist_plan_usec(const PersistPlan *p);
uint64_t persist_plan_seconds(const PersistPlan *p);

/* Returns true if a node that is to be written is left out. Nodes of users do not count. */
bool persist_plan_is_cut(const PersistPlan *p);

/* Returns why a node is dropped, as a lower-case clause. */
const char *persist_drop_text(const PersistNode *n);

/*
 * Sets the room that path, a directory that need not exist yet, and PersistBytesMax= leave: the last twentieth of the
 * file system, but at most 1 GiB, stays free. Sets the time by PersistSecMax=, and rate and usec_per_node by what was
 * measured last. Returns 0, or a negative errno if the file system cannot be examined.
 */
int persist_plan_limit(PersistPlan *p, const char *path, const Config *c);

/* The same, in another process. Returns -ETIME after ten seconds if the disk does not respond. */
int persist_plan_limit_in_time(PersistPlan *p, const char *path, const Config *c);

/* Drops all nodes that are still to be written, with an error, a negative errno. persist_plan_fit() counts them. */
void persist_plan_fail(PersistPlan *p, int error);

/* Called every half second with the approximate number of bytes written. */
typedef void (*PersistProgress)(const PersistPlan *p, uint64_t bytes, void *userdata);

/*
 * Writes the nodes of the plan, up to four at a time, late ones last. Other processes do this. They are killed after
 * p->seconds, so this call returns a few seconds later at most, even if the disk does not respond. Afterwards, each
 * node is either written or dropped. Copies that this boot has written before are removed first. Returns 0, also if
 * nodes were dropped, or a negative errno if none could be written.
 */
int persist_write(PersistPlan *p, const PkramDevice *memory, const char *path, const DiskBoot *boot,
                  PersistProgress progress, void *userdata);
