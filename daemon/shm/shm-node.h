/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes with shared memory, which belong to root: "sysv:0x0052e2c1" and "posix:NAME", whose only object is the
 * contents. All functions log what is wrong.
 */
#pragma once

#include "json-util.h"
#include "shared-memory.h"
#include "varlink-client.h"

/* What to do about processes that write. */
#define STOP_THEM_FIRST                                                                                              \
        "Have them stop first: Before=pkram-shm.service is the wrong order, After=pkram-shm.service the right one."

/* Parameters with root as the owner, and a name unless it is NULL. NULL without memory. */
struct json_object *shm_parameters(const char *name);

/* Stores a file as a node with one object, which replaces a node that was stored in this boot. what describes it for
 * messages. Returns 0, -EEXIST if there is a node of an earlier kernel with that name, or another negative errno. */
int shm_store(VarlinkClient *c, const char *node, const char *object, int fd, const char *what);

/* Stores a segment. -EBUSY: it is attached for writing; -EOPNOTSUPP: it cannot be kept; -EEXIST: as above. */
int segment_save(VarlinkClient *c, const Segment *s);

/* Creates the segment or file that a node was made of, in the directory shm for files, and releases the node. node is
 * a Node. */
int shm_restore(VarlinkClient *c, struct json_object *node, const char *shm);

/* The same for the segment with that key. -ENOENT: there is no such node. */
int segment_restore_key(VarlinkClient *c, uint32_t key);
