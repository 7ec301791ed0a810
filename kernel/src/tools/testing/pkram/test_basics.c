// SPDX-License-Identifier: GPL-2.0
/* Extents, checksums, page headers and names: everything about a single page. */
#include <string.h>

#include "reference.h"
#include "tests.h"

/* Values at and around the limits of a field of @bits bits. */
static __u64 edge(unsigned int i, unsigned int bits)
{
	__u64 max = (1ULL << bits) - 1;
	const __u64 values[] = {
		0, 1, 2, max / 2, max / 2 + 1, max - 1, max,
		0x5555555555555555ULL & max, 0xaaaaaaaaaaaaaaaaULL & max,
	};

	return values[i];
}

#define EDGES			9

static void expect_extent(__u64 raw, __u64 pfn, __u64 gap, __u64 count, __u64 order)
{
	struct pkram_extent e = pkram_extent_decode(raw);

	EXPECT_EQ(raw >> 56, 0);
	EXPECT_EQ(e.pfn, pfn);
	EXPECT_EQ(e.gap, gap);
	EXPECT_EQ(e.count, count);
	EXPECT_EQ(e.order, order);
}

static void extents_in_a_page(void)
{
	struct pkram_link link;
	__u64 raw = 0x00123456789abcdeULL;
	unsigned int i;

	tap_begin("extent: %d of them in a page, each where it belongs",
		  (int)PKRAM_LINK_EXTENTS);
	memset(&link, 0xff, sizeof(link));
	for (i = 0; i < PKRAM_LINK_EXTENTS; i++)
		pkram_extent_put(&link, i, (raw * (i + 1)) & ((1ULL << 56) - 1));
	for (i = 0; i < PKRAM_LINK_EXTENTS; i++) {
		const __u8 *p = link.extents + 7 * i;

		EXPECT_EQ(pkram_extent_raw(&link, i), (raw * (i + 1)) & ((1ULL << 56) - 1));
		/* Little endian on every machine. */
		EXPECT_EQ(p[0], (__u8)(raw * (i + 1)));
		EXPECT_EQ(p[6], (__u8)((raw * (i + 1)) >> 48));
	}

	tap_begin("extent: what follows it in the page does not matter");
	link.extents[7] = 0xff;
	EXPECT_EQ(pkram_extent_raw(&link, 0), raw);
}

void test_extents(void)
{
	unsigned int i, j, order;

	tap_begin("extent: single pages, all limits of pfn and gap");
	for (i = 0; i < EDGES; i++)
		for (j = 0; j < EDGES; j++)
			expect_extent(pkram_extent_single(edge(i, 40), edge(j, 15)),
				      edge(i, 40), edge(j, 15), 1, 0);

	tap_begin("extent: single page, every gap");
	for (i = 0; i <= PKRAM_EXT_MAX_GAP; i++)
		expect_extent(pkram_extent_single(0x123456789a, i), 0x123456789a, i, 1, 0);

	for (order = 0; order <= PKRAM_MAX_ORDER; order++) {
		tap_begin("extent: runs of order %u, every count", order);
		for (i = 1; i <= PKRAM_EXT_MAX_COUNT; i++)
			for (j = 0; j < EDGES; j++)
				expect_extent(pkram_extent_run(edge(j, 40), order, i),
					      edge(j, 40), 0, i, order);
	}

	tap_begin("extent: 1 GiB folios");
	for (i = 1; i <= PKRAM_EXT_MAX_COUNT; i++)
		for (j = 0; j < EDGES; j++)
			expect_extent(pkram_extent_run(edge(j, 40), PKRAM_GIGANTIC_ORDER, i),
				      edge(j, 40), 0, i, PKRAM_GIGANTIC_ORDER);

	tap_begin("extent: long gaps, all limits");
	for (i = 0; i < EDGES; i++)
		expect_extent(pkram_extent_long_gap(edge(i, 51)), 0, edge(i, 51), 0, 0);
	for (i = 0; i < 51; i++)
		expect_extent(pkram_extent_long_gap(1ULL << i), 0, 1ULL << i, 0, 0);

	extents_in_a_page();
}

static void fill(__u64 *page)
{
	__u64 x = 88172645463325252ULL;
	unsigned int i;

	for (i = 0; i < 512; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page[i] = x;
	}
}

void test_checksum(void)
{
	__u64 page[512], sum, sums[512];
	unsigned int i, j, length;

	fill(page);

	tap_begin("checksum: every flipped bit of a page changes it, but for its own field");
	sum = pkram_checksum(page, PKRAM_PAGE_SIZE);
	for (i = 0; i < 512 * 64; i++) {
		page[i / 64] ^= 1ULL << i % 64;
		EXPECT_EQ(pkram_checksum(page, PKRAM_PAGE_SIZE) != sum, i / 64 != 1);
		page[i / 64] ^= 1ULL << i % 64;
	}

	tap_begin("checksum: depends on the length, even over zeroes");
	memset(page, 0, sizeof(page));
	for (length = 64; length <= PKRAM_PAGE_SIZE; length += 8) {
		i = (length - 64) / 8;
		sums[i] = pkram_checksum(page, length);
		for (j = 0; j < i; j++)
			EXPECT(sums[i] != sums[j]);
	}

	fill(page);
	tap_begin("checksum: nothing beyond the length counts");
	for (length = 64; length < PKRAM_PAGE_SIZE; length += 8) {
		sum = pkram_checksum(page, length);
		page[length / 8] = ~page[length / 8];
		EXPECT_EQ(pkram_checksum(page, length), sum);
		page[length / 8] = ~page[length / 8];
	}

	tap_begin("checksum: two words that change places change it");
	sum = pkram_checksum(page, PKRAM_PAGE_SIZE);
	for (i = 2; i + 1 < 512; i++) {
		__u64 w = page[i];

		page[i] = page[i + 1];
		page[i + 1] = w;
		EXPECT(pkram_checksum(page, PKRAM_PAGE_SIZE) != sum);
		page[i + 1] = page[i];
		page[i] = w;
	}

	tap_begin("checksum: same as the reference, all lengths");
	for (length = 64; length <= PKRAM_PAGE_SIZE; length += 8)
		EXPECT_EQ(pkram_checksum(page, length), reference_checksum(page, length));

	tap_begin("checksum: a page of zeroes does not pass as one");
	memset(page, 0, sizeof(page));
	EXPECT(pkram_checksum(page, PKRAM_PAGE_SIZE));
}

/* A good page, for the tests of its header to damage. */
static struct pkram_page_hdr *good_page(__u64 *page)
{
	struct pkram_page_hdr *hdr = (void *)page;

	fill(page);
	*hdr = (struct pkram_page_hdr) {
		.magic = cpu_to_le32(PKRAM_MAGIC),
		.version = cpu_to_le16(PKRAM_FORMAT_VERSION),
		.type = cpu_to_le16(PKRAM_PAGE_LINK),
		.chain = cpu_to_le64(77),
		.pfn = cpu_to_le64(5000),
		.generation = cpu_to_le64(3),
		.length = cpu_to_le32(128),
		.next = cpu_to_le64(~0ULL),
	};
	return hdr;
}

static int check(const struct pkram_page_hdr *hdr)
{
	return pkram_check_page(hdr, PKRAM_PAGE_LINK, 5000, 77, 3);
}

/* Each with a right checksum: it is the field that must be noticed. */
static void header_fields(void)
{
	static const struct {
		const char *what;
		size_t offset;
		size_t size;
		__u64 value;
		int want;
	} rows[] = {
#define AT(field)	offsetof(struct pkram_page_hdr, field)
		{ "magic = 0", AT(magic), 4, 0, PKRAM_DAMAGE_HEADER },
		{ "magic = 0x504b524d", AT(magic), 4, 0x504b524d, PKRAM_DAMAGE_HEADER },
		{ "version = 0", AT(version), 2, 0, PKRAM_DAMAGE_HEADER },
		{ "version = PKRAM_FORMAT_VERSION + 1", AT(version), 2,
		  PKRAM_FORMAT_VERSION + 1, PKRAM_DAMAGE_HEADER },
		{ "type = 0", AT(type), 2, 0, PKRAM_DAMAGE_HEADER },
		{ "type = PKRAM_PAGE_NODE", AT(type), 2, PKRAM_PAGE_NODE, PKRAM_DAMAGE_HEADER },
		{ "chain = 0", AT(chain), 8, 0, PKRAM_DAMAGE_HEADER },
		{ "chain = 78", AT(chain), 8, 78, PKRAM_DAMAGE_HEADER },
		{ "pfn = 0", AT(pfn), 8, 0, PKRAM_DAMAGE_HEADER },
		{ "pfn = 5001", AT(pfn), 8, 5001, PKRAM_DAMAGE_HEADER },
		{ "generation = 4", AT(generation), 8, 4, PKRAM_DAMAGE_HEADER },
		{ "generation = ~0ULL", AT(generation), 8, ~0ULL, PKRAM_DAMAGE_HEADER },
		{ "generation = 2", AT(generation), 8, 2, PKRAM_DAMAGE_NONE },
		{ "generation = 0", AT(generation), 8, 0, PKRAM_DAMAGE_NONE },
		{ "length = 64", AT(length), 4, 64, PKRAM_DAMAGE_NONE },
		{ "length = PKRAM_PAGE_SIZE", AT(length), 4, PKRAM_PAGE_SIZE, PKRAM_DAMAGE_NONE },
		{ "next = 0", AT(next), 8, 0, PKRAM_DAMAGE_NONE },
		{ "flags = 2", AT(flags), 4, 2, PKRAM_DAMAGE_HEADER },
		{ "reserved1 = 1ULL << 63", AT(reserved1), 8, 1ULL << 63, PKRAM_DAMAGE_HEADER },
#undef AT
	};
	struct pkram_page_hdr *hdr;
	__u64 page[512];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		__le64 le = cpu_to_le64(rows[i].value);

		tap_begin("header: %s gives %d", rows[i].what, rows[i].want);
		hdr = good_page(page);
		memcpy((__u8 *)hdr + rows[i].offset, &le, rows[i].size);
		pkram_page_finish(hdr);
		EXPECT_EQ(check(hdr), rows[i].want);
	}
}

void test_header(void)
{
	static const __u32 lengths[] = {
		0, 8, 56, 63, 65, 68, 127, 4092, 4095, 4097, 4104, 8192, 1U << 31, ~7U, ~0U,
	};
	struct pkram_page_hdr *hdr;
	__u64 page[512];
	unsigned int i;

	tap_begin("header: a good one passes");
	hdr = good_page(page);
	pkram_page_finish(hdr);
	EXPECT_EQ(check(hdr), PKRAM_DAMAGE_NONE);

	tap_begin("header: a wrong checksum is told from a wrong header");
	hdr->checksum ^= cpu_to_le64(1);
	EXPECT_EQ(check(hdr), PKRAM_DAMAGE_CHECKSUM);
	hdr->magic ^= cpu_to_le32(1);
	EXPECT_EQ(check(hdr), PKRAM_DAMAGE_HEADER);

	tap_begin("header: a length that cannot be is refused before it is used");
	hdr = good_page(page);
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		hdr->length = cpu_to_le32(lengths[i]);
		EXPECT_EQ(check(hdr), PKRAM_DAMAGE_HEADER);
	}

	tap_begin("header: pages of zeroes and of ones are none");
	memset(page, 0, sizeof(page));
	EXPECT_EQ(check(hdr), PKRAM_DAMAGE_HEADER);
	memset(page, 0xff, sizeof(page));
	EXPECT_EQ(check(hdr), PKRAM_DAMAGE_HEADER);

	header_fields();
}

static int name(const char *s)
{
	return pkram_check_name((const __u8 *)s, strlen(s));
}

void test_name(void)
{
	__u8 buf[512];
	unsigned int i;

	tap_begin("name: ordinary ones");
	EXPECT_EQ(name("a"), 0);
	EXPECT_EQ(name("db.service"), 0);
	EXPECT_EQ(name("..."), 0);
	EXPECT_EQ(name(".a"), 0);
	EXPECT_EQ(name(" "), 0);
	EXPECT_EQ(name("\xc3\xa4\xff"), 0);

	tap_begin("name: 1 to 255 bytes, no more and no fewer");
	memset(buf, 'x', sizeof(buf));
	for (i = 1; i <= PKRAM_NODE_NAME_MAX; i++)
		EXPECT_EQ(pkram_check_name(buf, i), 0);
	EXPECT_EQ(pkram_check_name(buf, 0), -1);
	for (; i < sizeof(buf); i++)
		EXPECT_EQ(pkram_check_name(buf, i), -2);
	EXPECT_EQ(pkram_check_name(buf, ~0U), -2);

	tap_begin("name: the directories of every directory are refused");
	EXPECT_EQ(name("."), -1);
	EXPECT_EQ(name(".."), -1);

	tap_begin("name: every byte at the start, in the middle, at the end");
	for (i = 0; i < 256; i++) {
		int want = i < 0x20 || i == 0x7f || i == '/' ? -1 : 0;

		memset(buf, 'x', 3);
		buf[0] = i;
		EXPECT_EQ(pkram_check_name(buf, 3), want);
		memset(buf, 'x', 3);
		buf[1] = i;
		EXPECT_EQ(pkram_check_name(buf, 3), want);
		memset(buf, 'x', 3);
		buf[2] = i;
		EXPECT_EQ(pkram_check_name(buf, 3), want);
	}
}
