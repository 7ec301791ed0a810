/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

#include "file-util.h"
#include "segment.h"
#include "shared-users.h"

/* Longer than any note about the names of two settings. */
#define NOTE_MAX KIB(64)

void user_list_done(UserList *l) {
        free(l->uids);
        *l = (UserList) {};
}

bool user_list_has(const UserList *l, uid_t uid) {
        for (size_t i = 0; i < l->n; i++)
                if (l->uids[i] == uid)
                        return true;
        return false;
}

/* Returns what was noted, or an empty text, or NULL without memory. The caller frees it. */
static char *users_note_read(void) {
        char *text;
        size_t n;
        int r;

        r = file_read(SHARED_USERS_PATH, NOTE_MAX, &text, &n);
        return r >= 0 ? text : r == -ENOMEM ? NULL : strdup("");
}

static bool users_note_find(const char *note, const char *name, uint32_t *ret) {
        for (const char *line = note; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
                const char *rest = startswith(line, name);

                if (rest && *rest == ' ' && sscanf(rest, " %" SCNu32, ret) == 1)
                        return true;
        }
        return false;
}

static bool user_resolve(const char *word, const char *note, uint32_t *ret) {
        struct passwd record, *pw = NULL;
        char buffer[16384];

        if (key_parse(word, ret) >= 0)
                return true;
        if (getpwnam_r(word, &record, buffer, sizeof(buffer), &pw) != 0 || !pw)
                return users_note_find(note, word, ret);
        *ret = pw->pw_uid;
        return true;
}

/* Calls a function for each word, with the number of the user, or with false. Returns 0, -ENOMEM, or what it
 * returned. */
static int words_foreach_user(const char *words, int (*function)(const char *word, bool known, uint32_t uid, void *),
                              void *userdata) {
        _cleanup_free_ char *copy = strdup(words), *note = users_note_read();
        char *state = NULL;
        int r = 0;

        if (!copy || !note)
                return -ENOMEM;
        for (char *w = strtok_r(copy, " \t", &state); r >= 0 && w; w = strtok_r(NULL, " \t", &state)) {
                uint32_t uid = 0;
                bool known = user_resolve(w, note, &uid);

                r = function(w, known, uid, userdata);
        }
        return r;
}

static int user_add(_unused_ const char *word, bool known, uint32_t uid, void *userdata) {
        UserList *l = userdata;

        if (!known)
                return 0;
        if (GREEDY_REALLOC(l->uids, l->allocated, l->n + 1) < 0)
                return -ENOMEM;
        l->uids[l->n++] = uid;
        return 0;
}

int shared_users_find(const char *words, UserList *ret) {
        return words_foreach_user(words, user_add, ret);
}

static int user_note(const char *word, bool known, uint32_t uid, void *userdata) {
        FILE *f = userdata;

        if (known && (*word < '0' || *word > '9'))
                (void) fprintf(f, "%s %" PRIu32 "\n", word, uid);
        return 0;
}

int shared_users_note(const Config *c) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f;
        int r;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        r = words_foreach_user(c->shared_memory[SHARED_MEMORY_USERS], user_note, f);
        if (r >= 0)
                r = words_foreach_user(c->shared_memory[SHARED_MEMORY_FILE_USERS], user_note, f);
        if (fclose(f) != 0)
                return -ENOMEM;
        return r < 0 || size == 0 ? r : file_write(SHARED_USERS_PATH, text, size);
}

typedef struct UnknownSearch {
        SharedUserFunction function;
        void *userdata;
        SharedMemoryId setting;
} UnknownSearch;

static int user_check(const char *word, bool known, _unused_ uint32_t uid, void *userdata) {
        UnknownSearch *s = userdata;

        return known ? 0 : s->function(word, s->setting, s->userdata);
}

int shared_users_foreach_unknown(const Config *c, SharedUserFunction function, void *userdata) {
        UnknownSearch s = { .function = function, .userdata = userdata };
        int r;

        s.setting = SHARED_MEMORY_USERS;
        r = words_foreach_user(c->shared_memory[s.setting], user_check, &s);
        /* Without patterns, the other one selects nothing. */
        if (r < 0 || !*c->shared_memory[SHARED_MEMORY_FILES])
                return r;
        s.setting = SHARED_MEMORY_FILE_USERS;
        return words_foreach_user(c->shared_memory[s.setting], user_check, &s);
}
