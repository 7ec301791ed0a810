/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "disk-file.h"
#include "disk-io.h"

#define TMPFS 0x01021994

/* Bytes after which the kernel is told to begin with writing, or to forget what was read. */
#define WINDOW MIB(8)

/* Bytes that may be on their way to the disk before a writer waits, so that little is left for the last fsync(). */
#define IN_FLIGHT (4 * WINDOW)

#define NSEC_PER_SEC INT64_C(1000000000)

/* Data of less than a page follows without a gap, so that small streams take little room. */
static uint64_t align_position(uint64_t position, uint64_t length) {
        uint64_t to = length >= 4096 ? 4096 : 8;

        return (position + to - 1) / to * to;
}

static uint64_t object_position(uint32_t index) {
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

static int header_write(int fd, DiskHeader *h) {
        disk_header_seal(h);
        return disk_write(fd, h, sizeof(*h), 0);
}

static int object_read(int fd, const DiskHeader *h, uint32_t index, DiskObject *ret) {
        int r;

        if (index >= h->n_objects)
                return -ENODATA;
        r = disk_read(fd, ret, sizeof(*ret), object_position(index));
        if (r < 0)
                return r;
        return disk_object_check(h, ret, index);
}

/* Returns the list of chunks of an object, to be freed, or NULL if there are none. */
static int chunks_read(int fd, const DiskHeader *h, const DiskObject *o, DiskChunk **ret) {
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

static int chunk_read(int fd, const DiskChunk *c, void *buffer) {
        int r;

        r = disk_read(fd, buffer, c->length, c->position);
        if (r < 0)
                return r;
        return disk_checksum(buffer, c->length) == c->checksum ? 0 : -EBADMSG;
}

/* --- saving --- */

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
        return header_write(fd, &h);
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
        r = disk_write(w->fd, o, sizeof(*o), object_position(o->index));
        if (r < 0)
                return r;
        h->n_objects = MAX(h->n_objects, o->index + 1);
        return header_write(w->fd, h);
}

static bool disk_file_is_shmem(int fd, const struct stat *st) {
        struct statfs sfs;

        return S_ISREG(st->st_mode) && fstatfs(fd, &sfs) == 0 && sfs.f_type == TMPFS;
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
                r = object_read(fd, &w.header, *object, &w.object);
                if (r < 0)
                        return r;
                if (w.object.kind != DISK_OBJECT_BYTES)
                        return -EINVAL;
                r = chunks_read(fd, &w.header, &w.object, &w.chunks);
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
                return errno == ENOSPC ? -EDQUOT : -errno;
        h.state = DISK_COMMITTED;
        h.id = stamp->id;
        h.stored_ns = stamp->stored_ns;
        h.generation = stamp->generation;
        memcpy(h.boot_id, stamp->boot_id, sizeof(h.boot_id));
        (void) snprintf(h.release, sizeof(h.release), "%s", stamp->release);
        r = header_write(fd, &h);
        if (r >= 0)
                r = disk_sync(fd);
        if (r < 0) {
                h.state = DISK_SAVING;
                h.id = 0;
                (void) header_write(fd, &h);
                return r;
        }

        *ret = h;
        return 0;
}

/* --- loading --- */

static int read_committed(int fd, uint32_t object, DiskHeader *ret_header, DiskObject *ret_object) {
        int r;

        r = disk_file_read_header(fd, ret_header);
        if (r < 0)
                return r;
        if (ret_header->state != DISK_COMMITTED)
                return -EBADFD;
        return object_read(fd, ret_header, object, ret_object);
}

int disk_file_stat(int fd, uint32_t object, struct pkram_ioctl_stat *ret) {
        DiskHeader h;
        DiskObject o;
        int r;

        r = read_committed(fd, object, &h, &o);
        if (r < 0)
                return r;

        *ret = (struct pkram_ioctl_stat) {
                .size = sizeof(*ret),
                .object = object,
        };
        if (o.kind == DISK_OBJECT_BYTES) {
                ret->state = PKRAM_STAT_BYTES;
                ret->data_bytes = o.size;
                return 0;
        }
        ret->state = PKRAM_STAT_FILE;
        ret->pages = o.pages;
        ret->file_bytes = o.size;
        ret->mode = o.mode;
        ret->uid = o.uid;
        ret->gid = o.gid;
        ret->seals = o.seals;
        ret->atime_ns = o.atime_ns;
        ret->mtime_ns = o.mtime_ns;
        ret->ctime_ns = o.ctime_ns;
        return 0;
}

static int read_file_object(int fd, uint32_t object, DiskHeader *ret_header, DiskObject *ret_object,
                            DiskChunk **ret_chunks) {
        int r;

        r = read_committed(fd, object, ret_header, ret_object);
        if (r < 0)
                return r;
        if (ret_object->kind != DISK_OBJECT_FILE)
                return -EINVAL;
        return chunks_read(fd, ret_header, ret_object, ret_chunks);
}

/* The target is of the kind whose own limit says -ENOSPC. */
static int target_write(int target, const void *data, size_t size, uint64_t offset) {
        int r = disk_write(target, data, size, offset);

        return r == -EDQUOT ? -ENOSPC : r;
}

/*
 * One thread reads large blocks in order, and the kernel reads ahead of it. More reads at a time did not gain on the
 * disks that this was measured on, because checking and copying take most of the time. Medians of five rounds for
 * 1 GiB from a cold cache on two processors that had other work to do, ext4 on virtio, in ms (processor time):
 *
 *      as it is                            983 (764)       dd: 1088
 *      two threads, a chunk each           953 (691)       dd: 1172
 *      four threads                        898 (716)       dd: 1281
 *      32 MiB by POSIX_FADV_WILLNEED      1591 (839)       dd: 1299
 *
 * The differences between the threads are smaller than those between the rounds of dd. They cannot write to the target
 * at the same time, since the kernel locks a file of a tmpfs for each write.
 */
static int disk_file_fill(int fd, const DiskObject *o, const DiskChunk *chunks, int target) {
        _cleanup_free_ uint8_t *buffer = malloc(DISK_CHUNK_MAX);
        uint64_t window = 0;
        int r;

        if (!buffer)
                return -ENOMEM;
        if (ftruncate(target, (off_t) o->size) < 0)
                return -errno;

        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        for (uint32_t i = 0; i < o->n_chunks; i++) {
                const DiskChunk *c = chunks + i;

                r = chunk_read(fd, c, buffer);
                if (r >= 0)
                        r = target_write(target, buffer, c->length, c->offset);
                if (r < 0)
                        return r;

                /* All of it is in memory twice otherwise. */
                if (window == 0)
                        window = c->position;
                if (c->position + c->length > window + WINDOW) {
                        (void) posix_fadvise(fd, (off_t) window, (off_t) (c->position + c->length - window),
                                             POSIX_FADV_DONTNEED);
                        window = c->position + c->length;
                }
        }
        return 0;
}

static struct timespec ns_to_timespec(int64_t ns) {
        struct timespec ts = { .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };

        if (ts.tv_nsec < 0) {
                ts.tv_sec--;
                ts.tv_nsec += NSEC_PER_SEC;
        }
        return ts;
}

/* Times come last but one: what precedes them changes them. A new owner may take away the right to set them. */
static int set_attributes(int target, const DiskObject *o) {
        struct timespec times[2] = { ns_to_timespec(o->atime_ns), ns_to_timespec(o->mtime_ns) };
        int seals = fcntl(target, F_GET_SEALS);
        struct stat st;

        if (fstat(target, &st) < 0)
                return -errno;
        if ((st.st_uid != o->uid || st.st_gid != o->gid) && fchown(target, o->uid, o->gid) < 0)
                return -errno;
        /* The type of the file is none of its permissions. */
        if (fchmod(target, o->mode & 07777) < 0)
                return -errno;
        if (seals >= 0 && (o->seals & ~(uint32_t) seals) != 0 && fcntl(target, F_ADD_SEALS, o->seals) < 0)
                return -errno;
        return futimens(target, times) < 0 ? -errno : 0;
}

int disk_file_load_file(int fd, uint32_t object, int target) {
        _cleanup_free_ DiskChunk *chunks = NULL;
        DiskHeader h;
        DiskObject o;
        struct stat st;
        int r;

        r = read_file_object(fd, object, &h, &o, &chunks);
        if (r < 0)
                return r;
        if (fstat(target, &st) < 0 || (fcntl(target, F_GETFL) & O_ACCMODE) == O_RDONLY)
                return -EBADF;
        if (!disk_file_is_shmem(target, &st) || st.st_size != 0 || st.st_blocks != 0)
                return -EINVAL;

        r = disk_file_fill(fd, &o, chunks, target);
        if (r >= 0)
                r = set_attributes(target, &o);
        if (r < 0)
                (void) ftruncate(target, 0);
        return r;
}

int disk_file_load_memfd(int fd, uint32_t object, int *ret) {
        _cleanup_free_ DiskChunk *chunks = NULL;
        _cleanup_close_ int target = -EBADF;
        DiskHeader h;
        DiskObject o;
        int r;

        r = read_file_object(fd, object, &h, &o, &chunks);
        if (r < 0)
                return r;
        /* A seal that only the flag sets, and that others cannot be added to. */
        target = memfd_create("pkram", MFD_CLOEXEC | (o.seals == F_SEAL_SEAL ? 0 : MFD_ALLOW_SEALING));
        if (target < 0)
                return -errno;

        r = disk_file_fill(fd, &o, chunks, target);
        if (r >= 0)
                r = set_attributes(target, &o);
        if (r < 0)
                return r;
        *ret = TAKE_FD(target);
        return 0;
}

int disk_file_load_bytes(int fd, uint32_t object, uint64_t offset, void *buffer, uint64_t *size) {
        _cleanup_free_ DiskChunk *chunks = NULL;
        _cleanup_free_ uint8_t *block = NULL;
        uint64_t done = 0;
        DiskHeader h;
        DiskObject o;
        int r;

        r = read_committed(fd, object, &h, &o);
        if (r < 0)
                return r;
        if (o.kind != DISK_OBJECT_BYTES)
                return -EINVAL;
        r = chunks_read(fd, &h, &o, &chunks);
        if (r < 0)
                return r;

        uint64_t want = offset >= o.size ? 0 : MIN(*size, o.size - offset);
        for (uint32_t i = 0; i < o.n_chunks && done < want; i++) {
                const DiskChunk *c = chunks + i;
                uint64_t from = offset + done;

                if (from >= c->offset + c->length)
                        continue;
                uint64_t skip = from - c->offset, n = MIN(c->length - skip, want - done);

                if (n == c->length)
                        r = chunk_read(fd, c, (uint8_t *) buffer + done);
                else {
                        block = block ?: malloc(DISK_CHUNK_MAX);
                        if (!block)
                                return -ENOMEM;
                        r = chunk_read(fd, c, block);
                        if (r >= 0)
                                memcpy((uint8_t *) buffer + done, block + skip, n);
                }
                if (r < 0)
                        return r;
                done += n;
        }

        *size = done;
        return 0;
}
