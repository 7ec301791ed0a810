/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Determines why shared memory that pkramd.conf selects would not be stored during a shutdown. */
#pragma once

#include "segment.h"

/*
 * Examines a segment. *ret is the reason why it cannot be stored, as part of a sentence, or NULL if it can be. The
 * caller frees it. Returns 1, 0 if the segment does not exist any more, or -ENOMEM.
 */
int kexec_segment_problem(const Segment *segment, char **ret);
