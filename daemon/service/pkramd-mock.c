/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pkramd over a model of the kernel, at a given socket: for trying clients on hosts without PKRAM. SIGUSR1 is a
 * kexec, after which all nodes are those of an earlier kernel. Never installed.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "device-mock.h"
#include "log.h"
#include "manager.h"

static int on_kexec(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si, void *userdata) {
        mock_kexec(userdata);
        return 0;
}

/* Sets limits as in pkramd.conf, from words like NodeBytesMax=1000000. */
static void set_limits(Config *c, char *const *words) {
        for (; *words; words++) {
                const char *value = strchr(*words, '=');
                _cleanup_free_ char *name = value ? strndup(*words, (size_t) (value - *words)) : NULL;
                int id = name ? limit_from_name(name) : -1;

                if (id >= 0)
                        c->limit[id] = strtoull(value + 1, NULL, 10);
        }
}

int main(int argc, char *argv[]) {
        _cleanup_(mock_freep) Mock *mock = NULL;
        _cleanup_(manager_freep) Manager *m = NULL;
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        PkramDevice device;
        sigset_t set;
        int fd;

        if (argc < 2 || strlen(argv[1]) >= sizeof(address.un.sun_path)) {
                (void) fputs("pkramd-mock SOCKET [off|missing|denied|failing|LIMIT=BYTES...]\n", stderr);
                return EXIT_FAILURE;
        }

        mock = mock_new();
        device = mock_device(mock);
        if (argc > 2 && streq(argv[2], "off"))
                mock_set_off(mock, true);
        if (argc > 2 && streq(argv[2], "missing"))
                mock_set_missing(mock, -ENOENT);
        if (argc > 2 && streq(argv[2], "denied"))
                mock_set_missing(mock, -EPERM);
        if (argc > 2 && streq(argv[2], "failing"))
                mock_set_missing(mock, -EMFILE);

        if (manager_new(&device, &m) < 0 || manager_use_own_tree_worker(m) < 0)
                return EXIT_FAILURE;
        set_limits(&m->config, argv + 2);
        varlink_server_set_check_replies(m->server, true);

        memcpy(address.un.sun_path, argv[1], strlen(argv[1]));
        (void) unlink(argv[1]);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind(fd, &address.sa, sizeof(address.un)) < 0 || listen(fd, SOMAXCONN) < 0)
                return EXIT_FAILURE;
        if (varlink_server_listen(m->server, fd) < 0)
                return EXIT_FAILURE;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGUSR1);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || sd_event_add_signal(m->event, NULL, SIGUSR1, on_kexec, mock) < 0)
                return EXIT_FAILURE;
        return manager_run(m) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
