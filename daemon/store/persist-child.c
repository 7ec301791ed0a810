/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file-util.h"
#include "persist-child.h"

int persist_child_memory(size_t size, void **ret) {
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
                return -errno;
        *ret = memory;
        return 0;
}

int persist_child_start(PersistChild *c, void (*main)(void *userdata), void *userdata) {
        pid_t parent = getpid();

        c->pid = fork();
        if (c->pid < 0)
                return -errno;
        if (c->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(EXIT_FAILURE);
                /* So that all processes can be killed at once. */
                (void) setpgid(0, 0);
                main(userdata);
                _exit(EXIT_SUCCESS);
        }
        (void) setpgid(c->pid, c->pid);
        c->pidfd = pidfd_open(c->pid, 0);
        return c->pidfd < 0 ? -errno : 0;
}

bool persist_child_wait(PersistChild *c, uint64_t msec) {
        struct pollfd end = { .fd = c->pidfd, .events = POLLIN };

        c->ended = c->ended || poll(&end, 1, (int) msec) > 0;
        return c->ended;
}

void persist_child_done(PersistChild *c, uint64_t msec) {
        if (c->pid > 0) {
                (void) kill(-c->pid, SIGKILL);
                (void) kill(c->pid, SIGKILL);
                if (c->pidfd >= 0)
                        (void) persist_child_wait(c, msec);
                (void) waitpid(c->pid, NULL, WNOHANG);
        }
        c->pidfd = safe_close(c->pidfd);
        c->pid = 0;
}
