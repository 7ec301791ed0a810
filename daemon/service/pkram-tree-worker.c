/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "device-places.h"
#include "file-util.h"
#include "log.h"
#include "tree-worker.h"

/* Takes the one connection this process is for, and makes sure that root is at the other end. */
static int take_connection(int *ret) {
        struct ucred cred;
        socklen_t l = sizeof(cred);
        int n;

        n = sd_listen_fds(/* unset_environment= */ true);
        if (n < 0)
                return log_error_errno(n, "Failed to get socket from service manager");
        if (n != 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, /* listening= */ 0) <= 0) {
                log_error("pkram-tree-worker needs exactly one connection: it is started by pkram-tree-worker.socket "
                          "for pkramd.");
                return -EINVAL;
        }
        if (getsockopt(SD_LISTEN_FDS_START, SOL_SOCKET, SO_PEERCRED, &cred, &l) < 0)
                return log_error_errno(-errno, "Failed to get peer credentials");
        if (cred.uid != 0) {
                log_error("Refusing connection from UID %u, only root may connect.", cred.uid);
                return -EPERM;
        }
        if (fcntl(SD_LISTEN_FDS_START, F_SETFL, fcntl(SD_LISTEN_FDS_START, F_GETFL) | O_NONBLOCK) < 0)
                return log_error_errno(-errno, "Failed to set up connection");

        *ret = SD_LISTEN_FDS_START;
        return 0;
}

static int tree_worker_run(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(tree_worker_freep) TreeWorker *w = NULL;
        int r, fd = -EBADF;

        r = take_connection(&fd);
        if (r < 0)
                return r;
        /* Each level of directories takes a descriptor. */
        raise_descriptor_limit();
        /* If pkramd exits, nothing reads what it is told, and there is something to be undone. */
        (void) signal(SIGPIPE, SIG_IGN);

        r = sd_event_new(&event);
        if (r >= 0)
                r = tree_worker_new(event, &pkram_device_attached, &w);
        if (r >= 0)
                r = tree_worker_add_connection(w, fd);
        if (r < 0)
                return log_error_errno(r, "Failed to set up worker");

        tree_worker_set_exit_on_idle(w, true);
        r = sd_event_loop(event);
        return r < 0 ? log_error_errno(r, "Failed to run event loop") : 0;
}

int main(int argc, char *argv[]) {
        if (argc == 2 && streq(argv[1], "--version")) {
                puts("pkram-tree-worker " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc > 1) {
                bool help = argc == 2 && streq(argv[1], "--help");

                (void) fputs("pkram-tree-worker [--help|--version]\n\n"
                             "Store and restore directory trees on behalf of pkramd.\n"
                             "Started by pkram-tree-worker.socket. See pkramd(8).\n", help ? stdout : stderr);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }

        return tree_worker_run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
