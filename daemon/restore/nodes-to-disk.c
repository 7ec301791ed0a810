/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>

#include "format.h"
#include "log.h"
#include "nodes-to-disk.h"
#include "time-util.h"

/* Between two lines on the console. */
#define CONSOLE_USEC (3 * USEC_PER_SEC)

typedef struct Console {
        int fd;                 /* or -EBADF */
        uint64_t next_usec;
} Console;

static void console_progress(const PersistPlan *p, uint64_t bytes, void *userdata) {
        char done[FORMAT_MAX], all[FORMAT_MAX];
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        Console *c = userdata;

        if (c->fd < 0 || now < c->next_usec)
                return;
        c->next_usec = now + CONSOLE_USEC;
        (void) dprintf(c->fd, "pkram: writing nodes to disk, %s of %s\r\n",
                       format_bytes(done, MIN(bytes, p->bytes)), format_bytes(all, p->bytes));
}

static int log_disk_problem(const char *disk_path, int error) {
        if (error == -ETIME) {
                log_error("Failed to write nodes to '%s': the disk does not respond.", disk_path);
                return error;
        }
        if (!disk_problem_text(error))
                return log_error_errno(error, "Failed to write nodes to '%s'", disk_path);
        log_error("Failed to write nodes to '%s': %s.", disk_path, disk_problem_text(error));
        return error;
}

static bool disk_is_used(const char *disk_path) {
        char path[256];

        return (size_t) snprintf(path, sizeof(path), "%s/state", disk_path) < sizeof(path) && access(path, F_OK) >= 0;
}

int nodes_to_disk(const PkramDevice *memory, Store *s, const Config *config, const char *disk_path, PersistPlan *ret) {
        _cleanup_close_ int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        _cleanup_plan_ PersistPlan p = {};
        Console console = { .fd = fd };
        char bytes[FORMAT_MAX], usec[FORMAT_MAX];
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        DiskBoot boot;
        size_t n = 0, late = 0;
        int r, k;

        r = persist_plan_collect(&p, s, config_persist(config));
        if (r < 0)
                return log_error_errno(r, "Failed to list nodes that are to be written to disk");
        k = persist_plan_limit_in_time(&p, disk_path, config);
        if (k < 0) {
                (void) log_disk_problem(disk_path, k);
                persist_plan_fail(&p, k);
        }
        /* All services have stopped, so that trying costs only time. The check before they did refuses by estimate. */
        p.try_late = true;
        persist_plan_fit(&p);

        for (size_t i = 0; i < p.n - p.n_dropped; i++)
                late += p.nodes[i].late;
        if (p.n > p.n_dropped)
                log_info("Writing %zu node%s with %s to disk.", p.n - p.n_dropped, p.n - p.n_dropped == 1 ? "" : "s",
                         format_bytes(bytes, p.bytes));
        if (late > 0)
                log_info("By the estimate, PersistSecMax= is over before %zu of them %s written. Trying nevertheless.",
                         late, late == 1 ? "is" : "are");
        /* Even if nothing is to be written, a cancelled shutdown may have left copies. */
        if (k >= 0 && (p.n > p.n_dropped || disk_is_used(disk_path))) {
                r = disk_boot_get(&boot);
                if (r >= 0)
                        r = persist_write(&p, memory, disk_path, &boot, console_progress, &console);
                if (r < 0)
                        (void) log_disk_problem(disk_path, r);
        }
        for (size_t i = 0; i < p.n; i++)
                n += p.nodes[i].written;
        if (n > 0)
                log_info("Wrote %zu node%s to disk in %s.", n, n == 1 ? "" : "s",
                         format_usec(usec, now_usec(CLOCK_MONOTONIC) - begin));

        *ret = p;
        p = (PersistPlan) {};
        return 0;
}
