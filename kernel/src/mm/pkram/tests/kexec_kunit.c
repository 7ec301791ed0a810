// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit suite pkram-kexec: images and preserved memory.
 */
#include <linux/completion.h>
#include <linux/kexec.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "helpers.h"

static void kexec_strip(struct kunit *test)
{
	static const struct {
		const char *from;
		const char *to;
	} lines[] = {
		{ "", "" },
		{ "pkram=", "" },
		{ "pkram=1", "" },
		{ "pkram=0x12ab quiet", "quiet" },
		{ "quiet pkram=0x12ab", "quiet " },
		{ "a pkram=1 b", "a b" },
		{ "a  pkram=1  b", "a  b" },
		{ "a\tpkram=1\nb", "a\tb" },
		{ "pkram=1 pkram=2 a pkram=3 pkram=4", "a " },
		{ "xpkram=1 a.pkram=2 pkram2=3 pkram", "xpkram=1 a.pkram=2 pkram2=3 pkram" },
		{ "PKRAM=1", "PKRAM=1" },
		{ "init=/pkram=1", "init=/pkram=1" },
		{ "a=\"b pkram=1 c\" d", "a=\"b pkram=1 c\" d" },
		{ "a=\"b\" pkram=1 c=\"d pkram=2\" pkram=3", "a=\"b\" c=\"d pkram=2\" " },
		{ "\"pkram=1\" a", "a" },
		{ "a pkram=\"1 2\" b", "a b" },
		{ "a \"pkram=1 2\" b", "a b" },
		{ "a \"b pkram=1\" c", "a \"b pkram=1\" c" },
		{ "root=/dev/sda1 console=ttyS0", "root=/dev/sda1 console=ttyS0" },
	};
	unsigned int i;
	char buf[128];

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		strscpy_pad(buf, lines[i].from);
		KUNIT_EXPECT_EQ(test, pkram_kexec_strip(buf), strlen(lines[i].to) + 1);
		KUNIT_EXPECT_STREQ(test, buf, lines[i].to);
	}
}

static void kexec_param(struct kunit *test)
{
	struct pkram_super *sb = pkram.sb;
	char buf[PKRAM_PARAM_LEN + 2], want[64], tiny[4];
	int n;

	buf[PKRAM_PARAM_LEN + 1] = 'x';
	/* always 16 digits: the next kernel knows the word by them */
	snprintf(want, sizeof(want), "pkram=0x%016llx ", pkram_pfn(pkram.sb));
	n = pkram_kexec_param(buf, PKRAM_PARAM_LEN + 1);
	KUNIT_EXPECT_EQ(test, n, PKRAM_PARAM_LEN);
	KUNIT_EXPECT_STREQ(test, buf, want);
	KUNIT_EXPECT_LT(test, pkram_kexec_param(tiny, sizeof(tiny)), (int)sizeof(tiny));
	/* it is what is stripped the next time */
	KUNIT_EXPECT_EQ(test, pkram_kexec_strip(buf), 1);
	pkram.sb = NULL;
	n = pkram_kexec_param(buf, PKRAM_PARAM_LEN + 1);
	pkram.sb = sb;
	KUNIT_EXPECT_EQ(test, n, 0);
	KUNIT_EXPECT_EQ(test, buf[PKRAM_PARAM_LEN + 1], 'x');
}

/* kernel_info as it is in a bzImage, with entries before ours */
struct test_info {
	u32 magic;
	u32 size;
	u32 size_total;
	u32 setup_type_max;
	u32 other[5];
	struct pkram_image_tag tag;
};

static struct test_info good_info(void)
{
	return (struct test_info) {
		.magic = 0x506f544c,
		.size = offsetof(struct test_info, other),
		.size_total = sizeof(struct test_info),
		.tag = {
			.magic = cpu_to_le32(PKRAM_IMAGE_TAG),
			.length = cpu_to_le32(sizeof(struct pkram_image_tag)),
			.version = cpu_to_le32(PKRAM_FORMAT_VERSION),
		},
	};
}

static void kexec_image_tag(struct kunit *test)
{
	struct test_info info = good_info();

	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, SIZE_MAX), PKRAM_IMAGE_KEEPS);
	/* a longer tag of a later kernel, and one that is too short to be ours */
	info.tag.length = cpu_to_le32(40);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
	info.tag.length = cpu_to_le32(12);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_NO_SUPPORT);

	info = good_info();
	info.tag.version = cpu_to_le32(PKRAM_FORMAT_VERSION + 1);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_VERSION);

	/* what this kernel writes needs a feature that the image must know */
	info = good_info();
	pkram.sb->incompat = cpu_to_le64(2);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_VERSION);
	info.tag.incompat = cpu_to_le64(3);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
	pkram.sb->incompat = cpu_to_le64(BIT_ULL(63));
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_VERSION);
	info.tag.incompat = cpu_to_le64(BIT_ULL(63));
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
	pkram.sb->incompat = 0;
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
}

/* What nodes need counts as long as one of them needs it. */
static void kexec_image_tag_nodes(struct kunit *test)
{
	struct test_info info = good_info();

	info.tag.node_incompat = cpu_to_le64(BIT_ULL(3));
	mutex_lock(&pkram.lock);
	pkram_count_features(BIT_ULL(3) | BIT_ULL(63), 1);
	pkram_count_features(BIT_ULL(3), 1);
	mutex_unlock(&pkram.lock);
	KUNIT_EXPECT_EQ(test, pkram_needed_features(), BIT_ULL(3) | BIT_ULL(63));
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_VERSION);
	mutex_lock(&pkram.lock);
	pkram_count_features(BIT_ULL(3) | BIT_ULL(63), -1);
	mutex_unlock(&pkram.lock);
	KUNIT_EXPECT_EQ(test, pkram_needed_features(), BIT_ULL(3));
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
	info.tag.node_incompat = 0;
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_VERSION);
	mutex_lock(&pkram.lock);
	pkram_count_features(BIT_ULL(3), -1);
	mutex_unlock(&pkram.lock);
	KUNIT_EXPECT_EQ(test, pkram_needed_features(), 0);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_KEEPS);
}

/* A kernel that reads several versions has a tag for each, in any order. */
static void kexec_image_tags(struct kunit *test)
{
	struct {
		struct test_info info;
		struct pkram_image_tag second;
	} two = { .info = good_info() };

	two.info.size_total = sizeof(two);
	two.second = two.info.tag;
	two.info.tag.version = cpu_to_le32(PKRAM_FORMAT_VERSION + 1);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&two, sizeof(two)), PKRAM_IMAGE_KEEPS);
	swap(two.info.tag, two.second);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&two, sizeof(two)), PKRAM_IMAGE_KEEPS);
	two.info.tag.version = cpu_to_le32(PKRAM_FORMAT_VERSION + 2);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&two, sizeof(two)), PKRAM_IMAGE_VERSION);
}

/* Anything else is a kernel without PKRAM, and not read beyond its end. */
static void kexec_image_tag_hostile(struct kunit *test)
{
	static const u32 sizes[] = { 0, 1, 8, 50, 53, 4096, S32_MAX, U32_MAX - 3, U32_MAX };
	struct test_info info = good_info();
	unsigned int i;
	size_t len;
	u8 *buf;

	/* cut anywhere; KASAN sees a read past the end */
	for (len = 0; len < sizeof(info); len++) {
		buf = kmemdup(&info, max(len, sizeof(u32)), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, buf);
		KUNIT_EXPECT_EQ_MSG(test, pkram_image_tag_state(buf, len),
				    PKRAM_IMAGE_NO_SUPPORT, "%zu bytes", len);
		kfree(buf);
	}
	/* it says it ends before the tag does */
	for (len = 0; len < sizeof(info); len++) {
		info.size_total = len;
		KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)),
				PKRAM_IMAGE_NO_SUPPORT);
	}
	/* the variable part begins at, in or behind the tag, or out of this world */
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		info = good_info();
		info.size = sizes[i];
		info.size_total = i % 2 ? sizeof(info) : U32_MAX;
		pkram_image_tag_state(&info, sizeof(info));
		if (sizes[i] > offsetof(struct test_info, tag))
			KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)),
					PKRAM_IMAGE_NO_SUPPORT);
	}
	info = good_info();
	info.magic ^= 1;
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_NO_SUPPORT);
	info = good_info();
	info.tag.magic ^= cpu_to_le32(1);
	KUNIT_EXPECT_EQ(test, pkram_image_tag_state(&info, sizeof(info)), PKRAM_IMAGE_NO_SUPPORT);
}

#ifdef CONFIG_KEXEC_FILE

/* Where a bzImage has what tells that it has PKRAM; see Documentation/arch/x86/boot.rst. */
#define BZ_SETUP_SECTS		0x1f1
#define BZ_VERSION		0x206
#define BZ_KERNEL_INFO		0x268
#define BZ_CODE			1024

/* The command line that is booted is complete before anything measures it. */
static void kexec_cmdline(struct kunit *test)
{
	static const struct {
		const char *from;
		const char *to;		/* after the word */
		u32 type;
		bool tag;
		bool word;
	} lines[] = {
		{ NULL, "", KEXEC_TYPE_DEFAULT, true, true },
		{ "", "", KEXEC_TYPE_DEFAULT, true, true },
		{ "quiet", "quiet", KEXEC_TYPE_DEFAULT, true, true },
		{ "pkram=dead quiet pkram=1 -- pkram=2", "quiet -- ",
		  KEXEC_TYPE_DEFAULT, true, true },
		{ NULL, NULL, KEXEC_TYPE_DEFAULT, false, false },
		{ "pkram=dead quiet", "quiet", KEXEC_TYPE_DEFAULT, false, false },
		{ "pkram=dead quiet", "pkram=dead quiet", KEXEC_TYPE_CRASH, true, false },
	};
	const struct test_info info = good_info();
	char want[128], *kernel;
	struct kimage *image;
	unsigned int i;

	image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	kernel = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_NOT_NULL(test, kernel);
	kernel[BZ_SETUP_SECTS] = BZ_CODE / 512 - 1;
	kernel[BZ_VERSION] = 0x0f;
	kernel[BZ_VERSION + 1] = 0x02;
	kernel[BZ_KERNEL_INFO] = 64;
	image->kernel_buf = kernel;
	image->kernel_buf_len = PAGE_SIZE;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		memset(kernel + BZ_CODE, 0, PAGE_SIZE - BZ_CODE);
		if (lines[i].tag)
			memcpy(kernel + BZ_CODE + 64, &info, sizeof(info));
		image->type = lines[i].type;
		image->pkram_state = PKRAM_IMAGE_NONE;
		image->cmdline_buf = lines[i].from ? kstrdup(lines[i].from, GFP_KERNEL) : NULL;
		image->cmdline_buf_len = lines[i].from ? strlen(lines[i].from) + 1 : 0;
		KUNIT_EXPECT_EQ(test, pkram_kexec_cmdline(image), 0);
		if (lines[i].type == KEXEC_TYPE_DEFAULT)
			KUNIT_EXPECT_EQ(test, image->pkram_state, lines[i].tag ?
					PKRAM_IMAGE_KEEPS : PKRAM_IMAGE_NO_SUPPORT);
		if (!lines[i].to) {
			KUNIT_EXPECT_NULL(test, image->cmdline_buf);
			KUNIT_EXPECT_EQ(test, image->cmdline_buf_len, 0);
			continue;
		}
		want[0] = '\0';
		if (lines[i].word)
			pkram_kexec_param(want, sizeof(want));
		strlcat(want, lines[i].to, sizeof(want));
		KUNIT_EXPECT_STREQ(test, image->cmdline_buf, want);
		KUNIT_EXPECT_EQ(test, image->cmdline_buf_len, strlen(want) + 1);
		kfree(image->cmdline_buf);
	}
}

#endif /* CONFIG_KEXEC_FILE */

static void kexec_banned(struct kunit *test)
{
	const u64 end = pkram_nr_blocks << PKRAM_BLOCK_ORDER;

	KUNIT_EXPECT_TRUE(test, pkram_banned(0, 1));
	KUNIT_EXPECT_TRUE(test, pkram_banned(PKRAM_MIN_PFN - 1, 1));
	KUNIT_EXPECT_FALSE(test, pkram_banned(PKRAM_MIN_PFN, 1));
	KUNIT_EXPECT_FALSE(test, pkram_banned(end - 1, 1));
	KUNIT_EXPECT_TRUE(test, pkram_banned(end - 1, 2));
	KUNIT_EXPECT_TRUE(test, pkram_banned(end, 1));

	kt_add_ban(test, 10000, 10010);
	kt_add_ban(test, 20000, 20001);
	KUNIT_EXPECT_FALSE(test, pkram_banned(9999, 1));
	KUNIT_EXPECT_TRUE(test, pkram_banned(9999, 2));
	KUNIT_EXPECT_TRUE(test, pkram_banned(10000, 1));
	KUNIT_EXPECT_TRUE(test, pkram_banned(10009, 1));
	KUNIT_EXPECT_FALSE(test, pkram_banned(10010, 1));
	KUNIT_EXPECT_FALSE(test, pkram_banned(10010, 20000 - 10010));
	KUNIT_EXPECT_TRUE(test, pkram_banned(9990, 100));
	KUNIT_EXPECT_TRUE(test, pkram_banned(19968, 512));
	kt_lift_bans(NULL);
	KUNIT_EXPECT_FALSE(test, pkram_banned(10000, 1));
}

/* As far as nothing is banned, and in agreement with pkram_banned(). */
static void kexec_allowed(struct kunit *test)
{
	const u64 end = pkram_nr_blocks << PKRAM_BLOCK_ORDER;
	u64 pfn, nr, n;

	KUNIT_ASSERT_GT(test, end, 4096);
	kt_add_ban(test, 1000, 1010);
	kt_add_ban(test, 2000, 2001);
	kt_add_ban(test, 1010, 1012);
	KUNIT_EXPECT_EQ(test, pkram_allowed(0, 5), 0);
	KUNIT_EXPECT_EQ(test, pkram_allowed(990, 20), 10);
	KUNIT_EXPECT_EQ(test, pkram_allowed(990, 10), 10);
	KUNIT_EXPECT_EQ(test, pkram_allowed(990, 2000), 10);
	KUNIT_EXPECT_EQ(test, pkram_allowed(1009, 1), 0);
	KUNIT_EXPECT_EQ(test, pkram_allowed(1012, 5000), 988);
	KUNIT_EXPECT_EQ(test, pkram_allowed(end - 3, 5), 3);
	KUNIT_EXPECT_EQ(test, pkram_allowed(end, 1), 0);
	for (pfn = 980; pfn < 1030; pfn++) {
		for (nr = 1; nr < 40; nr++) {
			n = pkram_allowed(pfn, nr);
			KUNIT_EXPECT_EQ(test, n == nr, !pkram_banned(pfn, nr));
			if (n)
				KUNIT_EXPECT_FALSE(test, pkram_banned(pfn, n));
			if (n < nr)
				KUNIT_EXPECT_TRUE(test, pkram_banned(pfn + n, 1));
		}
	}
}

/* Saving a folio that is banned makes a copy of the same order. */
static void kexec_copy(struct kunit *test)
{
	struct folio *banned = kt_new_folio(test, 2, 4), *fine = kt_new_folio(test, 0, 8);

	/* the last page of it is enough */
	kt_add_ban(test, folio_pfn(banned) + 3, folio_pfn(banned) + 4);
	kt_save_large(test, banned, fine);
	kt_load_copy(test, banned, fine);
}

/* Metadata, byte streams and copies touch as few blocks as possible. */
static void kexec_alloc_packs(struct kunit *test)
{
	struct page *page, *prev = NULL;
	unsigned int i, jumps = 0;
	LIST_HEAD(pages);

	pkram_alloc_hold();
	for (i = 0; i < 100; i++) {
		guard(rwsem_read)(&pkram_kexec_sem);
		page = pkram_alloc_page(GFP_KERNEL, numa_mem_id());
		KUNIT_ASSERT_NOT_NULL(test, page);
		jumps += prev && page != prev + 1;
		prev = page;
		list_add(&page->lru, &pages);
	}
	KUNIT_EXPECT_LE(test, jumps, 1);
	list_for_each_entry_safe(page, prev, &pages, lru)
		__free_page(page);
	pkram_alloc_release(true);
}

/* A block that the page allocator returns next. */
static struct page *new_free_block(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL, PKRAM_BLOCK_ORDER);

	KUNIT_ASSERT_NOT_NULL(test, page);
	__free_pages(page, PKRAM_BLOCK_ORDER);
	return page;
}

/* How many blocks are looked at: others may free and allocate meanwhile. */
#define OFFERED 8

/* Is the block among those that the page allocator returns next? */
static bool block_offered(struct page *block)
{
	struct page *page[OFFERED] = { };
	bool offered = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = alloc_pages(GFP_KERNEL | __GFP_NORETRY, PKRAM_BLOCK_ORDER);
		if (!page[i])
			break;
		offered |= page[i] == block;
	}
	while (i--)
		__free_pages(page[i], PKRAM_BLOCK_ORDER);
	return offered;
}

/*
 * Metadata and bytes are not put where an image goes, though it is offered; and it is
 * offered only once in a save.
 */
static void kexec_alloc_avoids(struct kunit *test)
{
	struct page *block, *page, *next;
	unsigned int taken = 0;
	LIST_HEAD(pages);

	/* per-CPU lists return what was freed last */
	migrate_disable();
	block = new_free_block(test);
	kt_add_ban(test, page_to_pfn(block) + 7, page_to_pfn(block) + 8);
	KUNIT_EXPECT_TRUE(test, block_offered(block));
	pkram_alloc_hold();
	/* blocks that others free at the same time are offered, and used, before this one */
	do {
		scoped_guard(rwsem_read, &pkram_kexec_sem)
			page = pkram_alloc_page(GFP_KERNEL, numa_mem_id());
		KUNIT_ASSERT_NOT_NULL(test, page);
		KUNIT_EXPECT_FALSE(test, page >= block && page < block + PKRAM_BLOCK_PAGES);
		list_add(&page->lru, &pages);
	} while (block_offered(block) && ++taken < OFFERED * PKRAM_BLOCK_PAGES);
	KUNIT_EXPECT_FALSE(test, block_offered(block));
	list_for_each_entry_safe(page, next, &pages, lru)
		__free_page(page);
	pkram_alloc_release(true);
	KUNIT_EXPECT_TRUE(test, block_offered(block));
	migrate_enable();
	kt_save_bytes(test, "n", 40 * PAGE_SIZE);
	kt_load_and_drop(test, "n");
}

static unsigned long pages_free(void)
{
	return global_zone_page_state(NR_FREE_PAGES);
}

/* Has the current task look as if it was killed, or not any more. */
static void mark_killed(struct kunit *test, bool killed)
{
	unsigned long flags;

	if (!lock_task_sighand(current, &flags)) {
		KUNIT_FAIL(test, "the task has no signal handlers");
		return;
	}
	if (killed) {
		sigaddset(&current->pending.signal, SIGKILL);
		set_thread_flag(TIF_SIGPENDING);
	} else {
		sigdelset(&current->pending.signal, SIGKILL);
		clear_thread_flag(TIF_SIGPENDING);
	}
	unlock_task_sighand(current, &flags);
}

/* With much memory banned, as when it was added, only some of it is taken, and a kill ends it. */
static void kexec_alloc_gives_up(struct kunit *test)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
	struct folio *folio;
	unsigned long before;
	struct page *page;
	long taken;
	int nid;

	kt_add_ban(test, 0, pkram_nr_blocks << PKRAM_BLOCK_ORDER);
	pkram_alloc_trim();
	pkram_alloc_hold();
	before = pages_free();
	scoped_guard(rwsem_read, &pkram_kexec_sem)
		page = pkram_alloc_packed(numa_mem_id());
	taken = before - pages_free();
	KUNIT_EXPECT_NULL(test, page);
	/* two attempts to have a block, and a few pages */
	KUNIT_EXPECT_LT(test, taken, 2 * 16 * PKRAM_BLOCK_PAGES + 2048);
	pkram_alloc_release(true);

	pkram_alloc_hold();
	before = pages_free();
	mark_killed(test, true);
	scoped_guard(rwsem_read, &pkram_kexec_sem)
		folio = pkram_alloc_folio(gfp, 0, numa_mem_id());
	mark_killed(test, false);
	taken = before - pages_free();
	KUNIT_EXPECT_NULL(test, folio);
	KUNIT_EXPECT_LT(test, taken, 2048);
	pkram_alloc_release(true);

	/* nodes that have no memory, or got it later, have one that is asked instead */
	for_each_node(nid)
		KUNIT_EXPECT_EQ(test, pkram_alloc_node(nid), nid);
	pkram_memory_added = true;
	for_each_node(nid) {
		KUNIT_EXPECT_TRUE(test, node_state(pkram_alloc_node(nid), N_MEMORY));
		if (node_state(nid, N_MEMORY))
			KUNIT_EXPECT_EQ(test, pkram_alloc_node(nid), nid);
	}
	KUNIT_EXPECT_TRUE(test, node_state(pkram_alloc_node(MAX_NUMNODES - 1), N_MEMORY));
	pkram_memory_added = false;
}

/* What was allocated ahead is not used where an image goes that is loaded later. */
static void kexec_alloc_banned_later(struct kunit *test)
{
	struct page *page[2];

	pkram_alloc_hold();
	scoped_guard(rwsem_read, &pkram_kexec_sem)
		page[0] = pkram_alloc_page(GFP_KERNEL, numa_mem_id());
	KUNIT_ASSERT_NOT_NULL(test, page[0]);
	kt_add_ban(test, page_to_pfn(page[0]), page_to_pfn(page[0]) + PKRAM_BLOCK_PAGES);
	scoped_guard(rwsem_read, &pkram_kexec_sem) {
		page[1] = pkram_alloc_page(GFP_KERNEL, numa_mem_id());
		KUNIT_ASSERT_NOT_NULL(test, page[1]);
		KUNIT_EXPECT_FALSE(test, pkram_banned(page_to_pfn(page[1]), 1));
	}
	__free_page(page[0]);
	__free_page(page[1]);
	pkram_alloc_release(true);
}

static void kexec_no_image(struct kunit *test)
{
	if (kexec_image)
		kunit_skip(test, "an image is loaded");
	KUNIT_EXPECT_EQ(test, pkram_image_state(), PKRAM_IMAGE_NONE);
	/* bans are those of the image that is installed in the end: none */
	kt_add_ban(test, 1000, 2000);
	pkram_kexec_begin();
	pkram_kexec_end();
	KUNIT_EXPECT_EQ(test, pkram_bans.nr, 0);
	KUNIT_EXPECT_EQ(test, pkram_image_state(), PKRAM_IMAGE_NONE);
}

static bool placing(void)
{
	if (!down_read_trylock(&pkram_kexec_sem))
		return true;
	up_read(&pkram_kexec_sem);
	return false;
}

struct recorder {
	struct completion started;
	struct completion done;
	u32 state;
};

static int recorder_run(void *data)
{
	struct recorder *r = data;

	complete_all(&r->started);
	r->state = pkram_image_state();
	complete_all(&r->done);
	return 0;
}

/* The system calls fail before they begin, or begin on one of two paths, or on both. */
static void kexec_begin_end(struct kunit *test)
{
	struct recorder r = { .state = U32_MAX };

	pkram_kexec_end();
	KUNIT_EXPECT_FALSE(test, placing());
	pkram_kexec_begin();
	pkram_kexec_begin();
	KUNIT_EXPECT_TRUE(test, placing());

	/* while an image is placed, a task that records pages waits */
	init_completion(&r.started);
	init_completion(&r.done);
	KUNIT_EXPECT_FALSE(test, IS_ERR(kthread_run(recorder_run, &r, "pkram-recorder")));
	wait_for_completion(&r.started);
	KUNIT_EXPECT_FALSE(test, wait_for_completion_timeout(&r.done, HZ / 10));
	KUNIT_EXPECT_EQ(test, r.state, U32_MAX);
	pkram_kexec_end();
	wait_for_completion(&r.done);
	KUNIT_EXPECT_EQ(test, r.state, pkram_image_state());
	KUNIT_EXPECT_FALSE(test, placing());
}

static struct kunit_case pkram_kexec_cases[] = {
	KUNIT_CASE(kexec_strip),
	KUNIT_CASE(kexec_param),
#ifdef CONFIG_KEXEC_FILE
	KUNIT_CASE(kexec_cmdline),
#endif
	KUNIT_CASE(kexec_image_tag),
	KUNIT_CASE(kexec_image_tag_nodes),
	KUNIT_CASE(kexec_image_tags),
	KUNIT_CASE(kexec_image_tag_hostile),
	KUNIT_CASE(kexec_banned),
	KUNIT_CASE(kexec_allowed),
	KUNIT_CASE(kexec_copy),
	KUNIT_CASE(kexec_alloc_packs),
	KUNIT_CASE(kexec_alloc_avoids),
	KUNIT_CASE(kexec_alloc_gives_up),
	KUNIT_CASE(kexec_alloc_banned_later),
	KUNIT_CASE(kexec_no_image),
	KUNIT_CASE(kexec_begin_end),
	{}
};

static struct kunit_suite pkram_kexec_suite = {
	.name = "pkram-kexec",
	.init = kt_case_init,
	.exit = kt_case_exit,
	.test_cases = pkram_kexec_cases,
};

kunit_test_suite(pkram_kexec_suite);
