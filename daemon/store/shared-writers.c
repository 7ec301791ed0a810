/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "process-util.h"
#include "shared-writers.h"

/* Processes that are named. */
#define NAMED_MAX 4U

/* Any user can make mappings, and the check before a kexec must come to an end. */
#define WRITERS_MAX (1U << 20)

typedef struct WriterSearch {
        SharedWriters *found;
        dev_t device;
        char ipc[64];           /* the IPC namespace of this process */
        SharedWriterFilter filter;
        void *userdata;
        char *unit;             /* of the last process, and whether it counts */
        bool has_unit, counts;
} WriterSearch;

void shared_writers_done(SharedWriters *w) {
        for (size_t i = 0; i < w->n_texts; i++)
                free(w->texts[i]);
        free(w->texts);
        free(w->list);
        *w = (SharedWriters) {};
}

static bool namespace_read(int process, const char *name, char *buffer, size_t size) {
        ssize_t n = readlinkat(process, name, buffer, size - 1);

        buffer[MAX(n, 0)] = 0;
        return n > 0;
}

/* Adds the process to those that can be named. Returns 1, 0 if it does not count, or -ENOMEM. */
static int writer_add_process(WriterSearch *s, int process, pid_t pid) {
        SharedWriters *w = s->found;

        if (s->filter) {
                _cleanup_free_ char *unit = process_unit(pid);

                /* Many processes can be in one unit. */
                if (!s->has_unit || !streq(unit ?: "", s->unit ?: "")) {
                        s->counts = s->filter(unit, s->userdata);
                        s->has_unit = true;
                        free(s->unit);
                        s->unit = TAKE_PTR(unit);
                }
                if (!s->counts)
                        return 0;
        }
        if (GREEDY_REALLOC(w->texts, w->texts_allocated, w->n_texts + 1) < 0)
                return -ENOMEM;
        w->texts[w->n_texts] = process_text(process, pid, s->unit);
        if (!w->texts[w->n_texts])
                return 0;
        w->n_texts++;
        return 1;
}

/* Returns true for the line of a mapping that counts. */
static bool line_parse(const char *line, dev_t device, bool segments, SharedWriter *ret) {
        unsigned major, minor;
        char perms[5];

        if (sscanf(line, "%*s %4s %*s %x:%x %" SCNu64, perms, &major, &minor, &ret->inode) != 4 || perms[1] != 'w' ||
            perms[3] != 's')
                return false;
        ret->device = makedev(major, minor);
        if (device != 0 && ret->device == device)
                return true;
        /* The inode of a segment has its identifier as the number. */
        ret->device = 0;
        return segments && strstr(line, " /SYSV");
}

static int writers_add(int process, pid_t pid, void *userdata) {
        WriterSearch *s = userdata;
        SharedWriters *w = s->found;
        _cleanup_free_ char *maps = proc_read(process, "maps");
        char *rest = maps, ipc[64];
        bool segments, named = false;
        int r;

        segments = namespace_read(process, "ns/ipc", ipc, sizeof(ipc)) && streq(ipc, s->ipc);
        for (char *line; rest && (line = strsep(&rest, "\n"));) {
                SharedWriter writer;

                if (!line_parse(line, s->device, segments, &writer))
                        continue;
                if (!named) {
                        r = writer_add_process(s, process, pid);
                        if (r <= 0)
                                return r;
                        named = true;
                }
                writer.process = w->n_texts - 1;
                if (w->n == WRITERS_MAX)
                        return -E2BIG;
                if (GREEDY_REALLOC(w->list, w->allocated, w->n + 1) < 0)
                        return -ENOMEM;
                w->list[w->n++] = writer;
        }
        return 0;
}

static int writer_compare(const void *a, const void *b) {
        const SharedWriter *x = a, *y = b;

        if (x->device != y->device)
                return x->device < y->device ? -1 : 1;
        if (x->inode != y->inode)
                return x->inode < y->inode ? -1 : 1;
        return x->process < y->process ? -1 : x->process > y->process;
}

int shared_writers_find(dev_t device, SharedWriterFilter filter, void *userdata, SharedWriters *ret) {
        _cleanup_shared_writers_ SharedWriters found = {};
        WriterSearch s = { .found = &found, .device = device, .filter = filter, .userdata = userdata };
        int r;

        (void) namespace_read(AT_FDCWD, "/proc/self/ns/ipc", s.ipc, sizeof(s.ipc));
        r = processes_foreach(writers_add, &s);
        free(s.unit);
        if (r < 0)
                return r;
        if (found.n > 0)
                qsort(found.list, found.n, sizeof(found.list[0]), writer_compare);
        *ret = TAKE(found, (SharedWriters) {});
        return 0;
}

char *shared_writers_text(const SharedWriters *w, dev_t device, uint64_t inode) {
        NameList names = { .max = NAMED_MAX };
        size_t first = 0, end = w->n;

        while (first < end) {
                size_t middle = first + (end - first) / 2;
                const SharedWriter *m = w->list + middle;

                if (m->device < device || (m->device == device && m->inode < inode))
                        first = middle + 1;
                else
                        end = middle;
        }
        for (size_t i = first; i < w->n && w->list[i].device == device && w->list[i].inode == inode; i++)
                if ((i == first || w->list[i].process != w->list[i - 1].process) &&
                    name_list_add(&names, w->texts[w->list[i].process]) != 0)
                        break;
        return names.text;
}
