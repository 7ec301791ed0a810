/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "manager-bus.h"
#include "mock-service-manager.h"

#define UNIT_PATH MANAGER_PATH "/unit"

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif

/* Also without assertions. */
#define require(expr)            \
        do {                     \
                if (!(expr))     \
                        abort(); \
        } while (0)

typedef struct KeptFd {
        char name[64];
        int fd;
        size_t unit;
} KeptFd;

struct MockManager {
        pthread_t thread;
        pthread_mutex_t lock;
        char dir[64], address[128], notify[108];
        int listen_fd, notify_fd, stop[2];
        MockUnit *units;
        size_t n_units, sender;
        KeptFd kept[256]; /* the oldest first */
        size_t n_kept;
        const char *failing, *garbled, *version;
        MockDistortion distortion;
        void (*hook)(void);
        unsigned hook_countdown;
        bool deaf;
        unsigned n_reloads;
        sd_bus *bus;
};

static size_t unit_index(const MockManager *m, const char *name) {
        for (size_t i = 0; i < m->n_units; i++)
                if (streq(m->units[i].name, name))
                        return i;
        return m->n_units;
}

static size_t kept_count(const MockManager *m, size_t unit) {
        size_t n = 0;

        for (size_t i = 0; i < m->n_kept; i++)
                n += m->kept[i].unit == unit;
        return n;
}

/* Do both refer to the same open file? */
static bool fd_is_same(int a, int b) {
        long r = fcntl(a, F_DUPFD_QUERY, b);

        if (r >= 0)
                return r > 0;
        /* Before Linux 6.10 */
        r = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);
        require(r >= 0);
        return r == 0;
}

static void kept_add(MockManager *m, size_t unit, const char *name, int fd) {
        if (m->n_kept == ELEMENTSOF(m->kept) || unit == m->n_units || kept_count(m, unit) >= m->units[unit].max) {
                (void) close(fd);
                return;
        }
        /* The same open file under the same name counts once, as for PID 1; two opens of one file are two. */
        for (size_t i = 0; i < m->n_kept; i++)
                if (m->kept[i].unit == unit && streq(m->kept[i].name, name) && fd_is_same(m->kept[i].fd, fd)) {
                        (void) close(fd);
                        return;
                }
        (void) snprintf(m->kept[m->n_kept].name, sizeof(m->kept[m->n_kept].name), "%s", name);
        m->kept[m->n_kept].fd = fd;
        m->kept[m->n_kept++].unit = unit;
}

static void kept_remove(MockManager *m, size_t unit, const char *name) {
        size_t kept = 0;

        for (size_t i = 0; i < m->n_kept; i++)
                if (m->kept[i].unit == unit && (!name || streq(m->kept[i].name, name)))
                        (void) close(m->kept[i].fd);
                else
                        m->kept[kept++] = m->kept[i];
        m->n_kept = kept;
}

static int call_fails(MockManager *m, sd_bus_message *message) {
        const char *member = sd_bus_message_get_member(message);

        return m->failing && member && streq(m->failing, member) ? -EIO : 0;
}

static bool call_is_garbled(const MockManager *m, sd_bus_message *message) {
        const char *member = sd_bus_message_get_member(message);

        return m->garbled && member && streq(m->garbled, member);
}

static int method_list_units(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        MockManager *m = userdata;
        int r;

        pthread_mutex_lock(&m->lock);
        if (call_is_garbled(m, message)) {
                pthread_mutex_unlock(&m->lock);
                return sd_bus_reply_method_return(message, "as", 1, "what?");
        }
        r = call_fails(m, message);
        if (r >= 0)
                r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
        for (size_t i = 0; r >= 0 && i < m->n_units; i++) {
                char path[64];

                (void) snprintf(path, sizeof(path), UNIT_PATH "/u%zu", i);
                r = sd_bus_message_append(reply, "(ssssssouso)", m->units[i].name, "", "loaded", m->units[i].active,
                                          "", "", path, 0, m->units[i].job, "/");
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        pthread_mutex_unlock(&m->lock);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        (void) sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}

static int append_fd(sd_bus_message *reply, const KeptFd *k, MockDistortion distortion) {
        char link[64], target[PATH_MAX];
        struct stat st;
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", k->fd);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0 || fstat(k->fd, &st) < 0)
                return -errno;
        target[n] = 0;
        if (distortion == MOCK_DISTORT_PATH)
                target[0] = '?';
        if (distortion == MOCK_DISTORT_INODE)
                st.st_ino++;
        if (distortion == MOCK_DISTORT_KIND)
                st.st_mode = (st.st_mode & 0777) | S_IFREG;
        return sd_bus_message_append(reply, "(suuutuusu)", distortion == MOCK_DISTORT_NAME ? "a\nFDSTORE=1" : k->name,
                                     st.st_mode, major(st.st_dev), minor(st.st_dev), (uint64_t) st.st_ino, 0, 0,
                                     target, fcntl(k->fd, F_GETFL) ^ (distortion == MOCK_DISTORT_FLAGS ? O_APPEND :
                                                                      0));
}

static int method_dump(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        MockManager *m = userdata;
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        pthread_mutex_lock(&m->lock);
        if (m->hook_countdown > 0 && --m->hook_countdown == 0)
                m->hook();
        if (call_is_garbled(m, message)) {
                pthread_mutex_unlock(&m->lock);
                return sd_bus_reply_method_return(message, "s", "what?");
        }
        r = call_fails(m, message);
        if (r >= 0 && unit_index(m, name) == m->n_units)
                r = -ENOENT;
        /* As the error org.freedesktop.systemd1.FileDescriptorStoreDisabled. */
        if (r >= 0 && m->units[unit_index(m, name)].max == 0)
                r = -EHOSTDOWN;
        if (r >= 0)
                r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(suuutuusu)");
        for (size_t i = m->n_kept; r >= 0 && i > 0; i--)
                if (m->kept[i - 1].unit == unit_index(m, name))
                        r = append_fd(reply, &m->kept[i - 1], m->distortion);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        pthread_mutex_unlock(&m->lock);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        (void) sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}

static int method_get_unit(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error) {
        MockManager *m = userdata;
        const char *name;
        char path[64];
        size_t i;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        pthread_mutex_lock(&m->lock);
        r = call_fails(m, message);
        i = unit_index(m, name);
        pthread_mutex_unlock(&m->lock);
        if (r < 0 || i == m->n_units)
                return r < 0 ? r : -ENOENT;
        (void) snprintf(path, sizeof(path), UNIT_PATH "/u%zu", i);
        return sd_bus_reply_method_return(message, "o", path);
}

static int method_reload(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error) {
        MockManager *m = userdata;

        int r;

        pthread_mutex_lock(&m->lock);
        m->n_reloads++;
        r = call_fails(m, message);
        pthread_mutex_unlock(&m->lock);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "o", "/job");
}

/* At most one string, none for NULL or "". */
static int append_strings(sd_bus_message *reply, const char *s) {
        return s && *s ? sd_bus_message_append(reply, "as", 1, s) : sd_bus_message_append(reply, "as", 0);
}

static bool is_dependency(const char *property) {
        return streq(property, "ConflictedBy") || streq(property, "Requires") || streq(property, "Requisite") ||
                streq(property, "BindsTo") || streq(property, "StopPropagatedFrom");
}

static int get_property(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        MockManager *m = userdata;
        size_t i;
        int r;

        if (streq(property, "Version")) {
                pthread_mutex_lock(&m->lock);
                r = m->failing && streq(m->failing, property) ? -EIO :
                        sd_bus_message_append(reply, "s", m->version ?: "257.13-1");
                pthread_mutex_unlock(&m->lock);
                return r;
        }
        i = (size_t) atoi(path + strlen(UNIT_PATH "/u"));
        pthread_mutex_lock(&m->lock);
        if (i >= m->n_units || m->units[i].gone || (m->failing && streq(m->failing, property)))
                r = -EIO;
        else if (streq(property, "NFileDescriptorStore"))
                r = sd_bus_message_append(reply, "u", (uint32_t) kept_count(m, i));
        else if (streq(property, "TimeoutStartUSec"))
                r = sd_bus_message_append(reply, "t", UINT64_C(90000000));
        else if (streq(property, "ActiveState"))
                r = sd_bus_message_append(reply, "s", m->units[i].active);
        else if (streq(property, "FragmentPath"))
                r = sd_bus_message_append(reply, "s", m->units[i].fragment ?: "");
        else if (streq(property, "DropInPaths"))
                r = append_strings(reply, m->units[i].drop_in);
        else if (streq(property, "Conflicts"))
                r = append_strings(reply, m->units[i].conflicts ?: "shutdown.target");
        else if (streq(property, "Before"))
                r = append_strings(reply, m->units[i].before);
        else if (streq(property, "PartOf"))
                r = append_strings(reply, m->units[i].part_of);
        else if (streq(property, "Perpetual"))
                r = sd_bus_message_append(reply, "b", m->units[i].perpetual);
        else if (is_dependency(property))
                r = append_strings(reply, NULL);
        else if (streq(property, "RootDirectory"))
                r = sd_bus_message_append(reply, "s", m->units[i].root ?: "");
        else if (streq(property, "RootImage"))
                r = sd_bus_message_append(reply, "s", "");
        else if (streq(property, "RootDirectoryStartOnly"))
                r = sd_bus_message_append(reply, "b", m->units[i].start_only);
        else if (streq(property, "ExecStop") && m->units[i].has_stop_command)
                r = sd_bus_message_append(reply, "a(sasbttttuii)", 1, "/bin/true", 1, "/bin/true", 0, UINT64_C(0),
                                          UINT64_C(0), UINT64_C(0), UINT64_C(0), 0U, 0, 0);
        else if (startswith(property, "Exec"))
                r = sd_bus_message_append(reply, "a(sasbttttuii)", 0);
        else
                r = sd_bus_message_append(reply, "s", streq(property, "NotifyAccess") ? m->units[i].notify_access :
                                          m->units[i].preserve);
        pthread_mutex_unlock(&m->lock);
        return r;
}

static int find_unit(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface, void *userdata,
                     void **ret_found, _unused_ sd_bus_error *error) {
        *ret_found = userdata;
        return startswith(path, UNIT_PATH "/u") != NULL;
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ListUnitsByPatterns", "asas", "a(ssssssouso)", method_list_units, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("DumpUnitFileDescriptorStore", "s", "a(suuutuusu)", method_dump, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetUnit", "s", "o", method_get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ReloadUnit", "ss", "o", method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_property, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ActiveState", "s", get_property, 0, 0),
        SD_BUS_PROPERTY("FragmentPath", "s", get_property, 0, 0),
        SD_BUS_PROPERTY("DropInPaths", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("Conflicts", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("Before", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("ConflictedBy", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("Requires", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("Requisite", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("BindsTo", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("PartOf", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("StopPropagatedFrom", "as", get_property, 0, 0),
        SD_BUS_PROPERTY("Perpetual", "b", get_property, 0, 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("NFileDescriptorStore", "u", get_property, 0, 0),
        SD_BUS_PROPERTY("FileDescriptorStorePreserve", "s", get_property, 0, 0),
        SD_BUS_PROPERTY("NotifyAccess", "s", get_property, 0, 0),
        SD_BUS_PROPERTY("RootDirectory", "s", get_property, 0, 0),
        SD_BUS_PROPERTY("RootImage", "s", get_property, 0, 0),
        SD_BUS_PROPERTY("RootDirectoryStartOnly", "b", get_property, 0, 0),
        SD_BUS_PROPERTY("ExecCondition", "a(sasbttttuii)", get_property, 0, 0),
        SD_BUS_PROPERTY("ExecStartPre", "a(sasbttttuii)", get_property, 0, 0),
        SD_BUS_PROPERTY("ExecStartPost", "a(sasbttttuii)", get_property, 0, 0),
        SD_BUS_PROPERTY("ExecReload", "a(sasbttttuii)", get_property, 0, 0),
        SD_BUS_PROPERTY("ExecStop", "a(sasbttttuii)", get_property, 0, 0),
        SD_BUS_PROPERTY("ExecStopPost", "a(sasbttttuii)", get_property, 0, 0),
        SD_BUS_PROPERTY("TimeoutStartUSec", "t", get_property, 0, 0),
        SD_BUS_VTABLE_END
};

static void accept_client(MockManager *m) {
        sd_id128_t id = {};
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address;
        socklen_t length = sizeof(address);
        int fd = accept4(m->listen_fd, &address.sa, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

        require(fd >= 0 && !m->bus);
        require(sd_bus_new(&m->bus) >= 0);
        require(sd_bus_set_fd(m->bus, fd, fd) >= 0);
        require(sd_bus_set_server(m->bus, 1, id) >= 0);
        require(sd_bus_set_trusted(m->bus, 1) >= 0);
        require(sd_bus_start(m->bus) >= 0);
        require(sd_bus_add_object_vtable(m->bus, NULL, MANAGER_PATH, MANAGER_IFACE, manager_vtable, m) >= 0);
        require(sd_bus_add_fallback_vtable(m->bus, NULL, UNIT_PATH, UNIT_IFACE, unit_vtable, find_unit, m) >= 0);
        require(sd_bus_add_fallback_vtable(m->bus, NULL, UNIT_PATH, SERVICE_IFACE, service_vtable, find_unit, m) >= 0);
}

static void read_notification(MockManager *m) {
        char text[1024], name[64] = "stored";
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(m->notify_fd, &mh, MSG_CMSG_CLOEXEC);
        const char *p;
        int fd = -EBADF;

        if (n < 0)
                return;
        text[n] = 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c))
                if (c->cmsg_type == SCM_RIGHTS)
                        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        p = strstr(text, "FDNAME=");
        if (p)
                (void) sscanf(p, "FDNAME=%63[^\n]", name);

        pthread_mutex_lock(&m->lock);
        if (strstr(text, "FDSTORE=1"))
                kept_add(m, m->sender, name, TAKE_FD(fd));
        if (strstr(text, "FDSTOREREMOVE=1"))
                kept_remove(m, m->sender, name);
        pthread_mutex_unlock(&m->lock);
        /* A barrier is done when its descriptor is closed. */
        (void) safe_close(fd);
}

static void *manager_thread(void *userdata) {
        MockManager *m = userdata;

        for (;;) {
                struct pollfd fds[] = {
                        { .fd = m->stop[0], .events = POLLIN },
                        { .fd = m->deaf ? -1 : m->notify_fd, .events = POLLIN },
                        { .fd = m->listen_fd, .events = POLLIN },
                        { .fd = m->bus ? sd_bus_get_fd(m->bus) : -1, .events = POLLIN },
                };

                if (poll(fds, ELEMENTSOF(fds), 20) < 0 || fds[0].revents)
                        break;
                if (fds[1].revents)
                        read_notification(m);
                if (fds[2].revents && !m->bus)
                        accept_client(m);
                while (m->bus && sd_bus_process(m->bus, NULL) > 0)
                        ;
                if (m->bus && sd_bus_is_open(m->bus) <= 0)
                        m->bus = sd_bus_close_unref(m->bus);
        }
        m->bus = sd_bus_close_unref(m->bus);
        return NULL;
}

static int socket_bind(int type, const char *path) {
        union {
                struct sockaddr sa;
                struct sockaddr_un un;
        } address = { .un.sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        require(fd >= 0 && strlen(path) < sizeof(address.un.sun_path));
        memcpy(address.un.sun_path, path, strlen(path));
        require(bind(fd, &address.sa, sizeof(address.un)) >= 0);
        return fd;
}

MockManager *mock_manager_new(const char *dir, MockUnit *units, size_t n_units) {
        MockManager *m = calloc(1, sizeof(*m));
        char path[128];

        require(m);
        m->units = units;
        m->n_units = n_units;
        pthread_mutex_init(&m->lock, NULL);
        (void) snprintf(m->notify, sizeof(m->notify), "%s/notify", dir);
        (void) snprintf(path, sizeof(path), "%s/private", dir);
        (void) snprintf(m->address, sizeof(m->address), "unix:path=%.*s", 100, path);
        m->notify_fd = socket_bind(SOCK_DGRAM, m->notify);
        m->listen_fd = socket_bind(SOCK_STREAM, path);
        require(listen(m->listen_fd, 4) >= 0);
        require(pipe2(m->stop, O_CLOEXEC) >= 0);
        require(pthread_create(&m->thread, NULL, manager_thread, m) == 0);
        return m;
}

MockManager *mock_manager_free(MockManager *m) {
        if (!m)
                return NULL;
        (void) close(m->stop[1]);
        (void) pthread_join(m->thread, NULL);
        for (size_t i = 0; i < m->n_kept; i++)
                (void) close(m->kept[i].fd);
        (void) close(m->stop[0]);
        (void) close(m->notify_fd);
        (void) close(m->listen_fd);
        free(m);
        return NULL;
}

const char *mock_manager_address(const MockManager *m) {
        return m->address;
}

const char *mock_manager_notify_socket(const MockManager *m) {
        return m->notify;
}

void mock_manager_set_sender(MockManager *m, const char *unit) {
        pthread_mutex_lock(&m->lock);
        m->sender = unit_index(m, unit);
        pthread_mutex_unlock(&m->lock);
}

void mock_manager_add_fd(MockManager *m, const char *unit, const char *name, int fd) {
        pthread_mutex_lock(&m->lock);
        kept_add(m, unit_index(m, unit), name, fcntl(fd, F_DUPFD_CLOEXEC, 100));
        pthread_mutex_unlock(&m->lock);
}

size_t mock_manager_n_fds(MockManager *m, const char *unit) {
        size_t n;

        pthread_mutex_lock(&m->lock);
        n = kept_count(m, unit_index(m, unit));
        pthread_mutex_unlock(&m->lock);
        return n;
}

int mock_manager_get_fd(MockManager *m, const char *unit, const char *name) {
        int fd = -ENOENT;

        pthread_mutex_lock(&m->lock);
        for (size_t i = 0; i < m->n_kept; i++)
                if (m->kept[i].unit == unit_index(m, unit) && streq(m->kept[i].name, name))
                        fd = m->kept[i].fd;
        pthread_mutex_unlock(&m->lock);
        return fd;
}

void mock_manager_clear(MockManager *m, const char *unit) {
        pthread_mutex_lock(&m->lock);
        kept_remove(m, unit_index(m, unit), NULL);
        pthread_mutex_unlock(&m->lock);
}

unsigned mock_manager_n_reloads(MockManager *m) {
        unsigned n;

        pthread_mutex_lock(&m->lock);
        n = m->n_reloads;
        pthread_mutex_unlock(&m->lock);
        return n;
}

void mock_manager_fail(MockManager *m, const char *method) {
        pthread_mutex_lock(&m->lock);
        m->failing = method;
        pthread_mutex_unlock(&m->lock);
}

void mock_manager_garble(MockManager *m, const char *method) {
        pthread_mutex_lock(&m->lock);
        m->garbled = method;
        pthread_mutex_unlock(&m->lock);
}

void mock_manager_distort(MockManager *m, MockDistortion distortion) {
        pthread_mutex_lock(&m->lock);
        m->distortion = distortion;
        pthread_mutex_unlock(&m->lock);
}

void mock_manager_set_hook(MockManager *m, unsigned n, void (*function)(void)) {
        pthread_mutex_lock(&m->lock);
        m->hook = function;
        m->hook_countdown = n;
        pthread_mutex_unlock(&m->lock);
}

void mock_manager_set_deaf(MockManager *m, bool deaf) {
        pthread_mutex_lock(&m->lock);
        m->deaf = deaf;
        pthread_mutex_unlock(&m->lock);
}

void mock_manager_set_version(MockManager *m, const char *version) {
        pthread_mutex_lock(&m->lock);
        m->version = version;
        pthread_mutex_unlock(&m->lock);
}
