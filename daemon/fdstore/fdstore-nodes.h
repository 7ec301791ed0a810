/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stored nodes that pkram-fdstore has to do with, of all units. */
#pragma once

#include "fdstore.h"

typedef struct ListedNode {
        char *name, *owner;
        bool inherited; /* an earlier boot stored it */
} ListedNode;

typedef struct ListedNodes {
        ListedNode *nodes;
        size_t n, allocated;
} ListedNodes;

void listed_nodes_done(ListedNodes *l);
#define _cleanup_listed_nodes_ _cleanup_(listed_nodes_done)

/* Lists them. Returns 0, or a negative errno that was logged. */
int listed_nodes_read(const FdStoreEnvironment *e, ListedNodes *ret);

/* Returns the node that holds descriptors of the unit since an earlier boot, borrowed, or NULL. */
const ListedNode *listed_nodes_find_inherited(const ListedNodes *l, const char *unit);
