// SPDX-License-Identifier: GPL-2.0
/*
 * Adopting with threads: mm/pkram/claim.c and adopt.c as they are in the kernel. Random
 * stores, some nodes of which are damaged or want the same pages, are adopted by threads
 * that come and go in all ways; what has to come out is computed one node after the other.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adopt_machine.h"
#include "tests.h"

#define NODES			40
#define THREADS			6
#define BACKED			0x800ULL
#define PAGES			0x20000ULL

static unsigned int next;

static unsigned int random_below(unsigned int n)
{
	next = next * 1103515245 + 12345;
	return (next >> 16) % n;
}

/* One store, and what has to become of it. */
struct store {
	struct memory mem;
	struct image img;
	__u64 pfn[NODES];
	__u64 first[NODES];	/* a data page of it */
	bool good[NODES];
};

static void store_object(struct store *s, struct image_node *node, unsigned int i,
			 unsigned int conflicts)
{
	struct pkram_object *o = image_object(node, FILE_FLAGS);
	struct image_stream stream;
	unsigned int k, nr = 1 + random_below(40);
	__u64 other;

	image_stream(&stream, node);
	s->first[i] = s->img.data_next;
	for (k = 0; k < nr; k++) {
		switch (random_below(8)) {
		case 0:
			image_run(&stream, 0, 1 + random_below(100));
			break;
		case 1:
			image_run(&stream, 2, 1 + random_below(4));
			break;
		case 2:
			if (random_below(4) == 0)
				image_run(&stream, 9, 1 + random_below(2));
			break;
		default:
			image_single(&stream, random_below(3));
		}
		/* what an earlier node has, or itself */
		other = i ? s->first[random_below(conflicts > 1 ? i + 1 : i)] : 0;
		if (conflicts && i && random_below(60) == 0)
			image_extent(&stream, pkram_extent_single(other, 0));
	}
	image_stream_pages(&stream, o);
}

/* @conflicts: 0 none, 1 with other nodes, 2 with itself, too. */
static void store_make(struct store *s, unsigned int conflicts, bool damage)
{
	struct image_node node;
	unsigned int i;
	char name[16];

	memset(s, 0, sizeof(*s));
	memory_init(&s->mem, TEST_BASE, BACKED, PAGES);
	image_init(&s->img, &s->mem);
	image_super(&s->img);
	for (i = 0; i < NODES; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		image_node(&node, &s->img, name);
		s->pfn[i] = node.pfn;
		store_object(s, &node, i, conflicts);
		if (random_below(4) == 0)
			store_object(s, &node, i, conflicts);
	}
	if (s->img.data_next > TEST_BASE + PAGES)
		abort();
	/* all blocks are preserved */
	s->img.data_next = TEST_BASE + PAGES;
	image_seal(&s->img);
	for (i = 0; damage && i < NODES; i++)
		if (random_below(6) == 0)
			*((__u8 *)memory_page(&s->mem, s->pfn[i] + 1) + 100) ^= 1;
}

/* Check one node after the other, and keep the good ones, as the directory says. */
static void store_expect(struct store *s)
{
	struct pkram_node_totals t;
	unsigned int i;

	for (i = 0; i < NODES; i++) {
		size_t before = s->mem.nr_log;

		s->good[i] = !memory_walk(&s->mem, s->img.chain, s->img.generation, s->pfn[i],
					  &t);
		if (!s->good[i])
			EXPECT_EQ(memory_unwalk(&s->mem, s->img.chain, s->img.generation,
						s->pfn[i], s->mem.nr_log - before), 0);
	}
}

static void store_free(struct store *s)
{
	memory_free(&s->mem);
}

/* What the threads do besides working in the background. */
struct job {
	pthread_t thread;
	unsigned int seed;
	unsigned int requests;
	unsigned int killed;
	bool oom;
	bool background;
	unsigned int failed;
};

static void *job_run(void *arg)
{
	struct job *job = arg;
	unsigned int i, slot;
	int err;

	machine_set_seed(job->seed);
	machine_set_killed(job->killed);
	for (i = 0; i < job->requests; i++) {
		slot = (job->seed * 7 + i * 13) % NODES;
		err = machine_adopt_node(slot);
		/* a task that was not killed has what it asked for */
		if (!err && machine_fate(slot) == FATE_PENDING)
			job->failed++;
		if (err && !job->killed)
			job->failed++;
	}
	machine_set_killed(0);
	if (job->oom)
		machine_adopt_oom();
	if (job->background)
		machine_adopt_work();
	return NULL;
}

static void jobs_run(struct job *jobs, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (pthread_create(&jobs[i].thread, NULL, job_run, &jobs[i]))
			abort();
	for (i = 0; i < nr; i++) {
		pthread_join(jobs[i].thread, NULL);
		EXPECT_EQ(jobs[i].failed, 0);
	}
}

/* Every page has the owner that it has to have; nothing is left. */
static bool pages_right(struct store *s)
{
	struct pkram_node_totals t;
	__u64 pfn, bad = 0;
	unsigned int i;

	memory_forget(&s->mem);
	for (i = 0; i < NODES; i++)
		if (machine_fate(i) == FATE_ADOPTED)
			/* all of them at once: no page belongs to two */
			bad += !!memory_walk(&s->mem, s->img.chain, s->img.generation,
					     s->pfn[i], &t);
	for (pfn = TEST_BASE; pfn < TEST_BASE + PAGES; pfn++) {
		bool meta = pfn < le64_to_cpu(s->img.super->hdr.pfn) + 6;

		if (pfn < TEST_BASE + BACKED && pfn >= s->img.meta_next)
			continue;
		if (meta || s->mem.taken[pfn - TEST_BASE])
			bad += !machine_page_claimed(pfn);
		else
			bad += !machine_page_free(pfn);
	}
	return !bad && !machine_pending_pages();
}

static void run_once(struct store *s, struct job *jobs, unsigned int nr, bool exact)
{
	unsigned int i, wrong = 0;

	memory_forget(&s->mem);
	store_expect(s);
	machine_adopt_init(&s->img, PAGES);
	jobs_run(jobs, nr);
	machine_adopt_work();
	for (i = 0; i < NODES; i++) {
		if (machine_fate(i) == FATE_PENDING)
			wrong++;
		else if (exact && (machine_fate(i) == FATE_ADOPTED) != s->good[i])
			wrong++;
	}
	EXPECT_EQ(wrong, 0);
	EXPECT(pages_right(s));
	machine_adopt_done();
}

static void background_jobs(struct job *jobs, unsigned int nr, unsigned int seed)
{
	unsigned int i;

	memset(jobs, 0, nr * sizeof(*jobs));
	for (i = 0; i < nr; i++) {
		jobs[i].seed = seed + i;
		jobs[i].background = true;
	}
}

/* Whatever the threads do, the same nodes are adopted as one after the other. */
static void test_orders(unsigned int conflicts, bool damage, const char *what)
{
	struct job jobs[THREADS];
	unsigned int i, k, nr;
	struct store s;

	tap_begin("adoption: %s, the order of threads makes no difference", what);
	for (i = 0; i < 8; i++) {
		next = 1000 * conflicts + i;
		store_make(&s, conflicts, damage);
		for (k = 0; k < 3; k++) {
			nr = 1 + (i + k) % THREADS;
			background_jobs(jobs, nr, 100 * i + 10 * k);
			run_once(&s, jobs, nr, true);
		}
		store_free(&s);
	}
}

static void test_requests(unsigned int conflicts, const char *what)
{
	struct job jobs[THREADS];
	unsigned int i, k;
	struct store s;

	tap_begin("adoption: %s", what);
	for (i = 0; i < 15; i++) {
		next = 77 * conflicts + i;
		store_make(&s, conflicts, conflicts);
		background_jobs(jobs, THREADS, 50 * i);
		for (k = 1; k < THREADS; k++) {
			jobs[k].requests = 20;
			jobs[k].background = k % 2;
			jobs[k].killed = k == 2 ? 20 : 0;
			jobs[k].oom = k == 4;
		}
		/* nodes that are asked for come before others, so only without conflicts */
		run_once(&s, jobs, THREADS, !conflicts);
		store_free(&s);
	}
}

/* A request alone adopts its node and no other. */
static void test_one_request(void)
{
	struct store s;
	unsigned int i, others = 0;

	tap_begin("adoption: a request waits for its own node only");
	next = 5;
	store_make(&s, 0, false);
	machine_adopt_init(&s.img, PAGES);
	EXPECT_EQ(machine_adopt_node(7), 0);
	EXPECT_EQ(machine_fate(7), FATE_ADOPTED);
	for (i = 0; i < NODES; i++)
		others += i != 7 && machine_fate(i) != FATE_PENDING;
	EXPECT_EQ(others, 0);
	EXPECT(machine_pending_pages() > 0);
	EXPECT_EQ(machine_adopt_node(NODES + 1), 0);
	EXPECT_EQ(machine_adopt_all(), 0);
	EXPECT(pages_right(&s));
	machine_adopt_done();
	store_free(&s);
}

/* A task without memory may hold any lock. */
static void test_oom(void)
{
	struct store s;
	__u64 freed;

	tap_begin("adoption: pages are freed for a task that holds pkram.lock");
	next = 6;
	store_make(&s, 1, true);
	machine_adopt_init(&s.img, PAGES);
	machine_hold_lock(true);
	freed = machine_adopt_oom();
	machine_hold_lock(false);
	EXPECT(freed > 0);
	EXPECT_EQ(machine_adopt_oom(), 0);
	EXPECT_EQ(machine_adopt_all(), 0);
	EXPECT(pages_right(&s));
	machine_adopt_done();
	store_free(&s);
}

/* A fatal signal in the middle of a node gives all of it back. */
static void test_killed(void)
{
	struct store s;
	unsigned int i, killed = 0;

	tap_begin("adoption: a killed request leaves its node as it was");
	next = 8;
	store_make(&s, 0, false);
	machine_adopt_init(&s.img, PAGES);
	machine_set_killed(100);
	for (i = 0; i < NODES; i++)
		killed += machine_adopt_node(i) != 0;
	machine_set_killed(0);
	EXPECT(killed > 10);
	EXPECT_EQ(machine_adopt_all(), 0);
	for (i = 0; i < NODES; i++)
		if (machine_fate(i) != FATE_ADOPTED)
			killed = 0;
	EXPECT(killed);
	EXPECT(pages_right(&s));
	machine_adopt_done();
	store_free(&s);
}

/* A node that names the node page of another one is damaged, not the other one. */
static void test_heads(void)
{
	struct image_stream stream;
	struct image_node a, b;
	struct pkram_object *o;
	struct store s;

	tap_begin("adoption: node pages belong to the directory");
	memset(&s, 0, sizeof(s));
	memory_init(&s.mem, TEST_BASE, BACKED, PAGES);
	image_init(&s.img, &s.mem);
	image_super(&s.img);
	image_node(&a, &s.img, "n0");
	image_node(&b, &s.img, "n1");
	o = image_object(&a, FILE_FLAGS);
	image_stream(&stream, &a);
	image_single(&stream, 0);
	image_extent(&stream, pkram_extent_single(b.pfn, 0));
	image_stream_pages(&stream, o);
	s.img.data_next = TEST_BASE + PAGES;
	image_seal(&s.img);
	machine_adopt_init(&s.img, PAGES);
	machine_adopt_work();
	EXPECT_EQ(machine_fate(0), FATE_DROPPED);
	EXPECT_EQ(machine_damage(0), PKRAM_DAMAGE_TWICE);
	EXPECT_EQ(machine_fate(1), FATE_ADOPTED);
	machine_adopt_done();
	store_free(&s);
}

/* A zone begins inside of a block: in a run of base pages, in a folio, or between two folios. */
static void run_zones(unsigned int border, unsigned int order)
{
	const __u64 block = PKRAM_BLOCK_PAGES;
	struct image_stream stream;
	struct image_node node;
	struct pkram_object *o;
	unsigned int i, wrong = 0;
	struct store s;
	__u64 first;

	memset(&s, 0, sizeof(s));
	memory_init(&s.mem, TEST_BASE, BACKED, PAGES);
	image_init(&s.img, &s.mem);
	image_super(&s.img);
	image_node(&node, &s.img, "n0");
	s.pfn[0] = node.pfn;
	o = image_object(&node, FILE_FLAGS);
	image_stream(&stream, &node);
	first = (s.img.data_next + block - 1) / block * block;
	s.img.data_next = first;
	image_run(&stream, order, 2 * block >> order);
	image_stream_pages(&stream, o);
	s.img.data_next = TEST_BASE + PAGES;
	image_seal(&s.img);
	machine_zone_border = first + border;
	machine_adopt_init(&s.img, PAGES);
	machine_adopt_work();
	EXPECT_EQ(machine_fate(0), FATE_ADOPTED);
	for (i = 0; i < 2 * block; i++)
		wrong += !machine_page_claimed(first + i);
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(machine_folio_order(first), border % (1U << order) ? 0 : order);
	EXPECT_EQ(machine_folio_order(first + block), border % (1U << order) ? 0 : order);
	EXPECT(pages_right(&s));
	machine_adopt_done();
	machine_zone_border = 0;
	store_free(&s);
}

static void test_zones(void)
{
	tap_begin("adoption: a zone begins inside of a block");
	run_zones(5, 0);
	run_zones(5, 9);
	run_zones(8, 3);
	run_zones(12, 3);
	run_zones(512, 9);
}

int main(void)
{
	test_one_request();
	test_oom();
	test_killed();
	test_heads();
	test_zones();
	test_orders(0, false, "good nodes");
	test_orders(0, true, "damaged nodes");
	test_orders(1, false, "nodes that want the same pages");
	test_orders(2, true, "everything at once");
	test_requests(0, "requests of good nodes, some killed");
	test_requests(1, "requests of nodes that want the same pages");
	return tap_done();
}
