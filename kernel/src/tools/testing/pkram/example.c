// SPDX-License-Identifier: GPL-2.0
/*
 * Print the store that Documentation/mm/pkram-format.rst explains byte by byte: one node
 * with a file of two large folios, a hole and a base page. "make check" compares the two.
 */
#include <stdio.h>
#include <string.h>

#include "image.h"

#include <asm/byteorder.h>

static void dump(struct memory *mem, const char *what, __u64 pfn, unsigned int from,
		 unsigned int bytes)
{
	const __u8 *p = memory_page(mem, pfn);
	unsigned int at, i;

	printf("%s, page 0x%llx:\n\n", what, (unsigned long long)pfn);
	for (at = from; at < from + bytes; at += 16) {
		printf("%03x ", at);
		for (i = 0; i < 16; i++)
			printf(" %02x", p[at + i]);
		printf("\n");
	}
	printf("\n");
}

int main(void)
{
	struct image_stream s;
	struct pkram_object *o;
	struct image_node node;
	struct memory mem;
	struct image img;

	memory_init(&mem, 0x1000, 16, 0x2000);
	image_init(&img, &mem);
	image_super(&img);
	image_node(&node, &img, "demo");
	o = image_object(&node, PKRAM_OBJ_PAGES | PKRAM_OBJ_FILE);
	img.data_next = 0x1400;
	image_stream(&s, &node);
	image_run(&s, 9, 2);
	image_single(&s, 3);
	image_stream_pages(&s, o);
	o->size = cpu_to_le64((1024 + 4) * PKRAM_PAGE_SIZE);
	image_seal(&img);
	dump(&mem, "Super block", 0x1000, 0, 224);
	dump(&mem, "Directory", 0x1002, 0, 80);
	dump(&mem, "Map", 0x1004, 0, 80);
	dump(&mem, "Node", 0x1006, 0, 160);
	dump(&mem, "Its object", 0x1006, 384, 128);
	dump(&mem, "Link page", 0x1007, 0, 96);
	memory_free(&mem);
	return 0;
}
