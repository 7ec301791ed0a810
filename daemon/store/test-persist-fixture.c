/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-persist-fixture.h"

void persist_restart(PersistFixture *f, bool reboot, bool kexec) {
        store_free(f->memory_store);
        places_fixture_close(&f->p);
        if (reboot || kexec)
                disk_fixture_reboot(&f->p.d);
        if (kexec)
                mock_kexec(f->p.s.mock);
        if (reboot) {
                mock_free(f->p.s.mock);
                f->p.s.mock = mock_new();
        }
        places_fixture_open(&f->p);
        assert_ok(store_new(&f->p.memory, &f->p.s.config, &f->memory_store));
}

int persist_setup(void **state) {
        PersistFixture *f = calloc(1, sizeof(PersistFixture));

        places_fixture_init(&f->p);
        persist_restart(f, true, false);
        *state = f;
        return 0;
}

int persist_teardown(void **state) {
        PersistFixture *f = *state;

        store_free(f->memory_store);
        places_fixture_done(&f->p);
        free(f);
        return 0;
}

void persist_make_plan(PersistFixture *f, PersistMode mode, PersistPlan *p) {
        assert_ok(persist_plan_collect(p, f->memory_store, mode));
        p->room = GIB(1);
        p->rate = MIB(100);
        p->seconds = 60;
        persist_plan_fit(p);
}

const PersistNode *persist_find_node(const PersistPlan *p, const char *name) {
        for (size_t i = 0; i < p->n; i++)
                if (streq(p->nodes[i].name, name))
                        return p->nodes + i;
        fail();
        return NULL;
}

bool persist_is_on_disk(PersistFixture *f, const char *name) {
        _cleanup_(store_load_freep) StoreLoad *l = NULL;

        return store_get(&f->p.s, &f->p.s.root, name, false, &l, NULL) >= 0 && node_is_on_disk(l->node.info.id);
}

void persist_write_all(PersistFixture *f, PersistMode mode) {
        _cleanup_plan_ PersistPlan p = {};

        persist_make_plan(f, mode, &p);
        assert_ok(persist_write(&p, &f->p.memory, f->p.d.path, &f->p.d.boot, NULL, NULL));
        for (size_t i = 0; i < p.n; i++)
                assert_true(p.nodes[i].written || p.nodes[i].drop != PERSIST_DROP_NONE);
}

void persist_add_tree_node(PersistPlan *p, const char *name, int persist, uint64_t bytes) {
        assert_ok(persist_plan_add_tree(p, name, persist, PERSIST_ALL, bytes, true));
}
