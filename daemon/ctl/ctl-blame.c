/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramctl analyze blame: how long each unit took to stop and to start around the last kexec, from the journal. */
#include <systemd/sd-id128.h>
#include <systemd/sd-messages.h>

#include "ctl-analysis.h"
#include "format.h"
#include "journal-util.h"
#include "json-util.h"

/* What the service manager logs, by the catalog's names; see sd-messages.h. */
static const struct {
        sd_id128_t id;
        UnitEvent event;
} unit_messages[] = {
        { SD_MESSAGE_UNIT_STARTING, UNIT_STARTING },
        { SD_MESSAGE_UNIT_STARTED,  UNIT_STARTED  },
        { SD_MESSAGE_UNIT_FAILED,   UNIT_STARTED  },
        { SD_MESSAGE_UNIT_STOPPING, UNIT_STOPPING },
        { SD_MESSAGE_UNIT_STOPPED,  UNIT_STOPPED  },
};

/* Opens the journal for messages of PID 1. The tests have a journal of their own. */
static int journal_open_manager(sd_journal **ret) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        const char *directory = getenv("PKRAM_JOURNAL_DIRECTORY");
        int r;

        r = directory ? sd_journal_open_directory(&j, directory, /* flags= */ 0) :
                sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r < 0)
                return r;
        r = sd_journal_add_match(j, "_PID=1", 0);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(j);
        return 0;
}

static int journal_match_id128(sd_journal *j, const char *field, sd_id128_t id) {
        char match[64], text[SD_ID128_STRING_MAX];

        (void) snprintf(match, sizeof(match), "%s=%s", field, sd_id128_to_string(id, text));
        return sd_journal_add_match(j, match, 0);
}

static uint64_t journal_get_u64(sd_journal *j, const char *key) {
        _cleanup_free_ char *text = journal_get_field(j, key);
        unsigned long long value;
        char *end;

        if (!text || *text < '0' || *text > '9')
                return UINT64_MAX;
        errno = 0;
        value = strtoull(text, &end, 10);
        return errno == 0 && !*end ? value : UINT64_MAX;
}

int journal_read_boot_times(BootTimes *ret) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        sd_id128_t boot;
        int r;

        *ret = (BootTimes) { .kernel = UINT64_MAX, .initrd = UINT64_MAX };
        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        r = journal_open_manager(&j);
        if (r < 0)
                return r;
        r = journal_match_id128(j, "MESSAGE_ID", SD_MESSAGE_STARTUP_FINISHED);
        if (r < 0)
                return r;
        r = journal_match_id128(j, "_BOOT_ID", boot);
        if (r < 0)
                return r;
        r = sd_journal_seek_head(j);
        if (r < 0)
                return r;
        r = sd_journal_next(j);
        if (r <= 0)
                return r;
        ret->kernel = journal_get_u64(j, "KERNEL_USEC");
        ret->initrd = journal_get_u64(j, "INITRD_USEC");
        return 0;
}

/* Adds the current entry. Entries that lack something are ignored. */
static int blame_add_entry(sd_journal *j, sd_id128_t this_boot, int64_t started, UnitTimes *times) {
        _cleanup_free_ char *unit = journal_get_field(j, "UNIT"), *message = journal_get_field(j, "MESSAGE_ID");
        uint64_t usec, wall_usec;
        sd_id128_t boot, id;
        bool old_system;

        if (!unit || !message || sd_id128_from_string(message, &id) < 0 ||
            sd_journal_get_monotonic_usec(j, &usec, &boot) < 0 || sd_journal_get_realtime_usec(j, &wall_usec) < 0)
                return 0;
        old_system = !sd_id128_equal(boot, this_boot);
        /* The clock may have been set since this kernel started. */
        if (!old_system && started >= 0)
                wall_usec = (uint64_t) started + usec;
        for (size_t i = 0; i < ELEMENTSOF(unit_messages); i++)
                if (sd_id128_equal(id, unit_messages[i].id))
                        return unit_times_add(times, unit, unit_messages[i].event, old_system, usec, wall_usec);
        return 0;
}

int journal_read_unit_times(const Analysis *a, UnitTimes *ret) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        sd_id128_t boot;
        int r;

        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        r = journal_open_manager(&j);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(unit_messages); i++)
                r = journal_match_id128(j, "MESSAGE_ID", unit_messages[i].id);
        if (r >= 0)
                r = sd_journal_seek_realtime_usec(j, (uint64_t) a->begin);
        while (r >= 0) {
                uint64_t usec;

                r = sd_journal_next(j);
                if (r <= 0)
                        break;
                r = sd_journal_get_realtime_usec(j, &usec);
                if (r < 0 || usec > (uint64_t) a->end)
                        break;
                r = blame_add_entry(j, boot, a->started, ret);
        }
        if (r < 0)
                return r;
        unit_times_finish(ret);
        return 0;
}

static const char *blame_format(char *buffer, uint64_t usec) {
        return usec == UINT64_MAX ? "-" : format_usec(buffer, usec);
}

static int blame_print_json(const UnitTimes *times) {
        _cleanup_json_ struct json_object *list = json_object_new_array();

        if (!list)
                return fail_memory();
        for (size_t i = 0; i < times->n; i++) {
                const UnitTime *t = times->units + i;
                _cleanup_json_ struct json_object *o = json_object_new_object();

                if (!o || json_add_string(o, "unit", t->unit) < 0 ||
                    (t->stop != UINT64_MAX && json_add_u64(o, "stopUSec", t->stop) < 0) ||
                    (t->start != UINT64_MAX && json_add_u64(o, "startUSec", t->start) < 0) ||
                    json_append(list, TAKE_PTR(o)) < 0)
                        return fail_memory();
        }
        ctl_print_json(list);
        return EXIT_OK;
}

static int blame_print_table(const UnitTimes *times) {
        static const char *const headings[] = { ">STOP", ">START", "UNIT" };
        _cleanup_(table_freep) Table *t = table_new(ELEMENTSOF(headings), headings);
        char text[FORMAT_MAX];

        for (size_t i = 0; i < times->n; i++) {
                table_add(t, blame_format(text, times->units[i].stop));
                table_add(t, blame_format(text, times->units[i].start));
                table_add(t, times->units[i].unit);
        }
        pager_open();
        table_print(t, "unit");
        return EXIT_OK;
}

int analyze_blame(const Analysis *a) {
        _cleanup_(unit_times_done) UnitTimes times = {};
        int r;

        r = journal_read_unit_times(a, &times);
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to read the journal: %s.", strerror(-r));
        if (times.n == 0)
                return fail(EXIT_FAILED, "The journal that you can read has no units of this kexec. Run this as root. "
                            "What units did before the kexec is kept only with Storage=persistent, see "
                            "journald.conf(5).");
        return arg_json != JSON_OFF ? blame_print_json(&times) : blame_print_table(&times);
}
