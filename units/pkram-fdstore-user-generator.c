/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pkram-fdstore-user-generator: does for the units of a user manager what pkram-fdstore-generator does for those of
 * the system. A user may not list nodes through /dev/pkram, but may ask pkramd, which runs before any user manager.
 */
#include <fcntl.h>
#include <stdio.h>

#include "fdstore-drop-in.h"
#include "fdstore-node.h"
#include "store-calls.h"

/* The user manager waits for this before it starts anything. */
#define ANSWER_TIMEOUT_USEC (5 * USEC_PER_SEC)

static int user_drop_in_write(const char *name, const char *unit, bool inherited, void *userdata) {
        const int *directory = userdata;
        int r;

        /* What this boot stored is removed when pkram-fdstore.service starts. */
        if (!inherited || !fdstore_drop_in_is_wanted(unit, name))
                return 0;
        r = fdstore_drop_in_write(*directory, /* user= */ true, unit, name);
        if (r < 0)
                (void) fprintf(stderr, "<3>Failed to write drop-in for %s, it starts without its file descriptors: "
                               "%s\n", unit, strerror(-r));
        return 0;
}

/* *reterr_reason, which the caller frees, says more about some errors. */
static int user_drop_ins_write(const char *path, char **reterr_reason) {
        _cleanup_(varlink_client_freep) VarlinkClient *client = NULL;
        _cleanup_close_ int directory = -EBADF;
        int r;

        directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return -errno;
        r = varlink_client_connect_now(SOCKET_PATH, &client);
        /* The system has no pkramd, or it is not running. */
        if (r == -ENOENT || r == -ECONNREFUSED)
                return 0;
        if (r < 0)
                return r;
        varlink_client_set_timeout(client, ANSWER_TIMEOUT_USEC);

        const StoreLink link = { .client = client, .user = true };

        return store_call_list(&link, FDSTORE_NODE, user_drop_in_write, &directory, reterr_reason);
}

int main(int argc, char *argv[]) {
        _cleanup_free_ char *reason = NULL;
        int r;

        if (argc != 4) {
                (void) fputs("pkram-fdstore-user-generator is run by the user manager with three directories.\n",
                             stderr);
                return EXIT_FAILURE;
        }
        r = user_drop_ins_write(argv[1], &reason);
        if (r < 0)
                (void) fprintf(stderr, "<3>Failed to prepare all units with stored file descriptors: %s\n",
                               reason ?: strerror(-r));
        /* The user manager goes on in either case. */
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
