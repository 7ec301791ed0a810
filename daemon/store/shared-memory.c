/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>

#include "file-util.h"
#include "name.h"
#include "shared-memory.h"
#include "shared-users.h"

/* Ordinary users have numbers from here on. */
#define ORDINARY_UID_MIN 1000U

typedef enum KeyMatch {
        KEY_OTHER,
        KEY_FOREIGN,    /* it would be selected if it did not belong to an ordinary user */
        KEY_SELECTED,
} KeyMatch;

/*
 * Is the key of a segment in a list of words? "*" stands for all that could be found again, except for those of
 * ordinary users: any user can make segments that cannot be stored or are too large, and a kexec that would lose one
 * is refused.
 */
static KeyMatch words_match_key(const char *words, const Segment *s) {
        _cleanup_free_ char *copy = strdup(words);
        KeyMatch match = KEY_OTHER;
        char *state = NULL;

        for (char *w = copy ? strtok_r(copy, " \t", &state) : NULL; w; w = strtok_r(NULL, " \t", &state)) {
                uint32_t v;

                if ((streq(w, "*") && s->key != 0 && s->uid < ORDINARY_UID_MIN && s->creator < ORDINARY_UID_MIN) ||
                    (key_parse(w, &v) >= 0 && v == s->key))
                        return KEY_SELECTED;
                if (streq(w, "*") && s->key != 0)
                        match = KEY_FOREIGN;
        }
        return match;
}

/*
 * Is it theirs? Any user can make a segment and give it to another one, whose memory it is not, and whose share it
 * would take. Those that were restored have been made by root.
 */
static bool segment_is_of_users(const Segment *s, const UserList *users) {
        return user_list_has(users, s->uid) && (s->creator == 0 || user_list_has(users, s->creator));
}

/* Is it the name of a file in a list of patterns? */
static bool words_have_file(const char *words, const char *name) {
        _cleanup_free_ char *copy = strdup(words);
        char *state = NULL;

        for (char *w = copy ? strtok_r(copy, " \t", &state) : NULL; w; w = strtok_r(NULL, " \t", &state))
                if (fnmatch(w, name, FNM_PERIOD) == 0)
                        return true;
        return false;
}

bool shared_memory_is_configured(const Config *c) {
        return *c->shared_memory[SHARED_MEMORY_KEYS] || *c->shared_memory[SHARED_MEMORY_USERS] ||
                *c->shared_memory[SHARED_MEMORY_FILES];
}

int shared_segments_foreach(const Config *c, SharedSegmentFunction function, SharedSegmentFunction foreign,
                            void *userdata) {
        const char *keys = c->shared_memory[SHARED_MEMORY_KEYS], *users = c->shared_memory[SHARED_MEMORY_USERS];
        _cleanup_users_ UserList uids = {};
        _cleanup_free_ Segment *list = NULL;
        size_t n = 0;
        int r;

        if (!*keys && !*users)
                return 0;
        r = shared_users_find(users, &uids);
        if (r >= 0)
                r = segments_list(&list, &n);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                /* Private ones are left out unless they are named, which is worth an error. */
                KeyMatch match = list[i].key != 0 && segment_is_of_users(list + i, &uids) ? KEY_SELECTED :
                        words_match_key(keys, list + i);
                SharedSegmentFunction f = match == KEY_SELECTED ? function : match == KEY_FOREIGN ? foreign : NULL;

                if (f)
                        r = f(list + i, userdata);
        }
        return r;
}

const char *shared_file_obstacle(const char *name, const struct stat *st) {
        char node[sizeof(POSIX_PREFIX) + NAME_MAX];

        if (S_ISLNK(st->st_mode))
                return "it is a symbolic link";
        (void) snprintf(node, sizeof(node), POSIX_PREFIX "%s", name);
        return name_validate(node, /* reterr_error= */ NULL) < 0 ? "its name is longer than 249 bytes, not UTF-8, or "
                "has control characters" : NULL;
}

int shared_files_foreach(const Config *c, const char *directory, SharedFileFunction function,
                         SharedFileFunction foreign, void *userdata) {
        const char *files = c->shared_memory[SHARED_MEMORY_FILES];
        _cleanup_users_ UserList users = {};
        _cleanup_closedir_ DIR *d = NULL;
        const struct dirent *e;
        int r;

        if (!*files)
                return 0;
        r = shared_users_find(c->shared_memory[SHARED_MEMORY_FILE_USERS], &users);
        if (r < 0)
                return r;
        d = opendir(directory);
        if (!d)
                return -errno;
        while (r >= 0 && (e = readdir(d))) {
                SharedFileFunction f = function;
                struct stat st;

                if (streq(e->d_name, ".") || streq(e->d_name, "..") || !words_have_file(files, e->d_name) ||
                    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                    (S_ISREG(st.st_mode) ? st.st_size == 0 : !S_ISLNK(st.st_mode)))
                        continue;
                if (st.st_uid >= ORDINARY_UID_MIN && !user_list_has(&users, st.st_uid))
                        f = foreign;
                if (f)
                        r = f(dirfd(d), e->d_name, &st, userdata);
        }
        return r;
}
