/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests that pkram-qemu runs on this host. Each has a note, a file in JSON that GetStatus shows. pkram-qemu has it
 * locked (an open file description lock on all of it) while the guest runs.
 */
#pragma once

#include "json-util.h"

#define GUESTS_DIRECTORY "/run/pkram/guests"

/*
 * Reads the notes in a directory as an array of the type Guest of io.pkram.Store. Notes that make no sense are left
 * out, as are those that a pkram-qemu that was killed has left. There are at most 1024. No directory is no guest.
 * Returns 0, -ENOMEM, or what opening the directory said.
 */
int guests_read(const char *directory, struct json_object **ret);

/* "web, db and 3 more guests", of such an array, for a sentence; to be freed. NULL without memory. */
char *guests_to_text(struct json_object *guests);
