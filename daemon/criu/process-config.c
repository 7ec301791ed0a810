/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conf-file.h"
#include "process-config.h"

void process_config_init(ProcessConfig *c) {
        *c = (ProcessConfig) {
                .stop_usec = 60 * USEC_PER_SEC,
                .save_usec = 120 * USEC_PER_SEC,
        };
}

void process_config_done(ProcessConfig *c) {
        free(c->directory);
        free(c->user);
        free(c->working_directory);
        string_list_done(&c->environment);
        string_list_done(&c->command);
        *c = (ProcessConfig) {};
}

/* Adds words, of which each is an assignment. */
static int environment_add(StringList *l, const char *value) {
        size_t n = l->n;
        int r;

        r = words_split(value, l);
        for (size_t i = n; r >= 0 && i < l->n; i++)
                if (l->item[i][0] == '=' || !strchr(l->item[i], '='))
                        r = -EINVAL;
        return r;
}

int process_config_set(void *config, const char *key, const char *value) {
        ProcessConfig *c = config;

        if (streq(key, "Directory"))
                return conf_parse_path(value, &c->directory);
        if (streq(key, "WorkingDirectory"))
                return conf_parse_path(value, &c->working_directory);
        if (streq(key, "User")) {
                char *user;

                if (!*value)
                        return -EINVAL;
                user = strdup(value);
                if (!user)
                        return -ENOMEM;
                free(c->user);
                c->user = user;
                return 0;
        }
        if (streq(key, "StopSec"))
                return conf_parse_seconds(value, &c->stop_usec);
        if (streq(key, "SaveSec"))
                return conf_parse_seconds(value, &c->save_usec);
        if (streq(key, "Environment"))
                return environment_add(&c->environment, value);
        if (streq(key, "Command"))
                return words_split(value, &c->command);
        return -ENOENT;
}

int process_config_parse(ProcessConfig *c, const char *text, size_t length, char **reterr) {
        return conf_parse(text, length, PROCESS_CONFIG_SECTION, process_config_set, c, reterr);
}
