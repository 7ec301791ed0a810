/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests the limits of what one client can use: memory, descriptors, and time of other clients. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "test-fixture.h"
#include "time-util.h"

#define STATUS "{\"method\":\"io.pkram.Store.GetStatus\"}"

/* The longest time that another client may wait, on a busy machine. If it has to wait for the attacker, it waits for
 * 20 s or for ever. */
#define PATIENCE_USEC USEC_PER_SEC

static unsigned n_open(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        (void) closedir(d);
        return n - 3; /* two dots, and this directory itself */
}

/* Returns a socket whose last close(2) blocks for 20 s, because its peer, *ret_peer, does not read what was sent. */
static int make_lingering_socket(int *ret_peer) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 20 };
        union {
                struct sockaddr sa;
                struct sockaddr_in in;
        } a = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
                                                                                   0);
        static const char data[65536];
        socklen_t n = sizeof(a);

        assert_ok(bind(listener, &a.sa, sizeof(a)));
        assert_ok(listen(listener, 1));
        assert_ok(getsockname(listener, &a.sa, &n));
        assert_ok(connect(fd, &a.sa, sizeof(a)));
        *ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_ok(*ret_peer);
        close(listener);

        assert_ok(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
        while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
                ;
        return fd;
}

/* Makes a call as another client, and checks that it took no longer than PATIENCE_USEC. */
static void assert_served(Client *c) {
        uint64_t begin = now_usec(CLOCK_MONOTONIC);
        _cleanup_json_ struct json_object *reply = client_call(c, STATUS);

        assert_non_null(reply_parameters(reply));
        if (now_usec(CLOCK_MONOTONIC) - begin > PATIENCE_USEC)
                fail_msg("another client waited for %llu us",
                         (unsigned long long) (now_usec(CLOCK_MONOTONIC) - begin));
}

/* Sends bytes with a descriptor, and closes the descriptor here, so that only the manager has it. */
static void send_away(Client *c, const char *text, size_t n, int *fd) {
        union {
                struct cmsghdr header;
                uint8_t space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { (void *) text, n };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof(control) };

        control.header = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                            .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(&control.header), fd, sizeof(int));
        assert_int_equal(sendmsg(message_stream_fd(c->stream), &mh, 0), n);
        *fd = safe_close(*fd);
}

/* Each way in which the manager comes to close a descriptor. */
static void test_lingering_sockets(void **state) {
        static const struct {
                const char *text;
                bool hang_up;
        } ways[] = {
                { STATUS, false },                                                                     /* not used */
                { CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}]}"), false },     /* refused */
                { CALL("Store", "{\"name\":\"n\",\"verify\":true,\"objects\":[{\"fileDescriptor\":0}]}"), false },
                { CALL("StoreTree", "{\"name\":\"n\",\"directory\":0}"), false },
                { CALL("RestoreTree", "{\"name\":\"n\",\"directory\":0}"), false },
                { "{}", false },                                                                       /* no call */
                /* never complete */
                { "{\"method\":", true },
                { STATUS, true },                                                                      /* never read */
        };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                _cleanup_close_ int peer = -EBADF;
                int fd = make_lingering_socket(&peer);
                Client *attacker = client_new_as(f, 1000, "uid:1000");

                send_away(attacker, ways[i].text, strlen(ways[i].text) + !ways[i].hang_up, &fd);
                if (!ways[i].hang_up)
                        json_object_put(client_receive(attacker, NULL, NULL));
                else if (i + 1 < ELEMENTSOF(ways))
                        fixture_run(f);
                client_free(attacker);
                assert_served(c);
                fixture_wait_closed(f);
                assert_served(c);
        }
}

static void test_excess_lingering_sockets(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        Client *attacker = client_new_as(f, 1000, "uid:1000");
        _cleanup_json_ struct json_object *reply = NULL;
        int peers[8];

        f->manager->varlink_limits.message.message_fds = 4;
        for (size_t i = 0; i < ELEMENTSOF(peers); i++) {
                int fd = make_lingering_socket(peers + i);

                send_away(attacker, &STATUS[i], 1, &fd);
                assert_served(c);
        }
        client_send_raw(attacker, &STATUS[ELEMENTSOF(peers)], sizeof(STATUS) - ELEMENTSOF(peers));
        reply = client_receive(attacker, NULL, NULL);
        assert_error(reply, ERROR("QuotaExceeded"), "limit", "MessageDescriptorsMax");
        assert_served(c);
        client_free(attacker);
        assert_served(c);
        fixture_wait_closed(f);
        close_many(peers, ELEMENTSOF(peers));
}

/* --- FUSE --- */

/* Returns true if the other end of the pipe is closed within a second. */
static bool is_closed(Fixture *f, int reader) {
        char x;

        for (unsigned i = 0; i < 100; i++) {
                if (read(reader, &x, 1) == 0)
                        return true;
                assert_ok(sd_event_run(f->manager->event, 10000));
        }
        return false;
}

static void fuse_answer(int fd, const struct fuse_in_header *in, int error, const void *data, size_t n) {
        struct fuse_out_header out = { .len = (uint32_t) (sizeof(out) + n), .error = error, .unique = in->unique };
        struct iovec iov[2] = { { &out, sizeof(out) }, { (void *) data, n } };

        (void) writev(fd, iov, n > 0 ? 2 : 1);
}

/* Serves a file system with one file, "f", that can be opened. Does not answer any other request. */
_Noreturn static void fuse_serve(int fd) {
        const struct fuse_attr attr = { .ino = 2, .mode = S_IFREG | 0666, .nlink = 1, .size = 4096 };
        union {
                struct fuse_in_header in;
                uint8_t space[1 << 17];
        } request;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                if (read(fd, &request, sizeof(request)) <= 0) {
                        if (errno != EPERM && errno != EINTR)
                                _exit(0);
                        /* It is not mounted yet. */
                        (void) usleep(1000);
                        continue;
                }
                switch (request.in.opcode) {
                case FUSE_INIT:
                        fuse_answer(fd, &request.in, 0, &(struct fuse_init_out) {
                                .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096 },
                                        sizeof(struct fuse_init_out));
                        break;
                case FUSE_LOOKUP:
                        fuse_answer(fd, &request.in, 0, &(struct fuse_entry_out) { .nodeid = 2, .attr = attr },
                                    sizeof(struct fuse_entry_out));
                        break;
                case FUSE_OPEN:
                        fuse_answer(fd, &request.in, 0, &(struct fuse_open_out) { .fh = 1 },
                                    sizeof(struct fuse_open_out));
                        break;
                default:
                        break;
                }
        }
}

/* Starts a FUSE server, and a client with this user id that sends a file of the server as descriptor 0 of a call.
 * Other users cannot even get the type of the file. Returns false if the file system cannot be mounted. */
static bool fuse_client_start(int socket_fd, uid_t uid, const char *text, pid_t *ret_server, pid_t *ret_client) {
        char path[] = "/tmp/test-pkram-fuse.XXXXXX", options[100], file[100];
        int fd, ready[2];
        char ok = 0;

        assert_ok(pipe2(ready, O_CLOEXEC));
        assert_non_null(mkdtemp(path));
        fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (fd < 0) {
                (void) rmdir(path);
                return false;
        }

        *ret_server = fork();
        assert_ok(*ret_server);
        if (*ret_server == 0) {
                close(ready[1]);
                fuse_serve(fd);
        }

        *ret_client = fork();
        assert_ok(*ret_client);
        if (*ret_client == 0) {
                Client c = {};
                int f;

                (void) snprintf(options, sizeof(options), "fd=%i,rootmode=40000,user_id=%u,group_id=%u", fd, uid, uid);
                (void) snprintf(file, sizeof(file), "%s/f", path);
                if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                    mount("fuse", path, "fuse", MS_NOSUID | MS_NODEV, options) < 0 ||
                    setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
                        _exit(1);
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                /* Only the server keeps the FUSE device open, so that all requests end when the server dies. */
                close(fd);
                f = open(file, O_RDWR | O_CLOEXEC);
                if (f < 0 || message_stream_new(socket_fd, &(MessageLimits) { .output_bytes = 1000 }, NULL,
                                                &c.stream) < 0 ||
                    message_stream_queue(c.stream, text, strlen(text), (int[]) { dup(f) }, 1) < 0)
                        _exit(1);
                (void) write(ready[1], "x", 1);
                /* This sends and closes the copy. Closing it blocks, like every operation on the file. */
                (void) message_stream_flush(c.stream);
                for (;;)
                        (void) pause();
        }

        close(fd);
        close(ready[1]);
        (void) read(ready[0], &ok, 1);
        close(ready[0]);
        (void) rmdir(path);
        if (ok != 'x') {
                (void) kill(*ret_server, SIGKILL);
                (void) waitpid(*ret_server, NULL, 0);
                (void) waitpid(*ret_client, NULL, 0);
        }
        return ok == 'x';
}

/* If a FUSE server does not answer, closing a file of it blocks for ever, like every other operation on the file. */
static void test_fuse(void **state) {
        static const char *const calls[] = {
                STATUS,
                CALL("Store", "{\"name\":\"n\",\"objects\":[{\"fileDescriptor\":0}]}"),
                CALL("Store", "{\"name\":\"n\",\"verify\":true,\"objects\":[{\"fileDescriptor\":0}]}"),
                CALL("StoreTree", "{\"name\":\"n\",\"directory\":0}"),
        };
        static const uid_t uids[] = { 0, 65534 };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);

        for (size_t n = 0; n < ELEMENTSOF(calls) * ELEMENTSOF(uids); n++) {
                size_t i = n / ELEMENTSOF(uids);
                uid_t uid = uids[n % ELEMENTSOF(uids)];
                Client *attacker = client_new(f);
                pid_t server, client;
                _cleanup_json_ struct json_object *reply = NULL;
                int fds[2];

                if (!fuse_client_start(message_stream_fd(attacker->stream), uid, calls[i], &server, &client)) {
                        client_free(attacker);
                        test_skip("no permission to mount a FUSE file system");
                }

                for (unsigned k = 0; k < 100 && !message_stream_pending(attacker->stream); k++) {
                        assert_ok(sd_event_run(f->manager->event, 10000));
                        (void) message_stream_read(attacker->stream);
                }
                reply = client_receive(attacker, NULL, NULL);
                assert_non_null(reply);
                if (i > 0)
                        assert_error(reply, ERROR("NotPreservable"), NULL, NULL);
                client_free(attacker);
                assert_served(c);

                /* The helper is still blocked. Other helpers close the descriptors of other owners. */
                for (unsigned k = 0; k < 50; k++)
                        assert_ok(sd_event_run(f->manager->event, 10000));
                assert_true(closer_pending() > 0);
                assert_served(c);
                assert_ok(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
                (void) closer_close(/* budget= */ NULL, fds[1]);
                assert_true(is_closed(f, fds[0]));
                close(fds[0]);

                (void) kill(server, SIGKILL);
                (void) waitpid(server, NULL, 0);
                (void) kill(client, SIGKILL);
                (void) waitpid(client, NULL, 0);
                fixture_wait_closed(f);
        }
}

/* --- helpers --- */

/* Finds the process IDs of children with this name. */
static size_t find_helpers(const char *name, pid_t *ret, size_t max) {
        DIR *d = opendir("/proc");
        struct dirent *de;
        size_t n = 0;

        assert_non_null(d);
        while ((de = readdir(d)) && n < max) {
                char path[300], line[300], comm[64];
                int ppid, pid = atoi(de->d_name);
                FILE *file;

                if (pid <= 0)
                        continue;
                (void) snprintf(path, sizeof(path), "/proc/%i/stat", pid);
                file = fopen(path, "re");
                if (!file)
                        continue;
                if (fgets(line, sizeof(line), file) && sscanf(line, "%*i (%63[^)]) %*c %i", comm, &ppid) == 2 &&
                    ppid == getpid() && streq(comm, name))
                        ret[n++] = pid;
                (void) fclose(file);
        }
        (void) closedir(d);
        return n;
}

/* Returns the process ID of the helper that closes descriptors, or 0 if there is not exactly one. The helper sets its
 * name once it has started. */
static pid_t find_worker(void) {
        pid_t pids[2];

        for (unsigned i = 0; i < 1000; i++) {
                if (find_helpers("pkramd-close", pids, ELEMENTSOF(pids)) == 1)
                        return pids[0];
                (void) usleep(10000);
        }
        return 0;
}

/* Sends one end of a pipe. The reader, *ret_reader, shows when the manager has closed that end. */
static void send_pipe(Client *c, int *ret_reader) {
        _cleanup_json_ struct json_object *reply = NULL;
        int fds[2];

        assert_ok(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
        *ret_reader = fds[0];
        send_away(c, STATUS, sizeof(STATUS), fds + 1);
        reply = client_receive(c, NULL, NULL);
        assert_non_null(reply_parameters(reply));
}

/* A helper that does not return from close(2) delays only other descriptors of the same owner. */
static void test_stuck_helper(void **state) {
        Fixture *f = *state;
        Client *a = client_new_as(f, 1000, "uid:1000"), *c = client_new(f);
        int first, second, other;
        pid_t worker;

        worker = find_worker();
        assert_true(worker > 0);
        assert_ok(kill(worker, SIGSTOP));

        send_pipe(a, &first);
        assert_served(c);
        assert_false(is_closed(f, first));

        /* No client waits for the stopped helper, because connections and calls do not depend on it. */
        client_free(a);
        assert_served(c);
        assert_true(closer_pending() > 0);

        /* If a helper is killed, another one does its work. */
        assert_ok(kill(worker, SIGKILL));
        send_pipe(c, &second);
        send_pipe(c, &other);
        assert_true(is_closed(f, second));
        assert_true(is_closed(f, other));
        fixture_wait_closed(f);
        close(first);
        close(second);
        close(other);
        client_free(c);
}

/* When the daemon is killed, a helper that is stuck keeps neither connections nor sessions open. */
static void test_death_with_stuck_helper(_unused_ void **state) {
        int fds[2], foreign[2], own[2], status;
        pid_t pid;
        char x;

        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
        assert_ok(pipe2(foreign, O_CLOEXEC));
        assert_ok(pipe2(own, O_CLOEXEC));

        pid = fork();
        assert_ok(pid);
        if (pid == 0) {
                sd_event *event = NULL;
                pid_t helper;

                close(fds[0]);
                close(foreign[0]);
                close(own[0]);
                if (sd_event_new(&event) < 0 || closer_start(event) < 0)
                        _exit(1);
                helper = find_worker();
                if (helper <= 0)
                        _exit(1);
                (void) kill(helper, SIGSTOP);
                closer_mark(fds[1], CLOSER_CONNECTION);
                closer_mark(foreign[1], CLOSER_FOREIGN);
                (void) closer_close(NULL, foreign[1]);
                (void) write(fds[1], "x", 1);
                for (;;)
                        (void) pause();
        }

        close(fds[1]);
        close(foreign[1]);
        close(own[1]);
        assert_int_equal(read(fds[0], &x, 1), 1);
        assert_ok(kill(pid, SIGKILL));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        /* All of them have to report end of file. If the test hangs here, it has failed. */
        assert_int_equal(read(fds[0], &x, 1), 0);
        assert_int_equal(read(own[0], &x, 1), 0);
        assert_int_equal(read(foreign[0], &x, 1), 0);
        close(fds[0]);
        close(own[0]);
        close(foreign[0]);
}

/* --- replies that are not read --- */

/* Sends a call that stores a node with n files of one page each. */
static void send_store_files(Client *c, const char *name, unsigned n) {
        static char text[100 + 1000 * 32];
        static int fds[1000];
        char *p = text;

        assert_true(n <= ELEMENTSOF(fds));
        p += sprintf(p, "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"%s\",\"objects\":[", name);
        for (unsigned i = 0; i < n; i++) {
                p += sprintf(p, "%s{\"fileDescriptor\":%u}", i > 0 ? "," : "", i);
                fds[i] = memfd_create("file", MFD_CLOEXEC);
                assert_ok(fds[i]);
                assert_int_equal(write(fds[i], "x", 1), 1);
        }
        (void) sprintf(p, "]}}");
        client_send(c, text, fds, n);
        close_many(fds, n);
}

static void store_files(Client *c, const char *name, unsigned n) {
        _cleanup_json_ struct json_object *reply = NULL;

        send_store_files(c, name, n);
        reply = client_receive(c, NULL, NULL);
        assert_true(json_get_int(reply_parameters(reply), "id", 0) > 0);
}

static void test_unread_descriptors(void **state) {
        static const char retrieve[] = CALL("Retrieve", "{\"name\":\"n\"}");
        enum { N = 1000, CALLS = 30 };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *deaf = client_new(f), *c = client_new(f);
        _cleanup_free_ int *fds = malloc(N * sizeof(int));
        unsigned before;

        store_files(c, "n", N);
        fixture_wait_closed(f);
        before = n_open();

        for (unsigned i = 0; i < CALLS; i++)
                client_send_raw(deaf, retrieve, sizeof(retrieve));
        for (unsigned i = 0; i < 20; i++) {
                fixture_run(f);
                assert_served(c);
                if (n_open() > before + N + 10)
                        fail_msg("%u descriptors are open, %u before", n_open(), before);
        }

        /* Once the client reads, it gets all of its replies. */
        for (unsigned i = 0; i < CALLS; i++) {
                _cleanup_json_ struct json_object *reply = NULL;
                size_t n;

                for (unsigned k = 0; k < 1000 && !message_stream_pending(deaf->stream); k++) {
                        assert_ok(sd_event_run(f->manager->event, 1000));
                        (void) message_stream_read(deaf->stream);
                }
                reply = client_receive(deaf, fds, &n);
                assert_non_null(reply_parameters(reply));
                assert_int_equal(n, N);
                close_many(fds, n);
        }
}

static void test_descriptors_have_a_budget(void **state) {
        static const char retrieve[] = CALL("Retrieve", "{\"name\":\"n\"}");
        enum { N = 50 };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        Client *deaf[20];
        unsigned before, n_refused = 0;

        store_files(c, "n", N);
        f->manager->varlink_limits.message.owner_fds = 5 * N;
        fixture_wait_closed(f);
        before = n_open();

        for (size_t i = 0; i < ELEMENTSOF(deaf); i++) {
                deaf[i] = client_new(f);
                client_send_raw(deaf[i], retrieve, sizeof(retrieve));
                fixture_run(f);
                /* Descriptors count until they are closed. */
                fixture_wait_closed(f);
        }
        /* Descriptors of replies are in flight in sockets, and are not open in this process. */
        if (n_open() > before + 3 * ELEMENTSOF(deaf) + 5)
                fail_msg("%u descriptors are open, %u before", n_open(), before);

        /* Calls that need no descriptors are still served. Five of the Retrieve calls fit into the budget. */
        assert_served(c);
        for (size_t i = 0; i < ELEMENTSOF(deaf); i++) {
                _cleanup_json_ struct json_object *reply = NULL;
                int fds[N];
                size_t n = 0;

                reply = client_receive(deaf[i], fds, &n);
                if (json_get_string(reply, "error")) {
                        assert_error(reply, ERROR("QuotaExceeded"), "limit", "OwnerDescriptorsMax");
                        n_refused++;
                }
                close_many(fds, n);
                client_free(deaf[i]);
        }
        assert_int_equal(n_refused, ELEMENTSOF(deaf) - 5);
        fixture_wait_closed(f);

        /* Files that were loaded for refused replies do not accumulate, either. */
        f->manager->varlink_limits.message.owner_fds = N - 1;
        before = n_open();
        for (unsigned i = 0; i < 100; i++) {
                client_expect_error(c, CALL("Retrieve", "{\"name\":\"n\"}"), ERROR("QuotaExceeded"));
                assert_true(n_open() < before + 1024 + 2 * N + 50);
        }
        fixture_wait_closed(f);

        /* Calls with more descriptors than are left are refused as well. */
        f->manager->varlink_limits.message.owner_fds = 10;
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_json_ struct json_object *reply = NULL;
                int fds[11];

                for (size_t k = 0; k < ELEMENTSOF(fds); k++)
                        fds[k] = STDIN_FILENO;
                reply = client_call_fds(c, STATUS, fds, ELEMENTSOF(fds));
                assert_error(reply, ERROR("QuotaExceeded"), "limit", "OwnerDescriptorsMax");
                fixture_wait_closed(f);
        }
}

static void test_bytes_have_a_budget(void **state) {
        static const char retrieve[] = CALL("Retrieve", "{\"name\":\"n\"}");
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_free_ char *data = malloc(MIB(1) + 200);
        char *end = data;
        _cleanup_json_ struct json_object *stored = NULL;
        unsigned n_refused = 0;
        Client *deaf[40];

        end += sprintf(end, "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"n\","
                       "\"objects\":[{\"data\":\"");
        memset(end, 'A', MIB(1));
        end += MIB(1);
        (void) sprintf(end, "\"}]}}");
        stored = client_call(c, data);
        assert_non_null(reply_parameters(stored));

        for (size_t i = 0; i < ELEMENTSOF(deaf); i++) {
                deaf[i] = client_new(f);
                for (unsigned k = 0; k < 5; k++)
                        client_send_raw(deaf[i], retrieve, sizeof(retrieve));
                fixture_run(f);
                assert_true(varlink_server_buffered(f->manager->server) <=
                            f->manager->varlink_limits.message.owner_bytes);
                assert_served(c);
        }
        for (size_t i = 0; i < ELEMENTSOF(deaf); i++) {
                _cleanup_json_ struct json_object *reply = client_receive(deaf[i], NULL, NULL);

                if (json_get_string(reply, "error")) {
                        assert_error(reply, ERROR("QuotaExceeded"), "limit", "OwnerBufferBytesMax");
                        n_refused++;
                }
                client_free(deaf[i]);
        }
        assert_true(n_refused > 0 && n_refused < ELEMENTSOF(deaf));
        assert_int_equal(varlink_server_buffered(f->manager->server), 0);
}

/* Many connections send half a message, so that no memory is left for the messages to grow. */
static void test_half_messages_have_a_budget(void **state) {
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_free_ char *text = malloc(MIB(3));
        Client *half[30];

        memset(text, ' ', MIB(3));
        for (size_t i = 0; i < ELEMENTSOF(half); i++) {
                half[i] = client_new(f);
                client_send_raw(half[i], text, MIB(3));
                fixture_run(f);
                assert_true(varlink_server_buffered(f->manager->server) <=
                            f->manager->varlink_limits.message.owner_bytes + (i + 1) * MESSAGE_SMALL);
        }
        assert_served(c);
        for (size_t i = 0; i < ELEMENTSOF(half); i++) {
                _cleanup_json_ struct json_object *reply = NULL;

                client_send_raw(half[i], STATUS, sizeof(STATUS));
                reply = client_receive(half[i], NULL, NULL);
                if (json_get_string(reply, "error"))
                        assert_error(reply, ERROR("QuotaExceeded"), "limit", "OwnerBufferBytesMax");
                client_free(half[i]);
        }
}

/* --- work for other clients --- */

/* If a call exceeds a budget, it is refused before any object is loaded for it. */
static void test_refused_retrieves_load_nothing(void **state) {
        static const struct {
                const char *call, *limit;
        } refused[] = {
                { CALL("Retrieve", "{\"name\":\"files\"}"), "OwnerDescriptorsMax" },
                { CALL("Retrieve", "{\"name\":\"files\",\"inline\":true}"), "OwnerDescriptorsMax" },
                { CALL("Retrieve", "{\"name\":\"data\"}"), "OwnerBufferBytesMax" },
        };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new(f);
        _cleanup_free_ char *data = malloc(MIB(1) + 200);
        char *end = data;
        _cleanup_json_ struct json_object *stored = NULL;

        store_files(c, "files", 50);
        end += sprintf(end, "{\"method\":\"io.pkram.Store.Store\",\"parameters\":{\"name\":\"data\",\"objects\":[{\"data\":\"");
        memset(end, 'A', MIB(1));
        end += MIB(1);
        (void) sprintf(end, "\"}]}}");
        stored = client_call(c, data);
        assert_non_null(reply_parameters(stored));
        fixture_wait_closed(f);

        f->manager->varlink_limits.message.owner_fds = 49;
        f->manager->varlink_limits.message.owner_bytes = KIB(512);
        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                _cleanup_json_ struct json_object *reply = NULL;
                unsigned loads;

                mock_fail(f->mock, i == 2 ? PKRAM_IOC_LOAD_BYTES : PKRAM_IOC_LOAD_FILE, UINT_MAX, -EIO);
                reply = client_call(c, refused[i].call);
                assert_error(reply, ERROR("QuotaExceeded"), "limit", refused[i].limit);
                loads = mock_calls(f->mock);
                /* Reading the manifest, which is a byte stream, counts as one load. */
                assert_int_equal(loads, i == 2 ? 1 : 0);
        }
        mock_fail(f->mock, MOCK_ANY, UINT_MAX, -EIO);
}

/* Runs the manager until the client has a reply. */
static void run_until_reply(Client *c) {
        while (!message_stream_pending(c->stream)) {
                assert_ok(sd_event_run(c->fixture->manager->event, 0));
                (void) message_stream_read(c->stream);
        }
}

/* A node with many objects is loaded in pieces, and other calls are served in between. */
static void test_large_retrieve_keeps_no_one_waiting(void **state) {
        static const char retrieve[] = CALL("Retrieve", "{\"name\":\"n\"}");
        enum { N = 1000 };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *a = client_new_as(f, 1000, "uid:1000"),
                *c = client_new_as(f, 1001, "uid:1001");
        _cleanup_free_ int *fds = malloc(N * sizeof(int));
        _cleanup_json_ struct json_object *reply = NULL;
        size_t n;

        store_files(a, "n", N);
        fixture_wait_closed(f);
        mock_fail(f->mock, PKRAM_IOC_LOAD_FILE, UINT_MAX, -EIO);
        client_send_raw(a, retrieve, sizeof(retrieve));
        while (mock_calls(f->mock) == 0)
                assert_ok(sd_event_run(f->manager->event, 0));

        for (unsigned i = 0; i < 5; i++) {
                unsigned before = mock_calls(f->mock);

                client_send_raw(c, STATUS, sizeof(STATUS));
                run_until_reply(c);
                json_object_put(client_receive(c, NULL, NULL));
                if (i < 2)
                        assert_true(mock_calls(f->mock) <= before + 3 * N / 20);
        }

        run_until_reply(a);
        reply = client_receive(a, fds, &n);
        assert_non_null(reply_parameters(reply));
        assert_int_equal(n, N);
        assert_true(mock_calls(f->mock) >= N);
        close_many(fds, n);
}

/* A node with many objects is also stored in pieces. */
static void test_large_store_keeps_no_one_waiting(void **state) {
        enum { N = 200 };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *a = client_new_as(f, 1000, "uid:1000"),
                *c = client_new_as(f, 1001, "uid:1001");
        _cleanup_json_ struct json_object *reply = NULL;

        mock_fail(f->mock, PKRAM_IOC_SAVE_FILE, UINT_MAX, -EIO);
        send_store_files(a, "n", N);
        while (mock_calls(f->mock) == 0)
                assert_ok(sd_event_run(f->manager->event, 0));
        client_send_raw(c, STATUS, sizeof(STATUS));
        run_until_reply(c);
        json_object_put(client_receive(c, NULL, NULL));
        assert_true(mock_calls(f->mock) <= N / 2);

        run_until_reply(a);
        reply = client_receive(a, NULL, NULL);
        assert_non_null(reply_parameters(reply));
        assert_int_equal(mock_calls(f->mock), N);
}

/* Nodes that are stored at the same time count together against a limit. */
static void test_stores_at_once_have_one_limit(void **state) {
        enum { N = 100 };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *a = client_new_as(f, 1000, "uid:1000"),
                *b = client_new_as(f, 1000, "uid:1000");
        _cleanup_json_ struct json_object *first = NULL, *second = NULL;

        /* The limit is large enough for one node and its metadata, but not for two. */
        f->manager->config.limit[LIMIT_OWNER_BYTES] = 3 * N * KIB(4);
        send_store_files(a, "a", N);
        send_store_files(b, "b", N);
        run_until_reply(a);
        run_until_reply(b);
        first = client_receive(a, NULL, NULL);
        second = client_receive(b, NULL, NULL);
        assert_true(!json_get_string(first, "error") != !json_get_string(second, "error"));
        assert_error(json_get_string(first, "error") ? first : second, ERROR("QuotaExceeded"), "limit",
                     "OwnerBytesMax");
        assert_int_equal(mock_n_nodes(f->mock), 1);
}

/* A call waits for at most one turn of each other owner, no matter how many connections that owner has. */
static void test_calls_are_shared_fairly(void **state) {
        static const char describe[] = CALL("Describe", "{\"name\":\"none\"}");
        enum { LINKS = 100, CALLS = 64, PER_TURN = 16 };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new_as(f, 1001, "uid:1001");
        Client *attackers[LINKS];
        unsigned calls;

        for (size_t i = 0; i < LINKS; i++) {
                attackers[i] = client_new_as(f, 1000, "uid:1000");
                for (unsigned k = 0; k < CALLS; k++)
                        assert_ok(send(message_stream_fd(attackers[i]->stream), describe, sizeof(describe),
                                       MSG_DONTWAIT));
        }
        client_send_raw(c, STATUS, sizeof(STATUS));

        mock_fail(f->mock, PKRAM_IOC_LOAD_BEGIN, UINT_MAX, -EIO);
        for (unsigned i = 0; i < 3; i++) {
                run_until_reply(c);
                json_object_put(client_receive(c, NULL, NULL));
                client_send_raw(c, STATUS, sizeof(STATUS));
        }
        calls = mock_calls(f->mock);
        if (calls > 4 * 2 * 2 * PER_TURN)
                fail_msg("%u nodes were looked for meanwhile", calls);
        run_until_reply(c);

        /* In the end all calls are answered. */
        fixture_run(f);
        for (size_t i = 0; i < LINKS; i++)
                for (unsigned k = 0; k < CALLS; k++) {
                        _cleanup_json_ struct json_object *reply = client_receive(attackers[i], NULL, NULL);

                        assert_error(reply, ERROR("NoSuchNode"), NULL, NULL);
                }
        for (size_t i = 0; i < LINKS; i++)
                client_free(attackers[i]);
}

/* Connections of one owner are served in the order in which they called, no matter how many follow. */
static void test_connections_keep_their_order(void **state) {
        static const char describe[] = CALL("Describe", "{\"name\":\"none\"}");
        enum { LATER = 50 };
        Fixture *f = *state;
        Client *later[LATER], *first = client_new_as(f, 1000, "uid:1000");
        _cleanup_json_ struct json_object *reply = NULL;
        unsigned calls;

        client_send_raw(first, describe, sizeof(describe));
        for (size_t i = 0; i < LATER; i++) {
                later[i] = client_new_as(f, 1000, "uid:1000");
                client_send_raw(later[i], describe, sizeof(describe));
        }

        mock_fail(f->mock, PKRAM_IOC_LOAD_BEGIN, UINT_MAX, -EIO);
        run_until_reply(first);
        reply = client_receive(first, NULL, NULL);
        assert_error(reply, ERROR("NoSuchNode"), NULL, NULL);
        calls = mock_calls(f->mock);
        if (calls > 2 * 3)
                fail_msg("%u nodes were looked for first", calls);

        for (size_t i = 0; i < LATER; i++)
                client_free(later[i]);
        client_free(first);
}

/* New owners do not overtake one that waits: otherwise a stream of new owners would make it wait for ever. */
static void test_new_owners_wait_too(void **state) {
        static const char describe[] = CALL("Describe", "{\"name\":\"none\"}");
        Fixture *f = *state;
        _cleanup_(client_freep) Client *c = client_new_as(f, 1000, "uid:1000");
        Client *others[20];
        unsigned calls;

        assert_served(c);
        client_send_raw(c, describe, sizeof(describe));
        for (unsigned i = 0; i < ELEMENTSOF(others); i++) {
                char owner[32];

                (void) snprintf(owner, sizeof(owner), "uid:%u", 1001 + i);
                others[i] = client_new_as(f, 1001 + i, owner);
                client_send_raw(others[i], describe, sizeof(describe));
        }

        mock_fail(f->mock, PKRAM_IOC_LOAD_BEGIN, UINT_MAX, -EIO);
        run_until_reply(c);
        json_object_put(client_receive(c, NULL, NULL));
        calls = mock_calls(f->mock);
        if (calls > 2 * 3)
                fail_msg("%u nodes of others were looked for first", calls);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                client_free(others[i]);
}

/* Returns the number of bytes that this process has read so far, or 0 if the kernel does not count them. */
static uint64_t n_read(void) {
        uint64_t n = 0;
        FILE *f = fopen("/proc/self/io", "re");

        if (f) {
                if (fscanf(f, "rchar: %" SCNu64, &n) != 1)
                        n = 0;
                (void) fclose(f);
        }
        return n;
}

/*
 * While 100 retrievals of one owner are verified, a call of another owner waits for at most the slice that is being
 * checksummed, and the next one: 16 MiB, which takes a few milliseconds. Another call of the same owner takes only a
 * few turns of the event loop as well.
 */
static void test_checksums_are_shared_fairly(void **state) {
        enum { N = 100 };
        Fixture *f = *state;
        _cleanup_(client_freep) Client *same = client_new(f), *other = client_new_as(f, 1001, "uid:1001");
        _cleanup_close_ int fd = memfd_create("large", MFD_CLOEXEC);
        _cleanup_json_ struct json_object *reply = NULL;
        _cleanup_free_ char *data = malloc(MIB(1));
        uint64_t slowest = 0, longest = 0;
        Client *clients[N];

        memset(data, 'x', MIB(1));
        for (unsigned i = 0; i < 64; i++)
                assert_int_equal(write(fd, data, MIB(1)), MIB(1));
        reply = client_call_fds(same,
                                CALL("Store", "{\"name\":\"n\",\"verify\":true,\"objects\":[{\"fileDescriptor\":0}]}"),
                                &fd, 1);
        assert_non_null(reply_parameters(reply));

        for (size_t i = 0; i < N; i++) {
                clients[i] = client_new(f);
                client_send_raw(clients[i], CALL("Retrieve", "{\"name\":\"n\"}"),
                                sizeof(CALL("Retrieve", "{\"name\":\"n\"}")));
        }
        /* Wait until all retrievals have begun. */
        while (mock_n_handles(f->mock) < N)
                assert_ok(sd_event_run(f->manager->event, 0));

        for (unsigned i = 0; i < 10; i++) {
                uint64_t begin = now_usec(CLOCK_MONOTONIC), before = n_read();
                Client *c = i % 2 ? other : same;
                unsigned turns = 0;

                client_send_raw(c, STATUS, sizeof(STATUS));
                while (!message_stream_pending(c->stream)) {
                        assert_ok(sd_event_run(f->manager->event, 0));
                        (void) message_stream_read(c->stream);
                        turns++;
                }
                json_object_put(client_receive(c, NULL, NULL));
                /* This does not depend on the speed of the machine: a few turns for the call, for work in between, and
                 * for helpers that have closed something. */
                assert_true(turns <= 10);
                if (c == other) {
                        slowest = MAX(slowest, now_usec(CLOCK_MONOTONIC) - begin);
                        longest = MAX(longest, n_read() - before);
                }
        }
        print_message("another client waited for %" PRIu64 " us, and %" PRIu64 " bytes of checksums\n", slowest,
                      longest);
        assert_true(longest < MIB(16) + KIB(64));

        for (size_t i = 0; i < N; i++)
                clients[i]->stream = message_stream_free(clients[i]->stream);
        for (size_t i = 0; i < N; i++)
                client_free(clients[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_lingering_sockets, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_excess_lingering_sockets, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_fuse, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_stuck_helper, fixture_setup, fixture_teardown),
                cmocka_unit_test(test_death_with_stuck_helper),
                cmocka_unit_test_setup_teardown(test_unread_descriptors, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_descriptors_have_a_budget, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_bytes_have_a_budget, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_half_messages_have_a_budget, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_refused_retrieves_load_nothing, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_large_retrieve_keeps_no_one_waiting, fixture_setup,
                                                fixture_teardown),
                cmocka_unit_test_setup_teardown(test_large_store_keeps_no_one_waiting, fixture_setup,
                                                fixture_teardown),
                cmocka_unit_test_setup_teardown(test_stores_at_once_have_one_limit, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_calls_are_shared_fairly, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_connections_keep_their_order, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_new_owners_wait_too, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_checksums_are_shared_fairly, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests_name("costs", tests, NULL, NULL);
}
