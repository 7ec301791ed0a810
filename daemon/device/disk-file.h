/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One node in an open file. Nothing is kept in memory between calls: each reads what it needs from the file, so that
 * several processes can use it in turn. This reads and checks the parts of the file. Anyone may read the header, the
 * rest is for disk-file-save.h and disk-file-load.h.
 *
 * All functions that can fail return 0 or a negative errno: -EBADMSG if the file is damaged, -EDQUOT if the disk is
 * full, and what <linux/pkram.h> lists for the calls of the same names.
 */
#pragma once

#include <sys/stat.h>

#include "disk-format.h"

/* Times of files are signed, and in nanoseconds. */
#define NSEC_PER_SEC INT64_C(1000000000)

/* Reads and checks the header of an open file. */
int disk_file_read_header(int fd, DiskHeader *ret);

/* Seals and writes it. */
int disk_file_write_header(int fd, DiskHeader *h);

/* Where the table has the object with this index. */
uint64_t disk_file_object_position(uint32_t index);

/* -ENODATA: there is none with this index. */
int disk_file_read_object(int fd, const DiskHeader *h, uint32_t index, DiskObject *ret);

/* Returns the list of chunks of an object, to be freed, or NULL if there are none. */
int disk_file_read_chunks(int fd, const DiskHeader *h, const DiskObject *o, DiskChunk **ret);

/* Reads the data of one. The buffer has room for its length. */
int disk_file_read_chunk(int fd, const DiskChunk *c, void *buffer);

/* Is it a file that can be saved, or that a saved one can be loaded into? */
bool disk_file_is_shmem(int fd, const struct stat *st);
