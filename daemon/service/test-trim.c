/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What many clients took is given back when they are gone. */
#include <stdio.h>

#include "test-fixture.h"

#define N_CLIENTS 200U
#define HALF_BYTES 60000U /* of a message, in one block that is too small for a mapping of its own */
#define TAKEN (N_CLIENTS * HALF_BYTES)

/* AddressSanitizer has another allocator, and keeps what was freed: then only the way there is tested. */
#ifdef __SANITIZE_ADDRESS__
#define MEASURED false
#else
#define MEASURED true
#endif

/* Memory of this process in bytes. */
static size_t resident(void) {
        unsigned long size, pages = 0;
        FILE *f = fopen("/proc/self/statm", "re");

        assert_non_null(f);
        assert_int_equal(fscanf(f, "%lu %lu", &size, &pages), 2);
        (void) fclose(f);
        return pages * (size_t) sysconf(_SC_PAGESIZE);
}

/* Many clients with half a message each come and go, and something that lives on comes between. */
static void come_and_go(Fixture *f, void **pins, size_t n_pins) {
        static char half[HALF_BYTES];
        Client *clients[N_CLIENTS];
        size_t before = resident();

        memset(half, 'A', sizeof(half));
        for (unsigned i = 0; i < N_CLIENTS; i++) {
                clients[i] = client_new(f);
                client_send_raw(clients[i], half, sizeof(half));
                fixture_run(f);
        }
        for (size_t i = 0; i < n_pins; i++) {
                pins[i] = malloc(1000);
                assert_non_null(pins[i]);
        }
        for (unsigned i = 0; i < N_CLIENTS; i++)
                client_free(clients[i]);
        assert_true(!MEASURED || resident() >= before + TAKEN / 2); /* else there is nothing to see here */
}

static void test_memory_is_given_back(void **state) {
        Fixture *f = *state;
        void *pins[2][256];
        size_t before;

        f->manager->varlink_limits.connections_per_group = N_CLIENTS;
        before = resident();

        for (unsigned i = 0; i < ELEMENTSOF(pins); i++) {
                come_and_go(f, pins[i], ELEMENTSOF(pins[i]));
                do
                        assert_true(sd_event_run(f->manager->event, 4 * TRIM_DELAY_USEC) > 0);
                while (MEASURED && resident() > before + TAKEN / 4);
        }

        for (unsigned i = 0; i < ELEMENTSOF(pins); i++)
                for (unsigned k = 0; k < ELEMENTSOF(pins[i]); k++)
                        free(pins[i][k]);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_memory_is_given_back, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
