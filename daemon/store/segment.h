/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System V shared memory segments of this IPC namespace, and what is stored about them. */
#pragma once

#include "macro.h"

typedef struct Segment {
        int id;             /* of this boot */
        uint32_t key;       /* 0: IPC_PRIVATE */
        uint64_t size;      /* bytes, as it was asked for */
        uint64_t used;      /* bytes of memory and swap, of segments_list() */
        mode_t mode;        /* permission bits */
        uid_t uid;
        gid_t gid;
        uid_t creator;      /* who made it, and cannot be changed; not stored */
        bool locked;        /* SHM_LOCK */
        uint64_t attached;  /* how often */
} Segment;

/* All segments, in an array to be freed. -errno. */
int segments_list(Segment **ret, size_t *ret_n);

/* The segment with that key or, if by_id, that identifier. -ENOENT. */
int segment_find(uint32_t key_or_id, bool by_id, Segment *ret);

/*
 * Opens the file behind a segment, which has no path of its own. Returns the descriptor; -EOPNOTSUPP: it is of huge
 * pages (SHM_HUGETLB), which cannot be stored; or another negative errno.
 */
int segment_open(const Segment *s, bool write);

/*
 * Finds out why a segment cannot be stored at all, even if no process uses it. *ret is the reason as part of a
 * sentence, not to be freed, or NULL if there is none. Returns 0, or the errors of segment_open().
 */
int segment_obstacle(const Segment *s, const char **ret);

/* Creates a segment with the key, size and attributes given, which only root may attach yet; *ret_id is its
 * identifier. -EEXIST. */
int segment_create(const Segment *s, int *ret_id);

/* Gives a segment that was created the mode, owner and lock that it should have. -errno. */
int segment_publish(const Segment *s, int id);

/* Names the processes that have a segment attached for writing, as "postgres (12), ..."; to be freed. NULL if there is
 * none. */
char *segment_writers(int id);

/*
 * The name of the object with a segment's contents, which says all there is to know about it; to be freed. NULL
 * without memory. And the other way round: -EBADMSG.
 */
char *segment_to_object_name(const Segment *s);
int segment_from_object_name(const char *name, Segment *ret);

/* Reads a key: decimal, or hexadecimal after 0x. 0 is IPC_PRIVATE. -EINVAL, -ERANGE. */
int key_parse(const char *text, uint32_t *ret);
