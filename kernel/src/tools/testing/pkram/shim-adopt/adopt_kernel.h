/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as mm/pkram/claim.c and adopt.c need, with threads of POSIX; what
 * they call is in adopt_machine.c.
 */
#ifndef _PKRAM_ADOPT_KERNEL_H
#define _PKRAM_ADOPT_KERNEL_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>
#include <asm/byteorder.h>

typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
typedef __u64 phys_addr_t;
typedef unsigned int gfp_t;
typedef unsigned short umode_t;

#define CONFIG_PKRAM		1
#define CONFIG_MEMORY_FAILURE	1
#define __init
#define __read_mostly
#undef __always_inline
#define __always_inline		inline __attribute__((__always_inline__))
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define likely(x)		__builtin_expect(!!(x), 1)
#define BIT(n)			(1UL << (n))
#define U32_MAX			(~0U)
#define CONFIG_TRANSPARENT_HUGEPAGE	1
#define CONFIG_MEM_ALLOC_PROFILING	0
#define IS_ENABLED(x)		(x)
#define PAGE_SHIFT		12
#define PAGE_SIZE		4096UL
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define PFN_PHYS(x)		((phys_addr_t)(x) << PAGE_SHIFT)
#define PHYS_PFN(x)		((x) >> PAGE_SHIFT)
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define MAX_PAGE_ORDER		10
#define HPAGE_PMD_ORDER		9
#define HZ			100
#define GFP_KERNEL		0
#define __GFP_NOFAIL		0
#define EHWPOISON_KERNEL	EHWPOISON
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))

/* Memory that threads share is accessed in one piece. */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
/* each of these is in front of an atomic step that is a barrier here */
#define smp_mb__before_atomic()	((void)0)

typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;
#define atomic_read(v)		__atomic_load_n(&(v)->counter, __ATOMIC_RELAXED)
#define atomic_set(v, i)	__atomic_store_n(&(v)->counter, (int)(i), __ATOMIC_RELAXED)
#define atomic_inc_return(v)	__atomic_add_fetch(&(v)->counter, 1, __ATOMIC_SEQ_CST)
#define atomic_dec(v)		((void)__atomic_sub_fetch(&(v)->counter, 1, __ATOMIC_SEQ_CST))
#define atomic_sub(i, v)	((void)__atomic_sub_fetch(&(v)->counter, (int)(i), __ATOMIC_SEQ_CST))
#define atomic_andnot(i, v)	((void)__atomic_and_fetch(&(v)->counter, ~(int)(i), __ATOMIC_SEQ_CST))
#define atomic64_set(v, i)	__atomic_store_n(&(v)->counter, i, __ATOMIC_SEQ_CST)
#define atomic64_sub(i, v)	((void)__atomic_sub_fetch(&(v)->counter, i, __ATOMIC_SEQ_CST))
#define atomic64_dec(v)		atomic64_sub(1, v)

static inline int atomic_cmpxchg(atomic_t *v, int old, int new)
{
	__atomic_compare_exchange_n(&v->counter, &old, new, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	return old;
}

static inline bool test_and_clear_bit(unsigned int nr, unsigned long *word)
{
	return __atomic_fetch_and(word, ~(1UL << nr), __ATOMIC_SEQ_CST) >> nr & 1;
}

static inline void set_bit(unsigned int nr, unsigned long *word)
{
	__atomic_fetch_or(word, 1UL << nr, __ATOMIC_SEQ_CST);
}

/* Pages. */
enum { PG_reserved, PG_hwpoison };
struct page {
	unsigned long flags;
	unsigned int type;
	int count;
	unsigned int order;
};
struct folio { struct page page; };

struct page *pfn_to_page(u64 pfn);
u64 page_to_pfn(const struct page *page);
void *pfn_to_kaddr(u64 pfn);
int page_zone_id(const struct page *page);
phys_addr_t __pa(const void *addr);

#define page_flags_word(page)	(&(page)->flags)
#define page_folio(page)	((struct folio *)(page))
#define PageReserved(page)	(READ_ONCE((page)->flags) >> PG_reserved & 1)
#define ClearPageReserved(page)	((void)test_and_clear_bit(PG_reserved, &(page)->flags))
#define PageHWPoison(page)	(READ_ONCE((page)->flags) >> PG_hwpoison & 1)
#define PageOffline(page)	((page)->type == 1)
#define __SetPageOffline(page)	((page)->type = 1)
#define __ClearPageOffline(page) ((page)->type = 0)
#define set_page_count(page, n)	((page)->count = (n))
#define prep_compound_page(page, o) ((page)->order = (o))
#define page_rmappable_folio(page) ((void)0)
#define folio_set_has_hwpoisoned(folio) ((void)0)
#define clear_page_tag_ref(page) ((void)0)
bool folio_test_hwpoison(const struct folio *folio);
bool folio_test_large(const struct folio *folio);
bool folio_test_has_hwpoisoned(const struct folio *folio);

void *machine_alloc(size_t nr, size_t size);
#define kvcalloc(nr, size, gfp)	machine_alloc(nr, size)
#define kvfree(p)		free(p)

/* Tasks. */
struct task_struct;
struct task_struct *machine_current(void);
bool machine_killed(void);
#define current			machine_current()
#define fatal_signal_pending(task) ((void)(task), machine_killed())
#define cond_resched()		machine_pause()
#define task_sched_runtime(task) ((void)(task), 0)
void machine_pause(void);

/* Locks. */
struct mutex { pthread_mutex_t m; };
typedef struct { pthread_mutex_t m; } spinlock_t;
#define __MUTEX_INITIALIZER(x)	{ PTHREAD_MUTEX_INITIALIZER }
#define __SPIN_LOCK_UNLOCKED(x)	{ PTHREAD_MUTEX_INITIALIZER }
#define spin_lock(l)		pthread_mutex_lock(&(l)->m)
#define spin_unlock(l)		pthread_mutex_unlock(&(l)->m)
#define mutex_lock(l)		pthread_mutex_lock(&(l)->m)
#define mutex_unlock(l)		pthread_mutex_unlock(&(l)->m)
#define mutex_lock_killable(l)	(machine_killed() ? -EINTR : pthread_mutex_lock(&(l)->m))
#define lockdep_assert_held(l)	((void)(l))

static inline struct mutex *machine_guard(struct mutex *l)
{
	mutex_lock(l);
	return l;
}

static inline void machine_unguard(struct mutex **l)
{
	mutex_unlock(*l);
}

#define scoped_guard(kind, l)							\
	for (struct mutex *guarded __attribute__((__cleanup__(machine_unguard))) =	\
	     machine_guard(l), *once = guarded; once; once = NULL)

/* One queue for all: a task that waits looks at everything that happens. */
struct wait_queue_head { int unused; };
typedef struct wait_queue_head wait_queue_head_t;
#define DECLARE_WAIT_QUEUE_HEAD(name) struct wait_queue_head name
extern pthread_mutex_t machine_wait_lock;
extern pthread_cond_t machine_wait_cond;
void wake_up_all(struct wait_queue_head *q);
bool machine_sleep(bool killable);

#define wait_event_killable(q, cond) ({						\
	int err_ = 0;								\
	pthread_mutex_lock(&machine_wait_lock);					\
	while (!(cond) && !err_)						\
		err_ = machine_sleep(true) ? 0 : -EINTR;			\
	pthread_mutex_unlock(&machine_wait_lock);				\
	err_; })
#define wait_event_timeout(q, cond, timeout) ({					\
	pthread_mutex_lock(&machine_wait_lock);					\
	if (!(cond))								\
		machine_sleep(false);						\
	pthread_mutex_unlock(&machine_wait_lock); })

/* Lists. */
struct list_head { struct list_head *next, *prev; };
struct rb_node { void *p; };
struct rb_root { struct rb_node *rb_node; };
struct xarray { void *p; };
struct mem_cgroup;

#define LIST_HEAD_INIT(name)	{ &(name), &(name) }
#define LIST_HEAD(name)		struct list_head name = LIST_HEAD_INIT(name)
#define list_entry(p, t, m)	container_of(p, t, m)
#define list_first_entry_or_null(l, t, m) \
	(list_empty(l) ? NULL : list_entry((l)->next, t, m))
#define list_for_each_entry(n, l, m)						\
	for (n = list_entry((l)->next, typeof(*n), m); &n->m != (l);		\
	     n = list_entry(n->m.next, typeof(*n), m))
#define list_for_each_entry_safe(n, k, l, m)					\
	for (n = list_entry((l)->next, typeof(*n), m),				\
	     k = list_entry(n->m.next, typeof(*n), m); &n->m != (l);		\
	     n = k, k = list_entry(n->m.next, typeof(*n), m))

static inline void INIT_LIST_HEAD(struct list_head *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list_head *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list_head *n, struct list_head *l)
{
	n->next = l;
	n->prev = l->prev;
	l->prev->next = n;
	l->prev = n;
}

static inline void list_del_init(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	INIT_LIST_HEAD(n);
}

static inline void list_move_tail(struct list_head *n, struct list_head *l)
{
	list_del_init(n);
	list_add_tail(n, l);
}

/* To the front of @l. */
static inline void list_splice_init(struct list_head *from, struct list_head *l)
{
	if (list_empty(from))
		return;
	from->prev->next = l->next;
	l->next->prev = from->prev;
	l->next = from->next;
	from->next->prev = l;
	INIT_LIST_HEAD(from);
}

#define list_splice(from, l)	list_splice_init(from, l)
void list_sort(void *priv, struct list_head *l,
	       int (*cmp)(void *priv, const struct list_head *a, const struct list_head *b));

/* Errors in pointers. */
#define ERR_PTR(e)		((void *)(long)(e))
#define PTR_ERR_OR_ZERO(p)	((unsigned long)(p) >= -4095UL ? (int)(long)(p) : 0)
#define IS_ERR_OR_NULL(p)	(!(p) || (unsigned long)(p) >= -4095UL)

#define pr_info(...)		((void)0)
#define pr_err(...)		((void)0)

#endif /* _PKRAM_ADOPT_KERNEL_H */
