/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "device-places.h"
#include "disk-io.h"
#include "file-util.h"
#include "persist.h"
#include "time-util.h"

/* Nodes that are written at the same time. */
#define WRITERS 4U

/* How long to wait between two reports of the progress, and for a process that was killed. */
#define PROGRESS_MSEC 500
#define KILL_MSEC 5000

/* Less tells nothing about the disk. */
#define RATE_BYTES_MIN MIB(64)

/* A process that writes a node. */
typedef struct NodeWriter {
        PersistNode *node;      /* or NULL */
        PkramHandle to;
        pid_t pid;
        int pidfd;
} NodeWriter;

/* One call of persist_write(). */
typedef struct PersistRun {
        PersistPlan *plan;
        const PkramDevice *memory, *disk;
        const char *path;
        NodeWriter writers[WRITERS];
} PersistRun;

/* --- in the process --- */

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

static int node_copy(const PkramDevice *memory, const PersistNode *node, const char *path, int fd) {
        PkramHandle to = { .device = { .ops = pkram_device_attached.ops, .userdata = (char *) path }, .fd = fd };
        _cleanup_handle_ PkramHandle from = PKRAM_HANDLE_NONE;
        uint64_t id = 0;
        int r;

        r = pkram_load_begin(memory, node->kernel_name, &from, &id);
        if (r >= 0 && id != node->id)
                r = -ESTALE;
        for (uint32_t i = 0; r >= 0 && i < node->n_objects; i++)
                r = object_copy(&from, &to, i);
        /* The parent must not wait for the disk, so little is left for it to sync. */
        return r < 0 ? r : disk_sync(fd);
}

/* --- in the parent --- */

static void node_writer_done(NodeWriter *w) {
        if (w->node) {
                (void) kill(w->pid, SIGKILL);
                (void) waitpid(w->pid, NULL, WNOHANG);
        }
        pkram_handle_done(&w->to);
        w->pidfd = safe_close(w->pidfd);
        w->node = NULL;
}

static void node_drop(PersistPlan *p, PersistNode *n, PersistDrop drop, int error) {
        n->drop = drop;
        n->error = error;
        n->written = false;
        p->n_dropped++;
}

/* Kills the process, and drops the node. */
static void node_writer_give_up(PersistPlan *p, NodeWriter *w, PersistDrop drop, int error) {
        PersistNode *node = w->node;
        struct pollfd end = { .fd = w->pidfd, .events = POLLIN };

        (void) kill(w->pid, SIGKILL);
        (void) poll(&end, 1, KILL_MSEC);
        node_writer_done(w);
        node_drop(p, node, drop, error);
}

/*
 * The disk is full: drops the last node after this one in the plan that takes room there, written or not. These are no
 * more important. Returns false if there is none.
 */
static bool run_make_room(PersistRun *run, const PersistNode *node) {
        PersistPlan *p = run->plan;

        for (PersistNode *n = p->nodes + p->n - 1; n > node; n--) {
                for (size_t i = 0; i < WRITERS; i++)
                        if (run->writers[i].node == n) {
                                node_writer_give_up(p, run->writers + i, PERSIST_DROP_ROOM, -EDQUOT);
                                return true;
                        }
                if (n->written && disk_device_remove_copy(run->path, n->kernel_name) >= 0) {
                        node_drop(p, n, PERSIST_DROP_ROOM, -EDQUOT);
                        return true;
                }
        }
        return false;
}

static int node_writer_start(const PersistRun *run, NodeWriter *w, PersistNode *node) {
        pid_t parent = getpid();
        int r;

        r = pkram_save_begin(run->disk, node->kernel_name, &w->to);
        if (r < 0)
                return r;
        w->pid = fork();
        if (w->pid < 0) {
                r = -errno;
                pkram_handle_done(&w->to);
                return r;
        }
        if (w->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(EXIT_FAILURE);
                r = node_copy(run->memory, node, run->path, w->to.fd);
                _exit(r < 0 ? MIN(-r, 255) : 0);
        }
        w->node = node;
        w->pidfd = pidfd_open(w->pid, 0);
        if (w->pidfd < 0) {
                r = -errno;
                node_writer_done(w);
                return r;
        }
        return 0;
}

static void run_start_node(PersistRun *run, NodeWriter *w, PersistNode *node) {
        int r;

        do
                r = node_writer_start(run, w, node);
        while (r == -EDQUOT && run_make_room(run, node));
        if (r < 0)
                node_drop(run->plan, node, r == -EDQUOT ? PERSIST_DROP_ROOM : PERSIST_DROP_FAILED, r);
}

/* The process has ended: completes the node, or begins again with more room. */
static void run_finish_node(PersistRun *run, NodeWriter *w) {
        PersistNode *node = w->node;
        int status = 0, r;

        if (waitpid(w->pid, &status, 0) < 0)
                r = -errno;
        else if (!WIFEXITED(status))
                r = -ECANCELED;
        else
                r = -WEXITSTATUS(status);
        if (r == 0)
                r = pkram_save_commit(&w->to, /* replace= */ true, /* ret_id= */ NULL);
        w->node = NULL;
        node_writer_done(w);

        if (r >= 0)
                node->written = true;
        else if (r == -EDQUOT && run_make_room(run, node))
                run_start_node(run, w, node);
        else
                node_drop(run->plan, node, r == -EDQUOT ? PERSIST_DROP_ROOM : PERSIST_DROP_FAILED, r);
}

static uint64_t run_bytes_done(const PersistRun *run) {
        const PersistPlan *p = run->plan;
        uint64_t bytes = 0;
        struct stat st;

        for (size_t i = 0; i < p->n; i++)
                bytes += p->nodes[i].written ? p->nodes[i].bytes : 0;
        for (size_t i = 0; i < WRITERS; i++)
                if (run->writers[i].node && fstat(run->writers[i].to.fd, &st) >= 0)
                        bytes += MIN((uint64_t) st.st_blocks * 512, run->writers[i].node->bytes);
        return bytes;
}

/* Removes what a cancelled shutdown of this boot has written. */
static int remove_copies(const PkramDevice *disk, const char *path) {
        struct pkram_node_info nodes[64];
        uint64_t cursor = 0;
        uint32_t n;
        int r;

        do {
                r = pkram_device_list(disk, /* flags= */ 0, &cursor, nodes, ELEMENTSOF(nodes), &n);
                for (uint32_t i = 0; r >= 0 && i < n; i++)
                        if (!(nodes[i].flags & PKRAM_NODE_INHERITED))
                                r = disk_device_remove_copy(path, nodes[i].name);
                if (r < 0)
                        return r;
        } while (n == ELEMENTSOF(nodes));
        return 0;
}

static void rate_write(const char *path, uint64_t bytes, uint64_t usec) {
        char file[256], text[64];
        int n;

        if (bytes < RATE_BYTES_MIN || (size_t) snprintf(file, sizeof(file), "%s/rate", path) >= sizeof(file))
                return;
        n = snprintf(text, sizeof(text), "%llu %llu\n", (unsigned long long) bytes, (unsigned long long) usec);
        /* Only an estimate suffers. */
        (void) file_write(file, text, (size_t) n);
}

/* Waits for a process to end, at most until the deadline. Returns false then. */
static bool run_wait(PersistRun *run, uint64_t until) {
        struct pollfd ends[WRITERS];
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now >= until)
                return false;
        for (size_t i = 0; i < WRITERS; i++)
                ends[i] = (struct pollfd) {
                        .fd = run->writers[i].node ? run->writers[i].pidfd : -1,
                        .events = POLLIN,
                };
        if (poll(ends, WRITERS, (int) MIN((until - now) / 1000 + 1, (uint64_t) PROGRESS_MSEC)) > 0)
                for (size_t i = 0; i < WRITERS; i++)
                        /* Another one that has ended may have made room of this one. */
                        if (ends[i].revents && run->writers[i].node && run->writers[i].pidfd == ends[i].fd)
                                run_finish_node(run, run->writers + i);
        return true;
}

static void run_write(PersistRun *run, PersistProgress progress, void *userdata) {
        PersistPlan *p = run->plan;
        uint64_t begin = now_usec(CLOCK_MONOTONIC), until = begin + p->seconds * USEC_PER_SEC;
        size_t next = 0, end = p->nodes ? p->n - p->n_dropped : 0, busy;
        bool in_time = true;

        if (!p->nodes)
                return;
        do {
                busy = 0;
                for (size_t i = 0; i < WRITERS; i++) {
                        while (!run->writers[i].node && in_time && next < end)
                                run_start_node(run, run->writers + i, p->nodes + next++);
                        busy += run->writers[i].node != NULL;
                }
                if (busy > 0 && in_time)
                        in_time = run_wait(run, until);
                for (size_t i = 0; i < WRITERS && !in_time; i++)
                        if (run->writers[i].node)
                                node_writer_give_up(p, run->writers + i, PERSIST_DROP_TIME, -ETIME);
                for (; !in_time && next < end; next++)
                        node_drop(p, p->nodes + next, PERSIST_DROP_TIME, -ETIME);
                if (progress)
                        progress(p, run_bytes_done(run), userdata);
        } while (busy > 0 || next < end);

        if (in_time)
                rate_write(run->path, run_bytes_done(run), now_usec(CLOCK_MONOTONIC) - begin + 1);
}

int persist_write(PersistPlan *p, const PkramDevice *memory, const char *path, const DiskBoot *boot,
                  PersistProgress progress, void *userdata) {

        _cleanup_(disk_device_freep) DiskDevice *d = NULL;
        PersistRun run = { .plan = p, .memory = memory, .path = path };
        PkramDevice disk;
        int r;

        for (size_t i = 0; i < WRITERS; i++)
                run.writers[i] = (NodeWriter) { .to = PKRAM_HANDLE_NONE, .pidfd = -EBADF };
        r = disk_device_new(path, boot, /* notice= */ NULL, /* userdata= */ NULL, &d);
        if (r >= 0) {
                disk = disk_device(d);
                run.disk = &disk;
                r = remove_copies(&disk, path);
        }
        if (r >= 0) {
                run_write(&run, progress, userdata);
                return 0;
        }

        for (size_t i = 0; i < p->n; i++)
                if (p->nodes[i].drop == PERSIST_DROP_NONE)
                        node_drop(p, p->nodes + i, PERSIST_DROP_FAILED, r);
        p->error = r;
        return r;
}
