/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <systemd/sd-login.h>

#include "peer.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

void peer_unit_done(PeerUnit *u) {
        free(u->unit);
        free(u->slice);
        *u = (PeerUnit) {};
}

void peer_done(Peer *p) {
        p->pidfd = safe_close(p->pidfd);
        free(p->owner);
        p->owner = NULL;
        peer_unit_done(&p->unit);
}

static bool has_suffix(const char *unit, const char *suffix) {
        size_t n = strlen(unit), k = strlen(suffix);

        return n > k && streq(unit + n - k, suffix);
}

/* The unit, unless it is none of the system's. PID 1 and what it forks before it knows better is no service of its
 * own. */
static const char *system_unit(const PeerUnit *u) {
        return u->unit && !u->user_slice && !streq(u->unit, "init.scope") ? u->unit : NULL;
}

/* Slices that hold all sorts of things. */
static bool is_common_slice(const char *slice) {
        static const char *const slices[] = { "-.slice", "system.slice", "machine.slice", "user.slice" };

        for (size_t i = 0; i < ELEMENTSOF(slices); i++)
                if (streq(slice, slices[i]))
                        return true;
        return false;
}

bool peer_needs_unit_user(const Peer *p) {
        const char *unit = system_unit(&p->unit);

        return p->uid != 0 && unit && has_suffix(unit, ".service");
}

int peer_set_owner(Peer *p, uid_t unit_uid) {
        const char *unit = system_unit(&p->unit);
        char *owner;

        if (unit && p->uid == 0 && has_suffix(unit, ".scope") && p->unit.slice && !is_common_slice(p->unit.slice))
                owner = strdup(p->unit.slice);
        else if (unit && (p->uid == 0 || (peer_needs_unit_user(p) && p->uid == unit_uid)))
                owner = strdup(unit);
        else if (p->uid == 0)
                owner = strdup(OWNER_ROOT);
        else if (asprintf(&owner, "uid:%u", p->uid) < 0)
                owner = NULL;
        if (!owner)
                return -ENOMEM;

        free(p->owner);
        p->owner = owner;
        return 0;
}

bool owner_is_user(const char *owner) {
        return startswith(owner, "uid:");
}

/* A number as "%u" prints it, and not root's, which has a name. */
static bool is_user_id(const char *text) {
        size_t n = strspn(text, "0123456789");

        return n > 0 && n <= 10 && !text[n] && text[0] != '0' && strtoull(text, NULL, 10) < UINT32_MAX;
}

/* As systemd has it: letters, digits and some others, with a suffix. */
static bool is_unit_name(const char *text) {
        static const char *const suffixes[] = {
                ".service", ".socket", ".mount", ".swap", ".scope", ".slice", ".automount", ".path", ".timer",
                ".target", ".device",
        };
        const char *dot = strrchr(text, '.');
        size_t n = strlen(text);

        if (!dot || dot == text || n > OWNER_BYTES_MAX)
                return false;
        if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@") != n)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (streq(dot, suffixes[i]))
                        return true;
        return false;
}

bool owner_is_valid(const char *owner) {
        const char *uid = startswith(owner, "uid:");

        if (uid)
                return is_user_id(uid);
        return streq(owner, OWNER_ROOT) || streq(owner, OWNER_KERNEL) || is_unit_name(owner);
}

bool peer_may(const Peer *p, const char *owner) {
        return p->uid == 0 || streq(p->owner, owner);
}

static int peer_pidfd(int fd, pid_t pid) {
        int pidfd;
        socklen_t l = sizeof(pidfd);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &l) >= 0)
                return pidfd;
        if (errno != ENOPROTOOPT)
                return -errno;

        /* Before 6.5 the number can have gone to another process in between, which cannot be told apart. */
        pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        return pidfd < 0 ? -errno : pidfd;
}

int peer_find_unit(pid_t pid, PeerUnit *ret, _unused_ void *userdata) {
        PeerUnit u = {};
        uid_t uid;
        int r;

        r = sd_pid_get_unit(pid, &u.unit);
        if (r != -ENOMEM)
                r = sd_pid_get_slice(pid, &u.slice);
        if (r == -ENOMEM) {
                peer_unit_done(&u);
                return r;
        }
        u.user_slice = sd_pid_get_owner_uid(pid, &uid) >= 0;

        *ret = u;
        return 0;
}

int peer_from_socket(int fd, PeerFindUnit find, void *userdata, Peer *ret) {
        _cleanup_peer_ Peer p = { .pidfd = -EBADF };
        struct ucred cred;
        socklen_t l = sizeof(cred);
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &l) < 0)
                return -errno;
        if (cred.pid <= 0) /* from outside of our pid namespace */
                return -ESRCH;

        p.pidfd = peer_pidfd(fd, cred.pid);
        if (p.pidfd == -EINVAL || p.pidfd == -ENODATA)
                return -ESRCH;
        if (p.pidfd < 0)
                return p.pidfd;

        r = find(cred.pid, &p.unit, userdata);
        if (r < 0)
                return r;

        /* What was read under that number is its own only if it is still alive now. */
        struct pollfd pfd = { .fd = p.pidfd, .events = POLLIN };
        if (poll(&pfd, 1, 0) != 0)
                return -ESRCH;

        p.uid = cred.uid;
        p.gid = cred.gid;
        p.pid = cred.pid;

        *ret = p;
        p = (Peer) { .pidfd = -EBADF };
        return 0;
}
