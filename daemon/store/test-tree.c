/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stores trees from real tmpfs directories in the model of the kernel, and restores them. Needs root privileges, to
 * mount a tmpfs. */
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "test-store-fixture.h"
#include "tree-files.h"

typedef struct Fixture {
        StoreFixture s;
        char from[64], to[64];
        int from_fd, to_fd;
} Fixture;

static void mount_tmpfs(char path[64], const char *options, int *ret_fd) {
        (void) snprintf(path, 64, "/tmp/pkram-test-tree.XXXXXX");
        assert_non_null(mkdtemp(path));
        assert_ok(mount("pkram-test", path, "tmpfs", 0, options));
        *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(*ret_fd);
}

static void unmount(const char *path, int *fd) {
        *fd = safe_close(*fd);
        assert_ok(umount2(path, MNT_DETACH));
        assert_ok(rmdir(path));
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        store_fixture_init(&f->s, GIB(16));
        mount_tmpfs(f->from, "size=1g,mode=755", &f->from_fd);
        mount_tmpfs(f->to, "size=1g,mode=755", &f->to_fd);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        store_fixture_done(&f->s);
        unmount(f->from, &f->from_fd);
        unmount(f->to, &f->to_fd);
        free(f);
        return 0;
}

/* Runs a script with $a and $b as the two directories. Returns true if it succeeds. */
static bool shell(Fixture *f, const char *script) {
        assert_ok(setenv("a", f->from, 1));
        assert_ok(setenv("b", f->to, 1));
        return system(script) == 0;
}

static int store_tree(Fixture *f, const Peer *peer, StoreFlags flags, StoreSaved *ret, StoreError *e) {
        _cleanup_(store_save_freep) StoreSave *save = NULL, *work = NULL;
        _cleanup_handle_ PkramHandle session = PKRAM_HANDLE_NONE;
        _cleanup_checksums_ Checksums copy = {};
        const Checksums *sums;
        StoreSaved saved;
        uint64_t bytes, meta_bytes, size;
        int r;

        /* Do the daemon's part, then the worker's, and then the daemon's again. */
        r = store_save_new_tree(f->s.store, peer, NULL, "tree", flags, &save, e);
        if (r < 0)
                return r;
        session = (PkramHandle) { .device = f->s.device, .fd = fcntl(store_save_session(save), F_DUPFD_CLOEXEC, 3) };
        r = store_save_attach_tree(f->s.store, peer, &session, f->from_fd, flags, store_save_usage(save), &work, e);
        while (r >= 0 && (r = store_save_step(work, e)) > 0)
                ;
        if (r < 0)
                return r;

        store_save_tree_result(work, &bytes, &meta_bytes, &size, &sums);
        assert_ok(checksums_init(&copy, sums->n_objects));
        memcpy(copy.objects, sums->objects, sums->n_objects * sizeof(sums->objects[0]));
        work = store_save_free(work);
        r = store_save_take_tree(save, bytes, meta_bytes, size, &copy, e);
        return r < 0 ? r : store_save_commit(save, ret ?: &saved, e);
}

static int restore_tree(Fixture *f, const Peer *peer, StoreError *e) {
        _cleanup_(store_tree_load_freep) StoreTreeLoad *load = NULL;
        _cleanup_handle_ PkramHandle session = PKRAM_HANDLE_NONE;
        _cleanup_(store_tree_done) StoreTree tree = { .handle = PKRAM_HANDLE_NONE };
        int r;

        r = store_tree_open(f->s.store, peer, NULL, "tree", &tree, e);
        if (r < 0)
                return r;
        session = (PkramHandle) { .device = f->s.device, .fd = fcntl(tree.handle.fd, F_DUPFD_CLOEXEC, 3) };
        r = store_tree_load_new(peer, &session, "tree", tree.node.info.name, tree.node.info.nr_objects, f->to_fd,
                                /* tell= */ -EBADF, &load, e);
        while (r >= 0 && (r = store_tree_load_step(load, e)) > 0)
                ;
        return r < 0 ? r : store_tree_load_commit(load, /* keep= */ false, e);
}

static bool is_empty(int fd) {
        _cleanup_free_ char *names = NULL;
        _cleanup_close_ int copy = -EBADF;
        size_t size;

        assert_ok(tree_open_directory(fd, ".", &copy));
        assert_ok(tree_read_names(copy, &names, &size));
        return size == 0;
}

/* Compares everything below the roots of the two trees, but not the contents of files named "sparse". */
#define COMPARE                                                                                                       \
        "list() { cd \"$1\" && find . -printf '%P|%y|%m|%U|%G|%T@|%s|%n|%l\\0' | grep -azv '^|' | sort -z | od -c; "  \
        "find . -type f ! -name sparse -print0 | sort -z | xargs -0r md5sum; }; "                                     \
        "(list \"$a\") >/tmp/pkram-test-a.$$; (list \"$b\") >/tmp/pkram-test-b.$$; "                                  \
        "cmp /tmp/pkram-test-a.$$ /tmp/pkram-test-b.$$; r=$?; "                                                       \
        "[ $r = 0 ] || diff /tmp/pkram-test-a.$$ /tmp/pkram-test-b.$$ | head -20 >&2; "                               \
        "rm -f /tmp/pkram-test-[ab].$$; exit $r"

#define MAKE                                                                                                          \
        "set -e; cd \"$a\"; umask 022; mkdir -p d/e empty d/sticky; chmod 1777 d/sticky; chmod 0700 empty; "          \
        "printf small >d/small; : >d/zero; head -c 65536 /dev/urandom >d/edge; head -c 65537 /dev/urandom "           \
        ">d/e/large; "                                                                                                \
        "head -c 3000000 /dev/urandom >big; chmod 4755 big; chown 12:34 d/small d/e; "                                \
        "truncate -s 60000 holes; printf x | dd of=holes bs=1 seek=20000 conv=notrunc status=none; "                  \
        "truncate -s 1T sparse; printf end | dd of=sparse bs=1 seek=999999999 conv=notrunc status=none; "             \
        "ln -s ../../etc/passwd link; ln -s \"$(printf 'x%.0s' $(seq 4000))\" d/longlink; chown -h 5:6 link; "        \
        "mkfifo d/fifo; chmod 620 d/fifo; ln d/small d/e/second; ln big third; ln -P link fourth; ln d/fifo fifth; "  \
        "printf n >\"$(printf 'new\\nline')\"; printf b >\"$(printf 'b\\377\\200')\"; "                               \
        "printf l >\"$(printf 'l%.0s' $(seq 255))\"; "                                                                \
        "touch -d '2001-02-03 04:05:06.789012345' d/small empty big; touch -h -d '1990-01-01 00:00:00.5' link; "      \
        "touch -d '1960-01-01' d/zero; touch -d '2002-02-02' d/e d; touch -d '2003-03-03' ."

static void check_round_trip(Fixture *f, StoreFlags flags, bool kexec) {
        struct stat st;

        assert_true(shell(f, MAKE));
        assert_ok(fsetxattr(f->from_fd, "user.root", "r", 1, 0));
        assert_ok(store_tree(f, &f->s.root, flags, NULL, NULL));
        assert_int_equal(mock_n_nodes(f->s.mock), 1);
        if (kexec)
                mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));

        assert_true(shell(f, COMPARE));
        assert_int_equal(mock_n_nodes(f->s.mock), 0);
        assert_true(shell(f, "[ \"$(dd if=\"$b/sparse\" bs=1 skip=999999999 count=3 status=none)\" = end ]"));
        assert_true(shell(f, "[ $(stat -c %b \"$b/sparse\") -le 16 ] && [ $(stat -c %b \"$b/holes\") -le 8 ]"));
        assert_ok(fstat(f->to_fd, &st));
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_true(shell(f, "[ \"$(stat -c %y \"$b\")\" = \"$(stat -c %y \"$a\")\" ]"));
        assert_int_equal(fgetxattr(f->to_fd, "user.root", NULL, 0), 1);
}

static void test_round_trip(void **state) {
        check_round_trip(*state, 0, true);
}

static void test_round_trip_verify(void **state) {
        check_round_trip(*state, STORE_VERIFY, true);
}

static void test_round_trip_same_boot(void **state) {
        /* The kernel still has the files of the stored tree, so their contents are copied. */
        check_round_trip(*state, 0, false);
}

static void test_round_trip_same_boot_verify(void **state) {
        check_round_trip(*state, STORE_VERIFY, false);
}

static void test_empty_tree(void **state) {
        Fixture *f = *state;

        assert_ok(fchmod(f->from_fd, 02750));
        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));
        assert_true(is_empty(f->to_fd));
        assert_true(shell(f, "[ $(stat -c %a \"$b\") = 2750 ]"));
}

static void test_attributes(void **state) {
        Fixture *f = *state;
        /* user::rw- user:77:r-- group::r-- mask::r-- other::---, in the kernel's format */
        static const uint8_t acl[] = {
                2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 77, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
                16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
        };
        char path[128], value[64];
        bool have_acl;

        assert_true(shell(f, "mkdir \"$a/d\" && printf x >\"$a/d/f\" && ln -s x \"$a/l\" && mkfifo \"$a/p\""));
        (void) snprintf(path, sizeof(path), "%s/d/f", f->from);
        assert_ok(setxattr(path, "user.one", "1\0002", 3, 0));
        assert_ok(setxattr(path, "user.none", "", 0, 0));
        assert_ok(setxattr(path, "trusted.t", "t", 1, 0));
        have_acl = setxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0) >= 0;
        (void) snprintf(path, sizeof(path), "%s/d", f->from);
        if (have_acl)
                assert_ok(setxattr(path, "system.posix_acl_default", acl, sizeof(acl), 0));
        (void) snprintf(path, sizeof(path), "%s/l", f->from);
        assert_ok(lsetxattr(path, "trusted.l", "l", 1, 0));
        (void) snprintf(path, sizeof(path), "%s/p", f->from);
        assert_ok(lsetxattr(path, "trusted.p", "p", 1, 0));

        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));

        (void) snprintf(path, sizeof(path), "%s/d/f", f->to);
        assert_int_equal(getxattr(path, "user.one", value, sizeof(value)), 3);
        assert_memory_equal(value, "1\0002", 3);
        assert_int_equal(getxattr(path, "user.none", value, sizeof(value)), 0);
        assert_int_equal(getxattr(path, "trusted.t", value, sizeof(value)), 1);
        if (have_acl) {
                assert_int_equal(getxattr(path, "system.posix_acl_access", value, sizeof(value)), sizeof(acl));
                assert_memory_equal(value, acl, sizeof(acl));
                (void) snprintf(path, sizeof(path), "%s/d", f->to);
                assert_int_equal(getxattr(path, "system.posix_acl_default", value, sizeof(value)), sizeof(acl));
        } else
                print_message("# this kernel's tmpfs has no ACLs: not tested\n");
        (void) snprintf(path, sizeof(path), "%s/l", f->to);
        assert_int_equal(lgetxattr(path, "trusted.l", value, sizeof(value)), 1);
        (void) snprintf(path, sizeof(path), "%s/p", f->to);
        assert_int_equal(lgetxattr(path, "trusted.p", value, sizeof(value)), 1);
}

/* Preserves chattr +i, +a, +d and +A, for files with several names and for directories. Such a tree can be removed
 * again. */
static void test_inode_flags(void **state) {
        Fixture *f = *state;
        char path[128];
        int flags = 0;
        static const struct {
                const char *name;
                int flags;
        } files[] = {
                { "i/first", FS_IMMUTABLE_FL }, { "i/large", FS_APPEND_FL | FS_NODUMP_FL }, { "plain", FS_NOATIME_FL },
                { "i", FS_IMMUTABLE_FL }, { "", FS_APPEND_FL },
        };

        if (!shell(f, "touch \"$a/probe\" && chattr +d \"$a/probe\" 2>/dev/null"))
                test_skip("this kernel's tmpfs has no inode flags");
        assert_true(shell(f, "rm \"$a/probe\" && mkdir \"$a/i\" && echo x >\"$a/i/first\" && "
                             "ln \"$a/i/first\" \"$a/i/second\" && ln \"$a/i/first\" \"$a/third\" && "
                             "touch \"$a/plain\" && head -c 200000 /dev/zero >\"$a/i/large\" && "
                             "chattr +i \"$a/i/first\" && chattr +ad \"$a/i/large\" && chattr +A \"$a/plain\" && "
                             "chattr +i \"$a/i\" && chattr +a \"$a\""));
        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        assert_true(shell(f, "chattr -ia \"$a\" \"$a/i\" && chattr -ia \"$a\"/i/*"));
        mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_close_ int fd = -EBADF;

                (void) snprintf(path, sizeof(path), "%s/%s", f->to, files[i].name);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                assert_true(fd >= 0);
                assert_ok(ioctl(fd, FS_IOC_GETFLAGS, &flags));
                assert_int_equal(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL),
                                 files[i].flags);
        }
        assert_true(shell(f, "[ \"$(stat -c %h \"$b/third\")\" = 3 ]"));

        int to = open(f->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(tree_remove_contents(to));
        (void) close(to);
        assert_true(shell(f, "[ -z \"$(ls \"$b\")\" ]"));
}

/* A directory with chattr +F is refused. Not every kernel supports this flag on a tmpfs. */
static void test_casefold(void **state) {
        Fixture *f = *state;
        unsigned flags;

        assert_errno(tree_flags_from_kernel(FS_CASEFOLD_FL | FS_NODUMP_FL, &flags), ENOSYS);
        assert_ok(tree_flags_from_kernel(FS_IMMUTABLE_FL | FS_NODUMP_FL, &flags));
        assert_int_equal(flags, TREE_FLAG_IMMUTABLE | TREE_FLAG_NODUMP);

        if (!shell(f, "mkdir \"$a/folded\" && chattr +F \"$a/folded\" 2>/dev/null")) {
                print_message("# this tmpfs knows no chattr +F: not tested there\n");
                return;
        }
        assert_fails(store_tree(f, &f->s.root, 0, NULL, NULL));
}

static void test_deep(void **state) {
        Fixture *f = *state;
        int fd = fcntl(f->from_fd, F_DUPFD_CLOEXEC, 3), depth;

        /* Names of 200 bytes, so that the whole path is fifty times PATH_MAX. */
        char name[201];
        memset(name, 'd', 200);
        name[200] = 0;
        for (unsigned i = 0; i < 1000; i++) {
                int next;

                assert_ok(mkdirat(fd, name, 0755));
                next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_ok(next);
                safe_close(fd);
                fd = next;
        }
        assert_ok(mkdirat(fd, "bottom", 0711));
        safe_close(fd);

        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));

        fd = fcntl(f->to_fd, F_DUPFD_CLOEXEC, 3);
        for (depth = 0;; depth++) {
                int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                if (next < 0)
                        break;
                safe_close(fd);
                fd = next;
        }
        assert_int_equal(depth, 1000);
        assert_ok(faccessat(fd, "bottom", F_OK, 0));
        safe_close(fd);
}

static void test_many_small_files(void **state) {
        Fixture *f = *state;
        StoreSaved saved;

        for (unsigned i = 0; i < 100000; i++) {
                char name[32];
                int fd;

                (void) snprintf(name, sizeof(name), "%05u", i);
                fd = openat(f->from_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
                assert_ok(fd);
                assert_int_equal(write(fd, name, 5), 5);
                assert_ok(close(fd));
        }

        assert_ok(store_tree(f, &f->s.root, 0, &saved, NULL));
        print_message("# 100000 files of 5 bytes: %llu objects, %llu bytes\n",
                      (unsigned long long) saved.objects, (unsigned long long) saved.bytes);
        assert_true(saved.objects <= 2);
        assert_true(saved.bytes < 100000 * 100);
        mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));
        assert_true(shell(f, "[ $(ls \"$b\" | wc -l) = 100000 ] && [ \"$(cat \"$b/01234\" \"$b/99999\")\" = "
                          "0123499999 ]"));
}

static void expect_not_preservable(Fixture *f, const Peer *peer, const char *word) {
        _cleanup_error_ StoreError e = {};

        assert_fails(store_tree(f, peer, 0, NULL, &e));
        assert_int_equal(e.kind, STORE_ERROR_NOT_PRESERVABLE);
        if (!strstr(e.reason, word))
                fail_msg("no '%s' in: %s", word, e.reason);
        assert_int_equal(mock_n_nodes(f->s.mock), 0);
}

static void test_special_files(void **state) {
        Fixture *f = *state;
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(shell(f, "mkdir \"$a/d\""));
        (void) snprintf(address.un.sun_path, sizeof(address.un.sun_path), "%s/d/sock", f->from);
        assert_ok(bind(fd, &address.sa, sizeof(address.un)));
        assert_true(shell(f, "ln \"$a/d/sock\" \"$a/d/second\"; chmod 741 \"$a/d/sock\""));
        assert_true(shell(f, "mknod -m 640 \"$a/d/null\" c 1 3 && chown 3:4 \"$a/d/null\" && mknod \"$a/d/disk\" b "
                          "259 70000"));

        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));
        assert_true(shell(f, COMPARE));
        assert_true(shell(f, "[ -S \"$b/d/sock\" ] && [ \"$b/d/sock\" -ef \"$b/d/second\" ] && "
                             "[ \"$(stat -c %t:%T \"$b/d/null\" \"$b/d/disk\" | xargs)\" = '1:3 103:11170' ]"));

        assert_true(shell(f, "rm -r \"$b\"/*"));
        assert_ok(store_tree(f, &f->s.root, STORE_SKIP_SPECIAL, NULL, NULL));
        mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));
        assert_true(shell(f, "[ -d \"$b/d\" ] && [ -z \"$(ls \"$b/d\")\" ]"));
}

/* Preserves what overlayfs leaves in its upper directory: whiteouts, and attributes that describe what hides the lower
 * directory. */
static void test_overlay_upper(void **state) {
        static const struct {
                const char *name, *attribute, *value;
        } attributes[] = {
                { "upper/replaced", "trusted.overlay.opaque",   "y"       },
                { "upper/replaced", "trusted.overlay.impure",   "y"       },
                { "upper/moved",    "trusted.overlay.redirect", "/before" },
                { "upper/changed",  "trusted.overlay.origin",   "handle"  },
        };
        Fixture *f = *state;
        char path[128], value[64];

        assert_true(shell(f, "mkdir -p \"$a/upper/replaced\" \"$a/upper/moved\" \"$a/work/work\" && "
                             "chmod 000 \"$a/work/work\" && mknod \"$a/upper/deleted\" c 0 0 && "
                             "ln \"$a/upper/deleted\" \"$a/upper/deleted-too\" && echo x >\"$a/upper/changed\""));
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                (void) snprintf(path, sizeof(path), "%s/%s", f->from, attributes[i].name);
                assert_ok(setxattr(path, attributes[i].attribute, attributes[i].value, strlen(attributes[i].value),
                                   0));
        }
        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        mock_kexec(f->s.mock);
        assert_ok(restore_tree(f, &f->s.root, NULL));
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                (void) snprintf(path, sizeof(path), "%s/%s", f->to, attributes[i].name);
                assert_int_equal(getxattr(path, attributes[i].attribute, value, sizeof(value)),
                                 strlen(attributes[i].value));
                assert_memory_equal(value, attributes[i].value, strlen(attributes[i].value));
        }
        /* All whiteouts are the same inode, as overlayfs creates them. */
        assert_true(shell(f, "[ \"$(stat -c '%F %t:%T %h' \"$b/upper/deleted\")\" = 'character special file 0:0 "
                             "2' ] && [ \"$b/upper/deleted\" -ef \"$b/upper/deleted-too\" ] && "
                             "[ \"$(stat -c %a \"$b/work/work\")\" = 0 ]"));
}

/* Files that a user cannot create, and that would be dangerous if root created them for the user. */
static void test_what_only_root_may_store(void **state) {
        static const struct {
                const char *make, *word;
        } cases[] = {
                { "mknod x c 1 3; chown 1000 x", "'./x' in the tree cannot be preserved: it is a device node" },
                { ": >x; chown 1000:42 x; chmod 2755 x", "it runs with the rights of another group" },
                { ": >x; chown 1000:1000 x; setfattr -n trusted.t -v 1 x", "only root may give" },
                { ": >x; chown 1000:1000 x; setcap cap_sys_admin=ep x 2>/dev/null || "
                  "setfattr -n security.capability -v 0x0100000200002000000000000000000000000000 x",
                  "only root may give" },
        };
        Fixture *f = *state;

        assert_true(shell(f, "chown 1000:1000 \"$a\""));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char script[512];

                (void) snprintf(script, sizeof(script), "cd \"$a\" && rm -f x && { %s; }", cases[i].make);
                assert_true(shell(f, script));
                expect_not_preservable(f, &f->s.alice, cases[i].word);
        }

        /* A set-group-ID file of alice's own group may be stored. */
        assert_true(shell(f, "cd \"$a\" && rm x && : >x && chown 1000:1000 x && chmod 6755 x"));
        assert_ok(store_tree(f, &f->s.alice, 0, NULL, NULL));
        mock_kexec(f->s.mock);
        assert_ok(fchown(f->to_fd, 1000, 1000));
        assert_ok(restore_tree(f, &f->s.alice, NULL));
        assert_true(shell(f, "[ $(stat -c %a:%u \"$b/x\") = 6755:1000 ]"));
}

/* Stores a tree, and replaces its table by a forged one. */
static void forge(Fixture *f, const Peer *peer, const TreeEntry *entries, size_t n) {
        TreeTable t = {};

        assert_ok(store_tree(f, peer, STORE_REPLACE, NULL, NULL));
        for (size_t i = 0; i < n; i++)
                assert_ok(tree_table_add(&t, entries + i));
        tree_table_seal(&t);
        mock_set_bytes(f->s.mock, "tree", 1, t.data, t.size);
        tree_table_done(&t);
}

/* Even if the table of alice's own node asks for it, nothing is created that only root may create. */
static void test_forged_for_user(void **state) {
        static const TreeEntry root = { .type = TREE_DIRECTORY, .name = "", .uid = 1000, .gid = 1000 };
        static const uint8_t capability[] = { 1, 0, 0, 0, 20, 0, 's', 'e', 'c', 'u', 'r', 'i', 't', 'y', '.', 'c', 'a',
                                              'p', 'a', 'b', 'i', 'l', 'i', 't', 'y', 0, 1 };
        static const TreeEntry forged[] = {
                { .type = TREE_FIFO, .depth = 1, .name = "a", .uid = 0 },
                { .type = TREE_CHARACTER, .depth = 1, .name = "a", .uid = 1000, .gid = 1000, .device = 0x103 },
                { .type = TREE_PACKED, .depth = 1, .name = "a", .uid = 1000, .gid = 0, .mode = 02755 },
                { .type = TREE_PACKED, .depth = 1, .name = "a", .uid = 1000, .gid = 1000, .xattrs = capability,
                  .xattrs_size = 27 },
        };
        Fixture *f = *state;

        assert_true(shell(f, "chown 1000:1000 \"$a\" \"$b\""));
        for (size_t i = 0; i < ELEMENTSOF(forged); i++) {
                const TreeEntry entries[] = { root, forged[i] };
                _cleanup_error_ StoreError e = {};

                forge(f, &f->s.alice, entries, 2);
                assert_fails(restore_tree(f, &f->s.alice, &e));
                assert_int_equal(e.kind, STORE_ERROR_PERMISSION_DENIED);
                assert_true(is_empty(f->to_fd));
        }
}

static void test_not_a_tmpfs(void **state) {
        Fixture *f = *state;
        _cleanup_close_ int saved = TAKE_FD(f->from_fd);

        f->from_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        expect_not_preservable(f, &f->s.root, "not a directory on a tmpfs");
        safe_close(f->from_fd);
        f->from_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        expect_not_preservable(f, &f->s.root, "not a directory on a tmpfs");
        safe_close(f->from_fd);
        f->from_fd = TAKE_FD(saved);
}

static void test_mount_within(void **state) {
        Fixture *f = *state;

        assert_true(shell(f, "mkdir \"$a/m\" && mount -t tmpfs x \"$a/m\""));
        expect_not_preservable(f, &f->s.root, "'./m' in the tree cannot be preserved: another file system");
        assert_true(shell(f, "umount \"$a/m\""));
}

static void test_busy_file(void **state) {
        Fixture *f = *state;

        assert_true(shell(f, "mkdir \"$a/d\"; head -c 100000 /dev/zero >\"$a/d/$(printf 'b\\ny\\302\\233')\""));
        mock_fail(f->s.mock, PKRAM_IOC_SAVE_FILE, 1, -EBUSY);
        expect_not_preservable(f, &f->s.root, "'./d/b\\x0ay\\xc2\\x9b' in the tree cannot be preserved: it is mapped");
}

static void test_others_files(void **state) {
        Fixture *f = *state;

        expect_not_preservable(f, &f->s.alice, "is owned by another user");
        assert_true(shell(f, "chown 1000 \"$a\" && mkdir \"$a/d\" && chown 1000 \"$a/d\" && : >\"$a/d/x\""));
        expect_not_preservable(f, &f->s.alice, "'./d/x' in the tree cannot be preserved: it is owned by another user");
        assert_true(shell(f, "chown 1000 \"$a/d/x\""));
        assert_ok(store_tree(f, &f->s.alice, 0, NULL, NULL));
        mock_kexec(f->s.mock);

        /* alice may restore the tree only into a directory of her own. */
        _cleanup_error_ StoreError e = {};
        assert_fails(restore_tree(f, &f->s.alice, &e));
        assert_int_equal(e.kind, STORE_ERROR_PERMISSION_DENIED);
        assert_ok(fchown(f->to_fd, 1000, 1000));
        assert_ok(restore_tree(f, &f->s.alice, NULL));
        assert_true(shell(f, "[ $(stat -c %u \"$b/d/x\") = 1000 ]"));
}

static void test_others_nodes(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};

        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        assert_ok(fchown(f->to_fd, 1000, 1000));
        assert_fails(restore_tree(f, &f->s.alice, &e));
        assert_int_equal(e.kind, STORE_ERROR_NO_SUCH_NODE);
}

/* If a symlink has replaced a file, the mode of the file is not applied to the target of the symlink. */
static void test_mode_does_not_follow(void **state) {
        Fixture *f = *state;
        const TreeEntry entry = { .name = "link", .type = TREE_PACKED, .uid = getuid(), .gid = getgid(),
                                  .mode = 04777 };
        struct stat st;

        assert_true(shell(f, "umask 077; echo secret >$a/file; ln -s file $a/link"));
        (void) tree_apply_attributes(f->from_fd, "link", &entry);
        assert_ok(fstatat(f->from_fd, "file", &st, 0));
        assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_not_empty(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};

        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        assert_true(shell(f, ": >\"$b/mine\""));
        assert_fails(restore_tree(f, &f->s.root, &e));
        assert_non_null(strstr(e.reason, "not empty"));
        assert_true(shell(f, "[ -e \"$b/mine\" ]"));
        assert_int_equal(mock_n_nodes(f->s.mock), 1);
}

static void test_objects_and_trees_differ(void **state) {
        Fixture *f = *state;
        _cleanup_(store_load_freep) StoreLoad *load = NULL;
        _cleanup_(store_description_done) StoreDescription d = {};
        _cleanup_error_ StoreError e = {};

        assert_true(shell(f, "head -c 100000 /dev/zero >\"$a/f\"; printf x >\"$a/s\""));
        assert_ok(store_tree(f, &f->s.root, STORE_VERIFY, NULL, NULL));
        assert_fails(store_load_new(f->s.store, &f->s.root, NULL, "tree", false, &load, &e));
        assert_int_equal(e.kind, STORE_ERROR_WRONG_KIND);

        assert_ok(store_describe(f->s.store, &f->s.root, NULL, "tree", &d, NULL));
        assert_int_equal(d.n_objects, 3);
        assert_int_equal(d.node.objects, 3);
        assert_int_equal(d.manifest.objects[0].kind, OBJECT_FILE);
        assert_int_equal(d.manifest.objects[2].kind, OBJECT_DATA);
}

static void test_store_fails_everywhere(void **state) {
        Fixture *f = *state;
        unsigned n;

        assert_true(shell(f, MAKE));
        mock_fail(f->s.mock, MOCK_ANY, 0, -ENOMEM);
        assert_ok(store_tree(f, &f->s.root, STORE_VERIFY, NULL, NULL));
        n = mock_calls(f->s.mock);
        assert_true(n > 5);
        mock_fail(f->s.mock, MOCK_ANY, 0, 0);
        assert_ok(store_remove(f->s.store, &f->s.root, NULL, "tree", 0, NULL, NULL));

        for (unsigned i = 1; i <= n; i++) {
                _cleanup_error_ StoreError e = {};

                mock_fail(f->s.mock, MOCK_ANY, i, -ENOMEM);
                if (store_tree(f, &f->s.root, STORE_VERIFY, NULL, &e) >= 0)
                        fail_msg("call %u may fail without being noticed", i);
                assert_int_equal(e.kind, STORE_ERROR_NO_MEMORY);
                assert_int_equal(mock_n_nodes(f->s.mock), 0);
                assert_int_equal(mock_n_handles(f->s.mock), 0);
        }
}

static void test_restore_fails_everywhere(void **state) {
        Fixture *f = *state;
        struct stat before, after;
        unsigned n;

        assert_true(shell(f, MAKE));
        assert_ok(store_tree(f, &f->s.root, STORE_VERIFY, NULL, NULL));
        assert_ok(fstat(f->to_fd, &before));

        for (n = 1;; n++) {
                _cleanup_error_ StoreError e = {};
                int r;

                mock_kexec(f->s.mock);
                mock_fail(f->s.mock, MOCK_ANY, n, -ENOMEM);
                r = restore_tree(f, &f->s.root, &e);
                if (r >= 0)
                        break;
                assert_int_equal(mock_n_nodes(f->s.mock), 1);
                assert_int_equal(mock_n_handles(f->s.mock), 0);
                assert_true(is_empty(f->to_fd));
                assert_ok(fstat(f->to_fd, &after));
                assert_int_equal(after.st_mode, before.st_mode);
                assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
        }
        assert_true(n > 10);
        mock_fail(f->s.mock, MOCK_ANY, 0, 0);
        assert_true(shell(f, COMPARE));
}

static void test_retry_without_kexec(void **state) {
        /* The first attempt leaves files in the kernel. The second one cannot load these objects into other files. */
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};

        assert_true(shell(f, MAKE));
        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        mock_kexec(f->s.mock);
        mock_fail(f->s.mock, PKRAM_IOC_LOAD_FILE, 3, -ENOSPC);
        assert_fails(restore_tree(f, &f->s.root, &e));
        assert_non_null(strstr(e.reason, "Not enough space"));
        assert_true(is_empty(f->to_fd));
        mock_fail(f->s.mock, MOCK_ANY, 0, 0);
        assert_ok(restore_tree(f, &f->s.root, NULL));
        assert_true(shell(f, COMPARE));
}

static void test_no_room(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {};

        assert_true(shell(f, "mkdir \"$a/d\"; for i in 1 2 3 4 5 6 7 8; do head -c 60000 /dev/urandom "
                          ">\"$a/d/$i\"; done"));
        assert_ok(store_tree(f, &f->s.root, 0, NULL, NULL));
        mock_kexec(f->s.mock);
        assert_true(shell(f, "mount -o remount,size=200k \"$b\""));
        assert_fails(restore_tree(f, &f->s.root, &e));
        assert_non_null(strstr(e.reason, "Not enough space"));
        assert_true(is_empty(f->to_fd));
        assert_int_equal(mock_n_nodes(f->s.mock), 1);
        assert_true(shell(f, "mount -o remount,size=2m \"$b\""));
        assert_ok(restore_tree(f, &f->s.root, NULL));
        assert_true(shell(f, COMPARE));
}

static void test_damage(void **state) {
        Fixture *f = *state;

        /* Objects: 0 manifest, 1 large file, 2 packed bytes, 3 table. */
        assert_true(shell(f, "head -c 100000 /dev/zero >\"$a/f\"; printf xyz >\"$a/s\""));
        assert_ok(store_tree(f, &f->s.root, STORE_VERIFY, NULL, NULL));
        mock_kexec(f->s.mock);

        for (uint32_t object = 0; object < 4; object++) {
                _cleanup_error_ StoreError e = {};
                uint64_t offset = object == 1 ? 70000 : 2;

                mock_corrupt(f->s.mock, "tree", object, offset);
                assert_fails(restore_tree(f, &f->s.root, &e));
                assert_int_equal(e.kind, STORE_ERROR_NODE_DAMAGED);
                assert_true(is_empty(f->to_fd));
                assert_int_equal(mock_n_nodes(f->s.mock), 1);
                mock_corrupt(f->s.mock, "tree", object, offset);
                mock_kexec(f->s.mock);
        }
        assert_ok(restore_tree(f, &f->s.root, NULL));
        assert_true(shell(f, COMPARE));
}

static void test_forged(void **state) {
        Fixture *f = *state;
        static const TreeEntry root = { .type = TREE_DIRECTORY, .name = "" };
        const TreeEntry twice[] = { root, { .type = TREE_FIFO, .depth = 1, .name = "a" },
                                    { .type = TREE_FIFO, .depth = 1, .name = "a" } };
        const TreeEntry through_link[] = {
                root,
                { .type = TREE_SYMLINK, .depth = 1, .name = "a", .target = "/tmp" },
                { .type = TREE_DIRECTORY, .depth = 1, .name = "a" },
                { .type = TREE_FIFO, .depth = 2, .name = "pkram-test-escaped" },
        };
        const TreeEntry no_bytes[] = { root, { .type = TREE_PACKED, .depth = 1, .name = "a", .size = 1, .pages = 1 } };
        const TreeEntry no_file[] = { root, { .type = TREE_FILE, .depth = 1, .name = "a", .size = 1 } };
        const struct {
                const TreeEntry *entries;
                size_t n;
        } cases[] = {
                { twice, ELEMENTSOF(twice) },
                { through_link, ELEMENTSOF(through_link) },
                { no_bytes, ELEMENTSOF(no_bytes) },
                { no_file, ELEMENTSOF(no_file) },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_error_ StoreError e = {};

                forge(f, &f->s.root, cases[i].entries, cases[i].n);
                assert_fails(restore_tree(f, &f->s.root, &e));
                assert_int_equal(e.kind, STORE_ERROR_NODE_DAMAGED);
                assert_true(is_empty(f->to_fd));
                assert_int_equal(mock_n_nodes(f->s.mock), 1);
        }
        assert_int_equal(access("/tmp/pkram-test-escaped", F_OK), -1);
}

static void test_limits(void **state) {
        Fixture *f = *state;
        _cleanup_error_ StoreError e = {}, e2 = {};

        assert_true(shell(f, "for i in 1 2 3 4; do head -c 100000 /dev/zero >\"$a/$i\"; done"));
        f->s.config.limit[LIMIT_OBJECTS] = 3;
        assert_errno(store_tree(f, &f->s.root, 0, NULL, &e), EDQUOT);
        assert_string_equal(e.limit, "ObjectsMax");
        f->s.config.limit[LIMIT_OBJECTS] = 100;
        f->s.config.limit[LIMIT_NODE_BYTES] = 300000;
        assert_errno(store_tree(f, &f->s.root, 0, NULL, &e2), EDQUOT);
        assert_int_equal(mock_n_nodes(f->s.mock), 0);
        assert_int_equal(mock_n_handles(f->s.mock), 0);
}

/* Enters a new mount namespace, so that mounts of this test are not visible elsewhere, and end with it. */
static bool isolate(void) {
        return geteuid() == 0 && unshare(CLONE_NEWNS) >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) >= 0;
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_round_trip),
                T(test_round_trip_verify),
                T(test_round_trip_same_boot),
                T(test_round_trip_same_boot_verify),
                T(test_empty_tree),
                T(test_attributes),
                T(test_inode_flags),
                T(test_casefold),
                T(test_overlay_upper),
                T(test_deep),
                T(test_many_small_files),
                T(test_special_files),
                T(test_what_only_root_may_store),
                T(test_forged_for_user),
                T(test_not_a_tmpfs),
                T(test_mount_within),
                T(test_busy_file),
                T(test_others_files),
                T(test_others_nodes),
                T(test_mode_does_not_follow),
                T(test_not_empty),
                T(test_objects_and_trees_differ),
                T(test_store_fails_everywhere),
                T(test_restore_fails_everywhere),
                T(test_retry_without_kexec),
                T(test_no_room),
                T(test_damage),
                T(test_forged),
                T(test_limits),
        };
        struct rlimit l;

        if (!isolate()) {
                puts("1..0 # SKIP needs to be root and allowed to mount a tmpfs");
                return 0;
        }

        /* A deep tree needs one descriptor for each level. Allow as many as possible, as pkramd.service does. */
        if (getrlimit(RLIMIT_NOFILE, &l) >= 0) {
                l.rlim_cur = l.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &l);
        }
        return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
