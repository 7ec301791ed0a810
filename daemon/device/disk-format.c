/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "disk-format.h"

uint64_t disk_checksum(const void *data, size_t size) {
        return XXH3_64bits(data, size);
}

static uint64_t header_checksum(const DiskHeader *h) {
        return disk_checksum(h, offsetof(DiskHeader, checksum));
}

static uint64_t object_checksum(const DiskHeader *h, const DiskObject *o) {
        uint8_t buffer[sizeof(h->nonce) + offsetof(DiskObject, checksum)];

        memcpy(buffer, h->nonce, sizeof(h->nonce));
        memcpy(buffer + sizeof(h->nonce), o, offsetof(DiskObject, checksum));
        return disk_checksum(buffer, sizeof(buffer));
}

void disk_header_seal(DiskHeader *h) {
        h->checksum = header_checksum(h);
}

void disk_object_seal(const DiskHeader *h, DiskObject *o) {
        o->checksum = object_checksum(h, o);
}

bool disk_name_is_valid(const char *name) {
        if (!name[0] || strchr(name, '/') || streq(name, ".") || streq(name, ".."))
                return false;
        for (const char *p = name; *p; p++)
                if ((uint8_t) *p < 0x20 || *p == 0x7f)
                        return false;
        return true;
}

static bool is_zero(const uint64_t *reserved, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (reserved[i] != 0)
                        return false;
        return true;
}

int disk_header_check(const DiskHeader *h, uint64_t file_size) {
        if (memcmp(h->magic, DISK_MAGIC, sizeof(h->magic)) != 0)
                return -EBADMSG;
        /* A later version may have a longer header, whose checksum is elsewhere. */
        if (h->version > DISK_VERSION)
                return -EPROTONOSUPPORT;
        if (h->version != DISK_VERSION || h->checksum != header_checksum(h))
                return -EBADMSG;
        if (h->features & ~DISK_FEATURES)
                return -EPROTONOSUPPORT;

        if ((h->state != DISK_SAVING && h->state != DISK_COMMITTED) || h->n_objects > PKRAM_MAX_OBJECTS ||
            h->size < DISK_DATA_OFFSET || h->size > INT64_MAX ||
            (h->state == DISK_COMMITTED && (h->size != file_size || h->id == 0 || h->id > INT64_MAX)) ||
            !memchr(h->release, 0, sizeof(h->release)) || !memchr(h->name, 0, sizeof(h->name)) ||
            !disk_name_is_valid(h->name) || !is_zero(h->reserved, ELEMENTSOF(h->reserved)))
                return -EBADMSG;
        return 0;
}

/* Is a part of the file within the area for data? */
static bool is_within(const DiskHeader *h, uint64_t position, uint64_t length) {
        return position >= DISK_DATA_OFFSET && position <= h->size && length <= h->size - position;
}

int disk_object_check(const DiskHeader *h, const DiskObject *o, uint32_t index) {
        bool file = o->kind == DISK_OBJECT_FILE;

        if (o->magic != DISK_OBJECT_MAGIC || o->index != index || o->checksum != object_checksum(h, o))
                return -EBADMSG;
        if ((!file && o->kind != DISK_OBJECT_BYTES) || o->size > INT64_MAX ||
            !is_zero(o->reserved, ELEMENTSOF(o->reserved)) || (file ? !S_ISREG(o->mode) : o->mode != 0) ||
            (o->n_chunks > 0 ? !is_within(h, o->list, (uint64_t) o->n_chunks * sizeof(DiskChunk)) : o->list != 0))
                return -EBADMSG;
        return 0;
}

int disk_chunks_check(const DiskHeader *h, const DiskObject *o, const DiskChunk *chunks) {
        uint64_t end = 0;

        if (disk_checksum(chunks, (size_t) o->n_chunks * sizeof(DiskChunk)) != o->list_checksum)
                return -EBADMSG;
        for (uint32_t i = 0; i < o->n_chunks; i++) {
                const DiskChunk *c = chunks + i;

                if (c->length == 0 || c->length > DISK_CHUNK_MAX || c->offset < end || c->offset > o->size ||
                    c->length > o->size - c->offset || !is_within(h, c->position, c->length))
                        return -EBADMSG;
                /* A byte stream has no holes. */
                if (o->kind == DISK_OBJECT_BYTES && c->offset != end)
                        return -EBADMSG;
                end = c->offset + c->length;
        }
        return o->kind == DISK_OBJECT_BYTES && end != o->size ? -EBADMSG : 0;
}

void disk_file_name(const char *node_name, char ret[DISK_FILE_NAME_MAX]) {
        XXH128_hash_t h = XXH3_128bits(node_name, strlen(node_name));

        (void) snprintf(ret, DISK_FILE_NAME_MAX, "%016llx%016llx.node",
                        (unsigned long long) h.high64, (unsigned long long) h.low64);
}

void disk_boot_id_parse(const char *boot_id, uint8_t ret[16]) {
        for (size_t i = 0; i < 16; i++) {
                const char byte[3] = { boot_id[2 * i], boot_id[2 * i + 1] };

                ret[i] = (uint8_t) strtoul(byte, NULL, 16);
        }
}
