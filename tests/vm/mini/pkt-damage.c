/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged metadata: a store of many small nodes, a plan of what the kernel has to spoil in it after the seal
 * (CONFIG_PKRAM_DAMAGE), and what the next kernel must have made of that. A round and a seed name a plan, so that
 * nothing has to be carried over the kexec.
 *
 * Rounds: fields:N   every field of every structure of a node, as the table in pkt-damage-table.c has it
 *         random:N   a random bit of a random metadata page of most nodes; the checksums show it
 *         forged:N   the same with right checksums: nodes may come back other than they were
 *         store:N    super block, map and directory: concerns all nodes, one damage a boot
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkt-damage.h"

#define NODES 64
/* Every n-th node is left alone and must come back bit for bit. */
#define CONTROL 4
/* The last ones have more objects than fit into their node page. */
#define WIDE_FROM 48
#define WIDE_OBJECTS 31
#define DAMAGED (NODES - NODES / CONTROL)

static const char *const reasons[] = {
        "kept", "header", "checksum", "bounds", "range", "twice", "count", "name", "busy", "feature",
};

enum kind { FIELDS, RANDOM, FORGED, STORE };

struct round {
        enum kind kind;
        unsigned number;
        uint64_t seed;
};

static bool is_control(unsigned i) { return i % CONTROL == CONTROL - 1; }
static bool is_wide(unsigned i) { return i >= WIDE_FROM; }

/* How many damaged nodes come before this one. */
static unsigned damaged_before(unsigned i) { return i - i / CONTROL; }

static int round_parse(const char *text, const char *seed, struct round *ret) {
        static const char *const names[] = { "fields", "random", "forged", "store" };
        const char *colon = strchr(text, ':');

        for (unsigned k = 0; colon && k < 4; k++)
                if (strlen(names[k]) == (size_t) (colon - text) && strncmp(text, names[k], colon - text) == 0) {
                        *ret = (struct round) { k, strtoul(colon + 1, NULL, 10), strtoull(seed, NULL, 10) };
                        return 0;
                }
        return complain("'%s' is no round", text), -EINVAL;
}

static uint64_t draw(const struct round *round, unsigned i, unsigned n) {
        return pattern_word(round->seed + round->number * 1000003ULL, (i * 8ULL + n) * 8) >> 8;
}

/* Which pages a node has: node, link, link, objects if it is wide. */
static const char *page_of(unsigned i, unsigned which, unsigned *ret_nth) {
        switch (which) {
        case 0: *ret_nth = i; return "node";
        case 1: *ret_nth = 2 * i; return "link";
        case 2: *ret_nth = 2 * i + 1; return "link";
        default: *ret_nth = i - WIDE_FROM; return "objects";
        }
}

/* Bytes of a page that are in use, and thus under its checksum. */
static unsigned used_bytes(unsigned i, unsigned which) {
        switch (which) {
        case 0: return 384 + 128 * (is_wide(i) ? 29 : 1);
        case 1: case 2: return 80 + 7;
        default: return 64 + 128 * (WIDE_OBJECTS - 29);
        }
}

/* What happens to node i: text for the kernel, and what may come of it. */
static void plan_random(const struct round *round, unsigned i, char *text, size_t size, unsigned *ret_may) {
        unsigned which = draw(round, i, 0) % (is_wide(i) ? 4 : 3), nth, byte;
        const char *type = page_of(i, which, &nth);

        byte = draw(round, i, 1) % used_bytes(i, which);
        if (round->kind == FORGED && which == 0 && byte >= 92 && byte < 384)
                byte = 64 + byte % 28; /* leave the name, by which nodes are told apart */
        snprintf(text, size, "%s%s %u %u %u", round->kind == FORGED ? "+" : "", type, nth, byte,
                 (unsigned) (draw(round, i, 2) % 8));
        *ret_may = round->kind == FORGED ? MAY_ANY : MAY_DROP;
}

/* The table entry for node i, or NULL if the table ends before it. Entries for pages of objects go to wide nodes. */
static const struct damage *plan_field(const struct round *round, unsigned i) {
        unsigned wide = 0, narrow = 0, want;

        want = is_wide(i) ? round->number * (DAMAGED - damaged_before(WIDE_FROM)) + damaged_before(i) -
                damaged_before(WIDE_FROM)
                          : round->number * damaged_before(WIDE_FROM) + damaged_before(i);
        for (const struct damage *d = damage_nodes; d->what; d++) {
                bool objects = strcmp(d->page, "objects") == 0;

                if (objects ? wide++ == want && is_wide(i) : narrow++ == want && !is_wide(i))
                        return d;
        }
        return NULL;
}

/* Names like "self", "link" or "node before" in the table become pages of the store. */
static void field_text(const struct damage *d, unsigned i, char *text, size_t size) {
        unsigned nth, other_nth = 0, which = strcmp(d->page, "node") == 0 ? 0 : strcmp(d->page, "pages") == 0 ? 1 :
                                             strcmp(d->page, "bytes") == 0 ? 2 : 3;
        const char *type = page_of(i, which, &nth), *other = d->target;

        if (!other) {
                snprintf(text, size, "%s%s %u %u %u", d->fixed ? "+" : "", type, nth, d->byte, d->bit);
                return;
        }
        if (strcmp(other, "self") == 0)
                other = type, other_nth = nth;
        else if (strcmp(other, "node") == 0)
                other_nth = i;
        else if (strcmp(other, "pages") == 0)
                other = "link", other_nth = 2 * i;
        else if (strcmp(other, "before") == 0)
                other = "link", other_nth = 2 * i - 2;
        else if (strcmp(other, "after") == 0)
                other = "link", other_nth = 2 * i + 2;
        snprintf(text, size, "%s%s %u %u =%s %u", d->fixed ? "+" : "", type, nth, d->byte, other, other_nth);
}

/* The plan for node i. Returns false if it is left alone. */
static bool plan_node(const struct round *round, unsigned i, char *text, size_t size, const char **ret_what,
                      unsigned *ret_may) {
        const struct damage *d;

        *ret_what = text;
        if (round->kind == STORE || is_control(i))
                return false;
        if (round->kind != FIELDS) {
                plan_random(round, i, text, size, ret_may);
                return true;
        }
        d = plan_field(round, i);
        if (!d)
                return false;
        field_text(d, i, text, size);
        *ret_what = d->what;
        *ret_may = d->may;
        return true;
}

/* Node i as pkt save and pkt verify want it. Returns the number of arguments. */
static int node_args(unsigned i, char *command, char *option, char **argv) {
        static char name[16], spec[80], empty[] = "bytes:size=0";
        int n = 0;

        snprintf(name, sizeof(name), "d%03u", i);
        snprintf(spec, sizeof(spec), "file:size=18000,seed=%u,hole=3,bytes=5000", 1000 + i);
        argv[n++] = command;
        if (option)
                argv[n++] = option;
        argv[n++] = name;
        argv[n++] = spec;
        for (int k = 1; is_wide(i) && k < WIDE_OBJECTS; k++)
                argv[n++] = empty;
        return n;
}

static int damage_store(const struct round *round) {
        const char *what, *separator = "";
        char text[80], *argv[WIDE_OBJECTS + 8];
        unsigned may;

        for (unsigned i = 0; i < NODES; i++)
                if (cmd_save(node_args(i, "save", NULL, argv), argv))
                        return 1;
        if (round->kind == STORE) {
                puts(damage_stores[round->number].text);
                return 0;
        }
        for (unsigned i = 0; i < NODES; i++)
                if (plan_node(round, i, text, sizeof(text), &what, &may)) {
                        printf("%s%s", separator, text);
                        separator = ",";
                }
        puts("");
        return 0;
}

struct listing {
        struct pkram_node_info *live, *dropped;
        unsigned nr_live, nr_dropped, at;
};

static int list_nodes(int dev, uint32_t flags, struct pkram_node_info **ret, unsigned *ret_n) {
        struct pkram_ioctl_list l = { .size = sizeof(l), .flags = flags, .capacity = 1024,
                                      .node_size = sizeof(**ret) };
        int r;

        *ret = calloc(l.capacity, sizeof(**ret));
        if (!*ret)
                return -ENOMEM;
        l.nodes = (uintptr_t) *ret;
        r = device_call(dev, PKRAM_IOC_LIST, &l);
        *ret_n = r < 0 ? 0 : l.returned;
        return r;
}

static bool is_live(const struct listing *l, const char *name) {
        for (unsigned k = 0; k < l->nr_live; k++)
                if (strcmp(l->live[k].name, name) == 0)
                        return true;
        return false;
}

/* One node: 0 as it should be, 1 not. *ret_gone: it was dropped. */
static int check_node(const struct round *round, unsigned i, struct listing *l, bool *ret_gone) {
        char text[80], name[16], *argv[WIDE_OBJECTS + 8];
        const char *what;
        unsigned may, damage;
        bool planned = plan_node(round, i, text, sizeof(text), &what, &may);

        snprintf(name, sizeof(name), "d%03u", i);
        *ret_gone = !is_live(l, name);
        if (!*ret_gone) {
                int r = cmd_verify(node_args(i, "verify", "--keep", argv), argv);

                if (planned)
                        printf("%s [%s] %s: kept%s\n", name, text, what, r ? ", other than it was" : "");
                if (planned && !(may & MAY_KEEP))
                        return complain("%s [%s] %s: was not noticed", name, text, what);
                return planned || !r ? 0 : complain("%s was left alone, and is not what was stored", name);
        }

        /* Dropped ones are listed in the order of the directory, which is that of the names; their names may be
         * spoilt. */
        if (l->at == l->nr_dropped)
                return complain("%s is neither there nor listed as dropped", name);
        damage = l->dropped[l->at].damage;
        if (l->dropped[l->at].name[0] && !(planned && (text[0] != '+' || may & MAY_NAME)) &&
            strcmp(l->dropped[l->at].name, name) != 0)
                return complain("%s is missing, but '%s' is listed as dropped", name, l->dropped[l->at].name);
        l->at++;
        if (damage == 0 || damage >= sizeof(reasons) / sizeof(reasons[0]))
                return complain("%s was dropped for reason %u", name, damage);
        if (!planned && round->kind == FORGED) {
                /* A forged node can claim what belongs to one behind it. */
                printf("%s: dropped (%s) because of a forged one\n", name, reasons[damage]);
                return 0;
        }
        if (!planned)
                return complain("%s was left alone, and dropped: %s", name, reasons[damage]);
        printf("%s [%s] %s: dropped, %s\n", name, text, what, reasons[damage]);
        return may & 1U << damage ? 0 : complain("%s [%s] %s: dropped for the wrong reason: %s", name, text, what,
                                                 reasons[damage]);
}

static int check_nodes(const struct round *round, struct listing *l) {
        unsigned wrong = 0, planned = 0, dropped = 0, may;
        const char *what;
        char text[80];

        for (unsigned i = 0; i < NODES; i++) {
                bool gone;

                planned += plan_node(round, i, text, sizeof(text), &what, &may);
                wrong += check_node(round, i, l, &gone);
                dropped += gone;
        }
        if (l->at != l->nr_dropped)
                return complain("%u nodes are listed as dropped, %u are missing", l->nr_dropped, l->at);
        printf("damaged %u dropped %u wrong %u\n", planned, dropped, wrong);
        return wrong ? complain("%u of %u nodes are not as they should be", wrong, NODES) : 0;
}

/* The whole store was damaged: the boot result is one of those expected, and what is there is right. */
static int check_store(const struct round *round, const struct pkram_ioctl_info *info, struct listing *l) {
        const struct store_damage *d = damage_stores + round->number;
        char name[16], *argv[WIDE_OBJECTS + 8];
        unsigned there = 0;

        printf("[%s] %s: boot result %u, %u nodes\n", d->text, d->what, info->boot_result, l->nr_live);
        if (!(d->results & 1U << info->boot_result))
                return complain("%s: boot result %u", d->what, info->boot_result);
        for (unsigned i = 0; i < NODES; i++) {
                snprintf(name, sizeof(name), "d%03u", i);
                if (!is_live(l, name))
                        continue;
                if (cmd_verify(node_args(i, "verify", "--keep", argv), argv))
                        return 1;
                there++;
        }
        if (there < d->least || there > d->most)
                return complain("%s: %u nodes came back, not %u to %u", d->what, there, d->least, d->most);
        if (info->nr_dropped + there < NODES &&
            (info->boot_result == PKRAM_BOOT_PARTIAL || info->boot_result == PKRAM_BOOT_RESTORED))
                return complain("%s: %u nodes came back, %" PRIu64 " were counted as dropped", d->what, there,
                                (uint64_t) info->nr_dropped);
        puts("damaged 1");
        return 0;
}

int cmd_damage(int argc, char **argv) {
        struct pkram_ioctl_info info = { .size = sizeof(info) };
        struct listing l = { 0 };
        struct round round;
        int dev, r;

        if (argc == 2 && strcmp(argv[1], "rounds") == 0) {
                unsigned narrow = 0, wide = 0, stores = 0, per = damaged_before(WIDE_FROM), per_wide = DAMAGED - per;

                for (const struct damage *d = damage_nodes; d->what; d++)
                        strcmp(d->page, "objects") == 0 ? wide++ : narrow++;
                for (const struct store_damage *d = damage_stores; d->what; d++)
                        stores++;
                narrow = (narrow + per - 1) / per;
                wide = (wide + per_wide - 1) / per_wide;
                return printf("fields %u store %u\n", narrow > wide ? narrow : wide, stores), 0;
        }
        if (argc != 4 || round_parse(argv[2], argv[3], &round) < 0)
                return complain("damage store|check ROUND SEED, damage rounds");
        if (strcmp(argv[1], "store") == 0)
                return damage_store(&round);

        dev = device_open();
        /* This one waits until all nodes are checked, the others do not. */
        r = dev < 0 ? dev : list_nodes(dev, PKRAM_LIST_DROPPED, &l.dropped, &l.nr_dropped);
        if (r >= 0)
                r = device_call(dev, PKRAM_IOC_INFO, &info);
        if (r >= 0)
                r = list_nodes(dev, 0, &l.live, &l.nr_live);
        if (r < 0)
                return complain("cannot list the nodes: %s", strerror(-r));
        return round.kind == STORE ? check_store(&round, &info, &l) : check_nodes(&round, &l);
}
