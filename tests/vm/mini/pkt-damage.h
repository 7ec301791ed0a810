/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pkt.h"

/* What may come of damage: 1 << enum pkram_damage for each reason to be dropped for. */
#define MAY_KEEP (1U << PKRAM_DAMAGE_NONE)
#define MAY_HEADER (1U << PKRAM_DAMAGE_HEADER)
#define MAY_CHECKSUM (1U << PKRAM_DAMAGE_CHECKSUM)
#define MAY_BOUNDS (1U << PKRAM_DAMAGE_BOUNDS)
#define MAY_RANGE (1U << PKRAM_DAMAGE_RANGE)
#define MAY_TWICE (1U << PKRAM_DAMAGE_TWICE)
#define MAY_COUNT (1U << PKRAM_DAMAGE_COUNT)
#define MAY_NAME (1U << PKRAM_DAMAGE_NAME)
#define MAY_BUSY (1U << PKRAM_DAMAGE_BUSY)
#define MAY_FEATURE (1U << PKRAM_DAMAGE_FEATURE)
#define MAY_DROP (MAY_HEADER | MAY_CHECKSUM | MAY_BOUNDS | MAY_RANGE | MAY_TWICE | MAY_COUNT | MAY_NAME | MAY_BUSY)
#define MAY_ANY (MAY_KEEP | MAY_DROP)

/* Damage to one node. Either a bit is flipped, or the pfn of another page is written. */
struct damage {
        const char *what;       /* name of the field */
        const char *page;       /* node, pages (link page of the file), bytes (of the byte stream), objects */
        unsigned byte, bit;
        /* self, node, pages: of this node; before, after: link page of the next one; super, dir, map */
        const char *target;
        bool fixed;            /* the checksum is right */
        unsigned may;           /* MAY_* */
};

/* Damage to what all nodes need. */
struct store_damage {
        const char *what;
        const char *text;       /* for the kernel */
        unsigned results;       /* 1 << enum pkram_boot_result for each that is right */
        unsigned least, most;   /* nodes that come back */
};

extern const struct damage damage_nodes[];
extern const struct store_damage damage_stores[];
