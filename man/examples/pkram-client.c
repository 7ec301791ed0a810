/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts how often this service was started, in a memfd that it retrieves from pkramd on start and stores on stop.
 * cc -o pkram-client pkram-client.c $(pkg-config --cflags --libs libpkram) */
#define _GNU_SOURCE
#include <errno.h>
#include <error.h>
#include <pkram.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define NODE "pkram-client"
#define LAYOUT 1 /* of struct state: another number for each change of it */
struct state { uint64_t layout, starts; uint8_t data[1024 * 1024 - 2 * sizeof(uint64_t)]; };
static void check(int r, const char *what) {
        if (r < 0)
                error(EXIT_FAILURE, -r, "Failed to %s", what);
}
static int is_usable(int fd) {
        struct stat st;
        uint64_t layout;
        return fd >= 0 && fstat(fd, &st) == 0 && st.st_size == sizeof(struct state) &&
                pread(fd, &layout, sizeof(layout), 0) == sizeof(layout) && layout == LAYOUT;
}
int main(void) {
        pkram_client *client;
        pkram_node *node = NULL;
        sigset_t set;
        int fd, sig, r;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        check(pkram_client_new(NULL, &client), "connect to pkramd");
        r = pkram_retrieve(client, NODE, &node);
        check(r == -ENOENT ? 0 : r, "retrieve node " NODE);
        fd = node ? pkram_node_take_fd(node, 0) : -1;
        if (is_usable(fd)) /* after a crash before the release, it is retrieved again */
                check(pkram_release(client, NODE, pkram_node_get_id(node)), "release node " NODE);
        else {
                fputs(node ? "Ignoring node " NODE ", which this version cannot use.\n" : "", stderr);
                fd = memfd_create(NODE, MFD_CLOEXEC);
                check(fd < 0 || ftruncate(fd, sizeof(struct state)) < 0 ? -errno : 0, "create memfd");
        }
        struct state *state = mmap(NULL, sizeof(struct state), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
        check(state == MAP_FAILED ? -errno : 0, "map memfd");
        state->layout = LAYOUT;
        printf("Start number %llu.\n", (unsigned long long) ++state->starts);
        fflush(stdout);
        pkram_node_free(node);
        pkram_client_free(client);
        sigwait(&set, &sig);
        munmap(state, sizeof(struct state)); /* a file that is mapped for writing cannot be frozen */
        check(pkram_client_new(NULL, &client), "connect to pkramd");
        check(pkram_store(client, NODE, &(pkram_object) { .name = "state", .fd = fd }, 1, PKRAM_STORE_REPLACE, NULL),
              "store node " NODE);
        pkram_client_free(client);
}
