/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A service that keeps its memory across a restart, a soft-reboot and a kexec. It counts how often it was started.
 *
 * cc -o fdstore-client fdstore-client.c $(pkg-config --cflags --libs libsystemd) */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* Returns the memfd that an earlier instance of this service stored in the service manager, or stores a new one. */
static int state_open(size_t size) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(/* unset_environment= */ 0, &names), fd;

        for (int i = 0; i < n; i++)
                if (strcmp(names[i], "state") == 0)
                        return SD_LISTEN_FDS_START + i;
        fd = memfd_create("state", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                return -1;
        return sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=state", &fd, 1) > 0 ? fd : -1;
}

/* The layout of the memfd. A later version of the service has to accept what an earlier one stored. */
struct state {
        unsigned version, starts;
};

int main(void) {
        struct state *s;
        struct stat st;
        int fd = state_open(sizeof(*s));

        if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != sizeof(*s))
                return EXIT_FAILURE;
        s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (s == MAP_FAILED || s->version > 1)
                return EXIT_FAILURE;
        s->version = 1;
        s->starts++;
        sd_notifyf(/* unset_environment= */ 0, "READY=1\nSTATUS=Start number %u.", s->starts);
        pause();
        return EXIT_SUCCESS;
}
