/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpkram against pkramd over a model of the kernel, which is the first argument. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pkram.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char *mock_path;
static char directory[] = "/tmp/test-libpkram-XXXXXX", socket_path[64];
static pid_t mock_pid;

static int server_start(void **state) {
        const struct timespec moment = { .tv_nsec = 20 * 1000 * 1000 };

        (void) state;
        if (!mkdtemp(directory))
                return -1;
        (void) snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
        mock_pid = fork();
        if (mock_pid < 0)
                return -1;
        if (mock_pid == 0) {
                execl(mock_path, mock_path, socket_path, NULL);
                _exit(127);
        }
        for (unsigned i = 0; i < 500; i++) {
                pkram_client *c;

                if (pkram_client_new(socket_path, &c) == 0) {
                        pkram_client_free(c);
                        return 0;
                }
                (void) nanosleep(&moment, NULL);
        }
        return -1;
}

static int server_stop(void **state) {
        (void) state;
        (void) kill(mock_pid, SIGTERM);
        (void) waitpid(mock_pid, NULL, 0);
        (void) unlink(socket_path);
        return rmdir(directory);
}

static pkram_client *connected(void) {
        pkram_client *c = NULL;

        assert_int_equal(pkram_client_new(socket_path, &c), 0);
        return c;
}

static int memfd_with(const char *text) {
        int fd = memfd_create("test", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        return fd;
}

static void test_connect(void **state) {
        pkram_client *c = NULL;
        char path[sizeof(socket_path) + 8];

        (void) state;
        (void) snprintf(path, sizeof(path), "%s.none", socket_path);
        assert_int_equal(pkram_client_new(path, &c), -ENOENT);
        assert_null(c);
        assert_null(pkram_client_free(NULL));
}

static void test_round_trip(void **state) {
        pkram_client *c = connected();
        pkram_object objects[2] = { { .name = "file", .fd = memfd_with("contents") },
                                    { .name = "bytes", .fd = -1, .data = "a\0b", .size = 3 } };
        pkram_object o;
        pkram_node *n = NULL;
        uint64_t id = 0;
        char text[16] = "";
        int fd;

        (void) state;
        assert_int_equal(pkram_store(c, "node", objects, 2, PKRAM_STORE_VERIFY | PKRAM_STORE_PERSIST, &id), 0);
        assert_true(id != 0);
        assert_int_equal(pkram_store(c, "node", objects + 1, 1, 0, NULL), -EEXIST);
        assert_string_equal(pkram_client_get_error(c), "io.pkram.Store.NodeExists");
        close(objects[0].fd);

        assert_int_equal(pkram_retrieve(c, "node", &n), 0);
        assert_null(pkram_client_get_error(c));
        assert_string_equal(pkram_node_get_name(n), "node");
        assert_non_null(pkram_node_get_owner(n));
        assert_int_equal(pkram_node_get_id(n), id);
        assert_int_equal(pkram_node_get_bytes(n), 11);
        assert_int_equal(pkram_node_get_generation(n), 0);
        assert_true(pkram_node_get_stored(n) > 0);
        assert_int_equal(pkram_node_get_n_objects(n), 2);

        assert_int_equal(pkram_node_find_object(n, "bytes", &o), 0);
        assert_int_equal(o.size, 3);
        assert_memory_equal(o.data, "a\0b", 3);
        assert_true(o.fd < 0);
        assert_int_equal(pkram_node_find_object(n, "none", &o), -ENOENT);
        assert_int_equal(pkram_node_get_object(n, 2, &o), -ENOENT);
        assert_int_equal(pkram_node_take_fd(n, 1), -ENOENT);
        fd = pkram_node_take_fd(n, 0);
        assert_true(fd >= 0);
        assert_int_equal(pkram_node_take_fd(n, 0), -ENOENT);
        assert_int_equal(pread(fd, text, sizeof(text), 0), 8);
        assert_string_equal(text, "contents");
        close(fd);
        pkram_node_free(n);

        /* By its ID, so that another node with this name is left alone. */
        assert_int_equal(pkram_release(c, "node", id + 1), -ENOENT);
        assert_int_equal(pkram_release(c, "node", id), 0);
        assert_int_equal(pkram_retrieve(c, "node", &n), -ENOENT);
        assert_string_equal(pkram_client_get_error(c), "io.pkram.Store.NoSuchNode");
        pkram_client_free(c);
}

static void test_errors(void **state) {
        pkram_client *c = connected();
        pkram_object o = { .fd = -1, .data = "x", .size = 1 };
        int fds[2];

        (void) state;
        assert_int_equal(pkram_store(c, "a/b", &o, 1, 0, NULL), -EINVAL);
        assert_non_null(pkram_client_get_error_reason(c));
        assert_int_equal(pkram_store(c, "n", &o, 1, 1 << 10, NULL), -EINVAL);
        assert_null(pkram_client_get_error(c));
        assert_int_equal(pipe(fds), 0);
        o.fd = fds[0];
        assert_int_equal(pkram_store(c, "pipe", &o, 1, 0, NULL), -ENOTSUP);
        assert_string_equal(pkram_client_get_error(c), "io.pkram.Store.NotPreservable");
        close(fds[0]);
        close(fds[1]);
        assert_int_equal(pkram_remove(c, "none", 0), -ENOENT);
        assert_int_equal(pkram_error_to_errno("io.pkram.Store.NodeDamaged"), -EBADMSG);
        assert_int_equal(pkram_error_to_errno("io.example.Other"), -EPROTO);
        assert_int_equal(pkram_error_to_errno(NULL), -EPROTO);
        pkram_client_free(c);
}

static int count_node(const pkram_node *n, void *userdata) {
        unsigned *count = userdata;

        assert_int_equal(strncmp(pkram_node_get_name(n), "list-", 5), 0);
        assert_int_equal(pkram_node_get_n_objects(n), 0);
        (*count)++;
        return 0;
}

struct retrieved {
        pkram_client *c;
        unsigned n;
};

/* Uses the connection that lists. */
static int retrieve_node(const pkram_node *n, void *userdata) {
        struct retrieved *seen = userdata;
        pkram_node *whole = NULL;

        assert_int_equal(pkram_retrieve(seen->c, pkram_node_get_name(n), &whole), 0);
        assert_string_equal(pkram_node_get_name(whole), pkram_node_get_name(n));
        assert_int_equal(pkram_node_get_n_objects(whole), 1);
        pkram_node_free(whole);
        assert_int_equal(pkram_release(seen->c, pkram_node_get_name(n), pkram_node_get_id(n) + 1), -ENOENT);
        seen->n++;
        return 0;
}

static int stop_at_node(const pkram_node *n, void *userdata) {
        (void) n;
        (void) userdata;
        return 7;
}

static void test_list(void **state) {
        pkram_client *c = connected();
        pkram_object o = { .fd = -1, .data = "x", .size = 1 };
        struct retrieved retrieved = { .c = c };
        unsigned count = 0;
        char *owner = NULL;

        (void) state;
        assert_int_equal(pkram_list(c, count_node, &count), 0);
        assert_int_equal(count, 0);
        assert_int_equal(pkram_store(c, "list-1", &o, 1, 0, NULL), 0);
        assert_int_equal(pkram_store(c, "list-2", &o, 1, 0, NULL), 0);
        assert_int_equal(pkram_list(c, count_node, &count), 0);
        assert_int_equal(count, 2);
        assert_int_equal(pkram_list(c, retrieve_node, &retrieved), 0);
        assert_int_equal(retrieved.n, 2);

        assert_int_equal(pkram_get_owner(c, &owner), 0);
        assert_int_equal(pkram_client_set_owner(c, owner), 0);
        assert_int_equal(pkram_list(c, count_node, &count), 0);
        assert_int_equal(count, 4);
        free(owner);
        assert_int_equal(pkram_list(c, stop_at_node, NULL), 7);
        assert_int_equal(pkram_remove(c, "list-1", 0), 0);
        assert_int_equal(pkram_remove(c, "list-2", 0), 0);
        pkram_client_free(c);
}

struct seen {
        pkram_client *c;
        unsigned n;
        char events[4][16];
};

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct seen *s = userdata;
        pkram_event event;
        int r;

        (void) fd;
        (void) revents;
        while ((r = pkram_monitor_next(s->c, &event)) > 0) {
                assert_true(s->n < 4);
                (void) snprintf(s->events[s->n++], sizeof(s->events[0]), "%.15s", event.event);
                if (strcmp(event.event, "ready") != 0)
                        assert_string_equal(event.name, "watched");
        }
        assert_int_equal(r, 0);
        return s->n == 3 ? sd_event_exit(sd_event_source_get_event(source), 0) : 0;
}

/* The connection is watched by an event loop; another one makes the events. */
static void test_monitor(void **state) {
        pkram_object o = { .fd = -1, .data = "xyz", .size = 3 };
        struct seen s = { .c = connected() };
        pkram_client *other = connected();
        sd_event *event = NULL;

        (void) state;
        assert_int_equal(sd_event_new(&event), 0);
        assert_true(sd_event_add_io(event, NULL, pkram_client_get_fd(s.c), POLLIN, on_input, &s) >= 0);
        assert_int_equal(pkram_monitor(s.c), 0);
        assert_int_equal(pkram_remove(s.c, "watched", 0), -EBUSY);
        assert_null(pkram_client_get_error(s.c));
        while (s.n == 0)
                assert_true(sd_event_run(event, 10 * 1000 * 1000) > 0);
        assert_int_equal(pkram_store(other, "watched", &o, 1, 0, NULL), 0);
        assert_int_equal(pkram_remove(other, "watched", 0), 0);
        assert_int_equal(sd_event_loop(event), 0);
        assert_string_equal(s.events[0], "ready");
        assert_string_equal(s.events[1], "stored");
        assert_string_equal(s.events[2], "removed");

        sd_event_unref(event);
        pkram_client_free(other);
        pkram_client_free(s.c);
}

int main(int argc, char *argv[]) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_connect),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_list),
                cmocka_unit_test(test_monitor),
        };

        if (argc < 2)
                return EXIT_FAILURE;
        mock_path = argv[1];
        return cmocka_run_group_tests(tests, server_start, server_stop);
}
