/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>
#include <sys/vfs.h>

#include "disk-file.h"
#include "disk-io.h"

#define TMPFS 0x01021994

uint64_t disk_file_object_position(uint32_t index) {
        return DISK_TABLE_OFFSET + (uint64_t) index * sizeof(DiskObject);
}

int disk_file_read_header(int fd, DiskHeader *ret) {
        struct stat st;
        int r;

        *ret = (DiskHeader) {};
        if (fstat(fd, &st) < 0)
                return -EBADF;
        if (!S_ISREG(st.st_mode))
                return -EBADMSG;
        r = disk_read(fd, ret, sizeof(*ret), 0);
        if (r < 0)
                return r;
        return disk_header_check(ret, (uint64_t) st.st_size);
}

int disk_file_write_header(int fd, DiskHeader *h) {
        disk_header_seal(h);
        return disk_write(fd, h, sizeof(*h), 0);
}

int disk_file_read_object(int fd, const DiskHeader *h, uint32_t index, DiskObject *ret) {
        int r;

        if (index >= h->n_objects)
                return -ENODATA;
        r = disk_read(fd, ret, sizeof(*ret), disk_file_object_position(index));
        if (r < 0)
                return r;
        return disk_object_check(h, ret, index);
}

int disk_file_read_chunks(int fd, const DiskHeader *h, const DiskObject *o, DiskChunk **ret) {
        _cleanup_free_ DiskChunk *chunks = NULL;
        int r;

        if (o->n_chunks > 0) {
                struct stat st;

                /* The header of a damaged file may claim any size. */
                if (fstat(fd, &st) < 0)
                        return -EBADF;
                if (o->list > (uint64_t) st.st_size ||
                    (uint64_t) o->n_chunks * sizeof(DiskChunk) > (uint64_t) st.st_size - o->list)
                        return -EBADMSG;
                chunks = malloc((size_t) o->n_chunks * sizeof(DiskChunk));
                if (!chunks)
                        return -ENOMEM;
                r = disk_read(fd, chunks, (size_t) o->n_chunks * sizeof(DiskChunk), o->list);
                if (r < 0)
                        return r;
                r = disk_chunks_check(h, o, chunks);
                if (r < 0)
                        return r;
        } else if (o->kind == DISK_OBJECT_BYTES && o->size > 0)
                return -EBADMSG;

        *ret = TAKE_PTR(chunks);
        return 0;
}

int disk_file_read_chunk(int fd, const DiskChunk *c, void *buffer) {
        int r;

        r = disk_read(fd, buffer, c->length, c->position);
        if (r < 0)
                return r;
        return disk_checksum(buffer, c->length) == c->checksum ? 0 : -EBADMSG;
}

bool disk_file_is_shmem(int fd, const struct stat *st) {
        struct statfs sfs;

        return S_ISREG(st->st_mode) && fstatfs(fd, &sfs) == 0 && sfs.f_type == TMPFS;
}
