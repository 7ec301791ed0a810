/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Determines why shared memory that pkramd.conf selects would not be stored during a shutdown. */
#pragma once

#include <sys/stat.h>
#include <systemd/sd-bus.h>

#include "device.h"
#include "kexec-units.h"
#include "segment.h"
#include "shared-writers.h"

/*
 * Names of the processes that write to shared memory and are still there when the shutdown stores it. directory is
 * that of files. bus may be NULL: then there are none. Returns 0, -ENOMEM, or another negative errno.
 */
int kexec_shared_writers(sd_bus *bus, const char *directory, SharedWriters *ret);

/*
 * Examines a segment. *ret is the reason why it cannot be stored, as part of a sentence, or NULL if it can be. The
 * caller frees it. Returns 1, 0 if the segment does not exist any more, or -ENOMEM.
 */
int kexec_segment_problem(const Segment *segment, const SharedWriters *writers, char **ret);

/* The same for a file, about which there is st. Returns 1 or -ENOMEM. */
int kexec_shared_file_problem(const char *file, const struct stat *st, const SharedWriters *writers, char **ret);

/* Returns why the unit that stores shared memory would store none, as a clause, or NULL if it would. bus may be NULL:
 * then it is taken to be active. */
const char *kexec_shared_unit_problem(sd_bus *bus);

/*
 * The first function adds the kernel names of nodes of shared memory that came from an earlier kernel. The second one
 * looks there for the node of root with that name: it holds what could not be restored, and is not replaced. The first
 * returns 0, -ENOMEM, or what the device failed with. The second returns 1 with the reason in *ret, which the caller
 * frees, 0, or -ENOMEM.
 */
int kexec_inherited_nodes(const PkramDevice *device, UnitList *ret);
int kexec_shared_node_problem(const UnitList *inherited, const char *node, char **ret);
