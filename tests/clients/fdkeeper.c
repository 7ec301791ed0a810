/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service with state in memory that has never heard of pkram: it keeps a memfd in the service manager's file
 * descriptor store, and takes it from LISTEN_FDS when it starts again.
 *
 *     fdkeeper BYTES [oneshot | fork | exit | BUS-NAME]
 *
 * The memfd begins with a count of the starts; a pattern fills the rest. The unit's status text, and its output, say
 * how many starts there were, and whether every byte is right and can be written. Then it waits to be stopped, or ends
 * (oneshot), waits as a child whose parent ends (fork), fails (exit), or waits under a name on the system bus.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static int keep(size_t size) {
        int fd = memfd_create("fdkeeper-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                return -1;
        return sd_pid_notify_with_fds(0, /* unset_environment= */ 0, "FDSTORE=1\nFDNAME=state", &fd, 1) > 0 ? fd : -1;
}

/* sd_listen_fds(3) finds nothing in the child of a shell, nor with PrivatePIDs=: LISTEN_PID is another number
 * there. */
static int find(void) {
        const char *names = getenv("LISTEN_FDNAMES");

        for (int i = 0; names && *names; i++) {
                size_t n = strcspn(names, ":");

                if (n == strlen("state") && strncmp(names, "state", n) == 0)
                        return SD_LISTEN_FDS_START + i;
                names += n + (names[n] == ':');
        }
        return -1;
}

int main(int argc, char *argv[]) {
        size_t size = argc >= 2 ? strtoul(argv[1], NULL, 10) : 0, wrong = 0;
        const char *mode = argc >= 3 ? argv[2] : "";
        sd_bus *bus = NULL;
        uint64_t *words;
        struct stat st;
        int fd;

        if (size < 16 || size % 8 != 0)
                return EXIT_FAILURE;
        fd = find();
        if (fd < 0)
                fd = keep(size);
        if (fd < 0 || fstat(fd, &st) < 0 || (size_t) st.st_size != size)
                return EXIT_FAILURE;
        words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (words == MAP_FAILED) {
                perror("mmap");
                return EXIT_FAILURE;
        }
        if (words[0] == 0)
                for (size_t i = 1; i < size / 8; i++)
                        words[i] = i * UINT64_C(0x9e3779b97f4a7c15);
        for (size_t i = 1; i < size / 8; i++)
                wrong += words[i] != i * UINT64_C(0x9e3779b97f4a7c15);
        words[0]++;
        (void) printf("start %llu, %zu words wrong\n", (unsigned long long) words[0], wrong);
        (void) fflush(stdout);
        if (strcmp(mode, "fork") == 0 && fork() > 0)
                return EXIT_SUCCESS;
        if (strchr(mode, '.') && (sd_bus_open_system(&bus) < 0 || sd_bus_request_name(bus, mode, 0) < 0))
                return EXIT_FAILURE;
        (void) sd_notifyf(/* unset_environment= */ 0, "READY=1\nSTATUS=start %llu, %zu words wrong",
                          (unsigned long long) words[0], wrong);
        if (strcmp(mode, "oneshot") == 0)
                return EXIT_SUCCESS;
        if (strcmp(mode, "exit") == 0)
                return EXIT_FAILURE;
        pause();
        return EXIT_SUCCESS;
}
