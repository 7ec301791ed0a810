/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service with state in memory: it makes a memfd when it first starts, gives it to the store when systemd stops it,
 * and takes it back when it starts again. It knows nothing of kexec.
 *
 *     keeper NAME MIB
 *
 * The memfd is descriptor 42, so that a test can read it through /proc. Its first 8 bytes count the starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define SOCKET "/run/pkram/io.pkram.Store"
#define INTERFACE "io.pkram.Store."
#define STATE_FD 42

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

static int store_connect(void) {
        union {
                struct sockaddr_un un;
                struct sockaddr sa;
        } address = { .un = { .sun_family = AF_UNIX, .sun_path = SOCKET } };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, &address.sa, sizeof(address.un)) < 0)
                die("cannot connect to " SOCKET ": %m");
        return fd;
}

/* Send one call, with a descriptor (or -1). A varlink message is JSON with a NUL at its end. Takes the parameters. */
static void call_send(int s, const char *method, struct json_object *parameters, int fd) {
        struct json_object *call = json_object_new_object();
        char name[64];
        const char *text;
        size_t length, done = 0;

        snprintf(name, sizeof(name), INTERFACE "%s", method);
        json_object_object_add(call, "method", json_object_new_string(name));
        json_object_object_add(call, "parameters", parameters);
        text = json_object_to_json_string_ext(call, JSON_C_TO_STRING_PLAIN);
        length = strlen(text) + 1;
        while (done < length) {
                union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } control = {};
                struct iovec iov = { (char *) text + done, length - done };
                struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
                ssize_t n;

                if (fd >= 0 && done == 0) {
                        m.msg_control = &control;
                        m.msg_controllen = sizeof(control);
                        control.h = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
                        memcpy(CMSG_DATA(&control.h), &fd, sizeof(int));
                }
                n = sendmsg(s, &m, MSG_NOSIGNAL);
                if (n < 0)
                        die("cannot send: %m");
                done += n;
        }
        json_object_put(call);
}

/* Read one reply, and a descriptor if there is one. The caller frees the reply. */
static struct json_object *reply_read(int s, int *ret_fd) {
        static char buffer[1 << 16];
        struct json_object *reply;
        size_t have = 0;

        *ret_fd = -1;
        do {
                union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } control = {};
                struct iovec iov = { buffer + have, sizeof(buffer) - have };
                struct msghdr m = {
                        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
                };
                ssize_t n = recvmsg(s, &m, MSG_CMSG_CLOEXEC);

                if (n <= 0)
                        die("the store hung up: %m");
                if (m.msg_controllen >= CMSG_LEN(sizeof(int)) && control.h.cmsg_type == SCM_RIGHTS)
                        memcpy(ret_fd, CMSG_DATA(&control.h), sizeof(int));
                have += n;
        } while (buffer[have - 1] != 0 && have < sizeof(buffer));
        reply = json_tokener_parse(buffer);
        if (!reply)
                die("the store's reply is no JSON: %.200s", buffer);
        return reply;
}

static const char *reply_error(struct json_object *reply) {
        struct json_object *error;

        return json_object_object_get_ex(reply, "error", &error) ? json_object_get_string(error) : NULL;
}

/* Take the memfd back. Returns false if there is none. */
static bool state_retrieve(const char *name) {
        struct json_object *parameters = json_object_new_object(), *reply;
        int s = store_connect(), fd, none;
        const char *error;

        json_object_object_add(parameters, "name", json_object_new_string(name));
        call_send(s, "Retrieve", parameters, -1);
        reply = reply_read(s, &fd);
        error = reply_error(reply);
        if (error) {
                if (strcmp(error, INTERFACE "NoSuchNode") != 0)
                        die("cannot retrieve: %s", json_object_to_json_string(reply));
                json_object_put(reply);
                close(s);
                return false;
        }
        json_object_put(reply);
        if (fd < 0)
                die("the reply brought no descriptor");
        if (dup2(fd, STATE_FD) < 0)
                die("dup2: %m");
        close(fd);

        /* Ours from here on: given up, the file thaws and can be written again. */
        parameters = json_object_new_object();
        json_object_object_add(parameters, "name", json_object_new_string(name));
        call_send(s, "Release", parameters, -1);
        reply = reply_read(s, &none);
        error = reply_error(reply);
        if (error)
                die("cannot release: %s", json_object_to_json_string(reply));
        json_object_put(reply);
        close(s);
        return true;
}

static void state_store(const char *name) {
        struct json_object *parameters = json_object_new_object(), *objects = json_object_new_array(),
                           *object = json_object_new_object(), *reply;
        int s = store_connect(), none;

        json_object_object_add(object, "name", json_object_new_string("state"));
        json_object_object_add(object, "fileDescriptor", json_object_new_int(0));
        json_object_array_add(objects, object);
        json_object_object_add(parameters, "name", json_object_new_string(name));
        json_object_object_add(parameters, "objects", objects);
        json_object_object_add(parameters, "verify", json_object_new_boolean(true));
        call_send(s, "Store", parameters, STATE_FD);
        reply = reply_read(s, &none);
        if (reply_error(reply))
                die("cannot store: %s", json_object_to_json_string(reply));
        json_object_put(reply);
        close(s);
}

/* Bytes that cannot be guessed and that no page has twice. */
static void state_make(uint64_t mib) {
        uint64_t x = 0x2545f4914f6cdd1dULL, *block = malloc(1 << 20);
        int fd = memfd_create("keeper", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || !block || dup2(fd, STATE_FD) < 0)
                die("cannot make a memfd: %m");
        close(fd);
        for (uint64_t i = 0; i < mib; i++) {
                for (size_t k = 0; k < (1 << 20) / sizeof(uint64_t); k++) {
                        x ^= x << 13;
                        x ^= x >> 7;
                        x ^= x << 17;
                        block[k] = x;
                }
                if (pwrite(STATE_FD, block, 1 << 20, i << 20) != 1 << 20)
                        die("cannot fill the memfd: %m");
        }
        free(block);
}

int main(int argc, char **argv) {
        struct signalfd_siginfo info;
        uint64_t starts = 0;
        bool back;
        sigset_t set;
        int fd;

        if (argc != 3)
                die("keeper NAME MIB");
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        fd = signalfd(-1, &set, SFD_CLOEXEC);
        if (fd < 0)
                die("signalfd: %m");

        back = state_retrieve(argv[1]);
        if (back) {
                if (pread(STATE_FD, &starts, sizeof(starts), 0) != sizeof(starts))
                        die("cannot read my state: %m");
        } else
                state_make(strtoull(argv[2], NULL, 10));
        starts++;
        if (back)
                printf("got my memfd back, start %llu\n", (unsigned long long) starts);
        else {
                printf("nothing stored, made a new memfd\n");
                starts = 1;
        }
        if (pwrite(STATE_FD, &starts, sizeof(starts), 0) != sizeof(starts))
                die("cannot write my state: %m");
        fflush(stdout);
        sd_notifyf(0, "READY=1\nSTATUS=%s, start %llu", back ? "memfd came back" : "new memfd",
                   (unsigned long long) starts);

        if (read(fd, &info, sizeof(info)) != sizeof(info))
                die("read: %m");
        sd_notify(0, "STOPPING=1");
        state_store(argv[1]);
        printf("stored my memfd\n");
        return 0;
}
