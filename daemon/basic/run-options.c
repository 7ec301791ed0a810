/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdio.h>

#include "file-util.h"
#include "log.h"
#include "run-options.h"

enum {
        OPTION_CONFIG = 1000,
        OPTION_SETTING,
};

static int run_config_read(const RunOptions *o, const char *path, void *config) {
        _cleanup_free_ char *text = NULL, *why = NULL;
        size_t size;
        int r;

        r = file_read(path, MIB(1), &text, &size);
        if (r < 0)
                return log_error_errno(r, "Failed to read '%s'", path);
        r = conf_parse(text, size, o->section, o->set, config, &why);
        if (r < 0)
                log_error("Refusing to use '%s': %s.", path, why ?: strerror(-r));
        return r;
}

/* Goes through the options: takes the settings, or only the name of the file. Returns an exit status. */
static int run_options_pass(const RunOptions *o, const struct option *options, int argc, char *argv[], void *config,
                            const char **ret_file) {
        int c;

        optind = 1;
        while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
                const RunSetting *s;

                if (c == '?')
                        return EXIT_REFUSED;
                if (c == OPTION_CONFIG) {
                        *ret_file = optarg;
                        continue;
                }
                s = o->settings + (c - OPTION_SETTING);
                if (config && o->set(config, s->key, optarg) < 0) {
                        log_error("--%s= does not take '%s'.", s->option, optarg);
                        return EXIT_REFUSED;
                }
        }
        return EXIT_SUCCESS;
}

int run_options_read(const RunOptions *o, const char *name, int argc, char *argv[], void *config,
                     StringList *command) {
        _cleanup_free_ struct option *options = calloc(o->n_settings + 2, sizeof(struct option));
        _cleanup_free_ char *path = NULL;
        const char *file = NULL;
        int status;

        if (!options)
                return EXIT_FAILURE;
        options[0] = (struct option) { "config", required_argument, NULL, OPTION_CONFIG };
        for (size_t i = 0; i < o->n_settings; i++)
                options[i + 1] = (struct option) { o->settings[i].option, required_argument, NULL,
                                                   OPTION_SETTING + (int) i };

        /* Two passes: what the file says is weaker than the options, which name it. */
        status = run_options_pass(o, options, argc, argv, /* config= */ NULL, &file);
        if (status != EXIT_SUCCESS)
                return status;
        if (!file && !argv[optind]) {
                if (asprintf(&path, "%s/%s.conf", o->config_directory, name) < 0) {
                        path = NULL;
                        return EXIT_FAILURE;
                }
                file = path;
        }
        if (file && run_config_read(o, file, config) < 0)
                return EXIT_REFUSED;
        status = run_options_pass(o, options, argc, argv, config, &file);
        if (status != EXIT_SUCCESS)
                return status;

        if (argv[optind])
                string_list_done(command);
        for (int i = optind; argv[i]; i++)
                if (string_list_add(command, argv[i]) < 0)
                        return EXIT_FAILURE;
        return EXIT_SUCCESS;
}
