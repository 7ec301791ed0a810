/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fdstore-node.h"
#include "file-util.h"
#include "kexec-units.h"
#include "unit-name.h"
#include "unit-stop.h"

/* Well below the timeout of the units that call this. */
#define CALL_TIMEOUT_USEC (5 * USEC_PER_SEC)

#define UNIT_FILE_BYTES_MAX KIB(256)
#define KEY "X-Pkram-Stores"

/* Units that are looked at; a client cannot make more, since each needs a unit of its own. */
#define UNITS_MAX 4096U

void unit_list_done(UnitList *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->names[i]);
        free(l->names);
        *l = (UnitList) {};
}

bool unit_list_has(const UnitList *l, const char *name) {
        for (size_t i = 0; i < l->n; i++)
                if (streq(l->names[i], name))
                        return true;
        return false;
}

int unit_list_add(UnitList *l, const char *name) {
        if (unit_list_has(l, name))
                return 0;
        if (GREEDY_REALLOC(l->names, l->allocated, l->n + 1) < 0)
                return -ENOMEM;
        l->names[l->n] = strdup(name);
        if (!l->names[l->n])
                return -ENOMEM;
        l->n++;
        return 0;
}

bool kexec_unit_counts(const char *name) {
        if (!unit_name_is_valid(name) || streq(name, "init.scope") || startswith(name, "pkram-tree@") ||
            streq(name, FDSTORE_UNIT))
                return false;
        /* Commands of an interactive session hold nothing. */
        return ends_with(name, ".service") || (ends_with(name, ".scope") && !startswith(name, "session-"));
}

int service_manager_connect(sd_bus **ret) {
        return manager_connect(MANAGER_ADDRESS, CALL_TIMEOUT_USEC, ret);
}

int kexec_unit_mark(const char *directory, const char *name) {
        _cleanup_close_ int dir = -EBADF, fd = -EBADF;

        if (!kexec_unit_counts(name))
                return 0;
        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
                return -errno;
        dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir < 0)
                return -errno;
        fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
        return fd < 0 ? -errno : 0;
}

int kexec_units_marked(const char *directory, UnitList *ret) {
        _cleanup_closedir_ DIR *d = opendir(directory);
        struct dirent *e;
        int r;

        if (!d)
                return errno == ENOENT ? 0 : -errno;
        while ((e = readdir(d)) && ret->n < UNITS_MAX)
                if (kexec_unit_counts(e->d_name)) {
                        r = unit_list_add(ret, e->d_name);
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* --- unit files --- */

int unit_setting_parse_boolean(const char *value, size_t n, int before) {
        static const char *const yes[] = { "yes", "y", "true", "t", "on", "1" },
                *const no[] = { "no", "n", "false", "f", "off", "0" };

        if (n == 0)
                return -1;
        for (size_t i = 0; i < ELEMENTSOF(yes); i++)
                if (n == strlen(yes[i]) && strncasecmp(value, yes[i], n) == 0)
                        return 1;
        for (size_t i = 0; i < ELEMENTSOF(no); i++)
                if (n == strlen(no[i]) && strncasecmp(value, no[i], n) == 0)
                        return 0;
        return before;
}

int unit_text_fold(const char *text, size_t size, const char *key, UnitSettingParse parse, int before) {
        bool section = false;

        for (const char *end = text + size, *next; text < end; text = next) {
                const char *line = text, *stop = memchr(text, '\n', (size_t) (end - text)), *value;

                stop = stop ?: end;
                next = stop + 1;
                while (line < stop && (*line == ' ' || *line == '\t'))
                        line++;
                while (stop > line && strchr(" \t\r", stop[-1]))
                        stop--;
                if (line < stop && *line == '[') {
                        size_t n = (size_t) (stop - line);

                        section = (n == 6 && strneq(line, "[Unit]", n)) || (n == 9 && strneq(line, "[Service]", n)) ||
                                (n == 7 && strneq(line, "[Scope]", n));
                        continue;
                }
                if (!section || stop - line < (ptrdiff_t) strlen(key) || !strneq(line, key, strlen(key)))
                        continue;
                value = line + strlen(key);
                while (value < stop && (*value == ' ' || *value == '\t'))
                        value++;
                if (value == stop || *value != '=')
                        continue;
                value++;
                while (value < stop && (*value == ' ' || *value == '\t'))
                        value++;
                before = parse(value, (size_t) (stop - value), before);
        }
        return before;
}

int kexec_unit_parse(const char *text, size_t size, int before) {
        return unit_text_fold(text, size, KEY, unit_setting_parse_boolean, before);
}

static int fold_file(const char *root, const char *path, const char *key, UnitSettingParse parse, int before) {
        _cleanup_free_ char *text = NULL, *full = NULL;
        size_t n;

        if (asprintf(&full, "%s%s", root, path) < 0) {
                full = NULL;
                return before;
        }
        if (file_read(full, UNIT_FILE_BYTES_MAX, &text, &n) < 0)
                return before;
        return unit_text_fold(text, n, key, parse, before);
}

static int add_if_mentioned(const char *root, const char *directory, const char *sub, const char *file,
                            UnitList *ret) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        size_t n;

        if (asprintf(&path, "%s%s/%s%s%s", root, directory, sub, *sub ? "/" : "", file) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (file_read(path, UNIT_FILE_BYTES_MAX, &text, &n) < 0 || !strstr(text, KEY))
                return 0;
        return unit_list_add(ret, *sub ? sub : file);
}

static int find_in_drop_ins(const char *root, const char *directory, const char *sub, UnitList *ret) {
        _cleanup_closedir_ DIR *d = NULL;
        _cleanup_free_ char *path = NULL;
        struct dirent *e;
        int r;

        if (asprintf(&path, "%s%s/%s", root, directory, sub) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        d = opendir(path);
        while (d && (e = readdir(d)))
                if (ends_with(e->d_name, ".conf")) {
                        r = add_if_mentioned(root, directory, sub, e->d_name, ret);
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* Names of unit files, and of directories of drop-ins, with the key somewhere in them. */
static int find_candidates(const char *root, UnitList *ret) {
        static const char *const directories[] = {
                "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
                "/run/systemd/generator.early", "/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator",
                "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
                "/run/systemd/generator.late",
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(directories) && r >= 0; i++) {
                _cleanup_closedir_ DIR *d = NULL;
                _cleanup_free_ char *path = NULL;
                struct dirent *e;

                if (asprintf(&path, "%s%s", root, directories[i]) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                d = opendir(path);
                while (r >= 0 && d && (e = readdir(d)))
                        if (ends_with(e->d_name, ".service") || ends_with(e->d_name, ".scope"))
                                r = add_if_mentioned(root, directories[i], "", e->d_name, ret);
                        else if (ends_with(e->d_name, "service.d") || ends_with(e->d_name, "scope.d"))
                                r = find_in_drop_ins(root, directories[i], e->d_name, ret);
        }
        return r;
}

/* May the file, or the directory of drop-ins, of that name be one of this unit? Its exact files are asked for
 * later. */
static bool candidate_matches(const char *candidate, const char *unit) {
        const char *at = strchr(unit, '@'), *dot = strrchr(unit, '.');
        size_t n = strlen(candidate);

        if (ends_with(candidate, ".d"))
                n -= 2;
        if (streq(unit, candidate) || (n == strlen(unit) && strneq(unit, candidate, n)))
                return true;
        /* service.d */
        if (dot && n == strlen(dot + 1) && strneq(candidate, dot + 1, n))
                return true;
        /* name@.service */
        if (at && dot && n > (size_t) (at - unit) + 1 && strneq(candidate, unit, (size_t) (at - unit) + 1) &&
            n == (size_t) (at - unit) + 1 + strlen(dot) && strneq(candidate + (at - unit) + 1, dot, strlen(dot)))
                return true;
        /* name-.service.d */
        for (size_t i = 0; i < n; i++)
                if (candidate[i] == '-' && candidate[i + 1] == '.' && strneq(candidate, unit, i + 1))
                        return true;
        /* It may be another name of this unit. */
        return false;
}

int unit_files_fold(sd_bus *bus, const char *root, const char *object, const char *key, UnitSettingParse parse) {
        _cleanup_free_ char *fragment = NULL;
        char **drop_ins = NULL;
        int value = -1;

        if (sd_bus_get_property_string(bus, MANAGER_NAME, object, UNIT_IFACE, "FragmentPath", NULL, &fragment) >= 0 &&
            *fragment)
                value = fold_file(root, fragment, key, parse, value);
        if (sd_bus_get_property_strv(bus, MANAGER_NAME, object, UNIT_IFACE, "DropInPaths", NULL, &drop_ins) >= 0)
                for (char **p = drop_ins; p && *p; p++) {
                        value = fold_file(root, *p, key, parse, value);
                        free(*p);
                }
        free(drop_ins);
        return value;
}

/* What is looked at for each active unit. */
typedef struct ActiveUnit {
        char *name, *object;
        bool marked;
} ActiveUnit;

typedef struct ActiveUnits {
        ActiveUnit *units;
        size_t n, allocated;
} ActiveUnits;

static void active_units_done(ActiveUnits *a) {
        for (size_t i = 0; i < a->n; i++) {
                free(a->units[i].name);
                free(a->units[i].object);
        }
        free(a->units);
}

static int active_units_add(ActiveUnits *a, const char *name, const char *object, bool marked) {
        ActiveUnit u = { .name = strdup(name), .object = strdup(object), .marked = marked };

        if (!u.name || !u.object || GREEDY_REALLOC(a->units, a->allocated, a->n + 1) < 0) {
                free(u.name);
                free(u.object);
                return -ENOMEM;
        }
        a->units[a->n++] = u;
        return 0;
}

static bool is_candidate(const UnitList *candidates, const char *unit) {
        for (size_t i = 0; i < candidates->n; i++)
                if (candidate_matches(candidates->names[i], unit))
                        return true;
        return false;
}

static int list_active(sd_bus *bus, const UnitList *marked, const UnitList *candidates, ActiveUnits *ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, MANAGER_NAME, MANAGER_PATH, MANAGER_IFACE, "ListUnits", /* ret_error= */ NULL,
                               &reply, NULL);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        while (r >= 0) {
                const char *name, *state, *object;
                bool is_marked;

                r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL, &state, NULL, NULL, &object, NULL,
                                        NULL, NULL);
                if (r <= 0)
                        return r;
                if (streq(state, "inactive") || streq(state, "failed") || !kexec_unit_counts(name))
                        continue;
                is_marked = unit_list_has(marked, name);
                if (is_marked || is_candidate(candidates, name))
                        r = active_units_add(ret, name, object, is_marked);
        }
        return r;
}

int kexec_units_find(sd_bus *bus, const char *directory, const char *root, UnitList *ret) {
        _cleanup_units_ UnitList marked = {}, candidates = {}, found = {};
        _cleanup_(active_units_done) ActiveUnits active = {};
        int r;

        r = kexec_units_marked(directory, &marked);
        if (r >= 0 && !bus) {
                *ret = marked;
                marked = (UnitList) {};
                return 0;
        }
        if (r >= 0)
                r = find_candidates(root, &candidates);
        if (r >= 0)
                r = list_active(bus, &marked, &candidates, &active);
        for (size_t i = 0; r >= 0 && i < active.n; i++) {
                int declared = candidates.n > 0 ? unit_files_fold(bus, root, active.units[i].object, KEY,
                                                                  unit_setting_parse_boolean) : -1;

                if (declared > 0 || (declared < 0 && active.units[i].marked))
                        r = unit_list_add(&found, active.units[i].name);
        }
        if (r < 0)
                return r;

        *ret = found;
        found = (UnitList) {};
        return 0;
}

/* --- what a shutdown stops --- */

static int hex_digit(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes the escaping of n bytes of a unit's name, replacing the copy at out. */
static void unit_name_unescape(const char *name, size_t n, char *out) {
        for (size_t i = 0; i < n; i++)
                if (name[i] == '-')
                        *out++ = '/';
                else {
                        bool escaped = name[i] == '\\' && i + 3 < n && name[i + 1] == 'x';
                        int high = escaped ? hex_digit(name[i + 2]) : -1, low = escaped ? hex_digit(name[i + 3]) : -1;

                        if (high >= 0 && low >= 0)
                                i += 3;
                        *out++ = high >= 0 && low >= 0 ? (char) (high * 16 + low) : name[i];
                }
        *out = 0;
}

/* Is this the unit that mounts the tree? */
static bool unit_mounts(const char *unit, const char *path, const char *tree) {
        _cleanup_free_ char *text = malloc(strlen(unit) + 2);
        const char *instance = startswith(unit, "pkram-tree@");

        if (!text)
                return false;
        if (instance && ends_with(instance, ".service")) {
                unit_name_unescape(instance, strlen(instance) - strlen(".service"), text);
                return streq(text, tree);
        }
        if (!ends_with(unit, ".mount"))
                return false;
        text[0] = '/';
        unit_name_unescape(unit, strlen(unit) - strlen(".mount"), text + 1);
        return streq(text, path);
}

/* Does the property of a unit that is a list of strings have one for which this is true? 1, 0, or negative errno. */
static int property_has(sd_bus *bus, const char *object, const char *property, const char *path, const char *tree) {
        char **values = NULL;
        int r, found = 0;

        r = sd_bus_get_property_strv(bus, MANAGER_NAME, object, UNIT_IFACE, property, NULL, &values);
        if (r < 0)
                return r;
        for (char **v = values; v && *v; v++) {
                if (!path)
                        found |= streq(*v, tree);
                else if (streq(property, "RequiresMountsFor"))
                        found |= startswith(*v, path) && ((*v)[strlen(path)] == '/' || (*v)[strlen(path)] == 0);
                else
                        found |= unit_mounts(*v, path, tree);
                free(*v);
        }
        free(values);
        return found;
}

static int object_needs_mount(sd_bus *bus, const char *object, const char *path, const char *tree) {
        static const char *const properties[] = { "RequiresMountsFor", "Requires", "BindsTo", "PartOf" };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(properties); i++)
                r = property_has(bus, object, properties[i], path, tree);
        return r;
}

int kexec_unit_needs_mount(sd_bus *bus, const char *unit, const char *path, const char *tree) {
        _cleanup_free_ char *object = NULL;
        int r;

        r = manager_find_unit(bus, unit, &object);
        return r < 0 ? r : object_needs_mount(bus, object, path, tree);
}

int kexec_unit_stops_before(sd_bus *bus, const char *unit, const char *path, const char *tree) {
        _cleanup_free_ char *object = NULL;
        int r;

        /* systemd-journal-flush.service has it close its files when /var/log is unmounted. */
        if (streq(unit, "systemd-journald.service"))
                return 1;

        r = manager_find_unit(bus, unit, &object);
        if (r < 0)
                return r;
        r = property_has(bus, object, "Conflicts", /* path= */ NULL, "shutdown.target");
        if (r == 0)
                r = property_has(bus, object, "Conflicts", /* path= */ NULL, "umount.target");
        return r == 0 ? object_needs_mount(bus, object, path, tree) : r;
}

int kexec_unit_stops_before_unit(sd_bus *bus, const char *unit, const char *other) {
        _cleanup_free_ char *object = NULL;
        int r;

        r = unit_is_stopped_by_shutdown(bus, unit);
        if (r <= 0)
                return r;
        r = manager_find_unit(bus, unit, &object);
        if (r < 0)
                return r;
        /* What starts before another unit stops after it. */
        r = property_has(bus, object, "Before", /* path= */ NULL, other);
        return r < 0 ? r : r == 0;
}
