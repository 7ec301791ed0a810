/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>

#include "file-util.h"
#include "mount-name.h"

/* Entries of the current directory that lead to the same path. More than a few of them are an accident. */
#define CANDIDATES_MAX 64U

typedef struct Candidates {
        char *names[CANDIDATES_MAX];
        bool wanted[CANDIDATES_MAX]; /* something says that this is the one */
        size_t n;
} Candidates;

static void candidates_done(Candidates *c) {
        for (size_t i = 0; i < c->n; i++)
                free(c->names[i]);
        c->n = 0;
}

static void candidates_want(Candidates *c, const char *name) {
        for (size_t i = 0; i < c->n; i++)
                if (streq(c->names[i], name))
                        c->wanted[i] = true;
}

/* Returns the number of the only candidate, or of the only wanted one; -1 if there is none or are several. */
static ssize_t candidates_pick(const Candidates *c, bool wanted) {
        ssize_t found = -1;

        for (size_t i = 0; i < c->n; i++) {
                if (wanted && !c->wanted[i])
                        continue;
                if (found >= 0)
                        return -1;
                found = (ssize_t) i;
        }
        return found;
}

static int candidates_read(Candidates *c, const char *source) {
        _cleanup_closedir_ DIR *d = opendir(".");
        char path[PATH_MAX];
        struct dirent *e;

        if (!d)
                return -errno;
        while (c->n < CANDIDATES_MAX && (e = readdir(d))) {
                if (streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;
                /* Nothing but a link has another name at its end. The others are not looked up: that could start an
                 * automount. */
                if (e->d_type != DT_LNK && e->d_type != DT_UNKNOWN && !streq(strrchr(source, '/') + 1, e->d_name))
                        continue;
                if (!realpath(e->d_name, path) || !streq(path, source))
                        continue;
                c->names[c->n] = strdup(e->d_name);
                if (!c->names[c->n])
                        return -ENOMEM;
                c->n++;
        }
        return 0;
}

/* The arguments of the process that started this one, which is mount(8) with what the user or the service manager
 * wrote. */
static void candidates_ask_caller(Candidates *c) {
        char path[sizeof("/proc//cmdline") + 3 * sizeof(pid_t)];
        _cleanup_free_ char *argument = NULL;
        size_t allocated = 0;
        FILE *f;

        (void) snprintf(path, sizeof(path), "/proc/%i/cmdline", getppid());
        f = fopen(path, "re");
        if (!f)
                return;
        while (getdelim(&argument, &allocated, 0, f) > 0)
                candidates_want(c, argument);
        (void) fclose(f);
}

static void candidates_ask_fstab(Candidates *c, const char *target) {
        const struct mntent *m;
        char path[PATH_MAX];
        FILE *f;

        f = setmntent("/etc/fstab", "re");
        if (!f)
                return;
        while ((m = getmntent(f)))
                if (streq(m->mnt_type, "pkram") && realpath(m->mnt_dir, path) && streq(path, target))
                        candidates_want(c, m->mnt_fsname);
        (void) endmntent(f);
}

bool caller_mounts_all(void) {
        char path[sizeof("/proc//cmdline") + 3 * sizeof(pid_t)];
        _cleanup_free_ char *argument = NULL;
        size_t allocated = 0;
        bool found = false;
        FILE *f;

        (void) snprintf(path, sizeof(path), "/proc/%i/cmdline", getppid());
        f = fopen(path, "re");
        if (!f)
                return false;
        while (!found && getdelim(&argument, &allocated, 0, f) > 0) {
                if (streq(argument, "--all"))
                        found = true;
                if (argument[0] != '-' || argument[1] == '-')
                        continue;
                /* Letters up to the first one that takes an argument, which may follow without a space. */
                for (const char *p = argument + 1; !found && *p && !strchr("LNOTUot", *p); p++)
                        found = *p == 'a';
        }
        (void) fclose(f);
        return found;
}

int tree_name_recover(const char *source, const char *target, char **ret) {
        _cleanup_(candidates_done) Candidates c = {};
        ssize_t n;
        int r;

        if (!strchr(source, '/')) {
                *ret = strdup(source);
                return *ret ? 0 : -ENOMEM;
        }
        if (*source != '/')
                return -EINVAL;

        r = candidates_read(&c, source);
        if (r < 0)
                return r;
        if (c.n == 0)
                return -EINVAL;
        n = candidates_pick(&c, /* wanted= */ false);
        if (n < 0) {
                candidates_ask_caller(&c);
                n = candidates_pick(&c, /* wanted= */ true);
        }
        if (n < 0) {
                candidates_ask_fstab(&c, target);
                n = candidates_pick(&c, /* wanted= */ true);
        }
        if (n < 0)
                return -ENOTUNIQ;

        *ret = TAKE_PTR(c.names[n]);
        return 0;
}
