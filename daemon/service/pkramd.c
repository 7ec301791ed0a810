/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "kexec-call.h"
#include "log.h"
#include "manager.h"

static int run(void) {
        _cleanup_(manager_freep) Manager *m = NULL;
        int r;

        r = manager_new(&pkram_device_kernel, &m);
        if (r < 0)
                return log_error_errno(r, "Failed to set up pkramd");

        m->check_path = KEXEC_CHECK_SOCKET;
        m->units_path = KEXEC_UNITS_DIR;
        r = manager_load_config(m, /* root= */ "");
        if (r < 0)
                return r;
        r = manager_listen_fds(m);
        if (r < 0)
                return r;

        return manager_run(m);
}

int main(int argc, char *argv[]) {
        if (argc == 2 && streq(argv[1], "--version")) {
                puts("pkramd " PKRAM_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc > 1) {
                bool help = argc == 2 && streq(argv[1], "--help");

                (void) fputs("pkramd [--help|--version]\n\n"
                             "Keeps memory of services across kexec. Started by pkramd.socket.\n"
                             "See pkramd(8), pkramd.conf(5) and io.pkram.Store(7).\n", help ? stdout : stderr);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }

        return run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
