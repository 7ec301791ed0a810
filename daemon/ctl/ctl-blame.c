/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkramctl analyze blame: how long each unit took to stop and to start around the last kexec, from the journal. */
#include <systemd/sd-id128.h>
#include <systemd/sd-messages.h>

#include "ctl.h"
#include "format.h"
#include "journal-util.h"
#include "json-util.h"
#include "unit-times.h"

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

/* Opens the journal at a time, for those messages of PID 1. */
static int blame_open(int64_t begin, sd_journal **ret) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        int r;

        r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r < 0)
                return r;
        r = sd_journal_add_match(j, "_PID=1", 0);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(unit_messages); i++) {
                char match[sizeof("MESSAGE_ID=") + SD_ID128_STRING_MAX] = "MESSAGE_ID=";

                sd_id128_to_string(unit_messages[i].id, match + strlen(match));
                r = sd_journal_add_match(j, match, 0);
                if (r < 0)
                        return r;
        }
        r = sd_journal_seek_realtime_usec(j, (uint64_t) begin);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(j);
        return 0;
}

/* Adds the current entry. Entries that lack something are ignored. */
static int blame_add_entry(sd_journal *j, sd_id128_t this_boot, UnitTimes *times) {
        _cleanup_free_ char *unit = journal_get_field(j, "UNIT"), *message = journal_get_field(j, "MESSAGE_ID");
        sd_id128_t boot, id;
        uint64_t usec;

        if (!unit || !message || sd_id128_from_string(message, &id) < 0 ||
            sd_journal_get_monotonic_usec(j, &usec, &boot) < 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(unit_messages); i++)
                if (sd_id128_equal(id, unit_messages[i].id))
                        return unit_times_add(times, unit, unit_messages[i].event, !sd_id128_equal(boot, this_boot),
                                              usec);
        return 0;
}

static int blame_read(int64_t begin, int64_t end, UnitTimes *times) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        sd_id128_t boot;
        int r;

        r = sd_id128_get_boot(&boot);
        if (r >= 0)
                r = blame_open(begin, &j);
        while (r >= 0) {
                uint64_t usec;

                r = sd_journal_next(j);
                if (r <= 0)
                        break;
                r = sd_journal_get_realtime_usec(j, &usec);
                if (r < 0 || usec > (uint64_t) end)
                        break;
                r = blame_add_entry(j, boot, times);
        }
        return MIN(r, 0);
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

int analyze_blame(int64_t begin, int64_t end) {
        _cleanup_(unit_times_done) UnitTimes times = {};
        int r;

        r = blame_read(begin, end, &times);
        if (r < 0)
                return fail(EXIT_FAILED, "Failed to read the journal: %s", strerror(-r));
        unit_times_finish(&times);
        if (times.n == 0)
                return fail(EXIT_FAILED, "The journal that you can read has no units of this kexec. Run this as root. "
                            "What units did before the kexec is kept only with Storage=persistent, see "
                            "journald.conf(5).");
        return arg_json != JSON_OFF ? blame_print_json(&times) : blame_print_table(&times);
}
