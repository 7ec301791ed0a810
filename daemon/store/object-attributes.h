/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attributes of a file that is stored by itself, which the kernel does not keep: extended attributes and ACLs, the
 * inode flags of chattr(1), and the name that a memfd was created with. The manifest has them, see manifest.h.
 */
#pragma once

#include "macro.h"

/* A memfd's name, which memfd_create(2) prefixes with "memfd:" for a file name of at most 255 bytes. */
#define MEMFD_NAME_MAX 249U

typedef struct ObjectAttributes {
        char *memfd;      /* the name without "memfd:", any bytes but NUL; NULL if it is no memfd */
        uint8_t *xattrs;  /* see tree_xattr_next() */
        size_t xattrs_size;
        unsigned flags;   /* TREE_FLAG_*, see tree-table.h */
} ObjectAttributes;

void object_attributes_done(ObjectAttributes *a);
#define _cleanup_attributes_ _cleanup_(object_attributes_done)

/* Is there anything that a file has to be given before it is loaded? */
static inline bool object_attributes_is_set(const ObjectAttributes *a) {
        return a->memfd || a->xattrs_size > 0 || a->flags != 0;
}

/*
 * Reads the attributes of a file. Returns 0; -EOPNOTSUPP if there is one that cannot be kept, with *ret_reason, a
 * clause for people that is not freed; or another negative errno.
 */
int object_attributes_read(int fd, ObjectAttributes *ret, const char **ret_reason);

/*
 * Makes an empty memfd with the attributes, for the kernel to load the object into. Returns its descriptor, which the
 * caller closes; or a negative errno.
 */
int object_attributes_make_memfd(const ObjectAttributes *a);

/* Is every attribute one that object_attributes_read() can return? For what comes from an earlier kernel. */
bool object_attributes_are_valid(const ObjectAttributes *a);
