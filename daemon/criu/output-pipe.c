/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>

#include "file-util.h"
#include "output-pipe.h"

void output_pipe_done(OutputPipe *p) {
        p->ours = safe_close(p->ours);
        p->theirs = safe_close(p->theirs);
}

int output_pipe_open(OutputPipe *p, int target) {
        char path[64];
        int fds[2];
        ssize_t n;

        output_pipe_done(p);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        p->ours = fds[0];
        p->theirs = fds[1];
        p->target = target;
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", p->ours);
        n = readlink(path, p->name, sizeof(p->name) - 1);
        if (n < 0)
                return -errno;
        p->name[n] = 0;
        return fcntl(p->ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Copies one piece. Returns false if there is none at present. */
static bool output_pipe_copy_piece(OutputPipe *p) {
        char buffer[16384];
        ssize_t n;

        if (p->ours < 0)
                return false;
        n = read(p->ours, buffer, sizeof(buffer));
        if (n < 0)
                return errno == EINTR;
        if (n == 0) {
                p->ours = safe_close(p->ours);
                return false;
        }
        /* Output that goes nowhere is no reason to stop a program. */
        (void) write_all(p->target, buffer, (size_t) n);
        return true;
}

void output_pipe_copy(OutputPipe *p) {
        (void) output_pipe_copy_piece(p);
}

void output_pipe_drain(OutputPipe *p) {
        while (output_pipe_copy_piece(p))
                ;
}
