/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keeps a file system busy: processes by what they have open, and mount units by their paths. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "mount-users.h"
#include "test.h"
#include "unit-name.h"

static char path[] = "/dev/shm/test-mount-users-XXXXXX";

typedef struct Child {
        pid_t pid;
        bool counts; /* for is_child() */
        unsigned asked;
} Child;

/* A process that opens the file with these flags, and unmaps or closes nothing until it is killed. */
static Child child_start(int flags, bool map, bool close_file) {
        Child c = {};
        int ready[2];
        char byte;

        assert_return_code(pipe2(ready, O_CLOEXEC), errno);
        c.pid = fork();
        assert_true(c.pid >= 0);
        if (c.pid == 0) {
                int fd = open(path, flags | O_CLOEXEC);
                void *mapped = fd >= 0 && map ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : NULL;

                if (fd < 0 || mapped == MAP_FAILED)
                        _exit(1);
                if (close_file)
                        (void) close(fd);
                (void) !write(ready[1], "", 1);
                for (;;)
                        (void) pause();
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void) close(ready[0]);
        (void) close(ready[1]);
        return c;
}

static void child_stop(const Child *c) {
        (void) kill(c->pid, SIGKILL);
        assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
}

/* Other processes may use the file system as well. */
static bool is_child(const MountUser *user, void *userdata) {
        Child *c = userdata;

        if (user->pid != c->pid)
                return false;
        c->asked++;
        return c->counts;
}

static void expect_named(dev_t device, MountUse use, Child *c, bool named) {
        _cleanup_free_ char *users = NULL, *none = NULL, *name = NULL;

        c->asked = 0;
        c->counts = true;
        users = mount_users(device, use, is_child, c);
        assert_int_equal(c->asked, named);
        assert_int_equal(users != NULL, named);
        assert_true(asprintf(&name, "test-mount-user (%i", c->pid) > 0);
        assert_true(!named || startswith(users, name));

        c->counts = false;
        none = mount_users(device, use, is_child, c);
        assert_null(none);
}

static void test_processes(_unused_ void **state) {
        static const struct {
                int flags;
                bool map, close_file, writes;
        } table[] = {
                { O_RDONLY, false, false, false },
                { O_WRONLY, false, false, true  },
                { O_RDWR,   false, false, true  },
                { O_RDWR,   true,  true,  true  },
                { O_PATH,   false, false, false },
        };
        struct stat st;

        assert_return_code(stat(path, &st), errno);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Child c = child_start(table[i].flags, table[i].map, table[i].close_file);

                expect_named(st.st_dev, MOUNT_USE_ANY, &c, true);
                expect_named(st.st_dev, MOUNT_USE_WRITING, &c, table[i].writes);
                child_stop(&c);
        }
}

static void test_deleted(_unused_ void **state) {
        struct stat st;
        Child c;

        assert_return_code(stat(path, &st), errno);
        c = child_start(O_RDONLY, /* map= */ false, /* close_file= */ false);
        expect_named(st.st_dev, MOUNT_USE_DELETED, &c, false);
        assert_return_code(unlink(path), errno);
        expect_named(st.st_dev, MOUNT_USE_DELETED, &c, true);
        child_stop(&c);
}

static void test_unit_name(_unused_ void **state) {
        static const char *const table[][2] = {
                { "/",                 "-.mount"                 },
                { "/srv/web",          "srv-web.mount"           },
                { "//srv//web/",       "srv-web.mount"           },
                { "/srv/my-web",       "srv-my\\x2dweb.mount"    },
                { "/.hidden/a.b",      "\\x2ehidden-a.b.mount"   },
                { "/srv/a b\\c",       "srv-a\\x20b\\x5cc.mount" },
                { "/srv/\xc3\xa4%",    "srv-\\xc3\\xa4\\x25.mount" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *name = unit_name_from_mount(table[i][0]);

                assert_string_equal(name, table[i][1]);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_processes),
                cmocka_unit_test(test_deleted),
                cmocka_unit_test(test_unit_name),
        };
        int fd = mkstemp(path), r;

        /* A build root may have no such directory. */
        if (fd < 0) {
                (void) strcpy(path, "/tmp/test-mount-user-XXXXXX");
                fd = mkstemp(path);
        }
        assert_true(fd >= 0);
        assert_return_code(ftruncate(fd, 4096), errno);
        (void) close(fd);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        (void) unlink(path);
        return r;
}
