/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conf-file.h"
#include "guest-config.h"

void guest_config_init(GuestConfig *c) {
        *c = (GuestConfig) {
                .extra_max = MIB(256),
                .shutdown_usec = 90 * USEC_PER_SEC,
                .save_usec = 60 * USEC_PER_SEC,
        };
}

void guest_config_done(GuestConfig *c) {
        free(c->directory);
        free(c->agent);
        string_list_done(&c->command);
        *c = (GuestConfig) {};
}

int guest_config_set(void *config, const char *key, const char *value) {
        GuestConfig *c = config;

        if (streq(key, "Directory"))
                return conf_parse_path(value, &c->directory);
        if (streq(key, "Agent"))
                return conf_parse_path(value, &c->agent);
        if (streq(key, "Size")) {
                int r = conf_parse_size(value, /* shift= */ 20, &c->size);

                return r < 0 ? r : c->size == 0 ? -ERANGE : 0;
        }
        if (streq(key, "ExtraMax"))
                return conf_parse_size(value, /* shift= */ 20, &c->extra_max);
        if (streq(key, "ShutdownSec"))
                return conf_parse_seconds(value, &c->shutdown_usec);
        if (streq(key, "SaveSec"))
                return conf_parse_seconds(value, &c->save_usec);
        if (streq(key, "Command"))
                return words_split(value, &c->command);
        return -ENOENT;
}

int guest_config_parse(GuestConfig *c, const char *text, size_t length, char **reterr) {
        return conf_parse(text, length, GUEST_CONFIG_SECTION, guest_config_set, c, reterr);
}
