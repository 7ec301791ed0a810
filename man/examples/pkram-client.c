/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A service that keeps its memory over a kexec, in full. It counts how often it was started, in a memfd that it takes
 * back from pkramd when it starts and gives to pkramd when it is stopped.
 *
 * cc -o pkram-client pkram-client.c $(pkg-config --cflags --libs json-c) */

#define _GNU_SOURCE
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NODE "pkram-client"
#define LAYOUT 1 /* of struct state: another number for each change of it */
#define NO_SUCH_NODE "io.pkram.Store.NoSuchNode"

struct state {
        uint64_t layout;
        uint64_t starts;
        uint8_t data[1024 * 1024 - 2 * sizeof(uint64_t)];
};

static void die(const char *what) {
        perror(what);
        exit(EXIT_FAILURE);
}

/* Sends one call, with a descriptor if fd >= 0, and waits for the reply: *ret_fd gets the descriptor that came with
 * it, or -1. A varlink message is a JSON object and a NUL byte. */
static struct json_object *call(const char *text, int fd, int *ret_fd) {
        union { struct cmsghdr aligned; char space[CMSG_SPACE(sizeof(int))]; } control = {};
        static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/pkram/io.pkram.Store" };
        struct iovec iov = { .iov_base = (char*) text, .iov_len = strlen(text) + 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        static char reply[64 * 1024];
        size_t n = 0;
        int s;

        s = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);
        if (s < 0 || connect(s, (const void*) &address, sizeof(address)) < 0)
                die("Cannot reach pkramd");

        if (fd >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
                struct cmsghdr *c = CMSG_FIRSTHDR(&message);
                c->cmsg_len = CMSG_LEN(sizeof(int));
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                memcpy(CMSG_DATA(c), &fd, sizeof(fd));
        }
        /* The message is far smaller than the socket's buffer: it goes out at once or not at all. */
        if (sendmsg(s, &message, MSG_NOSIGNAL) != (ssize_t) iov.iov_len)
                die("Cannot send to pkramd");

        *ret_fd = -1;
        do {
                struct iovec in = { .iov_base = reply + n, .iov_len = sizeof(reply) - n };
                struct msghdr m = { .msg_iov = &in, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
                ssize_t l = recvmsg(s, &m, MSG_CMSG_CLOEXEC);
                struct cmsghdr *c = l > 0 ? CMSG_FIRSTHDR(&m) : NULL;

                if (l <= 0)
                        die("No reply from pkramd");
                if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
                        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
                n += (size_t) l;
        } while (reply[n - 1] != 0 && n < sizeof(reply));

        close(s);
        if (reply[n - 1] != 0)
                die("Too long a reply from pkramd");
        return json_tokener_parse(reply);
}

/* NULL if the call succeeded, else the name of the error. */
static const char *error_of(struct json_object *reply) {
        struct json_object *error;

        if (!json_object_is_type(reply, json_type_object))
                return "no reply in JSON";
        return json_object_object_get_ex(reply, "error", &error) ? json_object_get_string(error) : NULL;
}

static void call_or_die(const char *text, int fd, const char *what) {
        struct json_object *reply;
        int unused;

        reply = call(text, fd, &unused);
        if (error_of(reply)) {
                fprintf(stderr, "%s: %s\n", what, json_object_to_json_string(reply));
                exit(EXIT_FAILURE);
        }
        json_object_put(reply);
}

/* The member "owner" of the parameters of a reply, or of the node in them; NULL if there is none. */
static const char *owner_of(struct json_object *reply) {
        struct json_object *o, *node;

        if (!json_object_object_get_ex(reply, "parameters", &o))
                return NULL;
        if (json_object_object_get_ex(o, "node", &node))
                o = node;
        return json_object_object_get_ex(o, "owner", &o) ? json_object_get_string(o) : NULL;
}

/* Checks that what was retrieved is what this program stores: it is ours, and has the size and the layout that we expect. */
static int is_ours(struct json_object *reply, int fd) {
        struct json_object *status;
        const char *me, *owner;
        uint64_t layout;
        struct stat st;
        int unused, same;

        status = call("{\"method\":\"io.pkram.Store.GetStatus\"}", -1, &unused);
        me = owner_of(status);
        owner = owner_of(reply);
        same = me && owner && strcmp(me, owner) == 0;
        json_object_put(status);

        return same && fd >= 0 && fstat(fd, &st) == 0 && st.st_size == sizeof(struct state) &&
                pread(fd, &layout, sizeof(layout), 0) == sizeof(layout) && layout == LAYOUT;
}

int main(void) {
        struct json_object *reply;
        struct state *state;
        const char *error;
        sigset_t set;
        int fd, sig, found;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);

        /* Take back what an earlier run gave. The file is frozen until the node is released; nothing is lost if we die
         * before, we would get it again. */
        reply = call("{\"method\":\"io.pkram.Store.Retrieve\",\"parameters\":{\"name\":\"" NODE "\"}}", -1, &fd);
        error = error_of(reply);
        if (error && strcmp(error, NO_SUCH_NODE) != 0) {
                fprintf(stderr, "Retrieve: %s\n", json_object_to_json_string(reply));
                return EXIT_FAILURE;
        }
        found = !error && is_ours(reply, fd);
        if (found)
                call_or_die("{\"method\":\"io.pkram.Store.Release\",\"parameters\":{\"name\":\"" NODE "\"}}", -1, "Release");
        else {
                /* The node stays until Store replaces it. */
                if (!error)
                        fprintf(stderr, "Ignoring node " NODE ", which this version cannot use.\n");
                fd = memfd_create(NODE, MFD_CLOEXEC);
                if (fd < 0 || ftruncate(fd, sizeof(*state)) < 0)
                        die("Cannot make a memfd");
        }
        json_object_put(reply);

        state = mmap(NULL, sizeof(*state), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
        if (state == MAP_FAILED)
                die("mmap");
        state->layout = LAYOUT;
        printf("Start number %llu.\n", (unsigned long long) ++state->starts);
        fflush(stdout);

        sigwait(&set, &sig);

        /* A file that is mapped for writing cannot be frozen. */
        munmap(state, sizeof(*state));
        call_or_die("{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"" NODE "\",\"replace\":true,"
                    "\"objects\":[{\"name\":\"state\",\"fileDescriptor\":0}]}}", fd, "Store");
        return EXIT_SUCCESS;
}
