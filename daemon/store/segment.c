/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/shm.h>
#include <sys/vfs.h>

#include "process-util.h"
#include "segment.h"
#include "shared-writers.h"

static void segment_from_kernel(int id, const struct shmid_ds *ds, Segment *ret) {
        *ret = (Segment) {
                .id = id,
                .key = (uint32_t) ds->shm_perm.__key,
                .size = ds->shm_segsz,
                .mode = ds->shm_perm.mode & 0777,
                .uid = ds->shm_perm.uid,
                .gid = ds->shm_perm.gid,
                .creator = ds->shm_perm.cuid,
                .locked = ds->shm_perm.mode & SHM_LOCKED,
                .attached = ds->shm_nattch,
        };
}

/* Adds what segments take, which shmctl(2) does not tell. Without the file, as without the line, that is not known. */
static void segments_add_used(Segment *list, size_t n) {
        _cleanup_free_ char *text = proc_read(AT_FDCWD, "/proc/sysvipc/shm");
        char *rest = text;

        for (char *line; rest && (line = strsep(&rest, "\n"));) {
                uint64_t resident, swapped;
                int id;

                /* key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap */
                if (sscanf(line, "%*s %i %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64, &id,
                           &resident, &swapped) != 3)
                        continue;
                for (size_t i = 0; i < n; i++)
                        if (list[i].id == id)
                                list[i].used = resident + swapped;
        }
}

int segments_list(Segment **ret, size_t *ret_n) {
        _cleanup_free_ Segment *list = NULL;
        size_t n = 0, allocated = 0;
        struct shmid_ds ds;
        int highest;

        highest = shmctl(0, SHM_INFO, &ds);
        if (highest < 0)
                return -errno;
        for (int i = 0; i <= highest; i++) {
                int id = shmctl(i, SHM_STAT_ANY, &ds);

                /* One that waits for its last user to end is gone then. */
                if (id < 0 || (ds.shm_perm.mode & SHM_DEST))
                        continue;
                if (GREEDY_REALLOC(list, allocated, n + 1) < 0)
                        return -ENOMEM;
                segment_from_kernel(id, &ds, list + n++);
        }
        segments_add_used(list, n);
        *ret = TAKE_PTR(list);
        *ret_n = n;
        return 0;
}

int segment_find(uint32_t key_or_id, bool by_id, Segment *ret) {
        _cleanup_free_ Segment *list = NULL;
        size_t n = 0;
        int r;

        r = segments_list(&list, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (by_id ? (uint32_t) list[i].id == key_or_id : list[i].key == key_or_id) {
                        *ret = list[i];
                        return 0;
                }
        return -ENOENT;
}

/* Finds where in this process a segment is mapped, and opens what is mapped there. */
static int mapping_open(const void *address, int flags) {
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0;
        int fd = -ENOENT;
        FILE *f;

        f = fopen("/proc/self/maps", "re");
        if (!f)
                return -errno;
        while (fd == -ENOENT && getline(&line, &allocated, f) >= 0) {
                unsigned long begin, end;
                char path[64];

                if (sscanf(line, "%lx-%lx ", &begin, &end) != 2 || begin != (unsigned long) address)
                        continue;
                (void) snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", begin, end);
                fd = open(path, flags | O_CLOEXEC);
                if (fd < 0) {
                        fd = -errno;
                        break;
                }
        }
        (void) fclose(f);
        return fd;
}

int segment_open(const Segment *s, bool write) {
        _cleanup_close_ int fd = -EBADF;
        struct statfs fs;
        void *address;

        address = shmat(s->id, NULL, write ? 0 : SHM_RDONLY);
        if (address == (void *) -1)
                return -errno;
        fd = mapping_open(address, write ? O_RDWR : O_RDONLY);
        if (shmdt(address) < 0)
                return -errno;
        if (fd < 0)
                return TAKE_FD(fd);
        if (fstatfs(fd, &fs) < 0)
                return -errno;
        return fs.f_type == HUGETLBFS_MAGIC ? -EOPNOTSUPP : TAKE_FD(fd);
}

int segment_obstacle(const Segment *s, const char **ret) {
        _cleanup_close_ int fd = -EBADF;

        *ret = NULL;
        if (s->key == 0) {
                *ret = "it is private (IPC_PRIVATE), and without a key no program could find it again";
                return 0;
        }
        fd = segment_open(s, /* write= */ false);
        if (fd == -EOPNOTSUPP) {
                *ret = "it is of huge pages (SHM_HUGETLB), which do not survive a kexec";
                return 0;
        }
        return MIN(fd, 0);
}

int segment_create(const Segment *s, int *ret_id) {
        int id = shmget((key_t) s->key, s->size, IPC_CREAT | IPC_EXCL | 0600);

        if (id < 0)
                return -errno;
        *ret_id = id;
        return 0;
}

int segment_publish(const Segment *s, int id) {
        struct shmid_ds ds;

        if (shmctl(id, IPC_STAT, &ds) < 0)
                return -errno;
        if (s->locked && shmctl(id, SHM_LOCK, NULL) < 0)
                return -errno;
        ds.shm_perm.uid = s->uid;
        ds.shm_perm.gid = s->gid;
        ds.shm_perm.mode = s->mode;
        return shmctl(id, IPC_SET, &ds) < 0 ? -errno : 0;
}

char *segment_writers(int id) {
        _cleanup_shared_writers_ SharedWriters writers = {};

        (void) shared_writers_find(/* device= */ 0, /* filter= */ NULL, /* userdata= */ NULL, &writers);
        return shared_writers_text(&writers, /* device= */ 0, (uint64_t) id);
}

char *segment_to_object_name(const Segment *s) {
        char *name;

        if (asprintf(&name, "key=0x%08x size=%llu mode=%04o uid=%u gid=%u locked=%i", s->key,
                     (unsigned long long) s->size, (unsigned) s->mode, s->uid, s->gid, s->locked) < 0)
                return NULL;
        return name;
}

int segment_from_object_name(const char *name, Segment *ret) {
        _cleanup_free_ char *again = NULL;
        unsigned long long size;
        unsigned key, mode, uid, gid;
        int locked;

        if (sscanf(name, "key=0x%8x size=%19llu mode=%4o uid=%10u gid=%10u locked=%1i", &key, &size, &mode, &uid, &gid,
                   &locked) != 6 ||
            key == 0 || size == 0 || size > INT64_MAX || (mode & ~0777U) || locked < 0 || locked > 1)
                return -EBADMSG;
        *ret = (Segment) { .id = -1, .key = key, .size = size, .mode = mode, .uid = uid, .gid = gid,
                           .locked = locked };

        /* There is one way to write it. */
        again = segment_to_object_name(ret);
        if (!again)
                return -ENOMEM;
        return streq(again, name) ? 0 : -EBADMSG;
}

int key_parse(const char *text, uint32_t *ret) {
        unsigned long long v;
        char *end;

        if (!isdigit((unsigned char) *text))
                return -EINVAL;
        errno = 0;
        v = strtoull(text, &end, startswith(text, "0x") ? 16 : 10);
        if (*end)
                return -EINVAL;
        if (errno != 0 || v > UINT32_MAX)
                return -ERANGE;
        *ret = (uint32_t) v;
        return 0;
}
