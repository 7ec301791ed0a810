// SPDX-License-Identifier: GPL-2.0
/* mm/pkram/claim.c and adopt.c themselves, and the machine that they run on. */
#include "../../../mm/pkram/claim.c"
#include "../../../mm/pkram/adopt.c"

#include "adopt_machine.h"
#include "image.h"

#define FREED			2	/* in struct page.type */

struct pkram_state pkram;
struct pkram_early pkram_early;
u64 pkram_nr_blocks;
pthread_mutex_t machine_wait_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t machine_wait_cond = PTHREAD_COND_INITIALIZER;

__u64 machine_zone_border;

static struct {
	struct image *img;
	u64 nr_pages;
	struct page *pages;
	struct pkram_node *node[PKRAM_DIR_SLOTS];
	enum machine_fate fate[PKRAM_DIR_SLOTS];
	int damage[PKRAM_DIR_SLOTS];
} machine;

static __thread unsigned int killed_share, seed = 1;

static unsigned int random_byte(void)
{
	seed = seed * 1103515245 + 12345;
	return seed >> 16 & 0xff;
}

/* memory */

struct page *pfn_to_page(u64 pfn)
{
	return &machine.pages[pfn - machine.img->mem->base];
}

u64 page_to_pfn(const struct page *page)
{
	return page - machine.pages + machine.img->mem->base;
}

int page_zone_id(const struct page *page)
{
	return machine_zone_border && page_to_pfn(page) >= machine_zone_border;
}

void *pfn_to_kaddr(u64 pfn)
{
	return memory_page(machine.img->mem, pfn);
}

void *machine_alloc(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p)
		abort();
	return p;
}

bool pkram_busy_test(const struct pkram_busy *b, u64 pfn)
{
	return false;
}

/* tasks */

struct task_struct *machine_current(void)
{
	return (struct task_struct *)&seed;
}

bool machine_killed(void)
{
	return killed_share && random_byte() < killed_share;
}

void machine_pause(void)
{
	if (random_byte() < 64)
		sched_yield();
}

void wake_up_all(struct wait_queue_head *q)
{
	pthread_mutex_lock(&machine_wait_lock);
	pthread_cond_broadcast(&machine_wait_cond);
	pthread_mutex_unlock(&machine_wait_lock);
}

bool machine_sleep(bool killable)
{
	struct timespec at;

	if (killable && machine_killed())
		return false;
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += 10000000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&machine_wait_cond, &machine_wait_lock, &at);
	return true;
}

void list_sort(void *priv, struct list_head *l,
	       int (*cmp)(void *priv, const struct list_head *a, const struct list_head *b))
{
	struct list_head *n, *at, sorted;

	INIT_LIST_HEAD(&sorted);
	while (!list_empty(l)) {
		n = l->next;
		list_del_init(n);
		for (at = sorted.next; at != &sorted && cmp(priv, at, n) < 0; at = at->next)
			;
		list_add_tail(n, at);
	}
	list_splice_init(&sorted, l);
}

/* directory.c and node.c */

static unsigned int node_slot(const struct pkram_node *node)
{
	return node->slot - machine.img->dir->slot;
}

void pkram_directory_adopt(struct list_head *nodes)
{
	struct pkram_dir *dir = machine.img->dir;
	unsigned int i;

	pkram_claim_one(le64_to_cpu(dir->hdr.pfn));
	pkram_claim_one(pkram_twin(le64_to_cpu(dir->hdr.pfn)));
	for (i = 0; i < PKRAM_DIR_SLOTS; i++) {
		struct pkram_node *node;
		u64 pfn = le64_to_cpu(dir->slot[i]);

		if (!pfn)
			continue;
		if (pkram_claim_one(pfn))
			abort();
		machine_pause();
		node = machine_alloc(1, sizeof(*node));
		node->page = pfn_to_kaddr(pfn);
		node->slot = &dir->slot[i];
		node->adoption.position = i;
		machine.node[i] = node;
		INIT_LIST_HEAD(&node->adoption.link);
		list_add_tail(&node->adoption.link, nodes);
	}
}

struct pkram_node *pkram_node_pending(const char *name)
{
	unsigned int i;

	for (i = 0; i < PKRAM_DIR_SLOTS; i++)
		if (machine.node[i] &&
		    !strcmp((const char *)machine.node[i]->page->name, name))
			return machine.node[i];
	return NULL;
}

static void node_leave(struct pkram_node *node, enum machine_fate fate)
{
	unsigned int slot = node_slot(node);

	scoped_guard(mutex, &pkram.lock) {
		machine.node[slot] = NULL;
		machine.fate[slot] = fate;
		machine.damage[slot] = node->adoption.damage;
	}
	free(node);
}

void pkram_node_adopted(struct pkram_node *node)
{
	node_leave(node, FATE_ADOPTED);
}

void pkram_node_free_removed(void)
{
	pkram.adopting = false;
}

void pkram_node_drop(struct pkram_node *node)
{
	struct page *page = pfn_to_page(node_pfn(node));

	node_leave(node, FATE_DROPPED);
	page->type = FREED;
}

void pkram_dropped_add(struct pkram_node *node)
{
}

u64 pkram_poison_adopt(struct pkram_node_page *page)
{
	return 0;
}

void pkram_poison_start(void)
{
}

void pkram_dropped_sort(void)
{
}

/* leftover.c */

u64 pkram_leftover_free(u64 first, u64 nr)
{
	u64 block, pfn, end = machine.img->mem->base + machine.nr_pages, freed = 0;

	for (block = pkram_claims_next(first); block < first + nr && block < claims_nr;
	     block = pkram_claims_next(block + 1)) {
		/* only pages of one zone are dealt with at once */
		if (pkram_claims_clean(block) && pkram_claims_count(block) == PKRAM_BLOCK_PAGES &&
		    pkram_zone_is_same(block * PKRAM_BLOCK_PAGES, PKRAM_BLOCK_PAGES))
			continue;
		for (pfn = block * PKRAM_BLOCK_PAGES; pfn < (block + 1) * PKRAM_BLOCK_PAGES &&
		     pfn < end; pfn++) {
			struct page *page = pfn_to_page(pfn);

			if (!PageReserved(page))
				continue;
			ClearPageReserved(page);
			page->type = FREED;
			freed++;
		}
	}
	return freed;
}

void pkram_leftover_done(void)
{
	pkram_claims_free();
}

/* what the tests call */

void machine_adopt_init(struct image *img, __u64 nr_pages)
{
	u64 i;

	memset(&machine, 0, sizeof(machine));
	memset(&pkram, 0, sizeof(pkram));
	pthread_mutex_init(&pkram.lock.m, NULL);
	machine.img = img;
	machine.nr_pages = nr_pages;
	machine.pages = machine_alloc(nr_pages, sizeof(*machine.pages));
	for (i = 0; i < nr_pages; i++)
		machine.pages[i] = (struct page) { .flags = 1 << PG_reserved, .count = 1 };
	pkram.sb = img->super;
	pkram.map = img->map;
	pkram_nr_blocks = (img->mem->base + nr_pages) / PKRAM_BLOCK_PAGES;
	adopt.events = 0;
	adopt.next_block = 0;
	adopt.freed = 0;
	pkram_claims_init();
	pkram_adopt_begin();
	atomic64_set(&pkram.pending_pages, nr_pages);
	/* super block and map */
	for (i = 0; i < 6; i++)
		if (i != 2 && i != 3)
			pkram_claim_one(le64_to_cpu(img->super->hdr.pfn) + i);
}

void machine_adopt_done(void)
{
	free(machine.pages);
	machine.pages = NULL;
}

void machine_adopt_work(void)
{
	while (pkram_adopt_pending()) {
		unsigned long events = pkram_adopt_events();

		if (!pkram_adopt_work(PKRAM_PHASE_DONE))
			wait_event_timeout(pkram_adopt_wait, !pkram_adopt_idle(events), 1);
	}
}

int machine_adopt_node(unsigned int slot)
{
	char name[16];

	snprintf(name, sizeof(name), "n%u", slot);
	return pkram_adopt_node(name);
}

int machine_adopt_all(void)
{
	return pkram_adopt_all();
}

__u64 machine_adopt_oom(void)
{
	return pkram_adopt_until_free();
}

void machine_set_killed(unsigned int share)
{
	killed_share = share;
}

void machine_set_seed(unsigned int s)
{
	seed = s;
}

void machine_hold_lock(bool held)
{
	if (held)
		mutex_lock(&pkram.lock);
	else
		mutex_unlock(&pkram.lock);
}

enum machine_fate machine_fate(unsigned int slot)
{
	enum machine_fate fate = FATE_PENDING;

	scoped_guard(mutex, &pkram.lock)
		fate = machine.fate[slot];
	return fate;
}

int machine_damage(unsigned int slot)
{
	return machine.damage[slot];
}

bool machine_page_claimed(__u64 pfn)
{
	const struct page *page = pfn_to_page(pfn);

	return !PageReserved(page) && page->type != FREED;
}

unsigned int machine_folio_order(__u64 pfn)
{
	return pfn_to_page(pfn)->order;
}

bool machine_page_free(__u64 pfn)
{
	return pfn_to_page(pfn)->type == FREED;
}

__u64 machine_pending_pages(void)
{
	return __atomic_load_n(&pkram.pending_pages.counter, __ATOMIC_SEQ_CST);
}
