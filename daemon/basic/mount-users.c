/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "file-util.h"
#include "mount-table.h"
#include "mount-users.h"
#include "process-util.h"
#include "unit-name.h"
#include "utf8.h"

/* Users that are named. */
#define USERS_MAX 5U

/* A mount of the file system, in whichever namespace. */
typedef struct Place {
        int id;
        char *namespace; /* "mnt:[4026531841]" */
        char *target;    /* as the namespace shows it */
        pid_t pid;       /* a process in that namespace */
        bool receives;   /* it goes away when it is unmounted in the namespace that it was copied from */
} Place;

typedef struct Places {
        Place *places;
        size_t n, allocated;
        char **namespaces; /* those that were looked at */
        size_t n_namespaces, namespaces_allocated;
} Places;

static void places_done(Places *p) {
        for (size_t i = 0; i < p->n; i++) {
                free(p->places[i].namespace);
                free(p->places[i].target);
        }
        free(p->places);
        for (size_t i = 0; i < p->n_namespaces; i++)
                free(p->namespaces[i]);
        free(p->namespaces);
        *p = (Places) {};
}

static char *link_read(int dir, const char *name) {
        char path[PATH_MAX + 1];
        ssize_t n = readlinkat(dir, name, path, sizeof(path) - 1);

        if (n < 0)
                return NULL;
        path[n] = 0;
        return strdup(path);
}

typedef struct Find {
        dev_t device;
        Places *places;
        Place place;
        const char *text; /* all of mountinfo, to look up a parent */
} Find;

/* Does a mount with that number receive the events of other namespaces, or share them? */
static bool mount_receives(const char *text, int id) {
        char start[3 * sizeof(int) + 3];

        (void) snprintf(start, sizeof(start), "%i ", id);
        for (const char *line = text; line; line = (line = strchr(line, '\n')) ? line + 1 : NULL)
                if (startswith(line, start)) {
                        const char *end = strchrnul(line, '\n'), *dash = strstr(line, " - ");
                        const char *shared = strstr(line, " shared:"), *master = strstr(line, " master:");

                        end = dash && dash < end ? dash : end;
                        return (shared && shared < end) || (master && master < end);
                }
        return false;
}

static int place_add(const MountLine *m, void *userdata) {
        Find *f = userdata;
        Places *p = f->places;

        if (m->device != f->device)
                return 0;
        if (GREEDY_REALLOC(p->places, p->allocated, p->n + 1) < 0)
                return -ENOMEM;
        p->places[p->n] = (Place) {
                .id = m->id,
                .namespace = strdup(f->place.namespace),
                .target = strdup(m->target),
                .pid = f->place.pid,
                .receives = mount_receives(f->text, m->parent),
        };
        if (!p->places[p->n].namespace || !p->places[p->n].target) {
                free(p->places[p->n].namespace);
                free(p->places[p->n].target);
                return -ENOMEM;
        }
        p->n++;
        return 0;
}

static int places_add_process(int process, pid_t pid, void *userdata) {
        Find *f = userdata;
        Places *p = f->places;
        _cleanup_free_ char *namespace = link_read(process, "ns/mnt"), *text = NULL, *lines = NULL;
        int r;

        if (!namespace)
                return 0;
        for (size_t i = 0; i < p->n_namespaces; i++)
                if (streq(p->namespaces[i], namespace))
                        return 0;
        text = proc_read(process, "mountinfo");
        lines = text ? strdup(text) : NULL;
        if (!lines)
                return 0;
        f->text = text;
        f->place = (Place) { .namespace = namespace, .pid = pid };
        r = mount_lines_foreach(lines, place_add, f);
        if (r < 0)
                return r;
        if (GREEDY_REALLOC(p->namespaces, p->namespaces_allocated, p->n_namespaces + 1) < 0)
                return -ENOMEM;
        p->namespaces[p->n_namespaces++] = TAKE_PTR(namespace);
        return 0;
}

/* All mounts of the file system, those of this process's namespace first. */
static int places_find(dev_t device, Places *ret) {
        Find f = { .device = device, .places = ret };
        _cleanup_close_ int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (self < 0)
                return -errno;
        r = places_add_process(self, getpid(), &f);
        return r < 0 ? r : processes_foreach(places_add_process, &f);
}

static bool place_is_mount(const Places *p, int id) {
        for (size_t i = 0; i < p->n; i++)
                if (p->places[i].id == id)
                        return true;
        return false;
}

static bool mount_path_is_below(const char *path, const char *directory) {
        const char *rest = startswith(path, directory);

        return rest && (!*rest || *rest == '/' || streq(directory, "/"));
}

typedef struct FindPath {
        dev_t device;
        const char *path;
        size_t longest;
        bool inside;
} FindPath;

static int mount_line_has_path(const MountLine *m, void *userdata) {
        FindPath *f = userdata;

        if (!mount_path_is_below(f->path, m->target) || strlen(m->target) < f->longest)
                return 0;
        f->longest = strlen(m->target);
        f->inside = m->device == f->device;
        return 0;
}

/* Is the path, as a namespace shows it, in the file system? Something else may be mounted in between. */
static bool place_has_path(const char *mountinfo, dev_t device, const char *path) {
        _cleanup_free_ char *text = strdup(mountinfo);
        FindPath f = { .device = device, .path = path };

        if (text)
                (void) mount_lines_foreach(text, mount_line_has_path, &f);
        return f.inside;
}

/* --- the users of a mount --- */

typedef struct Look {
        const Places *places;
        dev_t device;
        MountUse use;
        MountUserFilter filter;
        void *userdata;
        NameList users;
} Look;

static bool look_counts(const Look *look, MountUser user) {
        return !look->filter || look->filter(&user, look->userdata);
}

static bool descriptor_uses(int process, const char *number, const Look *look) {
        char name[32];
        _cleanup_free_ char *text = NULL, *path = NULL;
        const char *field;
        unsigned flags;
        int id;

        if (snprintf(name, sizeof(name), "fdinfo/%s", number) >= (int) sizeof(name))
                return false;
        text = proc_read(process, name);
        field = text ? strstr(text, "mnt_id:") : NULL;
        if (!field || sscanf(field, "mnt_id: %i", &id) != 1 || !place_is_mount(look->places, id))
                return false;
        field = strstr(text, "flags:");
        if (look->use == MOUNT_USE_WRITING)
                return field && sscanf(field, "flags: %o", &flags) == 1 && !(flags & O_PATH) &&
                        (flags & O_ACCMODE) != O_RDONLY;
        if (look->use == MOUNT_USE_ANY)
                return true;
        if (snprintf(name, sizeof(name), "fd/%s", number) >= (int) sizeof(name))
                return false;
        path = link_read(process, name);
        return path && strlen(path) > strlen(" (deleted)") &&
                streq(path + strlen(path) - strlen(" (deleted)"), " (deleted)");
}

static bool descriptors_use(int process, const Look *look) {
        _cleanup_closedir_ DIR *d = NULL;
        struct dirent *e;
        int fd;

        fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return false;
        d = fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return false;
        }
        while ((e = readdir(d)))
                if (e->d_name[0] != '.' && descriptor_uses(process, e->d_name, look))
                        return true;
        return false;
}

static bool mappings_use(int process, const Look *look) {
        _cleanup_free_ char *text = proc_read(process, "maps");
        char *rest = text;

        for (char *line; rest && (line = strsep(&rest, "\n"));) {
                char mode[5] = "";
                unsigned major, minor;

                if (sscanf(line, "%*s %4s %*s %x:%x", mode, &major, &minor) != 3 ||
                    makedev(major, minor) != look->device)
                        continue;
                if (look->use == MOUNT_USE_ANY || (look->use == MOUNT_USE_WRITING ? mode[1] == 'w' && mode[3] == 's' :
                                                   strstr(line, " (deleted)") != NULL))
                        return true;
        }
        return false;
}

static bool directory_uses(int process, const char *name, const Look *look) {
        _cleanup_free_ char *path = link_read(process, name), *mountinfo = NULL;

        if (!path || *path != '/' || look->places->n == 0)
                return false;
        mountinfo = proc_read(process, "mountinfo");
        return mountinfo && place_has_path(mountinfo, look->device, path);
}

static int look_process(int process, pid_t pid, void *userdata) {
        Look *look = userdata;
        _cleanup_free_ char *unit = NULL, *text = NULL;

        if (!descriptors_use(process, look) && !mappings_use(process, look) &&
            (look->use != MOUNT_USE_ANY ||
             (!directory_uses(process, "cwd", look) && !directory_uses(process, "root", look))))
                return 0;
        unit = process_unit(pid);
        if (!look_counts(look, (MountUser) { .pid = pid, .unit = unit }))
                return 0;
        text = process_text(process, pid, unit);
        return text ? name_list_add(&look->users, text) : 0;
}

typedef struct LoopMount {
        dev_t device;
        char *unit;
} LoopMount;

static int loop_mount_find(const MountLine *m, void *userdata) {
        LoopMount *l = userdata;

        if (m->device != l->device)
                return 0;
        l->unit = unit_name_from_mount(m->target);
        return 1;
}

/*
 * The unit of the mount that a loop device ends with: the device was set up for that mount, and goes when it is
 * unmounted. To be freed. NULL: there is none.
 */
static char *loop_mount_unit(int directory, const char *name, const char *mountinfo) {
        _cleanup_free_ char *device = NULL, *autoclear = NULL, *lines = NULL;
        char path[NAME_MAX + 32];
        unsigned major, minor;
        LoopMount l = {};

        (void) snprintf(path, sizeof(path), "%s/loop/autoclear", name);
        autoclear = proc_read(directory, path);
        (void) snprintf(path, sizeof(path), "%s/dev", name);
        device = proc_read(directory, path);
        lines = strdup(mountinfo);
        if (!autoclear || *autoclear != '1' || !device || sscanf(device, "%u:%u", &major, &minor) != 2 || !lines)
                return NULL;
        l.device = makedev(major, minor);
        (void) mount_lines_foreach(lines, loop_mount_find, &l);
        return l.unit;
}

/* Loop devices on files of the file system. */
static int look_loop_devices(Look *look, const char *mountinfo) {
        _cleanup_closedir_ DIR *d = opendir("/sys/block");
        struct dirent *e;
        int r = 0;

        while (d && r == 0 && (e = readdir(d))) {
                _cleanup_free_ char *file = NULL, *text = NULL, *ro = NULL, *unit = NULL;
                char name[NAME_MAX + 32];

                if (!startswith(e->d_name, "loop"))
                        continue;
                (void) snprintf(name, sizeof(name), "%s/loop/backing_file", e->d_name);
                file = proc_read(dirfd(d), name);
                if (!file)
                        continue;
                file[strcspn(file, "\n")] = 0;
                if (!place_has_path(mountinfo, look->device, file))
                        continue;
                (void) snprintf(name, sizeof(name), "%s/ro", e->d_name);
                ro = proc_read(dirfd(d), name);
                if (look->use == MOUNT_USE_WRITING && ro && *ro == '1')
                        continue;
                if (look->use == MOUNT_USE_DELETED && !strstr(file, " (deleted)"))
                        continue;
                unit = loop_mount_unit(dirfd(d), e->d_name, mountinfo);
                if (!look_counts(look, (MountUser) { .unit = unit }))
                        continue;
                if (asprintf(&text, "loop device /dev/%s", e->d_name) < 0) {
                        text = NULL;
                        return -ENOMEM;
                }
                r = name_list_add(&look->users, text);
        }
        return r;
}

/* An overlay file system has its layers open, with mounts of its own that no process shows. */
static int look_overlay(const MountLine *m, void *userdata) {
        Look *look = userdata;
        _cleanup_free_ char *options = strdup(m->options), *text = NULL, *target = NULL;
        char *rest = options;
        bool uses = false;

        if (!m->type || !streq(m->type, "overlay"))
                return 0;
        for (char *option; rest && (option = strsep(&rest, ","));) {
                char *value = strchr(option, '=');

                if (!value || !strstr(option, "dir"))
                        continue;
                for (char *layer; value && (layer = strsep(&value, ":="));)
                        for (size_t i = 0; !uses && i < look->places->n; i++)
                                uses = mount_path_is_below(layer, look->places->places[i].target);
        }
        if (!uses)
                return 0;
        target = utf8_escape(m->target);
        if (!target || asprintf(&text, "the overlay at '%s'", target) < 0)
                return -ENOMEM;
        return name_list_add(&look->users, text);
}

char *mount_users(dev_t device, MountUse use, MountUserFilter filter, void *userdata) {
        _cleanup_(places_done) Places places = {};
        Look look = {
                .places = &places, .device = device, .use = use, .filter = filter, .userdata = userdata,
                .users.max = USERS_MAX,
        };
        _cleanup_free_ char *mountinfo = NULL;
        int r;

        (void) places_find(device, &places);
        r = processes_foreach(look_process, &look);
        mountinfo = r == 0 ? proc_read(AT_FDCWD, MOUNT_TABLE) : NULL;
        if (mountinfo) {
                r = look_loop_devices(&look, mountinfo);
                if (r == 0 && use == MOUNT_USE_ANY)
                        (void) mount_lines_foreach(mountinfo, look_overlay, &look);
        }
        return look.users.text;
}

/* --- whose owners it shows --- */

typedef struct FindIdmap {
        dev_t device;
        const char *path;
} FindIdmap;

static int mount_line_is_idmapped(const MountLine *m, void *userdata) {
        const FindIdmap *f = userdata;

        if (m->device != f->device || !streq(m->target, f->path))
                return 0;
        for (const char *flag = m->flags; flag; flag = (flag = strchr(flag, ',')) ? flag + 1 : NULL)
                if (startswith(flag, "idmapped") && strchr(",", flag[strlen("idmapped")]))
                        return 1;
        return 0;
}

bool mount_is_idmapped(dev_t device, const char *path) {
        _cleanup_free_ char *text = proc_read(AT_FDCWD, MOUNT_TABLE);
        FindIdmap f = { .device = device, .path = path };

        return text && mount_lines_foreach(text, mount_line_is_idmapped, &f) > 0;
}

/* --- where else it is mounted --- */

char *mount_elsewhere(dev_t device, const char *path) {
        _cleanup_(places_done) Places places = {};
        NameList list = { .max = USERS_MAX };
        bool here = false;
        int r = 0;

        if (places_find(device, &places) < 0)
                return NULL;
        for (size_t i = 0; r == 0 && i < places.n; i++) {
                _cleanup_free_ char *text = NULL, *process = NULL, *target = NULL, *unit = NULL;
                const Place *p = places.places + i;

                target = utf8_escape(p->target);
                if (!target)
                        break;
                if (p->pid == getpid()) {
                        /* The mount itself is not elsewhere, but a second one at the same place is. */
                        if (streq(p->target, path) && !here) {
                                here = true;
                                continue;
                        }
                        r = asprintf(&text, "'%s'", target);
                } else if (!p->receives) {
                        char name[sizeof("/proc/") + 3 * sizeof(pid_t)];
                        _cleanup_close_ int fd = -EBADF;

                        (void) snprintf(name, sizeof(name), "/proc/%i", p->pid);
                        fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                        unit = process_unit(p->pid);
                        process = fd < 0 ? NULL : process_text(fd, p->pid, unit);
                        if (!process)
                                continue;
                        r = asprintf(&text, "'%s' in the mount namespace of %s", target, process);
                } else
                        continue;
                if (r < 0) {
                        text = NULL;
                        break;
                }
                r = name_list_add(&list, text);
        }
        return list.text;
}

int mount_places_foreach(dev_t device, int (*callback)(const char *path, void *userdata), void *userdata) {
        _cleanup_(places_done) Places places = {};
        int r;

        r = places_find(device, &places);
        for (size_t i = 0; r >= 0 && i < places.n; i++)
                if (places.places[i].pid == getpid())
                        r = callback(places.places[i].target, userdata);
        return MIN(r, 0);
}
