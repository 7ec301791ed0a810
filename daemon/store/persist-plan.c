/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "disk-format.h"
#include "file-util.h"
#include "persist-rate.h"
#include "system-node.h"

/* A file has a header, and lists of chunks, which take a thousandth at most. */
#define FILE_BYTES KIB(32)

void persist_plan_done(PersistPlan *p) {
        for (size_t i = 0; i < p->n; i++) {
                free(p->nodes[i].owner);
                free(p->nodes[i].name);
        }
        free(p->nodes);
        *p = (PersistPlan) {};
}

/* Adds a node with a mark, and takes owner and name over, which may be NULL for want of memory. */
static int plan_add(PersistPlan *p, char *owner, char *name, int persist, PersistMode mode, uint64_t memory,
                    PersistNode **ret) {

        PersistDrop drop = PERSIST_DROP_NONE;
        PersistNode *n;

        if (!owner || !name || GREEDY_REALLOC(p->nodes, p->allocated, p->n + 1) < 0) {
                free(owner);
                free(name);
                return -ENOMEM;
        }
        if (persist < 0)
                drop = PERSIST_DROP_NEVER;
        else if (persist == PERSIST_DEFAULT && mode != PERSIST_ALL)
                drop = PERSIST_DROP_UNMARKED;
        n = p->nodes + p->n++;
        *n = (PersistNode) {
                .owner = owner,
                .name = name,
                .importance = persist > 0 ? persist : 0,
                .memory = memory,
                .bytes = memory,
                .drop = drop,
        };
        if (!inc_u64(&n->bytes, memory / 1000 + FILE_BYTES))
                n->bytes = UINT64_MAX;
        if (ret)
                *ret = n;
        return 0;
}

int persist_plan_collect(PersistPlan *p, Store *s, PersistMode mode) {
        const Peer root = { .pidfd = -EBADF, .owner = (char *) OWNER_ROOT };
        _cleanup_(store_list_freep) StoreList *l = NULL;
        int r;

        r = store_list_new(s, &root, /* owner= */ NULL, &l, /* reterr_error= */ NULL);
        while (r >= 0) {
                _cleanup_node_ StoreNode node = {};
                const struct pkram_node_info *i = &node.info;
                PersistNode *n;

                r = store_list_next(l, &node, /* reterr_error= */ NULL);
                if (r <= 0)
                        break;
                if (system_node_name(i->name))
                        continue;
                r = plan_add(p, TAKE_PTR(node.owner), TAKE_PTR(node.name), node.persist, mode,
                             store_pages_to_bytes(i->data_pages + i->meta_pages), &n);
                if (r < 0)
                        break;
                memcpy(n->kernel_name, i->name, sizeof(n->kernel_name));
                n->id = i->id;
                n->n_objects = i->nr_objects;
                (void) inc_u64(&n->bytes, i->nr_objects * sizeof(DiskObject));
        }
        return r;
}

int persist_plan_add_tree(PersistPlan *p, const char *name, int persist, PersistMode mode, uint64_t bytes,
                          bool storable) {

        PersistNode *n;
        int r;

        r = plan_add(p, strdup(OWNER_ROOT), strdup(name), persist, mode, bytes, &n);
        if (r >= 0 && n->drop == PERSIST_DROP_NONE && !storable)
                n->drop = PERSIST_DROP_UNSTORABLE;
        return r;
}

/* Users set the importance of their nodes themselves, so it orders these only among each other. */
static bool node_is_of_user(const PersistNode *n) {
        return startswith(n->owner, "uid:") != NULL;
}

/*
 * Orders by importance, nodes of users last, then by age. A mounted tree, which has no ID, counts as the newest. Late
 * nodes follow those for which there is time.
 */
static int persist_node_compare(const void *a, const void *b) {
        const PersistNode *x = a, *y = b;
        uint64_t i = x->id - 1, k = y->id - 1;

        if ((x->drop != PERSIST_DROP_NONE) != (y->drop != PERSIST_DROP_NONE))
                return x->drop != PERSIST_DROP_NONE ? 1 : -1;
        if (x->late != y->late)
                return x->late ? 1 : -1;
        if (node_is_of_user(x) != node_is_of_user(y))
                return node_is_of_user(x) ? 1 : -1;
        if (x->importance != y->importance)
                return x->importance > y->importance ? -1 : 1;
        return i != k ? (i > k) - (i < k) : strcmp(x->name, y->name);
}

/* How long it takes to write so many nodes with so many bytes. */
static uint64_t plan_usec(const PersistPlan *p, uint64_t bytes, size_t n) {
        uint64_t usec, of_nodes;

        if (__builtin_mul_overflow(bytes, USEC_PER_SEC, &usec))
                usec = bytes / MAX(p->rate / USEC_PER_SEC, UINT64_C(1));
        else
                usec /= MAX(p->rate, UINT64_C(1));
        if (__builtin_mul_overflow(p->usec_per_node, n, &of_nodes) || !inc_u64(&usec, of_nodes))
                return UINT64_MAX;
        return usec;
}

static bool time_exceeded(const PersistPlan *p, uint64_t bytes, size_t n) {
        return plan_usec(p, bytes, n) > p->seconds * USEC_PER_SEC;
}

/* Why so many nodes with so many bytes cannot be written. */
static PersistDrop bytes_drop(const PersistPlan *p, uint64_t bytes, size_t n) {
        if (bytes > p->room)
                return PERSIST_DROP_ROOM;
        return !p->try_late && time_exceeded(p, bytes, n) ? PERSIST_DROP_TIME : PERSIST_DROP_NONE;
}

/* Marks the nodes that an estimate of the time would drop, among the first n, which are ordered by importance. */
static void plan_mark_late(PersistPlan *p, size_t n) {
        uint64_t bytes = 0;
        size_t in_time = 0;
        bool over = false;

        for (size_t i = 0; i < n; i++) {
                PersistNode *node = p->nodes + i;

                if (time_exceeded(p, node->bytes, 1)) {
                        node->late = true;
                        continue;
                }
                over = over || time_exceeded(p, bytes + node->bytes, in_time + 1);
                node->late = over;
                if (!over) {
                        bytes += node->bytes;
                        in_time++;
                }
        }
        if (n > 0)
                qsort(p->nodes, n, sizeof(PersistNode), persist_node_compare);
}

void persist_plan_fail(PersistPlan *p, int error) {
        p->error = error;
        for (size_t i = 0; i < p->n; i++)
                if (p->nodes[i].drop == PERSIST_DROP_NONE) {
                        p->nodes[i].drop = PERSIST_DROP_FAILED;
                        p->nodes[i].error = error;
                }
}

void persist_plan_fit(PersistPlan *p) {
        size_t n = 0;

        p->bytes = 0;
        for (size_t i = 0; i < p->n; i++) {
                PersistNode *node = p->nodes + i;

                if (node->drop == PERSIST_DROP_NONE)
                        node->drop = bytes_drop(p, node->bytes, 1);
                if (node->drop == PERSIST_DROP_NONE && !inc_u64(&p->bytes, node->bytes))
                        node->drop = PERSIST_DROP_ROOM;
                n += node->drop == PERSIST_DROP_NONE;
        }
        if (p->n > 0)
                qsort(p->nodes, p->n, sizeof(PersistNode), persist_node_compare);
        while (n > 0 && bytes_drop(p, p->bytes, n) != PERSIST_DROP_NONE) {
                PersistNode *last = p->nodes + n - 1;

                last->drop = bytes_drop(p, p->bytes, n--);
                p->bytes -= last->bytes;
        }
        p->n_dropped = p->n - n;
        if (p->try_late)
                plan_mark_late(p, n);
}

uint64_t persist_plan_usec(const PersistPlan *p) {
        return plan_usec(p, p->bytes, p->n - p->n_dropped);
}

uint64_t persist_plan_seconds(const PersistPlan *p) {
        uint64_t usec = persist_plan_usec(p);

        return usec / USEC_PER_SEC + (usec % USEC_PER_SEC > 0);
}

bool persist_plan_is_cut(const PersistPlan *p) {
        for (size_t i = 0; i < p->n; i++)
                if (p->nodes[i].drop >= PERSIST_DROP_UNSTORABLE && !node_is_of_user(p->nodes + i))
                        return true;
        return false;
}

const char *persist_drop_text(const PersistNode *n) {
        switch (n->drop) {
        case PERSIST_DROP_UNMARKED:
                return "it is not marked for the disk, and Persist= is not all";
        case PERSIST_DROP_NEVER:
                return "it is marked as never to be written to disk";
        case PERSIST_DROP_UNSTORABLE:
                return "it cannot be stored as it is, see 'pkramctl check'";
        case PERSIST_DROP_ROOM:
                return "there is too little room on the disk, or PersistBytesMax= is exceeded";
        case PERSIST_DROP_TIME:
                return n->error == -ETIME ? "PersistSecMax= was over before it was written" :
                        "writing it would take longer than PersistSecMax=";
        case PERSIST_DROP_FAILED:
                return n->error == -ECANCELED ? "the process that wrote it was killed" : strerror(-n->error);
        default:
                return "it was not written";
        }
}

int persist_plan_limit(PersistPlan *p, const char *path, const Config *c) {
        char existing[256];
        struct statvfs fs;
        int r;

        r = disk_directory_check(path);
        if (r < 0)
                return r;
        r = existing_path(path, existing, sizeof(existing));
        if (r < 0)
                return r;
        if (statvfs(existing, &fs) < 0)
                return -errno;

        uint64_t all = (uint64_t) fs.f_blocks * fs.f_frsize, free_bytes = (uint64_t) fs.f_bavail * fs.f_frsize,
                 reserve = MIN(all / 20, GIB(1)), left = free_bytes > reserve ? free_bytes - reserve : 0;

        p->room = MIN(left, c->persist_bytes);
        p->seconds = c->persist_sec;
        persist_rate_read(p, path);
        return 0;
}
