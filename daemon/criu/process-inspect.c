/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "file-util.h"
#include "mount-util.h"
#include "process-inspect.h"
#include "process-util.h"
#include "refuse.h"
#include "utf8.h"

/* Missing in headers. */
#define MESSAGE_QUEUE_MAGIC 0x19800202
#define PROTOCOL_MPTCP 262

/* Generations between a process and the program. */
#define ANCESTORS_MAX 1000U

/* A reason with a name that comes from someone else: format has one %s for it. */
#define refuse_name(reterr, format, name)                                                       \
        ({                                                                                      \
                _cleanup_free_ char *_cut = strndup((name), 200);                               \
                _cleanup_free_ char *_clean = _cut ? utf8_escape(_cut) : NULL;                  \
                _clean ? refuse((reterr), format, _clean) : -ENOMEM;                            \
        })

/* --- memory --- */

typedef struct Mapping {
        char permissions[5];
        const char *path; /* up to the end of its line, "" for none */
} Mapping;

/* Reads "7f0000000000-7f0000001000 rw-s 00000000 00:01 2048   /memfd:x (deleted)". */
static bool mapping_read(char *line, Mapping *ret) {
        int path = 0;

        if (!isdigit((unsigned char) *line) && !islower((unsigned char) *line))
                return false;
        if (sscanf(line, "%*[0-9a-f]-%*[0-9a-f] %4s %*s %*s %*s %n", ret->permissions, &path) != 1 || path == 0)
                return false;
        ret->path = line + path;
        return true;
}

/* Shared memory without a name in a file system: its pages are in the images. */
static bool mapping_is_shared_memory(const Mapping *m) {
        return m->permissions[3] == 's' &&
                (startswith(m->path, "/memfd:") || streq(m->path, "/dev/zero (deleted)") ||
                 startswith(m->path, "[anon_shmem:"));
}

static int mapping_inspect(const Mapping *m, char **reterr) {
        if (startswith(m->path, "/SYSV"))
                return refuse(reterr, "a System V segment is attached, which CRIU cannot save outside of an IPC "
                              "namespace");
        if (startswith(m->path, "anon_inode:") || startswith(m->path, "socket:"))
                return refuse_name(reterr, "'%s' is mapped", m->path);
        if (startswith(m->path, "/dev/") && !startswith(m->path, "/dev/zero") && !startswith(m->path, "/dev/shm/"))
                return refuse_name(reterr, "the device '%s' is mapped", m->path);
        if (m->permissions[2] == 'x' && ends_with(m->path, " (deleted)") && !startswith(m->path, "/memfd:") &&
            !startswith(m->path, "/dev/zero"))
                return refuse_name(reterr, "a program or library was replaced since it was loaded: '%s'. Restart "
                                   "the service", m->path);
        return 0;
}

/* Is this one of the two letters that smaps shows of a mapping? */
static bool mapping_has_flag(const char *flags, const char *flag) {
        for (; *flags; flags++)
                if (*flags == ' ' && startswith(flags + 1, flag) && (flags[3] == ' ' || flags[3] == 0))
                        return true;
        return false;
}

static int mapping_inspect_flags(const Mapping *m, const char *flags, char **reterr) {
        if (mapping_has_flag(flags, "ht"))
                return refuse(reterr, "huge pages (hugetlb) are mapped, which belong to a pool of this kernel");
        /* The kernel's own mappings, as [vvar], are called so. */
        if (*m->path != '[' && (mapping_has_flag(flags, "pf") || mapping_has_flag(flags, "io")))
                return refuse_name(reterr, "memory of a device is mapped: '%s'", m->path);
        return 0;
}

int smaps_inspect(const char *text, uint64_t *bytes, char **reterr) {
        _cleanup_free_ char *copy = strdup(text);
        Mapping m = { .path = "" };
        char *state = NULL;

        *reterr = NULL;
        if (!copy)
                return -ENOMEM;
        for (char *line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
                unsigned long long kib;
                const char *flags;
                int r = 0;

                if (mapping_read(line, &m))
                        r = mapping_inspect(&m, reterr);
                else if ((flags = startswith(line, "VmFlags:")))
                        r = mapping_inspect_flags(&m, flags, reterr);
                else if (mapping_is_shared_memory(&m) ?
                         sscanf(line, "Pss: %llu", &kib) == 1 || sscanf(line, "SwapPss: %llu", &kib) == 1 :
                         sscanf(line, "Anonymous: %llu", &kib) == 1 || sscanf(line, "Swap: %llu", &kib) == 1)
                        (void) inc_u64(bytes, MIN(kib, UINT64_MAX >> 10) << 10);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- descriptors --- */

static int socket_option(int fd, int level, int option) {
        socklen_t size = sizeof(int);
        int value = -1;

        return getsockopt(fd, level, option, &value, &size) < 0 ? -1 : value;
}

/* Is a TCP socket neither listening nor closed? */
static bool socket_is_tcp_connection(int fd) {
        struct tcp_info info = {};
        socklen_t size = sizeof(info);

        return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) >= 0 && info.tcpi_state != TCP_LISTEN &&
                info.tcpi_state != TCP_CLOSE;
}

/* Is it connected to a process that is not in this PID namespace? */
static bool socket_leads_outside(int fd) {
        struct sockaddr address;
        socklen_t size = sizeof(address);
        struct ucred peer = {};

        if (getpeername(fd, &address, &size) < 0)
                return false;
        size = sizeof(peer);
        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) >= 0 && peer.pid == 0;
}

static int socket_inspect(pid_t pid, const char *number, char **reterr) {
        _cleanup_close_ int process = pidfd_open(pid, 0), fd = -EBADF;
        int domain, type, protocol;

        if (process < 0)
                return errno == ESRCH ? 0 : -errno;
        fd = pidfd_getfd(process, atoi(number), 0);
        if (fd < 0)
                return errno == ESRCH || errno == EBADF ? 0 : -errno;
        domain = socket_option(fd, SOL_SOCKET, SO_DOMAIN);
        type = socket_option(fd, SOL_SOCKET, SO_TYPE);
        protocol = socket_option(fd, SOL_SOCKET, SO_PROTOCOL);

        switch (domain) {
        case AF_UNIX:
                if (type != SOCK_DGRAM && socket_leads_outside(fd))
                        return refuse(reterr, "descriptor %s is a socket that is connected to another service",
                                      number);
                return 0;
        case AF_INET:
        case AF_INET6:
                if (protocol == PROTOCOL_MPTCP || (protocol == IPPROTO_TCP && socket_is_tcp_connection(fd)))
                        return refuse(reterr, "descriptor %s is a TCP connection", number);
                return 0;
        case AF_NETLINK:
        case AF_PACKET:
                return 0;
        default:
                return refuse(reterr, "descriptor %s is a socket of a family that CRIU does not know (%i)", number,
                              domain);
        }
}

/* Files of these kinds CRIU makes again. */
static bool anon_inode_is_known(const char *kind) {
        static const char *const known[] = {
                "[eventfd]", "[eventpoll]", "[signalfd]", "[timerfd]", "inotify", "[fanotify]", "[pidfd]",
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(kind, known[i]))
                        return true;
        return false;
}

/* Devices that have no state: null, zero, full, random, urandom; and terminals, which CRIU itself judges. */
static bool device_is_harmless(mode_t mode, dev_t device) {
        unsigned n = minor(device);

        if (!S_ISCHR(mode))
                return false;
        return major(device) == 1 ? n == 3 || n == 5 || n == 7 || n == 8 || n == 9 :
                major(device) == 5 ? n == 2 : major(device) >= 136 && major(device) <= 143;
}

static bool device_has_tree(dev_t device) {
        char **paths = NULL;
        bool found = false;
        struct stat st;
        size_t n = 0;

        if (tree_mount_list(&paths, &n) < 0)
                return false;
        for (size_t i = 0; i < n && !found; i++)
                found = stat(paths[i], &st) >= 0 && st.st_dev == device;
        tree_mount_paths_free(paths, n);
        return found;
}

static int file_inspect(int fd, const char *path, char **reterr) {
        struct statfs fs;
        struct stat st;

        if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
                return -errno;
        if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
                return device_is_harmless(st.st_mode, st.st_rdev) ? 0 :
                        refuse_name(reterr, "the device '%s' is open", path);
        if (fs.f_type == HUGETLBFS_MAGIC)
                return refuse_name(reterr, "huge pages (hugetlb) are open as '%s'", path);
        if (fs.f_type == MESSAGE_QUEUE_MAGIC)
                return refuse_name(reterr, "the message queue '%s' is open", path);
        if (!S_ISREG(st.st_mode) || startswith(path, "/memfd:"))
                return 0;
        if (st.st_nlink == 0)
                return (uint64_t) st.st_blocks * 512 <= PROCESS_DELETED_FILE_MAX ? 0 :
                        refuse_name(reterr, "a large file is open that was removed: '%s'", path);
        if ((fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) && !startswith(path, "/dev/shm/") &&
            !device_has_tree(st.st_dev))
                return refuse_name(reterr, "the file '%s' is open, which is in memory and not on a file system of "
                                   "type pkram", path);
        return 0;
}

static int descriptor_inspect(int directory, pid_t pid, const char *number, char **reterr) {
        _cleanup_close_ int fd = -EBADF;
        char path[4096];
        const char *kind;
        ssize_t n;

        n = readlinkat(directory, number, path, sizeof(path) - 1);
        if (n < 0)
                return errno == ENOENT ? 0 : -errno;
        path[n] = 0;
        if (startswith(path, "socket:"))
                return socket_inspect(pid, number, reterr);
        kind = startswith(path, "anon_inode:");
        if (kind)
                return anon_inode_is_known(kind) ? 0 :
                        refuse_name(reterr, "CRIU cannot save open files of the kind %s", kind);
        fd = openat(directory, number, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        return file_inspect(fd, path, reterr);
}

static int descriptors_inspect(int process, pid_t pid, char **reterr) {
        _cleanup_close_ int directory = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *d = NULL;
        const struct dirent *e;
        int r = 0;

        if (directory < 0)
                return -errno;
        d = fdopendir(directory);
        if (!d)
                return -errno;
        directory = -EBADF;
        while (r >= 0 && (e = readdir(d)))
                if (isdigit((unsigned char) e->d_name[0]))
                        r = descriptor_inspect(dirfd(d), pid, e->d_name, reterr);
        return r;
}

/* --- processes --- */

static int namespaces_inspect(int process, char **reterr) {
        static const char *const names[] = { "ipc", "mnt", "net", "pid", "user", "uts" };
        _cleanup_close_ int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (self < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                struct stat ours, theirs;
                char path[16];

                (void) snprintf(path, sizeof(path), "ns/%s", names[i]);
                if (fstatat(self, path, &ours, 0) < 0 || fstatat(process, path, &theirs, 0) < 0)
                        return -errno;
                if (ours.st_ino != theirs.st_ino)
                        return refuse(reterr, "it is in a namespace of its own (%s)", names[i]);
        }
        return 0;
}

/* A number of /proc/PID/status, -1 if it is not there. */
static long status_number(const char *status, const char *key) {
        const char *line = strstr(status, key);

        return line ? strtol(line + strlen(key), NULL, 10) : -1;
}

int process_inspect(int process, pid_t pid, uint64_t *bytes, char **reterr) {
        _cleanup_free_ char *status = NULL, *smaps = NULL;
        int r;

        *reterr = NULL;
        status = proc_read(process, "status");
        if (!status || strstr(status, "\nState:\tZ"))
                return 0;
        if (status_number(status, "\nTracerPid:") > 0)
                return refuse(reterr, "it is being traced");
        r = namespaces_inspect(process, reterr);
        if (r >= 0)
                r = descriptors_inspect(process, pid, reterr);
        if (r >= 0) {
                smaps = proc_read(process, "smaps");
                r = smaps ? smaps_inspect(smaps, bytes, reterr) : 0;
        }
        /* It may have ended in between. */
        return r == -ENOENT || r == -ESRCH || (r < 0 && r != -EOPNOTSUPP && r != -ENOMEM && kill(pid, 0) < 0) ? 0 : r;
}

typedef struct Inspection {
        pid_t root;
        uint64_t bytes;
        char *reason;
} Inspection;

/* Is a process a descendant of the program? */
static bool process_descends(pid_t pid, pid_t root) {
        for (unsigned i = 0; pid > 1 && i < ANCESTORS_MAX; i++) {
                _cleanup_free_ char *status = NULL;
                char path[32];

                if (pid == root)
                        return true;
                (void) snprintf(path, sizeof(path), "/proc/%i/status", pid);
                if (virtual_file_read(AT_FDCWD, path, MIB(1), &status) < 0)
                        return true; /* it has ended */
                pid = (pid_t) status_number(status, "\nPPid:");
        }
        return false;
}

static int process_inspect_member(int process, pid_t pid, void *userdata) {
        _cleanup_free_ char *why = NULL, *text = NULL;
        Inspection *inspection = userdata;
        int r;

        if (process_descends(pid, inspection->root))
                r = process_inspect(process, pid, &inspection->bytes, &why);
        else
                r = refuse(&why, "it is no child of the program any more, as a daemon");
        if (r != -EOPNOTSUPP)
                return r;
        text = process_text(process, pid, /* unit= */ NULL);
        if (!text) /* it has ended, and so has the reason */
                return 0;
        return refuse(&inspection->reason, "%s: %s", text, why);
}

int processes_inspect(pid_t root, uint64_t *ret_bytes, char **reterr) {
        Inspection inspection = { .root = root };
        int r;

        r = processes_foreach(process_inspect_member, &inspection);
        *ret_bytes = inspection.bytes;
        *reterr = inspection.reason;
        return r;
}
