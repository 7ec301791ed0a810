// SPDX-License-Identifier: GPL-2.0
/* Early boot on memory maps as no test machine has them. */
#include <string.h>

#include <asm/byteorder.h>
#include <uapi/linux/pkram.h>

#include "early_machine.h"
#include "tap.h"
#include "tests.h"

#define GIB_PAGES		(1ULL << 18)
#define SUPER			(0x2000ULL)
#define BLOCK			((__u64)PKRAM_BLOCK_PAGES)

/* The @i-th hole of @nr in blocks from the first GiB on, which are touched. */
static __u64 hole(unsigned int i)
{
	return GIB_PAGES + i * 100ULL;
}

static void touch_holes(unsigned int nr)
{
	__u64 block;

	for (block = hole(0) / BLOCK; block <= hole(nr) / BLOCK; block++)
		machine_touch(block);
}

/* Is what was found busy each of the holes, and nothing next to them? */
static void expect_holes(unsigned int nr)
{
	unsigned int i, good = 0;

	for (i = 0; i < nr; i++)
		good += machine_busy(hole(i)) && !machine_busy(hole(i) - 1) &&
			!machine_busy(hole(i) + 1) && machine_is_reserved(hole(i) + 1);
	EXPECT_EQ(good, nr);
}

static void boot_with_holes(unsigned int nr, bool reserved)
{
	unsigned int i;

	machine_init(hole(nr) + 2 * GIB_PAGES);
	machine_store(SUPER);
	touch_holes(nr);
	machine_seal();
	for (i = 0; i < nr; i++) {
		if (reserved)
			machine_reserve(hole(i), hole(i) + 1);
		else
			machine_hole(hole(i), hole(i) + 1);
	}
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	expect_holes(nr);
	/* the table of them and that of memblock are where nothing is preserved */
	EXPECT(!machine_busy(SUPER));
	EXPECT_EQ(machine_nr_busy(), nr);
}

/*
 * Boot with what is damaged, or in use by the boot loader, of super block, copy, map, copy
 * of the map: bits 0 to 3.
 */
static void boot_damaged(unsigned int damaged, unsigned int used, int want)
{
	unsigned int i;

	machine_init(2 * GIB_PAGES);
	machine_store(SUPER);
	machine_touch(GIB_PAGES / BLOCK);
	machine_seal();
	for (i = 0; i < 4; i++) {
		if (damaged & 1U << i)
			memset(machine_page(SUPER + i), 0x5a, PKRAM_PAGE_SIZE);
		if (used & 1U << i)
			machine_reserve(SUPER + i, SUPER + i + 1);
	}
	EXPECT_EQ(machine_boot(SUPER), want);
	EXPECT_EQ(machine_is_reserved(GIB_PAGES), want == PKRAM_BOOT_RESTORED);
	if (want == PKRAM_BOOT_RESTORED && !used) {
		const struct pkram_super *sb = machine_page(SUPER), *twin = machine_page(SUPER + 1);

		/* opened, and the map and its copy are the same again */
		EXPECT_EQ(le64_to_cpu(sb->seal), PKRAM_OPEN);
		EXPECT_EQ(le64_to_cpu(twin->seal), PKRAM_OPEN);
		EXPECT(!memcmp((__u8 *)machine_page(SUPER + 2) + 64,
			       (__u8 *)machine_page(SUPER + 3) + 64, PKRAM_PAGE_SIZE - 64));
	}
	machine_done();
}

/* The memory of a crash kernel: free, not wholly free, or all that is free. */
static void boot_crash(const char *what, bool want)
{
	const __u64 start = GIB_PAGES, nr = 64ULL << 8;
	struct pkram_super *sb;

	tap_begin("early: memory of a crash kernel, %s", what ? what : "free");
	machine_init(2 * GIB_PAGES);
	sb = machine_store(SUPER);
	sb->compat = cpu_to_le64(PKRAM_COMPAT_CRASH);
	sb->crash[0].pfn = cpu_to_le64(start);
	sb->crash[0].nr = cpu_to_le64(nr);
	/* RAM of another machine */
	sb->crash[1].pfn = cpu_to_le64(8 * GIB_PAGES);
	sb->crash[1].nr = cpu_to_le64(nr);
	if (what && !strcmp(what, "preserved"))
		machine_touch(start / BLOCK);
	machine_seal();
	if (what && !strcmp(what, "reserved"))
		machine_reserve(start, start + 1);
	if (what && !strcmp(what, "a hole"))
		machine_hole(start, start + 1);
	if (what && !strcmp(what, "nothing else")) {
		machine_reserve(4 * BLOCK, SUPER);
		machine_reserve(SUPER + BLOCK, GIB_PAGES);
		machine_reserve(start + nr, 2 * GIB_PAGES);
	}
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	EXPECT_EQ(machine_is_reserved(start + nr - 1), want);
	EXPECT_EQ(machine_is_reserved(start + nr), what && !strcmp(what, "nothing else"));
	machine_release_crash();
	EXPECT(!machine_is_reserved(start + nr - 1));
	EXPECT(machine_is_reserved(SUPER));
	machine_done();
}

void test_early(void)
{
	static const unsigned int holes[] = { 0, 1, 63, 64, 65, 300, 30000 };
	unsigned int i, k, nr;
	__u64 pfn;

	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		tap_begin("early: %u holes in preserved blocks cost those pages only", holes[i]);
		boot_with_holes(holes[i], false);
		machine_done();
		tap_begin("early: %u pieces of boot loaders cost those pages only", holes[i]);
		boot_with_holes(holes[i], true);
		machine_done();
	}

	boot_crash(NULL, true);
	boot_crash("reserved", false);
	boot_crash("a hole", false);
	boot_crash("preserved", false);
	boot_crash("nothing else", false);

	tap_begin("early: holes and reserved pages by turns");
	machine_init(hole(4000) + 2 * GIB_PAGES);
	machine_store(SUPER);
	touch_holes(4000);
	machine_seal();
	for (i = 0; i < 4000; i++) {
		if (i % 2)
			machine_reserve(hole(i), hole(i) + 1);
		else
			machine_hole(hole(i), hole(i) + 1);
	}
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	expect_holes(4000);
	machine_done();

	tap_begin("early: pieces that touch or overlap are one");
	machine_init(4 * GIB_PAGES);
	machine_store(SUPER);
	touch_holes(100);
	machine_seal();
	machine_hole(hole(0), hole(0) + 10);
	machine_reserve(hole(0) + 5, hole(0) + 20);
	machine_reserve(hole(0) + 20, hole(0) + 21);
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	EXPECT_EQ(machine_nr_busy(), 1);
	EXPECT(machine_busy(hole(0)) && machine_busy(hole(0) + 20));
	EXPECT(!machine_busy(hole(0) - 1) && !machine_busy(hole(0) + 21));
	machine_done();

	tap_begin("early: holes outside of preserved blocks are ignored");
	machine_init(4 * GIB_PAGES);
	machine_store(SUPER);
	machine_seal();
	for (i = 0; i < 300; i++)
		machine_hole(hole(i), hole(i) + 1);
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	EXPECT_EQ(machine_nr_busy(), 0);
	machine_done();

	tap_begin("early: a block at the end that is no RAM at all");
	machine_init(2 * GIB_PAGES);
	machine_store(SUPER);
	machine_touch(2 * GIB_PAGES / BLOCK - 1);
	machine_touch(GIB_PAGES / BLOCK);
	machine_seal();
	machine_hole(2 * GIB_PAGES - 2 * BLOCK, 2 * GIB_PAGES);
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	EXPECT_EQ(machine_nr_busy(), 1);
	EXPECT(machine_busy(2 * GIB_PAGES - 1) && machine_busy(2 * GIB_PAGES - BLOCK));
	EXPECT(!machine_busy(2 * GIB_PAGES - BLOCK - 1));
	machine_done();

	tap_begin("early: without memory for the table holes are joined, and the store lives");
	machine_init(GIB_PAGES + BLOCK * 64);
	machine_store(SUPER);
	/* all but 64 KiB of the machine is touched or in use, and that is for memblock */
	for (pfn = SUPER; pfn < GIB_PAGES + BLOCK * 64; pfn += BLOCK)
		machine_touch(pfn / BLOCK);
	machine_seal();
	machine_reserve(256, SUPER);
	nr = 64 * BLOCK / 100;
	for (i = 0; i < nr; i++)
		machine_hole(hole(i), hole(i) + 1);
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	EXPECT(machine_nr_busy() <= 64);
	for (i = 0, k = 0; i < nr; i++)
		k += machine_busy(hole(i));
	EXPECT_EQ(k, nr);
	EXPECT(!machine_busy(SUPER) && !machine_busy(hole(0) - 1));
	machine_done();

	tap_begin("early: 5000 pieces of firmware that are found later");
	machine_init(hole(5000) + 2 * GIB_PAGES);
	machine_store(SUPER);
	touch_holes(5000);
	machine_seal();
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	/* in no order */
	for (i = 0; i < 5000; i++)
		machine_firmware_uses(hole(i * 1237 % 5000), hole(i * 1237 % 5000) + 1);
	for (i = 0, k = 0; i < 5000; i++)
		k += machine_firmware(hole(i)) && !machine_firmware(hole(i) + 1) &&
		     !machine_busy(hole(i));
	EXPECT_EQ(k, 5000);
	machine_done();

	tap_begin("early: firmware outside of preserved blocks is not for PKRAM to reserve");
	machine_init(4 * GIB_PAGES);
	machine_store(SUPER);
	machine_seal();
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	machine_firmware_uses(hole(7), hole(8));
	EXPECT(!machine_firmware(hole(7)) && !machine_is_reserved(hole(7)));
	machine_done();

	tap_begin("early: what EFI may hand on is no place for tables");
	machine_init(4 * GIB_PAGES);
	machine_store(SUPER);
	for (i = 0; i < 200; i++)
		machine_touch(GIB_PAGES / BLOCK + 2 * i);
	machine_seal();
	machine.avoid[0] = (4 * GIB_PAGES - 1000) << PKRAM_PAGE_SHIFT;
	machine.avoid[1] = 4 * GIB_PAGES << PKRAM_PAGE_SHIFT;
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	for (pfn = 4 * GIB_PAGES - 1000, k = 0; pfn < 4 * GIB_PAGES; pfn++)
		k += machine_is_reserved(pfn);
	EXPECT_EQ(k, 0);
	machine_done();

	for (i = 0; i < 4; i++) {
		tap_begin("early: page %u of super block and map, damaged alone, costs nothing", i);
		boot_damaged(1U << i, 0, PKRAM_BOOT_RESTORED);
		tap_begin("early: page %u of super block and map, in use alone, costs nothing", i);
		boot_damaged(0, 1U << i, PKRAM_BOOT_RESTORED);
	}
	tap_begin("early: one copy of each, damaged");
	boot_damaged(1 | 4, 0, PKRAM_BOOT_RESTORED);
	boot_damaged(2 | 8, 0, PKRAM_BOOT_RESTORED);
	boot_damaged(1 | 8, 0, PKRAM_BOOT_RESTORED);
	tap_begin("early: both copies damaged, and nothing is reserved");
	boot_damaged(1 | 2, 0, PKRAM_BOOT_NOTHING);
	boot_damaged(4 | 8, 0, PKRAM_BOOT_DAMAGED);
	boot_damaged(4, 8, PKRAM_BOOT_DAMAGED);
	boot_damaged(0, 4 | 8, PKRAM_BOOT_DAMAGED);
	boot_damaged(0, 1 | 2, PKRAM_BOOT_NOTHING);

	tap_begin("early: the copy of a super block can be what pkram= names");
	machine_init(2 * GIB_PAGES);
	machine_store(SUPER);
	machine_seal();
	EXPECT_EQ(machine_boot(SUPER + 1), PKRAM_BOOT_RESTORED);
	machine_done();

	tap_begin("early: a copy on bad memory is not looked at");
	machine_init(2 * GIB_PAGES);
	machine_store(SUPER)->hdr.flags = cpu_to_le32(PKRAM_HDR_ALONE);
	machine_seal();
	memset(machine_page(SUPER + 1), 0x5a, PKRAM_PAGE_SIZE);
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	EXPECT_EQ(*(__u8 *)machine_page(SUPER + 1), 0x5a);
	machine_done();

	tap_begin("early: pages of the map damaged by turns are repaired");
	machine_init(70ULL * GIB_PAGES * 2);
	machine_store(SUPER);
	machine_touch(GIB_PAGES / BLOCK);
	machine_touch(PKRAM_MAP_BITS + 7);
	machine_seal();
	memset(machine_page(SUPER + 2), 0, PKRAM_PAGE_SIZE);
	memset(machine_page(SUPER + 6), 0, PKRAM_PAGE_SIZE);
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_RESTORED);
	EXPECT(machine_is_reserved(GIB_PAGES));
	EXPECT(machine_is_reserved((PKRAM_MAP_BITS + 7) * BLOCK));
	EXPECT(!memcmp((__u8 *)machine_page(SUPER + 2) + 64, (__u8 *)machine_page(SUPER + 5) + 64,
		       PKRAM_PAGE_SIZE - 64));
	EXPECT(!memcmp((__u8 *)machine_page(SUPER + 3) + 64, (__u8 *)machine_page(SUPER + 6) + 64,
		       PKRAM_PAGE_SIZE - 64));
	machine_done();

	tap_begin("early: sealed later than now is stale");
	machine_init(2 * GIB_PAGES);
	machine_store(SUPER)->sealed_tsc = cpu_to_le64(1ULL << 40);
	machine_seal();
	machine.ticks = 1;
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_STALE);
	machine_done();

	tap_begin("early: kdump kernels and memory encryption leave it alone");
	machine_init(2 * GIB_PAGES);
	machine_store(SUPER);
	machine_seal();
	machine.kdump = true;
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_OFF);
	machine.kdump = false;
	machine.encrypted = true;
	EXPECT_EQ(machine_boot(SUPER), PKRAM_BOOT_OFF);
	EXPECT(!machine_is_reserved(SUPER));
	machine_done();
}
