/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes in memory, and a disk that they are written to for the next boot. */
#pragma once

#include "persist.h"
#include "test-places-fixture.h"

typedef struct PersistFixture {
        PlacesFixture p;
        Store *memory_store; /* as pkram-restore has it */
} PersistFixture;

/* For cmocka. */
int persist_setup(void **state);
int persist_teardown(void **state);

/* Another pkramd, in this boot or in the next one. A reboot loses what is in memory, a kexec does not. */
void persist_restart(PersistFixture *f, bool reboot, bool kexec);

/* A plan for all that is in memory, with enough time and room. */
void persist_make_plan(PersistFixture *f, PersistMode mode, PersistPlan *p);

/* Fails the test if there is none. */
const PersistNode *persist_find_node(const PersistPlan *p, const char *name);

/* Carries such a plan out. */
void persist_write_all(PersistFixture *f, PersistMode mode);

/* Is the node that is retrieved by this name on disk? */
bool persist_is_on_disk(PersistFixture *f, const char *name);

/* Adds a mounted tree to a plan. */
void persist_add_tree_node(PersistPlan *p, const char *name, int persist, uint64_t bytes);
