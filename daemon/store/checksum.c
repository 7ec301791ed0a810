/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <stdio.h>
#include <xxhash.h>

#include "checksum.h"

#define BLOCK KIB(64)

struct Checksum {
        XXH3_state_t *state;
        uint64_t size, position;
        uint8_t block[BLOCK];
};

int checksum_new(uint64_t size, Checksum **ret) {
        _cleanup_(checksum_freep) Checksum *c = NULL;

        c = malloc(sizeof(Checksum));
        if (!c)
                return -ENOMEM;
        c->size = size;
        c->position = 0;

        c->state = XXH3_createState();
        if (!c->state)
                return -ENOMEM;

        uint64_t le = htole64(size);
        (void) XXH3_128bits_reset(c->state);
        (void) XXH3_128bits_update(c->state, &le, sizeof(le));

        *ret = TAKE_PTR(c);
        return 0;
}

Checksum *checksum_free(Checksum *c) {
        if (c)
                (void) XXH3_freeState(c->state);
        free(c);
        return NULL;
}

static void add_block(Checksum *c, uint64_t position, const uint8_t *data, size_t n) {
        uint64_t le = htole64(position);

        if (n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0))
                return;

        (void) XXH3_128bits_update(c->state, &le, sizeof(le));
        (void) XXH3_128bits_update(c->state, data, n);
}

int checksum_file_step(Checksum *c, int fd, bool may_seek, uint64_t slice) {
        uint64_t read = 0;

        while (c->position < c->size && read < slice) {
                off_t data = may_seek ? lseek(fd, (off_t) c->position, SEEK_DATA) : (off_t) c->position;

                if (data < 0 && errno == ENXIO) { /* nothing but a hole up to the end */
                        c->position = c->size;
                        break;
                }
                if (data > (off_t) c->position)
                        c->position = (uint64_t) data / BLOCK * BLOCK;

                size_t n = MIN(c->size - c->position, (uint64_t) BLOCK), done = 0;
                while (done < n) {
                        ssize_t k = pread(fd, c->block + done, n - done, (off_t) (c->position + done));

                        if (k < 0 && errno == EINTR)
                                continue;
                        if (k < 0)
                                return -errno;
                        if (k == 0)
                                return -EIO;
                        done += k;
                }

                add_block(c, c->position, c->block, n);
                c->position += n;
                read += n;
        }

        return c->position < c->size;
}

uint64_t checksum_position(const Checksum *c) {
        return c->position;
}

void checksum_data(Checksum *c, const void *data, size_t size) {
        const uint8_t *p = data;

        for (size_t i = 0; i < size; i += BLOCK)
                add_block(c, i, p + i, MIN(size - i, (size_t) BLOCK));
        c->position = c->size;
}

void checksum_final(Checksum *c, char ret[CHECKSUM_HEX_LENGTH + 1]) {
        XXH128_hash_t h = XXH3_128bits_digest(c->state);

        (void) snprintf(ret, CHECKSUM_HEX_LENGTH + 1, "%016llx%016llx",
                        (unsigned long long) h.high64, (unsigned long long) h.low64);
}
