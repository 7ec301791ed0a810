/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include "device-mock.h"

/* Aborts if an expression with side effects is false: the model itself has failed, not the code under test. */
#define must(expr)                      \
        do {                            \
                if (!(expr))            \
                        abort();        \
        } while (false)

#define TMPFS 0x01021994

typedef struct Object {
        int fd; /* or -EBADF */
        struct stat st;
        uint32_t seals;
        bool loaded;
        bool bytes;
        uint8_t *data;
        size_t size;
} Object;

typedef struct Node {
        struct Node *next;
        uint64_t id, generation, stored_ns;
        bool inherited;
        char name[PKRAM_NODE_NAME_MAX + 1];
        Object *objects;
        uint32_t n_objects;
        size_t allocated;
} Node;

typedef enum State {
        CLOSED,
        IDLE,
        SAVING,
        LOADING,
} State;

/*
 * The descriptor that a client gets is the write end of a pipe. It can be copied and sent like
 * a descriptor of the device, and the read end shows when the last copy is closed.
 */
typedef struct Handle {
        State state;
        int watch;
        ino_t ino;
        Node *saving;
        uint64_t loading;
} Handle;

struct Mock {
        Node *nodes;  /* ascending ids */
        Node *recent; /* the node that was found last */
        const Node *listed; /* the last node of the latest list */
        uint64_t last_id;
        Handle *handles;
        size_t n_handles, allocated;
        struct pkram_ioctl_info info;
        struct pkram_node_info *dropped;
        size_t n_dropped, dropped_allocated;
        int missing;
        bool off;
        unsigned long fail_request;
        unsigned fail_n, calls;
        int fail_error;
};

static uint64_t object_pages(const Object *o) {
        return (o->fd >= 0 ? (uint64_t) o->st.st_blocks / 8 : 0) + (o->size + 4095) / 4096;
}

static Node *node_free(Node *n) {
        if (n) {
                for (uint32_t i = 0; i < n->n_objects; i++) {
                        safe_close(n->objects[i].fd);
                        free(n->objects[i].data);
                }
                free(n->objects);
                free(n);
        }
        return NULL;
}

Mock *mock_new(void) {
        Mock *m = calloc(1, sizeof(Mock));

        assert(m);
        m->info = (struct pkram_ioctl_info) {
                .uapi_version = PKRAM_UAPI_VERSION,
                .format_version = 1,
                .super_pfn = 0x1234,
        };
        return m;
}

Mock *mock_free(Mock *m) {
        if (!m)
                return NULL;

        for (Node *n = m->nodes, *next; n; n = next) {
                next = n->next;
                node_free(n);
        }
        for (size_t i = 0; i < m->n_handles; i++) {
                node_free(m->handles[i].saving);
                if (m->handles[i].state != CLOSED)
                        safe_close(m->handles[i].watch);
        }
        free(m->handles);
        free(m->dropped);
        free(m);
        return NULL;
}

void mock_fail(Mock *m, unsigned long request, unsigned n, int error) {
        m->fail_request = request;
        m->fail_n = n;
        m->fail_error = error;
        m->calls = 0;
}

unsigned mock_calls(const Mock *m) {
        return m->calls;
}

void mock_set_missing(Mock *m, int error) {
        m->missing = error;
}

void mock_set_off(Mock *m, bool off) {
        m->off = off;
        m->info.boot_result = off ? PKRAM_BOOT_OFF : PKRAM_BOOT_NONE;
}

struct pkram_ioctl_info *mock_info(Mock *m) {
        return &m->info;
}

size_t mock_n_nodes(const Mock *m) {
        size_t n = 0;

        for (Node *i = m->nodes; i; i = i->next)
                n++;
        return n;
}

static void handle_release(Handle *h) {
        node_free(h->saving);
        safe_close(h->watch);
        *h = (Handle) {};
}

/* Frees the handles whose last descriptor is closed. */
static void mock_reap(Mock *m) {
        for (size_t i = 0; i < m->n_handles; i++) {
                struct pollfd p = { .fd = m->handles[i].watch };

                if (m->handles[i].state != CLOSED && poll(&p, 1, 0) > 0 && (p.revents & POLLHUP))
                        handle_release(m->handles + i);
        }
}

size_t mock_n_handles(Mock *m) {
        size_t n = 0;

        mock_reap(m);
        for (size_t i = 0; i < m->n_handles; i++)
                n += m->handles[i].state != CLOSED;
        return n;
}

static Node *find_node(Mock *m, const char *name, uint64_t id) {
        /* Start at the node that was found last: a caller that iterates over all nodes then finds the next one at
         * once. As in the kernel, such a pass must take linear time. */
        for (unsigned pass = 0; pass < 2; pass++)
                for (Node *n = pass == 0 ? m->recent : m->nodes; n; n = n->next)
                        if (name ? streq(n->name, name) : n->id == id)
                                return m->recent = n;
        return NULL;
}

static Object *find_object(Mock *m, const char *name, uint32_t object) {
        Node *n = find_node(m, name, 0);

        for (Node *i = m->nodes; !n && i; i = i->next) {
                const char *end = strrchr(i->name, '|');

                if (end && streq(end + 1, name))
                        n = i;
        }

        assert(n);
        assert(object < n->n_objects);
        return n->objects + object;
}

void mock_corrupt(Mock *m, const char *name, uint32_t object, uint64_t offset) {
        Object *o = find_object(m, name, object);
        uint8_t b;

        if (o->fd < 0) {
                assert(offset < o->size);
                o->data[offset] ^= 0x10;
                return;
        }

        must(pread(o->fd, &b, 1, (off_t) offset) == 1);
        b ^= 0x10;
        must(pwrite(o->fd, &b, 1, (off_t) offset) == 1);
}

void mock_set_bytes(Mock *m, const char *name, uint32_t object, const void *data, size_t size) {
        Object *o = find_object(m, name, object);

        free(o->data);
        o->data = malloc(size + 1);
        assert(o->data);
        memcpy(o->data, data, size);
        o->size = size;
}

static int mock_reopen(int fd) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        fd = open(path, O_RDWR | O_CLOEXEC);
        /* The kernel does the same for files of a stored tree, whose file system stays read-only. */
        return fd < 0 && errno == EROFS ? open(path, O_RDONLY | O_CLOEXEC) : fd;
}

static bool mock_is_shmem(int fd, const struct stat *st) {
        struct statfs sfs;

        return S_ISREG(st->st_mode) && fstatfs(fd, &sfs) == 0 && sfs.f_type == TMPFS;
}

static void mock_copy_contents(int from, int fd, const struct stat *st) {
        uint8_t buffer[65536];
        off_t offset = 0;

        must(ftruncate(fd, st->st_size) == 0);

        for (;;) {
                offset = lseek(from, offset, SEEK_DATA);
                if (offset < 0)
                        break;
                ssize_t n = pread(from, buffer, MIN((size_t) (lseek(from, offset, SEEK_HOLE) - offset),
                                                    sizeof(buffer)), offset);
                if (n <= 0)
                        break;
                must(pwrite(fd, buffer, (size_t) n, offset) == n);
                offset += n;
        }
}

/* Creates a new file with the same contents, as the next kernel would. */
static int copy_file(int from, const struct stat *st) {
        int fd;

        fd = memfd_create("mock", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert(fd >= 0);
        mock_copy_contents(from, fd, st);
        must(fchmod(fd, st->st_mode & 07777) == 0);
        return fd;
}

void mock_kexec(Mock *m) {
        for (size_t i = 0; i < m->n_handles; i++) {
                if (m->handles[i].state != CLOSED)
                        handle_release(m->handles + i);
        }

        for (Node *n = m->nodes; n; n = n->next) {
                n->generation++;
                n->inherited = true;
                for (uint32_t i = 0; i < n->n_objects; i++) {
                        Object *o = n->objects + i;

                        o->loaded = false;
                        if (o->fd >= 0) {
                                int fd = copy_file(o->fd, &o->st);

                                safe_close(o->fd);
                                o->fd = fd;
                        }
                }
        }

        m->info.generation++;
        m->info.boot_result = PKRAM_BOOT_RESTORED;
        m->info.sealed_ns = 1;
        (void) snprintf(m->info.prev_release, sizeof(m->info.prev_release), "6.12.0-mock");
}

void mock_add_dropped(Mock *m, const char *name, uint32_t damage) {
        struct pkram_node_info *d;

        must(GREEDY_REALLOC(m->dropped, m->dropped_allocated, m->n_dropped + 1) == 0);
        d = &m->dropped[m->n_dropped++];
        *d = (struct pkram_node_info) { .id = m->n_dropped, .damage = damage };
        (void) snprintf(d->name, sizeof(d->name), "%s", name);
        m->info.nr_dropped++;
}

static int should_fail(Mock *m, unsigned long request) {
        if (m->fail_request != MOCK_ANY && m->fail_request != request)
                return 0;
        return ++m->calls == m->fail_n ? m->fail_error : 0;
}

static int mock_open(void *userdata) {
        Mock *m = userdata;
        struct stat st;
        int r, fds[2];
        size_t i = 0;

        r = m->missing < 0 ? m->missing : should_fail(m, MOCK_OPEN);
        if (r < 0)
                return r;

        mock_reap(m);
        while (i < m->n_handles && m->handles[i].state != CLOSED)
                i++;
        if (i == m->n_handles) {
                must(GREEDY_REALLOC(m->handles, m->allocated, m->n_handles + 1) == 0);
                m->n_handles++;
        }

        must(pipe2(fds, O_CLOEXEC) >= 0);
        must(fstat(fds[1], &st) >= 0);
        m->handles[i] = (Handle) { .state = IDLE, .watch = fds[0], .ino = st.st_ino };
        return fds[1];
}

static Handle *find_handle(Mock *m, int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
                return NULL;
        for (size_t i = 0; i < m->n_handles; i++)
                if (m->handles[i].state != CLOSED && m->handles[i].ino == st.st_ino)
                        return m->handles + i;
        return NULL;
}

static void mock_close(void *userdata, int fd) {
        safe_close(fd);
        mock_reap(userdata);
}

static bool is_loading(const Mock *m, uint64_t id, const Handle *except) {
        for (size_t i = 0; i < m->n_handles; i++)
                if (m->handles + i != except && m->handles[i].state == LOADING && m->handles[i].loading == id)
                        return true;
        return false;
}

static void get_node_info(const Mock *m, const Node *n, struct pkram_node_info *ret) {
        *ret = (struct pkram_node_info) {
                .id = n->id,
                .generation = n->generation,
                .meta_pages = 1 + (n->n_objects > 29 ? (n->n_objects - 29 + 30) / 31 : 0),
                .stored_ns = n->stored_ns,
                .nr_objects = n->n_objects,
                .flags = (n->inherited ? PKRAM_NODE_INHERITED : 0) | (is_loading(m, n->id, NULL) ? PKRAM_NODE_BUSY :
                                                                      0),
        };
        memcpy(ret->name, n->name, sizeof(ret->name));
        for (uint32_t i = 0; i < n->n_objects; i++) {
                const Object *o = n->objects + i;

                ret->data_pages += object_pages(o);
                ret->meta_pages += object_pages(o) > 0; /* one link page, as if the pages were contiguous */
                ret->file_bytes += o->fd >= 0 ? (uint64_t) o->st.st_size : 0;
                ret->data_bytes += o->size;
                ret->flags |= o->loaded ? PKRAM_NODE_LOADED : 0;
        }
}

static int mock_do_info(Mock *m, struct pkram_ioctl_info *a) {
        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;

        uint64_t meta_pages = 0;
        m->info.nr_nodes = m->info.data_pages = 0;
        for (Node *n = m->nodes; n; n = n->next) {
                struct pkram_node_info i;

                get_node_info(m, n, &i);
                m->info.nr_nodes++;
                m->info.data_pages += i.data_pages;
                meta_pages += i.meta_pages;
        }
        m->info.meta_pages = 1 + meta_pages;
        *a = m->info;
        a->size = sizeof(*a);
        return 0;
}

static int mock_do_list(Mock *m, struct pkram_ioctl_list *a) {
        struct pkram_node_info *nodes = (struct pkram_node_info *) (uintptr_t) a->nodes;

        if (a->size < sizeof(*a) || (a->flags & ~PKRAM_LIST_DROPPED) || a->reserved || a->capacity < 1 ||
            a->capacity > 4096 || a->node_size != sizeof(struct pkram_node_info))
                return -EINVAL;

        a->returned = 0;
        if (a->flags & PKRAM_LIST_DROPPED) {
                for (size_t i = 0; i < m->n_dropped && a->returned < a->capacity; i++)
                        if (m->dropped[i].id > a->cursor)
                                nodes[a->returned++] = m->dropped[i];
        } else {
                const Node *begin = m->recent && m->recent->id <= a->cursor ? m->recent : m->nodes;

                if (m->listed && m->listed->id <= a->cursor && m->listed->id > begin->id)
                        begin = m->listed;
                for (const Node *n = begin; n && a->returned < a->capacity; n = n->next)
                        if (n->id > a->cursor) {
                                get_node_info(m, n, nodes + a->returned++);
                                m->listed = n;
                        }
        }

        if (a->returned > 0)
                a->cursor = nodes[a->returned - 1].id;
        return 0;
}

static int mock_check_name(const struct pkram_ioctl_name *a) {
        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;
        if (!memchr(a->name, 0, sizeof(a->name)))
                return -ENAMETOOLONG;
        if (!a->name[0] || strchr(a->name, '/') || streq(a->name, ".") || streq(a->name, ".."))
                return -EINVAL;
        for (const char *p = a->name; *p; p++)
                if ((uint8_t) *p < 0x20 || *p == 0x7f)
                        return -EINVAL;
        return 0;
}

static int mock_do_save_begin(Handle *h, struct pkram_ioctl_name *a) {
        int r = mock_check_name(a);

        if (r < 0)
                return r;
        h->saving = calloc(1, sizeof(Node));
        if (!h->saving)
                return -ENOMEM;
        memcpy(h->saving->name, a->name, sizeof(a->name));
        h->state = SAVING;
        a->id = 0;
        return 0;
}

static Object *mock_add_object(Node *n) {
        if (n->n_objects >= PKRAM_MAX_OBJECTS)
                return NULL;
        must(GREEDY_REALLOC(n->objects, n->allocated, (size_t) n->n_objects + 1) == 0);
        n->objects[n->n_objects] = (Object) { .fd = -EBADF };
        return &n->objects[n->n_objects++];
}

static bool node_has_file(const Node *n, const struct stat *st) {
        for (uint32_t i = 0; n && i < n->n_objects; i++) {
                struct stat o;

                if (n->objects[i].fd >= 0 && fstat(n->objects[i].fd, &o) == 0 &&
                    o.st_dev == st->st_dev && o.st_ino == st->st_ino)
                        return true;
        }
        return false;
}

static int mock_do_save_file(Mock *m, Handle *h, struct pkram_ioctl_save_file *a) {
        struct stat st;
        Object *o;
        int seals;

        if (a->size < sizeof(*a) || a->flags || a->offset || a->length)
                return -EINVAL;
        if (fstat(a->fd, &st) < 0 || (fcntl(a->fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
                return -EBADF;
        if (!mock_is_shmem(a->fd, &st))
                return -EINVAL;

        for (Node *n = m->nodes; n; n = n->next)
                if (node_has_file(n, &st))
                        return -EBUSY;
        for (size_t i = 0; i < m->n_handles; i++)
                if (node_has_file(m->handles[i].saving, &st))
                        return -EBUSY;

        o = mock_add_object(h->saving);
        if (!o)
                return -EFBIG;
        o->fd = mock_reopen(a->fd);
        if (o->fd < 0)
                o->fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 3);
        assert(o->fd >= 0);
        o->st = st;
        seals = fcntl(a->fd, F_GET_SEALS);
        o->seals = seals < 0 ? 0 : (uint32_t) seals;
        o->loaded = true;
        a->object = h->saving->n_objects - 1;
        a->pages = object_pages(o);
        return 0;
}

static int mock_do_save_bytes(Handle *h, struct pkram_ioctl_bytes *a) {
        Object *o;

        if (a->size < sizeof(*a) || a->flags || a->reserved || a->offset || a->length > GIB(1))
                return -EINVAL;
        if (a->object != PKRAM_OBJECT_NEW && a->object + 1 != h->saving->n_objects)
                return -EINVAL;

        if (a->object == PKRAM_OBJECT_NEW) {
                o = mock_add_object(h->saving);
                if (!o)
                        return -EFBIG;
                a->object = h->saving->n_objects - 1;
        } else
                o = h->saving->objects + a->object;

        o->bytes = true;
        o->data = realloc(o->data, o->size + a->length + 1);
        assert(o->data);
        if (a->length > 0)
                memcpy(o->data + o->size, (void *) (uintptr_t) a->data, a->length);
        o->size += a->length;
        return 0;
}

static void unlink_node(Mock *m, Node *n) {
        m->recent = NULL;
        m->listed = NULL;
        for (Node **p = &m->nodes; *p; p = &(*p)->next)
                if (*p == n) {
                        *p = n->next;
                        break;
                }
        node_free(n);
}

static int mock_do_commit(Mock *m, Handle *h, struct pkram_ioctl_commit *a) {
        struct timespec ts;
        Node *old, **p;

        if (a->size < sizeof(*a) || (a->flags & ~PKRAM_COMMIT_REPLACE))
                return -EINVAL;

        old = find_node(m, h->saving->name, 0);
        if (old && !(a->flags & PKRAM_COMMIT_REPLACE))
                return -EEXIST;
        if (old && is_loading(m, old->id, NULL))
                return -EBUSY;
        if (old)
                unlink_node(m, old);

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        h->saving->id = ++m->last_id;
        h->saving->stored_ns = (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
        for (p = &m->nodes; *p; p = &(*p)->next)
                ;
        a->id = h->saving->id;
        *p = TAKE_PTR(h->saving);
        h->state = IDLE;
        return 0;
}

static int mock_do_load_begin(Mock *m, Handle *h, struct pkram_ioctl_name *a) {
        Node *n;
        int r;

        r = mock_check_name(a);
        if (r < 0)
                return r;
        n = find_node(m, a->name, 0);
        if (!n)
                return -ENOENT;
        h->state = LOADING;
        h->loading = a->id = n->id;
        return 0;
}

static int do_load_end(Handle *h, const struct pkram_ioctl_simple *a) {
        if (a->size < sizeof(*a) || a->flags || a->fd || a->reserved)
                return -EINVAL;
        h->state = IDLE;
        return 0;
}

static int get_object(Mock *m, Handle *h, uint32_t object, Object **ret) {
        Node *n = find_node(m, NULL, h->loading);

        if (object >= n->n_objects)
                return -ENODATA;
        *ret = n->objects + object;
        return 0;
}

static int mock_do_stat(Mock *m, Handle *h, struct pkram_ioctl_stat *a) {
        Object *o;
        int r;

        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;
        r = get_object(m, h, a->object, &o);
        if (r < 0)
                return r;

        *a = (struct pkram_ioctl_stat) {
                .size = sizeof(*a),
                .object = a->object,
                .state = (o->bytes ? PKRAM_STAT_BYTES : 0),
                .data_bytes = o->size,
        };
        if (o->fd >= 0) {
                a->state |= PKRAM_STAT_FILE | (o->loaded ? PKRAM_STAT_LOADED : 0);
                a->pages = (uint64_t) o->st.st_blocks / 8;
                a->file_bytes = (uint64_t) o->st.st_size;
                a->mode = o->st.st_mode;
                a->uid = o->st.st_uid;
                a->gid = o->st.st_gid;
                a->seals = o->seals;
                a->mtime_ns = o->st.st_mtim.tv_sec * 1000000000 + o->st.st_mtim.tv_nsec;
        }
        return 0;
}

/* Loads the contents into a file of the caller. From then on this file represents the object. */
static int load_into(Object *o, int target) {
        struct stat st;

        if (fcntl(target, F_GETFD) < 0 || (fcntl(target, F_GETFL) & O_ACCMODE) == O_RDONLY || fstat(target, &st) < 0)
                return -EBADF;
        if (!mock_is_shmem(target, &st) || st.st_size != 0 || st.st_blocks != 0)
                return -EINVAL;
        if (o->loaded)
                return -EBUSY;

        mock_copy_contents(o->fd, target, &o->st);
        must(fchown(target, o->st.st_uid, o->st.st_gid) == 0);
        must(fchmod(target, o->st.st_mode & 07777) == 0);
        safe_close(o->fd);
        o->fd = fcntl(target, F_DUPFD_CLOEXEC, 3);
        assert(o->fd >= 0);
        return 0;
}

static int mock_do_load_file(Mock *m, Handle *h, struct pkram_ioctl_load_file *a) {
        Object *o;
        int r;

        if (a->size < sizeof(*a) || a->flags)
                return -EINVAL;
        r = get_object(m, h, a->object, &o);
        if (r < 0)
                return r;
        if (o->fd < 0)
                return -EINVAL;

        a->fd = PKRAM_FD_NONE;
        if (a->target_fd != PKRAM_FD_NONE)
                r = load_into(o, a->target_fd);
        else {
                a->fd = mock_reopen(o->fd);
                r = a->fd < 0 ? -errno : 0;
        }
        if (r < 0)
                return r;
        o->loaded = true;
        return 0;
}

static int mock_do_load_bytes(Mock *m, Handle *h, struct pkram_ioctl_bytes *a) {
        Object *o;
        int r;

        if (a->size < sizeof(*a) || a->flags || a->reserved || a->length > GIB(1))
                return -EINVAL;
        r = get_object(m, h, a->object, &o);
        if (r < 0)
                return r;
        if (!o->bytes)
                return -EINVAL;
        a->length = a->offset >= o->size ? 0 : MIN(a->length, o->size - a->offset);
        if (a->length > 0)
                memcpy((void *) (uintptr_t) a->data, o->data + a->offset, a->length);
        return 0;
}

static int mock_do_remove(Mock *m, Handle *h, struct pkram_ioctl_name *a) {
        Node *n;
        int r;

        r = mock_check_name(a);
        if (r < 0)
                return r;
        n = find_node(m, a->name, 0);
        if (!n)
                return -ENOENT;
        if (is_loading(m, n->id, h))
                return -EBUSY;

        a->id = n->id;
        if (h->state == LOADING && h->loading == n->id)
                h->state = IDLE;
        unlink_node(m, n);
        return 0;
}

static int in_state(const Handle *h, State state) {
        return h->state == state ? 0 : -EBADFD;
}

static int mock_ioctl(void *userdata, int fd, unsigned long request, void *a) {
        Mock *m = userdata;
        Handle *h;
        int r;

        /* These two requests do not depend on other handles, and checking all handles each time is slow. */
        if (request != PKRAM_IOC_LOAD_STAT && request != PKRAM_IOC_LOAD_BYTES)
                mock_reap(m);
        h = find_handle(m, fd);
        if (!h)
                return -EBADF;

        r = should_fail(m, request);
        if (r < 0)
                return r;

        if (request == PKRAM_IOC_INFO)
                return mock_do_info(m, a);
        if (m->off)
                return -ENODEV;

        switch (request) {
        case PKRAM_IOC_LIST:
                return mock_do_list(m, a);
        case PKRAM_IOC_SAVE_BEGIN:
                return in_state(h, IDLE) ?: mock_do_save_begin(h, a);
        case PKRAM_IOC_SAVE_FILE:
                return in_state(h, SAVING) ?: mock_do_save_file(m, h, a);
        case PKRAM_IOC_SAVE_BYTES:
                return in_state(h, SAVING) ?: mock_do_save_bytes(h, a);
        case PKRAM_IOC_SAVE_COMMIT:
                return in_state(h, SAVING) ?: mock_do_commit(m, h, a);
        case PKRAM_IOC_LOAD_BEGIN:
                return in_state(h, IDLE) ?: mock_do_load_begin(m, h, a);
        case PKRAM_IOC_LOAD_STAT:
                return in_state(h, LOADING) ?: mock_do_stat(m, h, a);
        case PKRAM_IOC_LOAD_FILE:
                return in_state(h, LOADING) ?: mock_do_load_file(m, h, a);
        case PKRAM_IOC_LOAD_BYTES:
                return in_state(h, LOADING) ?: mock_do_load_bytes(m, h, a);
        case PKRAM_IOC_LOAD_END:
                return in_state(h, LOADING) ?: do_load_end(h, a);
        case PKRAM_IOC_REMOVE:
                return h->state == SAVING ? -EBADFD : mock_do_remove(m, h, a);
        default:
                return -ENOTTY;
        }
}

static const PkramDeviceOps mock_ops = {
        .open = mock_open,
        .ioctl = mock_ioctl,
        .close = mock_close,
};

PkramDevice mock_device(Mock *m) {
        return (PkramDevice) { .ops = &mock_ops, .userdata = m };
}
