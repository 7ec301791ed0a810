/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <fcntl.h>
#include <linux/pkram.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "config.h"
#include "file-util.h"
#include "json-util.h"
#include "log.h"

/* Far more than is written by hand. */
#define CONFIG_BYTES_MAX MIB(1)

typedef enum LimitKind {
        LIMIT_KIND_MEMORY, /* bytes, % of RAM, infinity */
        LIMIT_KIND_BYTES,  /* bytes */
        LIMIT_KIND_COUNT,  /* a number */
} LimitKind;

typedef struct LimitInfo {
        const char *name;
        LimitKind kind;
        uint64_t value; /* the default; % for LIMIT_KIND_MEMORY */
        uint64_t min, max;
} LimitInfo;

/* Owner: a single unit or user. User: a single user other than root, on top of that. */
static const LimitInfo limits[_LIMIT_MAX] = {
        [LIMIT_TOTAL_BYTES]         = { "TotalBytesMax",         LIMIT_KIND_MEMORY, 50,      0,       UINT64_MAX },
        [LIMIT_OWNER_BYTES]         = { "OwnerBytesMax",         LIMIT_KIND_MEMORY, 40,      0,       UINT64_MAX },
        [LIMIT_USER_BYTES]          = { "UserBytesMax",          LIMIT_KIND_MEMORY, 10,      0,       UINT64_MAX },
        [LIMIT_NODE_BYTES]          = { "NodeBytesMax",          LIMIT_KIND_MEMORY, 40,      0,       UINT64_MAX },
        [LIMIT_NODES]               = { "NodesMax",              LIMIT_KIND_COUNT,  65536,   0,       INT64_MAX },
        [LIMIT_OWNER_NODES]         = { "OwnerNodesMax",         LIMIT_KIND_COUNT,  16384,   0,       INT64_MAX },
        [LIMIT_USER_NODES]          = { "UserNodesMax",          LIMIT_KIND_COUNT,  256,     0,       INT64_MAX },
        /* The daemon itself adds up to two objects to a node. */
        [LIMIT_OBJECTS]             = { "ObjectsMax",            LIMIT_KIND_COUNT,  65534,   1,
                                        PKRAM_MAX_OBJECTS - 2 },
        [LIMIT_CONNECTIONS]         = { "ConnectionsMax",        LIMIT_KIND_COUNT,  1024,    1,       65536 },
        [LIMIT_OWNER_CONNECTIONS]   = { "OwnerConnectionsMax",   LIMIT_KIND_COUNT,  128,     1,       65536 },
        [LIMIT_MESSAGE_BYTES]       = { "MessageBytesMax",       LIMIT_KIND_BYTES,  4 << 20, 4 << 10, 1 << 30 },
        [LIMIT_MESSAGE_DESCRIPTORS] = { "MessageDescriptorsMax", LIMIT_KIND_COUNT,  1024,    0,       65534 },
        [LIMIT_OUTPUT_BYTES]        = { "OutputBytesMax",        LIMIT_KIND_BYTES,  8 << 20, 1 << 20, 1 << 30 },
        [LIMIT_BUFFER_BYTES]        = { "BufferBytesMax",        LIMIT_KIND_BYTES,  128 << 20, 1 << 20, INT64_MAX },
        [LIMIT_OWNER_BUFFER_BYTES]  = { "OwnerBufferBytesMax",   LIMIT_KIND_BYTES,  32 << 20, 1 << 20, INT64_MAX },
        [LIMIT_OWNER_DESCRIPTORS]   = { "OwnerDescriptorsMax",   LIMIT_KIND_COUNT,  8192,    1,       1 << 20 },
};

/* [Disk]: limits of what is written to disk at shutdown. systemd gives a shutdown 30 minutes. */
static const LimitInfo persist_bytes_limit = { "PersistBytesMax", LIMIT_KIND_MEMORY, 100, 0, UINT64_MAX };
static const LimitInfo persist_sec_limit = { "PersistSecMax", LIMIT_KIND_COUNT, 90, 1, 1200 };

static const char *const persist_modes[_PERSIST_MODE_MAX] = {
        [PERSIST_NO]          = "no",
        [PERSIST_MODE_MARKED] = "marked",
        [PERSIST_ALL]         = "all",
};

/* [FdStore]: limits of one unit's file descriptor store, on top of those of its owner. */
static const LimitInfo fdstore_bytes_limit = { "UnitBytesMax", LIMIT_KIND_MEMORY, 100, 0, UINT64_MAX };
static const LimitInfo fdstore_descriptors_limit = { "UnitDescriptorsMax", LIMIT_KIND_COUNT, 1023, 0, 65534 };

const char *limit_name(LimitId id) {
        return limits[id].name;
}

bool limit_exceeded(uint64_t maximum, uint64_t current, uint64_t requested, uint64_t *ret_needed) {
        if (!inc_u64(&current, requested))
                current = UINT64_MAX;
        else if (current <= maximum)
                return false;
        *ret_needed = current;
        return true;
}

int limit_from_name(const char *name) {
        for (int id = 0; id < _LIMIT_MAX; id++)
                if (streq(limits[id].name, name))
                        return id;
        return -ENOENT;
}

static uint64_t config_percent(uint64_t memory, uint64_t p) {
        return memory / 100 * p;
}

void config_init_memory(Config *c, uint64_t memory) {
        *c = (Config) {
                .kexec_policy = KEXEC_POLICY_REFUSE,
                .disk = true,
                .disk_keep_days = 30,
                .persist_bytes = config_percent(memory, persist_bytes_limit.value),
                .persist_sec = persist_sec_limit.value,
                .memory = memory,
                .fdstore_units = "all",
                .fdstore_unit_bytes = config_percent(memory, fdstore_bytes_limit.value),
                .fdstore_unit_descriptors = fdstore_descriptors_limit.value,
        };

        for (LimitId i = 0; i < _LIMIT_MAX; i++)
                c->limit[i] = limits[i].kind == LIMIT_KIND_MEMORY ? config_percent(memory, limits[i].value) :
                        limits[i].value;
}

void config_init(Config *c) {
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

        config_init_memory(c, pages > 0 && page > 0 ? (uint64_t) pages * (uint64_t) page : GIB(1));
}

/* Decimal digits and at most one letter after them. -EINVAL, -ERANGE. */
static int parse_number(const char *s, const char *suffixes, uint64_t *ret, char *ret_suffix) {
        uint64_t v = 0;

        if (!isdigit((unsigned char) *s))
                return -EINVAL;
        for (; isdigit((unsigned char) *s); s++)
                if (__builtin_mul_overflow(v, 10, &v) || !inc_u64(&v, *s - '0'))
                        return -ERANGE;

        *ret_suffix = *s;
        if (*s && (!strchr(suffixes, *s) || s[1]))
                return -EINVAL;

        *ret = v;
        return 0;
}

static int parse_limit(const Config *c, const LimitInfo *l, const char *s, uint64_t *ret) {
        static const char units[] = "KMGTP";
        uint64_t v;
        char suffix;
        int r;

        if (l->kind == LIMIT_KIND_MEMORY && streq(s, "infinity")) {
                *ret = UINT64_MAX;
                return 0;
        }

        r = parse_number(s,
                         l->kind == LIMIT_KIND_MEMORY ? "%KMGTP" : l->kind == LIMIT_KIND_BYTES ? "KMGTP" : "",
                         &v, &suffix);
        if (r < 0)
                return r;

        if (suffix == '%') {
                if (v > 100)
                        return -ERANGE;
                v = config_percent(c->memory, v);
        } else if (suffix) {
                unsigned shift = 10 * (unsigned) (strchr(units, suffix) - units + 1);

                if (v > UINT64_MAX >> shift)
                        return -ERANGE;
                v <<= shift;
        }

        if (v < l->min || v > l->max)
                return -ERANGE;

        *ret = v;
        return 0;
}

int persist_parse(const char *text, int *ret) {
        char suffix;
        uint64_t n;

        if (parse_number(text, "", &n, &suffix) < 0 || n > PERSIST_MAX)
                return -EINVAL;
        *ret = n > 0 ? (int) n : PERSIST_NEVER;
        return 0;
}

int persist_add(struct json_object *parameters, int persist) {
        return persist == PERSIST_DEFAULT ? 0 : json_add_int(parameters, "persist", MAX(persist, 0));
}

static const char *const shared_memory_names[_SHARED_MEMORY_MAX] = {
        [SHARED_MEMORY_KEYS] = "SysVKeys",
        [SHARED_MEMORY_USERS] = "SysVUsers",
        [SHARED_MEMORY_FILES] = "PosixFiles",
        [SHARED_MEMORY_FILE_USERS] = "PosixUsers",
};

void config_log_warning(const char *path, unsigned line, const char *text, _unused_ void *userdata) {
        if (line > 0)
                log_warning("%s:%u: %s.", path, line, text);
        else
                log_warning("%s: %s.", path, text);
}

typedef struct ConfigSection ConfigSection;

typedef struct Parser {
        Config *config;
        const char *path;
        unsigned line;
        const ConfigSection *section; /* that the lines are in, or NULL */
        ConfigWarning warning;
        void *userdata;
} Parser;

static void config_warn(const Parser *p, const char *format, ...) _printf_(2, 3);
static void config_warn(const Parser *p, const char *format, ...) {
        char text[512];
        va_list ap;

        if (!p->warning)
                return;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        p->warning(p->path, p->line, text, p->userdata);
}

static void assign_limit(const Parser *p, const LimitInfo *l, const char *value, uint64_t *limit) {
        int r;

        r = parse_limit(p->config, l, value, limit);
        if (r == -ERANGE)
                config_warn(p, "%s=%s is out of range, ignoring", l->name, value);
        else if (r < 0)
                config_warn(p, "%s= takes %s, not '%s', ignoring", l->name,
                            l->kind == LIMIT_KIND_MEMORY ? "bytes (K, M, G, T), a percentage of the memory, "
                            "or infinity" : l->kind == LIMIT_KIND_BYTES ? "bytes (K, M, G, T)" : "a number", value);
}

static void parse_assignment(Parser *p, const char *key, const char *value) {
        Config *c = p->config;
        int r;

        if (streq(key, "KexecPolicy")) {
                r = kexec_policy_from_string(value, &c->kexec_policy);
                if (r < 0)
                        config_warn(p, "KexecPolicy= is refuse, warn or force, not '%s', ignoring", value);
                return;
        }

        for (LimitId i = 0; i < _LIMIT_MAX; i++)
                if (streq(key, limits[i].name)) {
                        assign_limit(p, limits + i, value, &c->limit[i]);
                        return;
                }

        config_warn(p, "Unknown setting '%s=', ignoring", key);
}

static void parse_persist(const Parser *p, const char *value) {
        for (PersistMode m = 0; m < _PERSIST_MODE_MAX; m++)
                if (streq(value, persist_modes[m])) {
                        p->config->persist = m;
                        return;
                }
        config_warn(p, "Persist= is no, marked or all, not '%s', ignoring", value);
}

static void parse_disk_assignment(Parser *p, const char *key, const char *value) {
        Config *c = p->config;
        char suffix;
        uint64_t v;

        if (streq(key, "Use")) {
                if (streq(value, "auto") || streq(value, "no"))
                        c->disk = streq(value, "auto");
                else
                        config_warn(p, "Use= is auto or no, not '%s', ignoring", value);
        } else if (streq(key, "KeepDays")) {
                int r = parse_number(value, "", &v, &suffix);

                if (r == -ERANGE || (r >= 0 && v > 36500))
                        config_warn(p, "%s=%s is out of range, ignoring", key, value);
                else if (r < 0)
                        config_warn(p, "%s= takes a number of days, not '%s', ignoring", key, value);
                else
                        c->disk_keep_days = v;
        } else if (streq(key, "Persist"))
                parse_persist(p, value);
        else if (streq(key, "PersistPolicy")) {
                if (streq(value, "refuse") || streq(value, "drop"))
                        c->persist_drop = streq(value, "drop");
                else
                        config_warn(p, "PersistPolicy= is refuse or drop, not '%s', ignoring", value);
        } else if (streq(key, persist_bytes_limit.name))
                assign_limit(p, &persist_bytes_limit, value, &c->persist_bytes);
        else if (streq(key, persist_sec_limit.name))
                assign_limit(p, &persist_sec_limit, value, &c->persist_sec);
        else
                config_warn(p, "Unknown setting '%s=', ignoring", key);
}

/* Is this "all", "none", or a list of patterns of unit names? */
static bool unit_patterns_are_valid(const char *value) {
        if (streq(value, "all") || streq(value, "none"))
                return true;
        if (!*value || value[strspn(value,
                                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@*?[]! \t")])
                return false;
        /* These words stand alone. */
        for (const char *word = value + strspn(value, " \t"); *word; word += strspn(word, " \t")) {
                size_t n = strcspn(word, " \t");

                if ((n == 3 && strneq(word, "all", n)) || (n == 4 && strneq(word, "none", n)))
                        return false;
                word += n;
        }
        return true;
}

static void parse_fdstore_assignment(Parser *p, const char *key, const char *value) {
        Config *c = p->config;

        if (streq(key, "Units")) {
                if (unit_patterns_are_valid(value))
                        (void) snprintf(c->fdstore_units, sizeof(c->fdstore_units), "%s", value);
                else
                        config_warn(p, "Units= is all, none, or a list of unit names, not '%s', ignoring", value);
        } else if (streq(key, "RequireRestore")) {
                if (streq(value, "yes") || streq(value, "no"))
                        c->fdstore_require_restore = streq(value, "yes");
                else
                        config_warn(p, "RequireRestore= is yes or no, not '%s', ignoring", value);
        } else if (streq(key, fdstore_bytes_limit.name))
                assign_limit(p, &fdstore_bytes_limit, value, &c->fdstore_unit_bytes);
        else if (streq(key, fdstore_descriptors_limit.name))
                assign_limit(p, &fdstore_descriptors_limit, value, &c->fdstore_unit_descriptors);
        else
                config_warn(p, "Unknown setting '%s=', ignoring", key);
}

/* A list of words: later ones are added, and nothing after the sign empties it. */
static void parse_shared_memory(Parser *p, const char *key, const char *value) {
        for (SharedMemoryId i = 0; i < _SHARED_MEMORY_MAX; i++) {
                char *list = p->config->shared_memory[i];
                size_t n = strlen(list), k = strlen(value);

                if (!streq(key, shared_memory_names[i]))
                        continue;
                if (k == 0)
                        *list = 0;
                else if (n + k + 2 > sizeof(p->config->shared_memory[i]))
                        config_warn(p, "%s= is too long, ignoring", key);
                else
                        (void) snprintf(list + n, sizeof(p->config->shared_memory[i]) - n, "%s%s", n > 0 ? " " : "",
                                        value);
                return;
        }
        config_warn(p, "Unknown setting '%s=', ignoring", key);
}

/* A section of the file, and what an assignment in it does. */
struct ConfigSection {
        const char *line;
        void (*assign)(Parser *p, const char *key, const char *value);
};

static const ConfigSection config_sections[] = {
        { "[Store]",        parse_assignment         },
        { "[Disk]",         parse_disk_assignment    },
        { "[FdStore]",      parse_fdstore_assignment },
        { "[SharedMemory]", parse_shared_memory      },
};

static const ConfigSection *config_section_find(const char *line) {
        for (size_t i = 0; i < ELEMENTSOF(config_sections); i++)
                if (streq(line, config_sections[i].line))
                        return config_sections + i;
        return NULL;
}

static void config_parse_line(Parser *p, char *line) {
        char *eq;

        line = strip(line);
        if (!*line || strchr("#;", *line))
                return;

        if (*line == '[') {
                p->section = config_section_find(line);
                if (!p->section)
                        config_warn(p, "Unknown section '%s', ignoring", line);
                return;
        }

        eq = strchr(line, '=');
        if (!eq) {
                config_warn(p, "'%s' is neither a setting nor a section, ignoring", line);
                return;
        }
        if (!p->section) {
                config_warn(p, "'%s' is outside of the known sections, ignoring", line);
                return;
        }

        *eq = 0;
        p->section->assign(p, strip(line), strip(eq + 1));
}

void config_parse(
                Config *c, const char *path, const char *text, size_t length, ConfigWarning warning, void *userdata) {

        Parser p = { .config = c, .path = path, .warning = warning, .userdata = userdata };

        while (length > 0) {
                const char *end = memchr(text, '\n', length);
                size_t n = end ? (size_t) (end - text) : length;
                char line[CONFIG_LINE_MAX];

                p.line++;
                if (n >= sizeof(line) || memchr(text, 0, n))
                        config_warn(&p, "The line is too long or no text, ignoring");
                else {
                        memcpy(line, text, n);
                        line[n] = 0;
                        config_parse_line(&p, line);
                }

                n += end != NULL;
                text += n;
                length -= n;
        }
}

static void file_warning(const char *path, ConfigWarning warning, void *userdata, int r) {
        Parser p = { .path = path, .warning = warning, .userdata = userdata };

        config_warn(&p, "Failed to read it: %s", strerror(-r));
}

/* 1: read, 0: not there or of no use, or -ENOMEM. */
static int parse_file(Config *c, const char *path, ConfigWarning warning, void *userdata) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *text = NULL;
        struct stat st;
        ssize_t n;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) {
                if (errno != ENOENT)
                        file_warning(path, warning, userdata, -errno);
                return 0;
        }

        if (fstat(fd, &st) < 0)
                return 0;
        if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
                file_warning(path, warning, userdata, -EINVAL);
                return 1;
        }

        text = malloc(CONFIG_BYTES_MAX);
        if (!text)
                return -ENOMEM;
        n = S_ISCHR(st.st_mode) ? 0 : pread(fd, text, CONFIG_BYTES_MAX, 0); /* /dev/null masks a file */
        if (n < 0 || (uint64_t) n == CONFIG_BYTES_MAX) {
                file_warning(path, warning, userdata, n < 0 ? -errno : -EFBIG);
                return 1;
        }

        config_parse(c, path, text, n, warning, userdata);
        return 1;
}

static const char *const directories[] = { "/etc", "/run", "/usr/lib" };

typedef struct Dropin {
        char *path;
        const char *name; /* within path */
} Dropin;

typedef struct Dropins {
        Dropin *item;
        size_t n, allocated;
} Dropins;

static void dropins_done(Dropins *d) {
        for (size_t i = 0; i < d->n; i++)
                free(d->item[i].path);
        free(d->item);
}

static int add_dropins(Dropins *d, const char *root, const char *directory) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_free_ char *path = NULL;
        const struct dirent *de;
        int r;

        if (asprintf(&path, "%s%s/pkram/pkramd.conf.d", root, directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }

        dir = opendir(path);
        if (!dir)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;

        while ((de = readdir(dir))) {
                size_t n = strlen(de->d_name);
                bool hidden = de->d_name[0] == '.' || n < 6 || !streq(de->d_name + n - 5, ".conf");
                Dropin item;

                for (size_t i = 0; i < d->n; i++)
                        hidden = hidden || streq(d->item[i].name, de->d_name);
                if (hidden)
                        continue;

                r = GREEDY_REALLOC(d->item, d->allocated, d->n + 1);
                if (r < 0)
                        return r;
                if (asprintf(&item.path, "%s/%s", path, de->d_name) < 0)
                        return -ENOMEM;
                item.name = item.path + strlen(path) + 1;
                d->item[d->n++] = item;
        }

        return 0;
}

static int compare_dropins(const void *a, const void *b) {
        return strcmp(((const Dropin *) a)->name, ((const Dropin *) b)->name);
}

int config_load(Config *c, const char *root, ConfigWarning warning, void *userdata) {
        _cleanup_(dropins_done) Dropins d = {};
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s%s/pkram/pkramd.conf", root, directories[i]) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = parse_file(c, path, warning, userdata);
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                r = add_dropins(&d, root, directories[i]);
                if (r < 0)
                        return r;
        }

        if (d.n > 0)
                qsort(d.item, d.n, sizeof(Dropin), compare_dropins);
        for (size_t i = 0; i < d.n; i++) {
                r = parse_file(c, d.item[i].path, warning, userdata);
                if (r < 0)
                        return r;
        }

        return 0;
}
