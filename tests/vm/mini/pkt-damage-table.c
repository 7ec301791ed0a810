/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is spoilt, field by field, and what may come of it. Offsets are those of linux/pkram_format.h. */
#include "pkt-damage.h"

#define FLIP(what, page, byte, bit, may) { what, page, byte, bit, NULL, false, may }
#define FORGE(what, page, byte, bit, may) { what, page, byte, bit, NULL, true, may }
#define POINT(what, page, byte, target, may) { what, page, byte, 0, target, true, may }

/* The header of any page: without and with a checksum that was made right. */
#define HEADER_FIELDS(page)                                                                                           \
        FLIP(page " magic", page, 0, 0, MAY_HEADER), FLIP(page " version", page, 4, 1, MAY_HEADER),                   \
        FLIP(page " type", page, 6, 1, MAY_HEADER), FLIP(page " checksum", page, 8, 5, MAY_CHECKSUM),                 \
        FLIP(page " checksum, high", page, 15, 7, MAY_CHECKSUM), FLIP(page " chain", page, 20, 3, MAY_HEADER),        \
        FLIP(page " own pfn", page, 24, 4, MAY_HEADER), FLIP(page " generation", page, 39, 7, MAY_HEADER),            \
        FLIP(page " generation, low", page, 32, 0, MAY_HEADER | MAY_CHECKSUM),                                        \
        FLIP(page " length", page, 40, 0, MAY_HEADER),                                                                \
        FLIP(page " length, by a word", page, 40, 3, MAY_HEADER | MAY_CHECKSUM),                                      \
        FLIP(page " length, huge", page, 43, 7, MAY_HEADER), FLIP(page " reserved", page, 44, 2, MAY_CHECKSUM),       \
        FLIP(page " next", page, 48, 5, MAY_CHECKSUM), FLIP(page " second reserved", page, 60, 6, MAY_CHECKSUM),      \
        FORGE(page " magic, forged", page, 3, 0, MAY_HEADER), FORGE(page " version, forged", page, 5, 0, MAY_HEADER), \
        FORGE(page " type, forged", page, 6, 2, MAY_HEADER), FORGE(page " chain, forged", page, 16, 0, MAY_HEADER),   \
        FORGE(page " own pfn, forged", page, 25, 0, MAY_HEADER),                                                      \
        FORGE(page " generation, forged", page, 38, 0, MAY_HEADER),                                                   \
        FORGE(page " reserved, forged", page, 47, 7, MAY_HEADER),                                                     \
        FORGE(page " second reserved, forged", page, 56, 0, MAY_HEADER),                                              \
        FORGE(page " next below the first block", page, 48, 5, MAY_RANGE),                                            \
        FORGE(page " next far outside", page, 55, 7, MAY_RANGE),                                                      \
        POINT(page " next to itself", page, 48, "self", MAY_TWICE),                                                   \
        POINT(page " next to the super block", page, 48, "super", MAY_TWICE),                                         \
        POINT(page " next to the map", page, 48, "map", MAY_TWICE),                                                   \
        POINT(page " next to the directory", page, 48, "dir", MAY_TWICE)

const struct damage damage_nodes[] = {
        HEADER_FIELDS("node"),

        FLIP("time", "node", 64, 3, MAY_CHECKSUM),
        FLIP("pages of data", "node", 72, 0, MAY_CHECKSUM),
        FLIP("name", "node", 129, 0, MAY_CHECKSUM),
        FLIP("last word of the object", "node", 511, 7, MAY_CHECKSUM),
        FORGE("pages of data, forged", "node", 72, 0, MAY_COUNT),
        FORGE("pages of data, huge", "node", 79, 7, MAY_COUNT),
        FORGE("pages of metadata, forged", "node", 80, 1, MAY_COUNT),
        FORGE("number of objects", "node", 88, 0, MAY_BOUNDS),
        FORGE("number of objects, two more", "node", 88, 1, MAY_BOUNDS),
        FORGE("number of objects, huge", "node", 91, 7, MAY_BOUNDS),
        FORGE("length of the name, longer", "node", 92, 0, MAY_NAME),
        FORGE("length of the name, none", "node", 92, 2, MAY_NAME),
        FORGE("length of the name, huge", "node", 95, 7, MAY_NAME),
        FORGE("compatible features", "node", 96, 0, MAY_KEEP),
        FORGE("compatible features, the last", "node", 103, 7, MAY_KEEP),
        FORGE("incompatible features", "node", 104, 0, MAY_FEATURE),
        FORGE("incompatible features, the last", "node", 111, 7, MAY_FEATURE),
        FORGE("reserved words", "node", 112, 0, MAY_BOUNDS),
        FORGE("reserved words, the last", "node", 127, 7, MAY_BOUNDS),
        FORGE("name with a control character", "node", 129, 5, MAY_NAME),
        FORGE("name with something behind it", "node", 140, 0, MAY_NAME),
        FORGE("name, its last byte", "node", 383, 0, MAY_NAME),
        FORGE("length, not that of the objects", "node", 40, 3, MAY_BOUNDS),

        FORGE("object: pages, far outside", "node", 391, 7, MAY_RANGE),
        FORGE("object: pages, above all memory", "node", 388, 6, MAY_RANGE),
        POINT("object: pages at the node", "node", 384, "node", MAY_TWICE),
        POINT("object: pages at the super block", "node", 384, "super", MAY_TWICE),
        POINT("object: pages at the directory", "node", 384, "dir", MAY_TWICE),
        /* The neighbour may have been dropped itself, so that its pages were free to be claimed. */
        POINT("object: pages of the node before", "node", 384, "before",
              MAY_TWICE | MAY_COUNT | MAY_HEADER | MAY_CHECKSUM | MAY_KEEP),
        POINT("object: bytes at its pages", "node", 400, "pages", MAY_TWICE),
        FORGE("object: number of pages", "node", 392, 0, MAY_COUNT),
        FORGE("object: number of pages, huge", "node", 399, 7, MAY_COUNT),
        FORGE("object: bytes, far outside", "node", 407, 6, MAY_RANGE),
        FORGE("object: number of bytes, a page less", "node", 409, 4, MAY_COUNT),
        FORGE("object: number of bytes, one more", "node", 408, 0, MAY_KEEP),
        FORGE("object: number of bytes, negative", "node", 415, 7, MAY_BOUNDS),
        FORGE("object: size, a little", "node", 416, 0, MAY_KEEP),
        FORGE("object: size, a page", "node", 417, 5, MAY_KEEP),
        FORGE("object: size, negative", "node", 423, 7, MAY_BOUNDS),
        FORGE("object: size, largest", "node", 423, 6, MAY_KEEP),
        FORGE("object: no pages", "node", 424, 0, MAY_BOUNDS),
        FORGE("object: no bytes", "node", 424, 1, MAY_BOUNDS),
        FORGE("object: no file", "node", 424, 2, MAY_BOUNDS),
        FORGE("object: unknown flag", "node", 424, 3, MAY_BOUNDS),
        FORGE("object: unknown flag, the last", "node", 425, 7, MAY_BOUNDS),
        FORGE("object: compatible flag", "node", 426, 0, MAY_KEEP),
        FORGE("object: compatible flag, the last", "node", 427, 7, MAY_KEEP),
        FORGE("object: mode of no file", "node", 429, 7, MAY_BOUNDS),
        FORGE("object: mode of a socket", "node", 429, 6, MAY_BOUNDS),
        FORGE("object: mode, set-user-ID", "node", 429, 3, MAY_KEEP),
        FORGE("object: owner", "node", 435, 7, MAY_KEEP),
        FORGE("object: group", "node", 439, 7, MAY_KEEP),
        FORGE("object: seals", "node", 440, 1, MAY_KEEP),
        FORGE("object: unknown seals", "node", 443, 7, MAY_KEEP | MAY_BOUNDS),
        FORGE("object: reserved", "node", 444, 0, MAY_BOUNDS),
        FORGE("object: time of access", "node", 455, 7, MAY_KEEP | MAY_BOUNDS),
        FORGE("object: time of change", "node", 463, 7, MAY_KEEP | MAY_BOUNDS),
        FORGE("object: time of status change", "node", 471, 7, MAY_KEEP | MAY_BOUNDS),
        FORGE("object: reserved words", "node", 472, 0, MAY_BOUNDS),
        FORGE("object: reserved words, the last", "node", 511, 7, MAY_BOUNDS),

        HEADER_FIELDS("pages"),
        FLIP("extent", "pages", 80, 0, MAY_CHECKSUM),
        FLIP("number of extents", "pages", 72, 0, MAY_CHECKSUM),
        FORGE("index, huge", "pages", 71, 7, MAY_BOUNDS),
        FORGE("index, moved", "pages", 64, 4, MAY_KEEP),
        FORGE("number of extents, one off", "pages", 72, 0, MAY_COUNT | MAY_BOUNDS | MAY_TWICE | MAY_RANGE),
        FORGE("number of extents, huge", "pages", 75, 7, MAY_BOUNDS),
        FORGE("number of extents, more than fit", "pages", 73, 2, MAY_BOUNDS),
        FORGE("reserved", "pages", 76, 0, MAY_BOUNDS),
        FORGE("length, not that of the extents", "pages", 40, 3, MAY_BOUNDS | MAY_KEEP),
        FORGE("extent, above all memory", "pages", 84, 7, MAY_RANGE | MAY_BOUNDS),
        FORGE("extent, outside the blocks", "pages", 83, 7, MAY_RANGE),
        POINT("extent at the super block", "pages", 80, "super", MAY_TWICE),
        POINT("extent at the map", "pages", 80, "map", MAY_TWICE),
        POINT("extent at the directory", "pages", 80, "dir", MAY_TWICE),
        POINT("extent at its node", "pages", 80, "node", MAY_TWICE),
        POINT("extent at its own page", "pages", 80, "self", MAY_TWICE),
        POINT("extent at the link page of the node before", "pages", 80, "before",
              MAY_TWICE | MAY_COUNT | MAY_KEEP | MAY_RANGE),
        FORGE("extent, a gap or an order", "pages", 85, 4, MAY_KEEP | MAY_BOUNDS | MAY_COUNT | MAY_TWICE | MAY_RANGE),
        FORGE("extent, a huge gap or many", "pages", 86, 7, MAY_KEEP | MAY_BOUNDS | MAY_COUNT | MAY_TWICE | MAY_RANGE),

        HEADER_FIELDS("bytes"),
        FLIP("extent of bytes", "bytes", 86, 7, MAY_CHECKSUM),
        FORGE("index of bytes", "bytes", 64, 0, MAY_BOUNDS),
        FORGE("reserved, of bytes", "bytes", 79, 7, MAY_BOUNDS),
        FORGE("extent of bytes, a gap", "bytes", 85, 1, MAY_BOUNDS),
        FORGE("extent of bytes, a large folio", "bytes", 85, 4, MAY_BOUNDS),
        POINT("extent of bytes at a link page", "bytes", 80, "pages", MAY_TWICE),
        POINT("extent of bytes at its own page", "bytes", 80, "self", MAY_TWICE),

        HEADER_FIELDS("objects"),
        FLIP("further object", "objects", 64, 0, MAY_CHECKSUM),
        FLIP("further object, its last byte", "objects", 319, 7, MAY_CHECKSUM),
        FORGE("length, not that of the further objects", "objects", 40, 3, MAY_BOUNDS),
        FORGE("further object: pages it must not have", "objects", 64, 0, MAY_BOUNDS),
        FORGE("further object: bytes, far outside", "objects", 87, 7, MAY_RANGE),
        FORGE("further object: number of bytes", "objects", 88, 0, MAY_COUNT),
        FORGE("further object: a size", "objects", 96, 0, MAY_BOUNDS),
        FORGE("further object: flags", "objects", 104, 2, MAY_BOUNDS),
        FORGE("further object: owner", "objects", 112, 0, MAY_BOUNDS),
        FORGE("further object: reserved", "objects", 124, 0, MAY_BOUNDS),
        POINT("further object: bytes at the node", "objects", 80, "node", MAY_TWICE),
        POINT("further object: bytes at the page itself", "objects", 80, "self", MAY_TWICE),
        POINT("next to the node", "objects", 48, "node", MAY_TWICE),
        { NULL },
};

#define ONLY(result) (1U << PKRAM_BOOT_##result)
#define ALL_KEPT ONLY(RESTORED), 64, 64
#define SOME_KEPT(least, most) ONLY(PARTIAL), least, most

const struct store_damage damage_stores[] = {
        { "super block: checksum", "super 0 8 0", ONLY(DAMAGED), 0, 0 },
        { "map: checksum", "map 0 8 0", ONLY(DAMAGED), 0, 0 },
        { "directory: checksum", "dir 0 8 0", SOME_KEPT(0, 0) },
        { "directory: a slot is the super block", "+dir 0 64 =super 0", SOME_KEPT(63, 63) },
        { "directory: a node twice", "+dir 0 72 =node 0", SOME_KEPT(63, 63) },
        { "directory: next is itself", "+dir 0 48 =dir 0", ALL_KEPT },
        { "super block: sealed in the future", "+super 0 143 7", ONLY(STALE), 0, 0 },

        { "super block, alone: checksum", "super:0 0 8 0", ALL_KEPT },
        { "super block, alone: magic", "super:0 0 0 0", ALL_KEPT },
        { "super block, alone: seal", "super:0 0 64 0", ALL_KEPT },
        { "super block, alone: version", "super:0 0 4 1", ALL_KEPT },
        { "copy of the super block, alone: checksum", "super:1 0 8 0", ALL_KEPT },
        { "copy of the super block, alone: magic", "super:1 0 0 0", ALL_KEPT },
        { "map, alone: checksum", "map:0 0 8 0", ALL_KEPT },
        { "map, alone: a bit", "map:0 0 70 3", ALL_KEPT },
        { "copy of the map, alone: checksum", "map:1 0 8 0", ALL_KEPT },
        { "directory, alone: checksum", "dir:0 0 8 0", ALL_KEPT },
        { "directory, alone: a slot", "dir:0 0 64 1", ALL_KEPT },
        { "directory, alone: own pfn", "dir:0 0 24 0", ALL_KEPT },
        { "copy of the directory, alone: checksum", "dir:1 0 8 0", ALL_KEPT },
        { "one of each, alone: checksum", "super:0 0 8 0,map:1 0 8 0,dir:0 0 8 0", ALL_KEPT },
        { "the others of each, alone: checksum", "super:1 0 8 0,map:0 0 8 0,dir:1 0 8 0", ALL_KEPT },
        { "super block: copy of the map elsewhere", "+super 0 208 4", ONLY(DAMAGED) | ONLY(RESTORED) | ONLY(PARTIAL),
          0, 64 },
        { "super block: copy of the map outside of memory", "+super 0 215 7", ONLY(DAMAGED), 0, 0 },
        { "super block: copy of the map is the map", "+super 0 208 =map 0", ONLY(DAMAGED), 0, 0 },
        { "super block: copy of the map is the super block", "+super 0 208 =super 0", ONLY(DAMAGED), 0, 0 },
        { "super block: unknown flag of the header", "+super 0 44 1", ONLY(DAMAGED), 0, 0 },
        { "super block: there is no copy, forged", "+super 0 44 0", ALL_KEPT },
        { "directory: there is no copy, forged", "+dir 0 44 0", ALL_KEPT },
        { "map: unknown flag of the header", "+map 0 44 0", ONLY(DAMAGED), 0, 0 },

        { "super block: magic", "super 0 0 0", ONLY(NOTHING), 0, 0 },
        { "super block: version", "super 0 4 1", ONLY(VERSION), 0, 0 },
        { "super block: type", "super 0 6 2", ONLY(NOTHING), 0, 0 },
        { "super block: chain", "super 0 16 0", ONLY(DAMAGED), 0, 0 },
        { "super block: own pfn", "super 0 24 0", ONLY(NOTHING), 0, 0 },
        { "super block: generation", "super 0 33 0", ONLY(DAMAGED), 0, 0 },
        { "super block: length", "super 0 40 3", ONLY(DAMAGED), 0, 0 },
        { "super block: reserved", "super 0 44 0", ONLY(DAMAGED), 0, 0 },
        { "super block: next", "super 0 48 0", ONLY(DAMAGED), 0, 0 },
        { "super block: second reserved", "super 0 56 0", ONLY(DAMAGED), 0, 0 },
        { "super block: seal", "super 0 64 0", ONLY(DAMAGED), 0, 0 },
        { "super block: compatible features", "super 0 72 0", ONLY(DAMAGED), 0, 0 },
        { "super block: incompatible features", "super 0 80 0", ONLY(DAMAGED), 0, 0 },
        { "super block: pfn of the map", "super 0 96 0", ONLY(DAMAGED), 0, 0 },
        { "super block: number of nodes", "super 0 120 0", ONLY(DAMAGED), 0, 0 },
        { "super block: release", "super 0 207 0", ONLY(DAMAGED), 0, 0 },
        { "super block: seal, forged", "+super 0 70 0", ONLY(DAMAGED), 0, 0 },
        { "super block: compatible features, forged", "+super 0 72 5", ALL_KEPT },
        { "super block: memory of a crash kernel, or none", "+super 0 72 0", ALL_KEPT },
        { "super block: memory of a crash kernel has another size", "+super 0 226 1", ALL_KEPT },
        { "super block: incompatible features, forged", "+super 0 80 3", ONLY(VERSION), 0, 0 },
        { "super block: page size", "+super 0 88 0", ONLY(VERSION), 0, 0 },
        { "super block: block size", "+super 0 92 7", ONLY(VERSION), 0, 0 },
        { "super block: map elsewhere", "+super 0 96 4", ONLY(DAMAGED), 0, 0 },
        { "super block: map outside of memory", "+super 0 103 7", ONLY(DAMAGED), 0, 0 },
        { "super block: map is the super block", "+super 0 96 =super 0", ONLY(DAMAGED), 0, 0 },
        { "super block: map is a node", "+super 0 96 =node 7", ONLY(DAMAGED), 0, 0 },
        { "super block: no map", "+super 0 104 0", ONLY(DAMAGED), 0, 0 },
        { "super block: more map pages", "+super 0 104 1", ONLY(DAMAGED), 0, 0 },
        { "super block: too many map pages", "+super 0 107 7", ONLY(DAMAGED), 0, 0 },
        { "super block: number of directory pages", "+super 0 108 2", ALL_KEPT },
        { "super block: directory is the super block", "+super 0 112 =super 0", SOME_KEPT(0, 0) },
        { "super block: directory is a node", "+super 0 112 =node 0", SOME_KEPT(0, 0) },
        { "super block: directory outside of memory", "+super 0 119 7", SOME_KEPT(0, 0) },
        { "super block: one node more", "+super 0 120 0", SOME_KEPT(64, 64) },
        { "super block: one node less", "+super 0 120 6", ALL_KEPT },
        { "super block: time of the seal", "+super 0 135 7", ALL_KEPT },
        { "super block: unprintable release", "+super 0 144 7", ALL_KEPT },
        { "super block: chain, forged", "+super 0 16 0", ONLY(DAMAGED), 0, 0 },
        { "super block: generation, forged", "+super 0 38 0", ALL_KEPT },
        { "map: magic", "map 0 0 0", ONLY(DAMAGED), 0, 0 },
        { "map: a bit", "map 0 70 3", ONLY(DAMAGED), 0, 0 },
        { "map: length", "+map 0 40 3", ONLY(DAMAGED), 0, 0 },
        { "map: type, forged", "+map 0 6 0", ONLY(DAMAGED), 0, 0 },
        { "map: first block", "+map 0 64 0", ONLY(DAMAGED), 0, 0 },
        { "map: a block of the kernel's", "+map 0 65 0", ONLY(RESTORED) | ONLY(PARTIAL) | ONLY(DAMAGED), 0, 64 },
        { "map: a block in the middle", "+map 0 76 3", ONLY(RESTORED) | ONLY(PARTIAL) | ONLY(DAMAGED), 0, 64 },
        { "map: one of the last blocks", "+map 0 87 6", ONLY(RESTORED) | ONLY(PARTIAL) | ONLY(DAMAGED), 0, 64 },
        { "map: a block outside of memory", "+map 0 2000 0", ONLY(RESTORED), 64, 64 },
        { "directory: a slot", "dir 0 64 1", SOME_KEPT(0, 0) },
        { "directory: length", "+dir 0 40 3", SOME_KEPT(0, 0) },
        { "directory: a slot outside of memory", "+dir 0 71 7", SOME_KEPT(63, 63) },
        { "directory: a slot is a link page", "+dir 0 64 =link 5", SOME_KEPT(63, 63) },
        { "directory: a slot is a later node", "+dir 0 64 =node 5", SOME_KEPT(63, 63) },
        { "directory: a node again in the last slot", "+dir 0 4088 =node 0", SOME_KEPT(64, 64) },
        { "directory: next is a node", "+dir 0 48 =node 3", ALL_KEPT },
        { "directory: next is outside of memory", "+dir 0 55 7", ALL_KEPT },
        { NULL },
};
