/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "ctl.h"
#include "file-util.h"
#include "format.h"

#define BUFFER_BYTES MIB(1)

/* Nobody needs to see how far a copy is that is done by then. */
#define PROGRESS_AFTER_USEC (USEC_PER_SEC / 2)
#define PROGRESS_EVERY_USEC (USEC_PER_SEC / 10)

typedef struct Progress {
        const char *what;
        uint64_t size, done;
        uint64_t begin_usec, shown_usec;
        bool wanted, shown;
} Progress;

static uint64_t now_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / NSEC_PER_USEC;
}

static void progress_begin(Progress *p, const char *what, uint64_t size) {
        *p = (Progress) {
                .what = what,
                .size = size,
                .begin_usec = now_usec(),
                .wanted = isatty(STDERR_FILENO),
        };
}

static void progress_draw(Progress *p, uint64_t now) {
        char done[FORMAT_MAX], size[FORMAT_MAX], rate[FORMAT_MAX], eta[FORMAT_MAX];
        uint64_t elapsed = MAX(now - p->begin_usec, UINT64_C(1));
        double per_usec = (double) p->done / (double) elapsed;
        struct winsize ws;
        unsigned columns = 80;

        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) >= 0 && ws.ws_col > 0)
                columns = ws.ws_col;

        format_bytes(done, p->done);
        format_bytes(rate, (uint64_t) (per_usec * USEC_PER_SEC));

        /* Back to the start of the line, and clear what was there. */
        (void) fputs("\r\033[K", stderr);
        if (p->size > 0 && p->done <= p->size) {
                unsigned bar = columns > 75 ? MIN(columns - 70, 40U) : 5;
                unsigned filled = (unsigned) ((double) p->done / (double) p->size * bar);

                format_usec(eta, per_usec > 0 ? (uint64_t) ((double) (p->size - p->done) / per_usec) : 0);
                (void) fprintf(stderr, "%.20s [%.*s%*s] %3u%% %s of %s, %s/s, %s left", p->what, (int) filled,
                               "########################################", (int) (bar - filled), "",
                               (unsigned) ((double) p->done / (double) p->size * 100), done, format_bytes(size, p->size), rate, eta);
        } else
                (void) fprintf(stderr, "%.20s %s, %s/s", p->what, done, rate);
        (void) fflush(stderr);
        p->shown = true;
        p->shown_usec = now;
}

static void progress_add(Progress *p, uint64_t n) {
        uint64_t now;

        p->done += n;
        if (!p->wanted)
                return;

        now = now_usec();
        if (now - p->begin_usec >= PROGRESS_AFTER_USEC && now - p->shown_usec >= PROGRESS_EVERY_USEC)
                progress_draw(p, now);
}

static void progress_end(Progress *p) {
        if (p->shown)
                (void) fputs("\r\033[K", stderr);
}

/* Copies from where both descriptors are, up to limit bytes or the end. 0: that was the end, 1: the limit. */
static int copy_bytes(int from, int to, uint64_t limit, uint8_t *buffer, Progress *p) {
        while (limit > 0) {
                ssize_t n = read(from, buffer, MIN(limit, (uint64_t) BUFFER_BYTES));
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;

                r = write_all(to, buffer, (size_t) n);
                if (r < 0)
                        return r;
                progress_add(p, (uint64_t) n);
                limit -= (uint64_t) n;
        }
        return 1;
}

/* Copies what is data, seeks over what is not. */
static int copy_sparse(int from, int to, uint8_t *buffer, Progress *p) {
        struct stat st;
        off_t data, hole = 0;
        int r;

        if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
                return -errno;

        while ((data = lseek(from, hole, SEEK_DATA)) >= 0) {
                progress_add(p, (uint64_t) (data - hole));
                hole = lseek(from, data, SEEK_HOLE);
                if (hole < 0 || lseek(from, data, SEEK_SET) < 0 || lseek(to, data, SEEK_SET) < 0)
                        return -errno;
                r = copy_bytes(from, to, (uint64_t) (hole - data), buffer, p);
                if (r <= 0)
                        return r < 0 ? r : -EIO; /* somebody truncated it meanwhile */
        }

        if (errno != ENXIO)
                return -errno;
        /* Whoever writes next, writes behind it. */
        return lseek(to, st.st_size, SEEK_SET) < 0 ? -errno : 0;
}

/* Is it a file of which nothing has been written yet? Only then its size and its holes are ours to make. */
static bool is_fresh(int fd, const struct stat *st) {
        return S_ISREG(st->st_mode) && st->st_size == 0 && lseek(fd, 0, SEEK_CUR) == 0;
}

int copy_descriptor(int from, int to, uint64_t size, const char *what) {
        _cleanup_free_ uint8_t *buffer = NULL;
        struct stat a, b;
        Progress p;
        int r;

        buffer = malloc(BUFFER_BYTES);
        if (!buffer)
                return -ENOMEM;
        if (fstat(from, &a) < 0 || fstat(to, &b) < 0)
                return -errno;

        progress_begin(&p, what, size);
        /* Files in /proc and the like are regular, too, but nobody knows how long they are. */
        if (S_ISREG(a.st_mode) && a.st_size > 0 && lseek(from, 0, SEEK_CUR) == 0 && is_fresh(to, &b))
                r = copy_sparse(from, to, buffer, &p);
        else
                r = copy_bytes(from, to, UINT64_MAX, buffer, &p);
        progress_end(&p);
        return r;
}
