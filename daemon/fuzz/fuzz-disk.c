/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file of a node and the state of the directory, as a disk may return them. Nothing but errors comes of damage. */
#include <sys/mman.h>

#include "disk-directory.h"
#include "disk-file-load.h"
#include "disk-file-save.h"
#include "disk-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs with the right checksums get further. */
static void fix_checksums(int fd, DiskHeader *h, size_t size) {
        h->size = MAX((uint64_t) size, DISK_DATA_OFFSET);
        disk_header_seal(h);
        assert(pwrite(fd, h, sizeof(*h), 0) == (ssize_t) sizeof(*h));
        for (uint32_t i = 0; i < h->n_objects && i < 4; i++) {
                DiskObject o = {};
                off_t at = (off_t) (DISK_TABLE_OFFSET + i * sizeof(o));
                DiskChunk chunks[4];

                if (pread(fd, &o, sizeof(o), at) != (ssize_t) sizeof(o))
                        return;
                if (o.n_chunks <= ELEMENTSOF(chunks) &&
                    pread(fd, chunks, o.n_chunks * sizeof(DiskChunk), (off_t) (o.list & INT64_MAX)) ==
                    (ssize_t) (o.n_chunks * sizeof(DiskChunk)))
                        o.list_checksum = disk_checksum(chunks, o.n_chunks * sizeof(DiskChunk));
                disk_object_seal(h, &o);
                assert(pwrite(fd, &o, sizeof(o), at) == (ssize_t) sizeof(o));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static int fd = -1;
        DiskRecord record, again;
        char text[DISK_RECORD_MAX];
        DiskHeader h = {};
        struct pkram_ioctl_stat st;
        uint8_t buffer[256];

        if (size < 1)
                return 0;
        if (disk_record_parse((const char *) data + 1, size - 1, &record) >= 0 &&
            disk_record_parse(text, (size_t) disk_record_format(&record, text), &again) < 0)
                abort();

        if (fd < 0)
                fd = memfd_create("fuzz", MFD_CLOEXEC);
        assert(fd >= 0 && ftruncate(fd, 0) == 0);
        /* The first 4 KiB, the first entries, and then data: the rest of a file is a hole. */
        size_t rest = size - 1, n = MIN(rest, sizeof(DiskHeader) + 4 * sizeof(DiskObject));
        size_t head = MIN(n, sizeof(DiskHeader));
        assert(pwrite(fd, data + 1, head, 0) == (ssize_t) head);
        if (n > head)
                assert(pwrite(fd, data + 1 + head, n - head, DISK_TABLE_OFFSET) == (ssize_t) (n - head));
        if (rest > n)
                assert(pwrite(fd, data + 1 + n, rest - n, DISK_DATA_OFFSET) == (ssize_t) (rest - n));
        if (head == sizeof(DiskHeader)) {
                memcpy(&h, data + 1, head);
                uint64_t end = DISK_DATA_OFFSET + (rest - n);

                assert(ftruncate(fd, (off_t) end) == 0);
                if (data[0] & 1)
                        fix_checksums(fd, &h, end);
        }

        if (disk_file_read_header(fd, &h) < 0)
                return 0;
        for (uint32_t i = 0; i < MIN(h.n_objects, 5U); i++) {
                uint64_t length = sizeof(buffer);
                int memfd;

                if (disk_file_stat(fd, i, &st) < 0)
                        continue;
                if (disk_file_load_bytes(fd, i, data[0], buffer, &length) >= 0 && length > sizeof(buffer))
                        abort();
                if (st.file_bytes <= MIB(16) && disk_file_load_memfd(fd, i, &memfd) >= 0)
                        safe_close(memfd);
        }
        if (data[0] & 2) {
                uint32_t object = PKRAM_OBJECT_NEW;

                (void) disk_file_save_bytes(fd, &object, data, size);
        }
        return 0;
}
