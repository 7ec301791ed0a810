/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "device-places.h"
#include "disk-copy.h"
#include "persist-run.h"
#include "time-util.h"

/* Nodes that are written at the same time. */
#define WRITERS 4U

/* How often the bytes are counted. */
#define COUNT_MSEC 250

/* So many complete nodes, or those of so much time, get durable names at once. */
#define BATCH 64U
#define BATCH_USEC (200 * USEC_PER_SEC / 1000)

/* A process that writes a node. */
typedef struct NodeWriter {
        const PersistNode *node; /* or NULL */
        uint64_t begin_usec;
        size_t begin_n_dropped;
        DiskCopy copy;
        pid_t pid;
        int pidfd;
} NodeWriter;

/* One call of persist_run(). */
typedef struct PersistRun {
        const PersistPlan *plan;
        PersistShared *shared;
        const PkramDevice *memory;
        const char *path;
        DiskCopies disk;
        NodeWriter writers[WRITERS];
        size_t end;             /* of the nodes that are to be written */
        uint64_t bytes;         /* of those that are */
        size_t n_dropped;       /* each of them has made room for others */
        const PersistNode *batch[BATCH]; /* those whose names are not durable yet */
        size_t n_batch;
        uint64_t batch_usec;    /* when it began */
} PersistRun;

size_t persist_shared_size(const PersistPlan *p) {
        return sizeof(PersistShared) + p->n * sizeof(PersistResult);
}

/* --- in the process of a node --- */

static int object_copy(PkramHandle *from, PkramHandle *to, uint32_t index) {
        struct pkram_ioctl_stat stat;
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ void *data = NULL;
        uint32_t object;
        size_t size;
        int r;

        r = pkram_load_stat(from, index, &stat);
        if (r < 0)
                return r;
        switch (stat.state & (PKRAM_STAT_FILE | PKRAM_STAT_BYTES)) {
        case PKRAM_STAT_FILE:
                r = pkram_load_file(from, index, PKRAM_FD_NONE, &fd);
                if (r >= 0)
                        r = pkram_save_file(to, fd, &object, /* ret_pages= */ NULL);
                break;
        case PKRAM_STAT_BYTES:
                r = pkram_load_bytes(from, index, GIB(1), &data, &size);
                if (r >= 0)
                        r = pkram_save_bytes(to, data, size, &object);
                break;
        default:
                /* pkramd makes no such objects. */
                return -EOPNOTSUPP;
        }
        return r >= 0 && object != index ? -EPROTO : r;
}

static int node_copy(const PersistRun *run, const PersistNode *node, const DiskCopy *copy) {
        PkramHandle to = {
                .device = { .ops = pkram_device_attached.ops, .userdata = (char *) run->path },
                .fd = copy->fd,
        };
        _cleanup_handle_ PkramHandle from = PKRAM_HANDLE_NONE;
        uint64_t id = 0;
        int r;

        r = pkram_load_begin(run->memory, node->kernel_name, &from, &id);
        if (r >= 0 && id != node->id)
                r = -ESTALE;
        for (uint32_t i = 0; r >= 0 && i < node->n_objects; i++)
                r = object_copy(&from, &to, i);
        return r < 0 ? r : disk_copy_finish(&run->disk, copy);
}

/* --- in the process that starts them --- */

static PersistResult *result_of(const PersistRun *run, const PersistNode *node) {
        return run->shared->results + (node - run->plan->nodes);
}

static void result_drop(PersistRun *run, const PersistNode *node, int error) {
        PersistResult *result = result_of(run, node);

        result->written = false;
        result->usec = 0;
        result->error = error;
        result->drop = error == -EDQUOT ? PERSIST_DROP_ROOM : PERSIST_DROP_FAILED;
        run->n_dropped++;
}

/* Has a process that is still there end. */
static void node_writer_done(PersistRun *run, NodeWriter *w) {
        if (w->node) {
                (void) kill(w->pid, SIGKILL);
                (void) waitpid(w->pid, NULL, 0);
        }
        disk_copy_done(&run->disk, &w->copy);
        w->pidfd = safe_close(w->pidfd);
        w->node = NULL;
}

static int run_remove_copy(PersistRun *run, const PersistNode *node) {
        int r;

        r = disk_copy_remove(&run->disk, node->kernel_name);
        if (r >= 0)
                r = disk_copies_sync(&run->disk);
        if (r >= 0)
                run->bytes -= node->bytes;
        return r;
}

/* The nodes of the batch are written. If that fails, a crash might lose them, so they are not. */
static void run_sync(PersistRun *run) {
        int r;

        r = run->n_batch > 0 ? disk_copies_sync(&run->disk) : 0;
        for (size_t i = 0; i < run->n_batch; i++) {
                const PersistNode *node = run->batch[i];

                if (r >= 0) {
                        result_of(run, node)->written = true;
                        continue;
                }
                (void) disk_copy_remove(&run->disk, node->kernel_name);
                run->bytes -= node->bytes;
                result_drop(run, node, r);
        }
        run->n_batch = 0;
}

/*
 * The disk is full: drops the last node after this one in the plan that takes room there, written or not. These are no
 * more important, or late. Returns false if there is none.
 */
static bool run_make_room(PersistRun *run, const PersistNode *node) {
        run_sync(run);
        for (const PersistNode *n = run->plan->nodes + run->end - 1; n > node; n--) {
                bool gone = result_of(run, n)->written && run_remove_copy(run, n) >= 0;

                for (size_t i = 0; i < WRITERS && !gone; i++)
                        if (run->writers[i].node == n) {
                                node_writer_done(run, run->writers + i);
                                gone = true;
                        }
                if (gone) {
                        result_drop(run, n, -EDQUOT);
                        return true;
                }
        }
        return false;
}

static int node_writer_start(PersistRun *run, NodeWriter *w, const PersistNode *node) {
        pid_t parent = getpid();
        int r;

        r = disk_copy_begin(&run->disk, node->kernel_name, &w->copy);
        if (r < 0)
                return r;
        w->pid = fork();
        if (w->pid < 0) {
                r = -errno;
                node_writer_done(run, w);
                return r;
        }
        if (w->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(EXIT_FAILURE);
                /* What others have written has to leave the disk when it is removed. */
                for (NodeWriter *other = run->writers; other < run->writers + WRITERS; other++)
                        if (other != w)
                                other->copy.fd = safe_close(other->copy.fd);
                r = node_copy(run, node, &w->copy);
                _exit(r < 0 ? MIN(-r, 255) : 0);
        }
        w->node = node;
        w->begin_usec = now_usec(CLOCK_MONOTONIC);
        w->begin_n_dropped = run->n_dropped;
        w->pidfd = pidfd_open(w->pid, 0);
        if (w->pidfd < 0) {
                r = -errno;
                node_writer_done(run, w);
                return r;
        }
        return 0;
}

static void run_start_node(PersistRun *run, NodeWriter *w, const PersistNode *node) {
        int r;

        do
                r = node_writer_start(run, w, node);
        while (r == -EDQUOT && run_make_room(run, node));
        if (r < 0)
                result_drop(run, node, r);
}

static int run_publish(PersistRun *run, NodeWriter *w, const PersistNode *node) {
        int r;

        r = disk_copy_publish(&run->disk, &w->copy, node->kernel_name);
        if (r < 0)
                return r;
        if (run->n_batch == 0)
                run->batch_usec = now_usec(CLOCK_MONOTONIC);
        run->batch[run->n_batch++] = node;
        run->bytes += node->bytes;
        if (run->n_batch == BATCH)
                run_sync(run);
        return 0;
}

/* The process has ended: completes the node, or begins again with more room. */
static void run_finish_node(PersistRun *run, NodeWriter *w) {
        const PersistNode *node = w->node;
        int status = 0, r;

        if (waitpid(w->pid, &status, 0) < 0)
                r = -errno;
        else if (!WIFEXITED(status))
                r = -ECANCELED;
        else
                r = -WEXITSTATUS(status);
        w->node = NULL;
        if (r == 0) {
                result_of(run, node)->bytes = node->bytes;
                result_of(run, node)->usec = now_usec(CLOCK_MONOTONIC) - w->begin_usec;
                r = run_publish(run, w, node);
        }
        node_writer_done(run, w);

        /* Several may have found the disk full at the same time. There is more room when one of them is gone. */
        if (r == -EDQUOT && (run->n_dropped > w->begin_n_dropped || run_make_room(run, node)))
                run_start_node(run, w, node);
        else if (r < 0)
                result_drop(run, node, r);
}

static void run_count(PersistRun *run) {
        uint64_t bytes = run->bytes, now = now_usec(CLOCK_MONOTONIC);

        for (const NodeWriter *w = run->writers; w < run->writers + WRITERS; w++) {
                PersistResult *result;
                struct stat st;

                if (!w->node || fstat(w->copy.fd, &st) < 0)
                        continue;
                result = result_of(run, w->node);
                result->bytes = MIN((uint64_t) st.st_blocks * 512, w->node->bytes);
                result->usec = now - w->begin_usec;
                bytes += result->bytes;
        }
        run->shared->bytes = bytes;
}

/* Waits for a process to end. */
static void run_wait(PersistRun *run) {
        struct pollfd ends[WRITERS];

        for (size_t i = 0; i < WRITERS; i++)
                ends[i] = (struct pollfd) {
                        .fd = run->writers[i].node ? run->writers[i].pidfd : -1,
                        .events = POLLIN,
                };
        if (poll(ends, WRITERS, COUNT_MSEC) <= 0)
                return;
        for (size_t i = 0; i < WRITERS; i++)
                /* Another one that has ended may have made room of this one. */
                if (ends[i].revents && run->writers[i].node && run->writers[i].pidfd == ends[i].fd)
                        run_finish_node(run, run->writers + i);
}

/* Late nodes take no time from the others. */
static bool run_may_start(const PersistRun *run, const PersistNode *node) {
        for (size_t i = 0; i < WRITERS && node->late; i++)
                if (run->writers[i].node && !run->writers[i].node->late)
                        return false;
        return true;
}

static void run_write(PersistRun *run) {
        size_t next = 0, busy;

        do {
                busy = 0;
                for (size_t i = 0; i < WRITERS; i++) {
                        while (!run->writers[i].node && next < run->end && run_may_start(run, run->plan->nodes + next))
                                run_start_node(run, run->writers + i, run->plan->nodes + next++);
                        busy += run->writers[i].node != NULL;
                }
                if (busy > 0)
                        run_wait(run);
                if (busy == 0 || (run->n_batch > 0 && now_usec(CLOCK_MONOTONIC) - run->batch_usec >= BATCH_USEC))
                        run_sync(run);
                run_count(run);
        } while (busy > 0);
}

void persist_run(const PersistPlan *p, const PkramDevice *memory, const char *path, const DiskBoot *boot,
                 PersistShared *shared) {

        PersistRun run = {
                .plan = p,
                .shared = shared,
                .memory = memory,
                .path = path,
                .disk = DISK_COPIES_NONE,
                .end = p->n - p->n_dropped,
        };

        for (size_t i = 0; i < WRITERS; i++)
                run.writers[i] = (NodeWriter) { .copy = DISK_COPY_NONE, .pidfd = -EBADF };
        shared->error = disk_copies_open(path, boot, &run.disk);
        if (shared->error < 0)
                return;
        run_write(&run);
        disk_copies_done(&run.disk);
}
