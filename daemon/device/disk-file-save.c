/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "disk-file-save.h"
#include "disk-file.h"
#include "disk-io.h"

/* Bytes after which the kernel is told to begin with writing. */
#define WINDOW MIB(8)

/* Bytes that may be on their way to the disk before a writer waits, so that little is left for the last fsync(). */
#define IN_FLIGHT (4 * WINDOW)

/* Data of less than a page follows without a gap, so that small streams take little room. */
static uint64_t align_position(uint64_t position, uint64_t length) {
        uint64_t to = length >= 4096 ? 4096 : 8;

        return (position + to - 1) / to * to;
}

int disk_file_begin(int fd, const char *name) {
        DiskHeader h = {
                .magic = DISK_MAGIC,
                .version = DISK_VERSION,
                .state = DISK_SAVING,
                .size = DISK_DATA_OFFSET,
        };

        if (strlen(name) > PKRAM_NODE_NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(h.name, name, strlen(name) + 1);
        if (getrandom(h.nonce, sizeof(h.nonce), 0) != (ssize_t) sizeof(h.nonce))
                return -EIO;
        return disk_file_write_header(fd, &h);
}

static int read_saving(int fd, DiskHeader *ret) {
        int r;

        r = disk_file_read_header(fd, ret);
        if (r < 0)
                return r;
        return ret->state == DISK_SAVING ? 0 : -EBADFD;
}

/* An object that is being written behind everything else; the header changes when all of it is there. */
typedef struct Writer {
        int fd;
        DiskHeader header;
        DiskObject object;
        DiskChunk *chunks;
        size_t n, allocated;
        uint64_t room;   /* bytes of contents that may be added */
} Writer;

static void writer_done(Writer *w) {
        free(w->chunks);
}

/*
 * Begins to write the window of the file that has been filled, and waits for an earlier one. Windows are those of the
 * file and not of the object, since there may be many small objects.
 */
static int window_write(int fd, uint64_t end) {
        int r;

        r = disk_write_begin(fd, end - WINDOW, WINDOW);
        if (r >= 0 && end > IN_FLIGHT)
                r = disk_write_wait(fd, end - IN_FLIGHT - WINDOW, WINDOW);
        return r;
}

static int add_chunk(Writer *w, uint64_t offset, const void *data, size_t length) {
        uint64_t position = align_position(w->header.size, length), before;
        int r;

        if (w->n >= UINT32_MAX)
                return -EFBIG;
        /* Only a file that gets contents while it is copied has more than it had. */
        if (length > w->room)
                return -EBUSY;
        r = GREEDY_REALLOC(w->chunks, w->allocated, w->n + 1);
        if (r < 0)
                return r;
        r = disk_write(w->fd, data, length, position);
        if (r < 0)
                return r;

        w->chunks[w->n++] = (DiskChunk) {
                .offset = offset,
                .length = length,
                .position = position,
                .checksum = disk_checksum(data, length),
        };
        before = w->header.size / WINDOW;
        w->header.size = position + length;
        w->room -= length;
        return w->header.size / WINDOW > before ? window_write(w->fd, w->header.size / WINDOW * WINDOW) : 0;
}

/* Writes the list of chunks, the entry and, as the last step, the header that counts the object. */
static int writer_finish(Writer *w) {
        DiskHeader *h = &w->header;
        DiskObject *o = &w->object;
        int r;

        o->magic = DISK_OBJECT_MAGIC;
        o->n_chunks = (uint32_t) w->n;
        o->list = 0;
        o->list_checksum = disk_checksum(w->chunks, w->n * sizeof(DiskChunk));
        if (w->n > 0) {
                o->list = align_position(h->size, sizeof(uint64_t));
                r = disk_write(w->fd, w->chunks, w->n * sizeof(DiskChunk), o->list);
                if (r < 0)
                        return r;
                h->size = o->list + w->n * sizeof(DiskChunk);
        }

        disk_object_seal(h, o);
        r = disk_write(w->fd, o, sizeof(*o), disk_file_object_position(o->index));
        if (r < 0)
                return r;
        h->n_objects = MAX(h->n_objects, o->index + 1);
        return disk_file_write_header(w->fd, h);
}

/* Reads a part of a file whose size must not change meanwhile. */
static int source_read(int fd, uint8_t *buffer, size_t size, uint64_t offset) {
        int r = disk_read(fd, buffer, size, offset);

        return r == -EBADMSG ? -EBUSY : r;
}

static bool is_all_zero(const uint8_t *p, size_t n) {
        return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Copies a part without looking for holes, but leaves out pages that are zero. */
static int copy_pages(Writer *w, int from, uint8_t *buffer, uint64_t offset, size_t n) {
        size_t begin = 0;
        int r;

        r = source_read(from, buffer, n, offset);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i += 4096) {
                size_t k = MIN(n - i, (size_t) 4096);

                if (!is_all_zero(buffer + i, k))
                        continue;
                if (i > begin) {
                        r = add_chunk(w, offset + begin, buffer + begin, i - begin);
                        if (r < 0)
                                return r;
                }
                begin = i + k;
        }
        return n > begin ? add_chunk(w, offset + begin, buffer + begin, n - begin) : 0;
}

/* seek: the descriptor is not shared, so its position may move. */
static int disk_file_copy_contents(Writer *w, int from, bool seek, uint64_t size) {
        _cleanup_free_ uint8_t *buffer = malloc(DISK_CHUNK_MAX);
        uint64_t offset = 0;
        int r;

        if (!buffer)
                return -ENOMEM;

        while (offset < size) {
                uint64_t end = size;

                if (seek) {
                        off_t data = lseek(from, (off_t) offset, SEEK_DATA), hole;

                        if (data < 0 && errno == ENXIO)
                                break;
                        if (data < 0)
                                return -errno;
                        hole = lseek(from, data, SEEK_HOLE);
                        if (hole < 0)
                                return errno == ENXIO ? -EBUSY : -errno;
                        offset = (uint64_t) data;
                        end = MIN((uint64_t) hole, size);
                }

                while (offset < end) {
                        size_t n = MIN(end - offset, DISK_CHUNK_MAX);

                        if (seek) {
                                r = source_read(from, buffer, n, offset);
                                if (r >= 0)
                                        r = add_chunk(w, offset, buffer, n);
                        } else
                                r = copy_pages(w, from, buffer, offset, n);
                        if (r < 0)
                                return r;
                        offset += n;
                }
        }
        return 0;
}

static int64_t timespec_to_ns(const struct timespec *ts) {
        int64_t ns;

        if (__builtin_mul_overflow(ts->tv_sec, NSEC_PER_SEC, &ns) || __builtin_add_overflow(ns, ts->tv_nsec, &ns))
                return 0;
        return ns;
}

int disk_file_save_file(int fd, int from, uint32_t *ret_object, uint64_t *ret_pages) {
        _cleanup_(writer_done) Writer w = { .fd = fd };
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        _cleanup_close_ int own = -EBADF;
        struct stat st;
        int seals, r;

        r = read_saving(fd, &w.header);
        if (r < 0)
                return r;
        if (fstat(from, &st) < 0 || (fcntl(from, F_GETFL) & (O_ACCMODE | O_PATH)) & (O_WRONLY | O_PATH))
                return -EBADF;
        if (!disk_file_is_shmem(from, &st))
                return -EINVAL;
        if (w.header.n_objects >= PKRAM_MAX_OBJECTS)
                return -EFBIG;
        seals = fcntl(from, F_GET_SEALS);

        w.object = (DiskObject) {
                .index = w.header.n_objects,
                .kind = DISK_OBJECT_FILE,
                .mode = st.st_mode,
                .uid = st.st_uid,
                .gid = st.st_gid,
                .seals = seals < 0 ? 0 : (uint32_t) seals,
                .size = (uint64_t) st.st_size,
                .atime_ns = timespec_to_ns(&st.st_atim),
                .mtime_ns = timespec_to_ns(&st.st_mtim),
                .ctime_ns = timespec_to_ns(&st.st_ctim),
        };
        w.room = (uint64_t) st.st_blocks * 512;

        /* A description of its own, so that the position of the caller's does not move. */
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", from);
        own = open(path, O_RDONLY | O_CLOEXEC);
        r = disk_file_copy_contents(&w, own >= 0 ? own : from, own >= 0, w.object.size);
        if (r < 0)
                return r;

        for (size_t i = 0; i < w.n; i++)
                w.object.pages += (w.chunks[i].length + 4095) / 4096;
        w.header.data_pages += w.object.pages;
        w.header.file_bytes += w.object.size;
        r = writer_finish(&w);
        if (r < 0)
                return r;

        *ret_object = w.object.index;
        *ret_pages = w.object.pages;
        return 0;
}

int disk_file_save_bytes(int fd, uint32_t *object, const void *data, size_t size) {
        _cleanup_(writer_done) Writer w = { .fd = fd };
        const uint8_t *p = data;
        int r;

        r = read_saving(fd, &w.header);
        if (r < 0)
                return r;
        if (*object == PKRAM_OBJECT_NEW) {
                if (w.header.n_objects >= PKRAM_MAX_OBJECTS)
                        return -EFBIG;
                w.object = (DiskObject) { .index = w.header.n_objects, .kind = DISK_OBJECT_BYTES };
        } else {
                if (w.header.n_objects == 0 || *object != w.header.n_objects - 1)
                        return -EINVAL;
                r = disk_file_read_object(fd, &w.header, *object, &w.object);
                if (r < 0)
                        return r;
                if (w.object.kind != DISK_OBJECT_BYTES)
                        return -EINVAL;
                r = disk_file_read_chunks(fd, &w.header, &w.object, &w.chunks);
                if (r < 0)
                        return r;
                w.n = w.allocated = w.object.n_chunks;
        }
        w.room = size;
        w.header.data_pages -= w.object.pages;

        for (size_t done = 0; done < size;) {
                size_t n = MIN(size - done, DISK_CHUNK_MAX);

                r = add_chunk(&w, w.object.size, p + done, n);
                if (r < 0)
                        return r;
                w.object.size += n;
                done += n;
        }

        w.object.pages = (w.object.size + 4095) / 4096;
        w.header.data_pages += w.object.pages;
        w.header.data_bytes += size;
        r = writer_finish(&w);
        if (r < 0)
                return r;

        *object = w.object.index;
        return 0;
}

int disk_file_commit(int fd, const DiskStamp *stamp, DiskHeader *ret) {
        DiskHeader h;
        int r;

        r = read_saving(fd, &h);
        if (r < 0)
                return r;

        /* What a call that failed left behind the end, and the page that the data begins with. */
        if (ftruncate(fd, (off_t) h.size) < 0)
                return disk_errno();
        h.state = DISK_COMMITTED;
        h.id = stamp->id;
        h.stored_ns = stamp->stored_ns;
        h.generation = stamp->generation;
        memcpy(h.boot_id, stamp->boot_id, sizeof(h.boot_id));
        (void) snprintf(h.release, sizeof(h.release), "%s", stamp->release);
        r = disk_file_write_header(fd, &h);
        if (r >= 0)
                r = disk_sync(fd);
        if (r < 0) {
                h.state = DISK_SAVING;
                h.id = 0;
                (void) disk_file_write_header(fd, &h);
                return r;
        }

        *ret = h;
        return 0;
}
