/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pkram-fdstore-generator: finds the nodes that hold file descriptor stores of units, and gives
 * exactly these units a drop-in that hands the descriptors to the service manager before the
 * first command of the service. Everything it needs is in the names of the nodes, so that it
 * asks the kernel for one list. See systemd.generator(7) and fdstore.h.
 */
#include <stdio.h>

#include "fdstore-drop-in.h"

/* Generators may log to the kernel's log only: there may be no journal yet. */
static void kmsg_log_error(const char *what, int r) {
        FILE *f = fopen("/dev/kmsg", "we");

        (void) fprintf(f ?: stderr, "<3>pkram-fdstore-generator: Failed to %s: %s\n", what, strerror(-r));
        if (f)
                (void) fclose(f);
}

static void drop_in_log_error(const char *unit, int r) {
        char what[512];

        (void) snprintf(what, sizeof(what), "write drop-in for %s, it starts without its file descriptors", unit);
        kmsg_log_error(what, r);
}

int main(int argc, char *argv[]) {
        int r;

        if (argc != 4) {
                (void) fputs("pkram-fdstore-generator is run by the service manager with three directories.\n",
                             stderr);
                return EXIT_FAILURE;
        }
        r = fdstore_drop_ins_write(&pkram_device_kernel, argv[1], drop_in_log_error);
        if (r < 0)
                kmsg_log_error("prepare all units with stored file descriptors", r);
        /* The service manager goes on in either case. */
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
