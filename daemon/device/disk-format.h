/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A node in a file. All numbers are little-endian.
 *
 *         0  header
 *      4096  one entry for each object, at 4096 + index * 128
 *   8392704  data of the objects, each followed by the list of its chunks
 *
 * What no object uses is a hole in the file. Data is split into chunks of up to 1 MiB; what no chunk of a file object
 * covers is a hole of that object. Everything is covered by an XXH3 checksum of 64 bits: the header has its own, the
 * entry of an object has its own and that of the list of chunks, and the list has one for each chunk. The nonce of the
 * header goes into the checksum of each entry, so that entries of another file do not fit.
 *
 * Format 1 grows by feature bits only: a reader refuses a file with bits that it does not know.
 */
#pragma once

#include <linux/pkram.h>

#include "macro.h"

#define DISK_MAGIC "PKRAMDSK"
#define DISK_VERSION 1U
#define DISK_FEATURES 0U        /* bits that this version reads */
#define DISK_OBJECT_MAGIC 0x4a424f50U
#define DISK_CHUNK_MAX MIB(1)
#define DISK_TABLE_OFFSET 4096U
#define DISK_DATA_OFFSET (DISK_TABLE_OFFSET + (uint64_t) PKRAM_MAX_OBJECTS * sizeof(DiskObject))

typedef enum DiskState {
        DISK_SAVING = 1,
        DISK_COMMITTED = 2,
} DiskState;

typedef struct DiskHeader {
        char magic[8];          /* DISK_MAGIC */
        uint32_t version;       /* DISK_VERSION */
        uint32_t features;
        uint32_t state;         /* DiskState */
        uint32_t n_objects;
        uint64_t id;            /* 0 while saving, unique across boots, grows with commit order */
        uint64_t size;          /* of the file */
        uint64_t data_pages;    /* as in struct pkram_node_info */
        uint64_t file_bytes;
        uint64_t data_bytes;
        uint64_t stored_ns;     /* CLOCK_REALTIME */
        uint64_t generation;    /* of the store when the node was committed */
        uint8_t boot_id[16];    /* of the kernel that committed it */
        uint8_t nonce[16];
        char release[64];       /* of that kernel, NUL-terminated */
        char name[PKRAM_NODE_NAME_MAX + 1];
        uint64_t reserved[5];   /* 0 */
        uint64_t checksum;      /* of all of the above */
} DiskHeader;
static_assert(sizeof(DiskHeader) == 480, "The header is part of the format");

#define DISK_OBJECT_FILE (1U << 0)
#define DISK_OBJECT_BYTES (1U << 1)

typedef struct DiskObject {
        uint32_t magic;         /* DISK_OBJECT_MAGIC */
        uint32_t index;
        uint32_t kind;          /* one of DISK_OBJECT_* */
        uint32_t mode;          /* and below: files only, else 0 */
        uint32_t uid;
        uint32_t gid;
        uint32_t seals;
        uint32_t n_chunks;
        uint64_t size;          /* of the file or byte stream */
        uint64_t pages;         /* of 4096 bytes that it takes in memory */
        uint64_t list;          /* position of the list of chunks, 0 if there are none */
        uint64_t list_checksum;
        int64_t atime_ns;
        int64_t mtime_ns;
        int64_t ctime_ns;
        uint64_t reserved[4];   /* 0 */
        uint64_t checksum;      /* of the nonce and all of the above */
} DiskObject;
static_assert(sizeof(DiskObject) == 128, "Entries of objects are part of the format");

typedef struct DiskChunk {
        uint64_t offset;        /* in the object; ascending */
        uint64_t length;        /* 1 to DISK_CHUNK_MAX */
        uint64_t position;      /* in the file */
        uint64_t checksum;
} DiskChunk;
static_assert(sizeof(DiskChunk) == 32, "Lists of chunks are part of the format");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Structs are written as they are");

uint64_t disk_checksum(const void *data, size_t size);

/* Sets the checksum. */
void disk_header_seal(DiskHeader *h);
void disk_object_seal(const DiskHeader *h, DiskObject *o);

/*
 * Check what was read from a file of file_size bytes. -EBADMSG: damaged, or no node at all. -EPROTONOSUPPORT: of a
 * later version. The file of a node that is being saved is as long as it is.
 */
int disk_header_check(const DiskHeader *h, uint64_t file_size);
int disk_object_check(const DiskHeader *h, const DiskObject *o, uint32_t index);
int disk_chunks_check(const DiskHeader *h, const DiskObject *o, const DiskChunk *chunks);

/* As the kernel's rule for names of nodes. */
bool disk_name_is_valid(const char *name);

/* Name of the file of a node. */
#define DISK_FILE_NAME_MAX 38U
void disk_file_name(const char *node_name, char ret[DISK_FILE_NAME_MAX]);

/* The bytes of a boot ID of 32 hexadecimal digits, as headers have them. */
void disk_boot_id_parse(const char *boot_id, uint8_t ret[16]);
