/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>

#include "file-util.h"
#include "kexec-entry.h"
#include "kexec-image.h"
#include "kexec-uki.h"

/* Far more than an entry or loader.conf has. */
#define ENTRY_FILE_MAX KIB(64)

/* The vendor of the variables that systemd-boot and the system share. */
#define LOADER_VENDOR "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

static void boot_entry_done(KexecEntry *e) {
        free(e->id);
        free(e->title);
        free(e->version);
        free(e->sort_key);
        free(e->machine_id);
        free(e->kernel);
        for (char **p = e->initrds; p && *p; p++)
                free(*p);
        free(e->initrds);
        free(e->options);
        *e = (KexecEntry) {};
}

void kexec_entries_done(KexecEntries *e) {
        for (size_t i = 0; i < e->n; i++)
                boot_entry_done(e->entries + i);
        free(e->entries);
        *e = (KexecEntries) {};
}

/* Replaces a string by a copy of value. Returns 0 or -ENOMEM. */
static int entry_set(char **to, const char *value) {
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*to);
        *to = copy;
        return 0;
}

/* Sets the path of a file that an entry names: relative to its partition, without "..". Returns 0, -EBADMSG or
 * -ENOMEM. */
static int entry_set_path(char **to, const char *boot, const char *value) {
        char *path;

        value += strspn(value, "/");
        if (!*value || streq(value, "..") || startswith(value, "../") || strstr(value, "/../") ||
            ends_with(value, "/.."))
                return -EBADMSG;
        if (asprintf(&path, "%s/%s", boot, value) < 0)
                return -ENOMEM;
        free(*to);
        *to = path;
        return 0;
}

static int entry_add_initrd(KexecEntry *e, const char *boot, const char *value) {
        size_t n = 0;
        char **p;

        while (e->initrds && e->initrds[n])
                n++;
        p = reallocarray(e->initrds, n + 2, sizeof(char *));
        if (!p)
                return -ENOMEM;
        e->initrds = p;
        p[n] = p[n + 1] = NULL;
        return entry_set_path(p + n, boot, value);
}

static int entry_add_options(KexecEntry *e, const char *value) {
        char *text;

        if (!e->options)
                return entry_set(&e->options, value);
        if (asprintf(&text, "%s %s", e->options, value) < 0)
                return -ENOMEM;
        free(e->options);
        e->options = text;
        return 0;
}

/* Handles a line of an entry. Returns 0, also for unknown keys, or a negative errno. */
static int entry_parse_line(KexecEntry *e, const char *boot, const char *key, const char *value) {
        if (streq(key, "linux") || streq(key, "uki"))
                return entry_set_path(&e->kernel, boot, value);
        if (streq(key, "initrd"))
                return entry_add_initrd(e, boot, value);
        if (streq(key, "options"))
                return entry_add_options(e, value);
        if (streq(key, "title"))
                return entry_set(&e->title, value);
        if (streq(key, "version"))
                return entry_set(&e->version, value);
        if (streq(key, "sort-key"))
                return entry_set(&e->sort_key, value);
        if (streq(key, "machine-id"))
                return entry_set(&e->machine_id, value);
        if (streq(key, "architecture"))
                return strcasecmp(value, "x64") == 0 ? 0 : -ENOEXEC;
        return 0;
}

/* Calls a function for each key and value of a file, and ends with the first error. Returns 0 or a negative errno. */
static int lines_parse(const char *path, int (*function)(void *userdata, const char *key, const char *value),
                       void *userdata) {
        _cleanup_free_ char *text = NULL;
        char *rest, *line;
        int r;

        r = virtual_file_read(AT_FDCWD, path, ENTRY_FILE_MAX, &text);
        if (r < 0)
                return r;
        for (rest = text; (line = strsep(&rest, "\n"));) {
                char *value;

                line = strip(line);
                if (!*line || *line == '#')
                        continue;
                value = line + strcspn(line, " \t");
                if (!*value)
                        continue;
                *value++ = 0;
                r = function(userdata, line, strip(value));
                if (r < 0)
                        return r;
        }
        return 0;
}

typedef struct EntryParser {
        KexecEntry *entry;
        const char *boot;
} EntryParser;

static int entry_on_line(void *userdata, const char *key, const char *value) {
        const EntryParser *p = userdata;

        return entry_parse_line(p->entry, p->boot, key, value);
}

/* Sets the ID from the name of a file, NAME[+LEFT[-DONE]].SUFFIX, where the counters are those of boot attempts. */
static int entry_set_id(KexecEntry *e, const char *name) {
        const char *suffix = strrchr(name, '.'), *plus = memrchr(name, '+', (size_t) (suffix - name));
        size_t n = plus ? strspn(plus + 1, "0123456789") : 0, k = 0;

        if (n > 0 && plus[1 + n] == '-')
                k = 1 + strspn(plus + n + 2, "0123456789");
        if (n == 0 || k == 1 || plus + 1 + n + k != suffix)
                return entry_set(&e->id, name);

        e->failed = strspn(plus + 1, "0") == n;
        if (asprintf(&e->id, "%.*s%s", (int) (plus - name), name, suffix) < 0) {
                e->id = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* Adds the entry of a file. Returns 0, also if it is no valid entry, or -ENOMEM. */
static int entries_add(KexecEntries *all, const char *boot, const char *directory, const char *name, bool uki) {
        _cleanup_(boot_entry_done) KexecEntry e = {};
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s/%s", directory, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = entry_set_id(&e, name);
        if (r >= 0)
                r = uki ? entry_set(&e.kernel, path) :
                        lines_parse(path, entry_on_line, &(EntryParser) { .entry = &e, .boot = boot });
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !e.kernel || access(e.kernel, F_OK) < 0)
                return 0;

        if (GREEDY_REALLOC(all->entries, all->allocated, all->n + 1) < 0)
                return -ENOMEM;
        all->entries[all->n++] = e;
        e = (KexecEntry) {};
        return 0;
}

/* Adds the entries of a directory. Returns 0, also if it does not exist, or -ENOMEM. */
static int entries_add_directory(KexecEntries *all, const char *boot, const char *below, bool uki) {
        _cleanup_free_ char *path = NULL;
        const struct dirent *d;
        DIR *dir;
        int r = 0;

        if (asprintf(&path, "%s/%s", boot, below) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        dir = opendir(path);
        if (!dir)
                return errno == ENOMEM ? -ENOMEM : 0;
        while (r >= 0 && (d = readdir(dir)))
                if (d->d_name[0] != '.' && ends_with(d->d_name, uki ? ".efi" : ".conf"))
                        r = entries_add(all, boot, path, d->d_name, uki);
        (void) closedir(dir);
        return r;
}

/* The boot loader's order: the best entry first. */
static int boot_entry_compare(const void *a, const void *b) {
        const KexecEntry *x = a, *y = b;
        int r;

        if (x->failed != y->failed)
                return x->failed ? 1 : -1;
        if (!x->sort_key != !y->sort_key)
                return x->sort_key ? -1 : 1;
        if (x->sort_key) {
                r = strcmp(x->sort_key, y->sort_key) ?: strcmp(x->machine_id ?: "", y->machine_id ?: "");
                if (r != 0)
                        return r;
                r = strverscmp(y->version ?: "", x->version ?: "");
                if (r != 0)
                        return r;
        }
        return strverscmp(y->id, x->id);
}

/* Reads a variable of the boot loader: four bytes of attributes, then UTF-16. Returns 0, -ENOENT if there is none or
 * its value is not ASCII, or -ENOMEM. */
static int loader_variable_read(const char *root, const char *name, char **ret) {
        _cleanup_free_ char *path = NULL, *value = NULL;
        _cleanup_close_ int fd = -EBADF;
        uint8_t buffer[4 + 2 * 512];
        ssize_t n;

        if (asprintf(&path, "%s/sys/firmware/efi/efivars/%s-" LOADER_VENDOR, root, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        n = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));
        if (n <= 4)
                return -ENOENT;
        value = calloc((size_t) n, 1);
        if (!value)
                return -ENOMEM;
        for (size_t i = 4, k = 0; i + 1 < (size_t) n && (buffer[i] || buffer[i + 1]); i += 2) {
                if (buffer[i + 1] || buffer[i] < ' ' || buffer[i] > '~')
                        return -ENOENT;
                value[k++] = (char) buffer[i];
        }
        *ret = TAKE_PTR(value);
        return 0;
}

static int loader_on_line(void *userdata, const char *key, const char *value) {
        return streq(key, "default") ? entry_set(userdata, value) : 0;
}

/* Moves the default entry to the front, if a pattern selects one. Returns whether there is one. */
static bool entries_put_first(KexecEntries *all, const char *pattern) {
        for (size_t i = 0; i < all->n; i++)
                if (fnmatch(pattern, all->entries[i].id, FNM_CASEFOLD) == 0) {
                        KexecEntry e = all->entries[i];

                        memmove(all->entries + 1, all->entries, i * sizeof(e));
                        all->entries[0] = e;
                        return true;
                }
        return false;
}

/* Puts the entry first that the EFI variable or loader.conf selects. Returns 0 or -ENOMEM. */
static int entries_select_default(KexecEntries *all, const char *root, const char *const *boots) {
        _cleanup_free_ char *variable = NULL;
        int r;

        r = loader_variable_read(root, "LoaderEntryDefault", &variable);
        if (r == -ENOMEM)
                return r;
        if (r >= 0 && entries_put_first(all, variable))
                return 0;

        for (; *boots; boots++) {
                _cleanup_free_ char *path = NULL, *pattern = NULL, *saved = NULL;

                if (asprintf(&path, "%s%s/loader/loader.conf", root, *boots) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = lines_parse(path, loader_on_line, &pattern);
                if (r >= 0 && pattern && streq(pattern, "@saved"))
                        r = loader_variable_read(root, "LoaderEntryLastBooted", &saved);
                if (r == -ENOMEM)
                        return r;
                if (pattern && entries_put_first(all, saved ?: pattern))
                        return 0;
        }
        return 0;
}

int kexec_entries_load(const char *root, KexecEntries *ret) {
        static const char *const boots[] = { "/efi", "/boot", "/boot/efi", NULL };
        _cleanup_(kexec_entries_done) KexecEntries all = {};
        int r;

        assert(root);
        assert(ret);

        for (const char *const *b = boots; *b; b++) {
                _cleanup_free_ char *boot = NULL;

                if (asprintf(&boot, "%s%s", root, *b) < 0) {
                        boot = NULL;
                        return -ENOMEM;
                }
                r = entries_add_directory(&all, boot, "loader/entries", /* uki= */ false);
                if (r >= 0)
                        r = entries_add_directory(&all, boot, "EFI/Linux", /* uki= */ true);
                if (r < 0)
                        return r;
        }

        if (all.n > 0)
                qsort(all.entries, all.n, sizeof(KexecEntry), boot_entry_compare);
        r = entries_select_default(&all, root, boots);
        if (r < 0)
                return r;

        *ret = all;
        all = (KexecEntries) {};
        return 0;
}

const KexecEntry *kexec_entries_find(const KexecEntries *e, const char *id) {
        for (size_t i = 0; i < e->n; i++) {
                const char *rest = startswith(e->entries[i].id, id);

                if (rest && (!*rest || streq(rest, ".conf") || streq(rest, ".efi")))
                        return e->entries + i;
        }
        return NULL;
}

static bool entry_has_pkram(const KexecEntry *e) {
        _cleanup_close_ int fd = -EBADF;
        KexecImage image;
        int r;

        r = kexec_image_open(e->kernel, &image, /* ret_fd= */ NULL);
        if (r == -ENOEXEC) {
                fd = kexec_uki_open_kernel(e->kernel);
                r = fd < 0 ? fd : kexec_image_read(fd, &image);
        }
        return r >= 0 && image.has_pkram;
}

const KexecEntry *kexec_entries_default(const KexecEntries *e, bool *ret_has_pkram) {
        *ret_has_pkram = true;
        for (size_t i = 0; i < e->n; i++)
                if (entry_has_pkram(e->entries + i))
                        return e->entries + i;
        *ret_has_pkram = false;
        return e->n > 0 ? e->entries : NULL;
}
