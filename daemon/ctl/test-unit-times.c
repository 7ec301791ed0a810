/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"
#include "unit-times.h"

/* The new system's clock begins at 1000 s, and the old one's at 0. */
static void add_event(UnitTimes *times, const char *unit, UnitEvent event, bool old_system, uint64_t usec) {
        assert_ok(unit_times_add(times, unit, event, old_system, usec, usec + (old_system ? 0 : 1000 * USEC_PER_SEC)));
}

static void test_stop_and_start(void **state) {
        _cleanup_(unit_times_done) UnitTimes times = {};

        (void) state;
        add_event(&times, "a.service", UNIT_STOPPING, /* old_system= */ true, 100);
        add_event(&times, "b.service", UNIT_STOPPING, /* old_system= */ true, 150);
        add_event(&times, "a.service", UNIT_STOPPED, /* old_system= */ true, 400);
        add_event(&times, "b.service", UNIT_STOPPED, /* old_system= */ true, 250);
        /* The monotonic clock begins again. */
        add_event(&times, "b.service", UNIT_STARTING, /* old_system= */ false, 10);
        add_event(&times, "b.service", UNIT_STARTED, /* old_system= */ false, 1010);
        unit_times_finish(&times);
        assert_int_equal(times.n, 2);
        assert_string_equal(times.units[0].unit, "b.service");
        assert_int_equal(times.units[0].stop, 100);
        assert_int_equal(times.units[0].start, 1000);
        assert_string_equal(times.units[1].unit, "a.service");
        assert_int_equal(times.units[1].stop, 300);
        assert_true(times.units[1].start == UINT64_MAX);
}

/* Of the old system the last stop counts, of the new one the first start. Nothing else does. */
static void test_which_counts(void **state) {
        _cleanup_(unit_times_done) UnitTimes times = {};

        (void) state;
        for (uint64_t i = 1; i <= 2; i++) {
                add_event(&times, "a.service", UNIT_STOPPING, /* old_system= */ true, 1000 * i);
                add_event(&times, "a.service", UNIT_STOPPED, /* old_system= */ true, 1000 * i + i);
                add_event(&times, "a.service", UNIT_STARTING, /* old_system= */ true, 1500 * i);
                add_event(&times, "a.service", UNIT_STARTED, /* old_system= */ true, 1900 * i);
        }
        for (uint64_t i = 1; i <= 2; i++) {
                add_event(&times, "a.service", UNIT_STARTING, /* old_system= */ false, 1000 * i);
                add_event(&times, "a.service", UNIT_STARTED, /* old_system= */ false, 1010 * i);
                add_event(&times, "a.service", UNIT_STOPPING, /* old_system= */ false, 1500 * i);
                add_event(&times, "a.service", UNIT_STOPPED, /* old_system= */ false, 1900 * i);
        }
        unit_times_finish(&times);
        assert_int_equal(times.n, 1);
        assert_int_equal(times.units[0].stop, 2);
        assert_int_equal(times.units[0].start, 10);
}

/* Ends without a beginning, beginnings without an end, and a clock that goes backwards. */
static void test_incomplete(void **state) {
        _cleanup_(unit_times_done) UnitTimes times = {};

        (void) state;
        add_event(&times, "end.service", UNIT_STOPPED, /* old_system= */ true, 5);
        add_event(&times, "begin.service", UNIT_STARTING, /* old_system= */ false, 5);
        add_event(&times, "back.service", UNIT_STARTING, /* old_system= */ false, 5);
        add_event(&times, "back.service", UNIT_STARTED, /* old_system= */ false, 4);
        add_event(&times, "back.service", UNIT_STARTED, /* old_system= */ false, 9);
        unit_times_finish(&times);
        assert_int_equal(times.n, 0);
}

static void test_order_of_equals(void **state) {
        _cleanup_(unit_times_done) UnitTimes times = {};
        static const char *const names[] = { "c.mount", "a.mount", "b.mount" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                add_event(&times, names[i], UNIT_STARTING, /* old_system= */ false, i);
                add_event(&times, names[i], UNIT_STARTED, /* old_system= */ false, i + 7);
        }
        unit_times_finish(&times);
        assert_string_equal(times.units[0].unit, "a.mount");
        assert_string_equal(times.units[1].unit, "b.mount");
        assert_string_equal(times.units[2].unit, "c.mount");
}

static void test_order_of_time(void **state) {
        _cleanup_(unit_times_done) UnitTimes times = {};

        (void) state;
        add_event(&times, "late.service", UNIT_STARTING, /* old_system= */ false, 100);
        add_event(&times, "late.service", UNIT_STARTED, /* old_system= */ false, 1100);
        add_event(&times, "early.service", UNIT_STARTING, /* old_system= */ false, 50);
        add_event(&times, "early.service", UNIT_STARTED, /* old_system= */ false, 850);
        add_event(&times, "short.service", UNIT_STARTING, /* old_system= */ false, 1);
        add_event(&times, "short.service", UNIT_STARTED, /* old_system= */ false, 2);
        add_event(&times, "old.service", UNIT_STOPPING, /* old_system= */ true, 5000);
        add_event(&times, "old.service", UNIT_STOPPED, /* old_system= */ true, 5900);
        add_event(&times, "old.service", UNIT_STARTING, /* old_system= */ false, 7);
        add_event(&times, "old.service", UNIT_STARTED, /* old_system= */ false, 8);
        unit_times_finish(&times);
        unit_times_keep_first(&times, 3);
        assert_int_equal(times.n, 3);
        assert_string_equal(times.units[0].unit, "old.service");
        assert_int_equal(unit_time_begin(times.units), 5000);
        assert_int_equal(times.units[0].start_end, 1000 * USEC_PER_SEC + 8);
        assert_string_equal(times.units[1].unit, "early.service");
        assert_int_equal(unit_time_begin(times.units + 1), 1000 * USEC_PER_SEC + 50);
        assert_string_equal(times.units[2].unit, "late.service");
        unit_times_keep_first(&times, 5);
        assert_int_equal(times.n, 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stop_and_start),
                cmocka_unit_test(test_which_counts),
                cmocka_unit_test(test_incomplete),
                cmocka_unit_test(test_order_of_equals),
                cmocka_unit_test(test_order_of_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
