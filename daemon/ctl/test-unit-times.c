/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"
#include "unit-times.h"

static void test_stop_and_start(void **state) {
        _cleanup_(unit_times_done) UnitTimes times = {};

        (void) state;
        assert_ok(unit_times_add(&times, "a.service", UNIT_STOPPING, /* old_system= */ true, 100));
        assert_ok(unit_times_add(&times, "b.service", UNIT_STOPPING, /* old_system= */ true, 150));
        assert_ok(unit_times_add(&times, "a.service", UNIT_STOPPED, /* old_system= */ true, 400));
        assert_ok(unit_times_add(&times, "b.service", UNIT_STOPPED, /* old_system= */ true, 250));
        /* The monotonic clock begins again. */
        assert_ok(unit_times_add(&times, "b.service", UNIT_STARTING, /* old_system= */ false, 10));
        assert_ok(unit_times_add(&times, "b.service", UNIT_STARTED, /* old_system= */ false, 1010));
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
                assert_ok(unit_times_add(&times, "a.service", UNIT_STOPPING, /* old_system= */ true, 1000 * i));
                assert_ok(unit_times_add(&times, "a.service", UNIT_STOPPED, /* old_system= */ true, 1000 * i + i));
                assert_ok(unit_times_add(&times, "a.service", UNIT_STARTING, /* old_system= */ true, 1500 * i));
                assert_ok(unit_times_add(&times, "a.service", UNIT_STARTED, /* old_system= */ true, 1900 * i));
        }
        for (uint64_t i = 1; i <= 2; i++) {
                assert_ok(unit_times_add(&times, "a.service", UNIT_STARTING, /* old_system= */ false, 1000 * i));
                assert_ok(unit_times_add(&times, "a.service", UNIT_STARTED, /* old_system= */ false, 1010 * i));
                assert_ok(unit_times_add(&times, "a.service", UNIT_STOPPING, /* old_system= */ false, 1500 * i));
                assert_ok(unit_times_add(&times, "a.service", UNIT_STOPPED, /* old_system= */ false, 1900 * i));
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
        assert_ok(unit_times_add(&times, "end.service", UNIT_STOPPED, /* old_system= */ true, 5));
        assert_ok(unit_times_add(&times, "begin.service", UNIT_STARTING, /* old_system= */ false, 5));
        assert_ok(unit_times_add(&times, "back.service", UNIT_STARTING, /* old_system= */ false, 5));
        assert_ok(unit_times_add(&times, "back.service", UNIT_STARTED, /* old_system= */ false, 4));
        assert_ok(unit_times_add(&times, "back.service", UNIT_STARTED, /* old_system= */ false, 9));
        unit_times_finish(&times);
        assert_int_equal(times.n, 0);
}

static void test_order_of_equals(void **state) {
        _cleanup_(unit_times_done) UnitTimes times = {};
        static const char *const names[] = { "c.mount", "a.mount", "b.mount" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                assert_ok(unit_times_add(&times, names[i], UNIT_STARTING, /* old_system= */ false, i));
                assert_ok(unit_times_add(&times, names[i], UNIT_STARTED, /* old_system= */ false, i + 7));
        }
        unit_times_finish(&times);
        assert_string_equal(times.units[0].unit, "a.mount");
        assert_string_equal(times.units[1].unit, "b.mount");
        assert_string_equal(times.units[2].unit, "c.mount");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stop_and_start),
                cmocka_unit_test(test_which_counts),
                cmocka_unit_test(test_incomplete),
                cmocka_unit_test(test_order_of_equals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
