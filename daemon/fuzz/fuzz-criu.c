/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pkram-criu reads: a configuration, the record of a saved process, the log and an image of CRIU, and
 * /proc/PID/smaps. */
#include "../criu/criu.h"
#include "../criu/process-inspect.h"
#include "../criu/process-record.h"
#include "../criu/timer-image.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_config(const char *text, size_t size, const ProcessRecord *record) {
        _cleanup_free_ char *why = NULL, *differs = NULL;
        _cleanup_process_config_ ProcessConfig c;

        process_config_init(&c);
        if (process_config_parse(&c, text, size, &why) == -EINVAL && !why)
                abort();
        for (size_t i = 0; i < c.environment.n && !why; i++)
                if (!strchr(c.environment.item[i], '='))
                        abort();
        if (record && process_record_differs(record, &c, &differs) > 0 && (!differs || !utf8_is_valid(differs)))
                abort();
}

/* What is read becomes arguments of CRIU. */
static void check_pipe(const char *name) {
        if (!startswith(name, "pipe:[") || name[strspn(name, "pipe:[0123456789")] != ']' || strlen(name) > 32)
                abort();
}

/* A timer is corrected once. */
static void try_timers(const uint8_t *data, size_t size) {
        _cleanup_free_ uint8_t *image = malloc(size ? size : 1);

        if (!image)
                return;
        if (size > 0)
                memcpy(image, data, size);
        if (timer_image_fix(image, size) > 0 && timer_image_fix(image, size) > 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *string = strndup((const char *) data, size), *reason = NULL, *problem = NULL;
        _cleanup_process_record_ ProcessRecord r = {};
        uint64_t bytes = 0;
        bool good;

        good = process_record_parse((const char *) data, size, &r) >= 0;
        if (good) {
                check_pipe(r.output);
                check_pipe(r.errors);
                if (r.pid <= 1)
                        abort();
                (void) process_images_are_complete(-EBADF, r.images);
        }
        try_timers(data, size);
        try_config((const char *) data, size, good ? &r : NULL);
        if (criu_log_reason((const char *) data, size, &reason) >= 0 && (!utf8_is_valid(reason) || !*reason))
                abort();
        if (string && smaps_inspect(string, &bytes, &problem) == -EOPNOTSUPP && !utf8_is_valid(problem))
                abort();
        return 0;
}
