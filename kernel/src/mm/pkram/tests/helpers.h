/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit tests for PKRAM: what the suites share.
 *
 * They use the store of the running system, which must be empty, and leave it
 * exactly as they found it: every case ends with a comparison of all counters
 * and of the block map with what they were before.
 *
 * What the code under test wrote is judged by pkram_walk_node(), the checker
 * with which the next kernel would look at it, see kt_check_node().
 *
 * Whatever takes a struct kunit fails the case if it cannot do what it says.
 * What it makes "for the case" goes away with the case: the caller does not release it.
 */
#ifndef _MM_PKRAM_TESTS_HELPERS_H
#define _MM_PKRAM_TESTS_HELPERS_H

#include <kunit/test.h>
#include <linux/fs.h>
#include <linux/pkram.h>
#include <linux/types.h>

#include "../alloc.h"
#include "../node.h"
#include "../pkram.h"
#include "../shmem.h"
#include "../stream.h"

struct folio;
struct page;
struct vfsmount;

/* Fixture, helpers.c */

/* test->priv: the store as a case found it, and must leave it */
struct kt_snapshot {
	u64 nr_nodes;
	u64 data_pages;
	u64 meta_pages;
	u64 blocks;
	__le64 dir_pfn;
};

/* .init and .exit of every suite: take the snapshot, compare with it. */
int kt_case_init(struct kunit *test);
void kt_case_exit(struct kunit *test);
/* The store is as it was when the case began. For use in the middle of one. */
void kt_expect_unchanged(struct kunit *test);

/* Bans, and no room, helpers.c */

/*
 * As if an image had been loaded that goes to pages [@start, @end), too. Lasts
 * until kt_lift_bans() or the end of the case.
 */
void kt_add_ban(struct kunit *test, u64 start, u64 end);
/* No page is banned any more. An action, therefore the argument, which may be NULL. */
void kt_lift_bans(void *unused);

/**
 * struct kt_no_room - blocks that were made to look preserved
 * @nr:    how many
 * @block: which
 */
struct kt_no_room {
	u64 nr;
	u64 *block;
};

/* Touch blocks until the next kernel could not boot any more. End with kt_give_room(). */
struct kt_no_room kt_take_room(struct kunit *test);
/* One of them does not look preserved any more, if it was made to. */
void kt_spare_block(struct kt_no_room *r, u64 block);
/* Nor do so many of the others. */
void kt_spare_some(struct kt_no_room *r, u64 nr);
void kt_give_room(struct kt_no_room r);

/* Folios, helpers.c */

/* An action: drop a reference to a folio. */
void kt_put_folio(void *folio);
/*
 * A folio for the case, with its index in its first word. Not one that would be
 * copied because it is below PKRAM_MIN_PFN: those are held on to.
 */
struct folio *kt_new_folio(struct kunit *test, unsigned int order, pgoff_t index);

/* Looking at committed nodes with the next kernel's eyes, helpers.c */

/* Check a node; returns the damage, PKRAM_DAMAGE_NONE if all is well. */
int kt_walk_node(const struct pkram_node *node, struct pkram_node_totals *totals);
/* Would the next kernel adopt this node, and find in it what we say it has? */
void kt_check_node(struct kunit *test, const char *name);
/* The link page at @pfn, which is the node's; NULL for 0, which ends a stream. */
const struct pkram_link *kt_link_at(__le64 pfn);

/* Whole nodes through the in-kernel interface, helpers.c */

/* The byte at @pos of the bytes that kt_save_bytes() saves. */
u8 kt_pattern(u64 pos);
/* The first @len of them, for the case. */
u8 *kt_new_pattern(struct kunit *test, size_t len);
/* Begin a node with one object of these streams; with no object if @flags is 0. */
void kt_begin_save(struct kunit *test, struct pkram_stream *ps, const char *name,
		   enum pkram_data_flags flags);
/* Finish the object, if one is open, and the node, and check it. */
void kt_end_save(struct kunit *test, struct pkram_stream *ps, const char *name);
/* Take a node out of the store, and open its first object. */
void kt_begin_load(struct kunit *test, struct pkram_stream *ps, const char *name);
/* Finish the object, if one is open, and drop what is left of the node. */
void kt_end_load(struct pkram_stream *ps);
/* A node with one object of @len bytes. */
void kt_save_bytes(struct kunit *test, const char *name, size_t len);
/* Take a node out of the store and drop all of it. */
void kt_load_and_drop(struct kunit *test, const char *name);
/* Save pages with the indexes their folios have, in one object. */
void kt_save_pages(struct kunit *test, const char *name, struct page **pages,
		   unsigned int nr);
/* Save in "n" a folio of order 2 at index 4, which it fills, and a small one after it. */
void kt_save_large(struct kunit *test, struct folio *large, struct folio *fine);
/* Load them: of the large one a copy of the same order was preserved, of the other itself. */
void kt_load_copy(struct kunit *test, struct folio *large, struct folio *fine);

/* Nodes of the store, helpers.c */

/* A node that is not committed, with no object; the caller commits or destroys it. */
struct pkram_node *kt_new_node(struct kunit *test, const char *name);
/* Commit an empty node and check it; returns its id. */
u64 kt_commit_node(struct kunit *test, const char *name, bool replace);
/* Remove a node that is not in use. */
void kt_remove_node(struct kunit *test, const char *name);
/* A committed node, in use until pkram_node_put() or kt_end_trip(). */
struct pkram_node *kt_pin(struct kunit *test, const char *name);
/* Read bytes of an object into @buf; returns how many there were. */
size_t kt_read_at(const struct pkram_object *obj, u64 pos, void *buf, size_t len);

/* Files, file_helpers.c */

/* No operations at all: a file with these is not of shmem. */
extern const struct file_operations kt_no_fops;

/* The reference to a file becomes the case's; an error pointer ends it. */
void kt_own_file(struct kunit *test, struct file *file);
/* What memfd_create(MFD_ALLOW_SEALING) makes, for the case. */
struct file *kt_new_file(struct kunit *test, loff_t size);
/* Is it frozen? */
bool kt_frozen(struct file *file);
/* A tmpfs with this mount option, for the case. */
struct vfsmount *kt_new_tmpfs(struct kunit *test, const char *key, const char *value);
/* truncate(2), without asking whether the caller may. */
int kt_truncate_to(struct file *file, loff_t size);
/*
 * Fill a page of a file with unique contents. Like kt_new_folio(),
 * not a page that would be copied.
 */
void kt_fill_page(struct kunit *test, struct file *file, u64 index);
/* Is it still there (@filled), or does it read as zeroes? */
void kt_check_page(struct kunit *test, struct file *file, u64 index, bool filled);

/* Saving through what /dev/pkram uses, file_helpers.c */

/* Begin a save; kt_commit_files() or kt_abort_files() ends it. */
struct pkram_save *kt_begin_files(struct kunit *test, const char *name);
/* Save a whole file as the next object; 0 or an error. */
int kt_add_file(struct pkram_save *save, struct file *file);
/* Append bytes to *@object, or to a new one, whose number it becomes; 0 or an error. */
int kt_add_bytes(struct pkram_save *save, u32 *object, const void *buf, size_t len);
/* Give up a save and the caller's reference to it. */
void kt_abort_files(struct pkram_save *save);
/* Commit a save, which is the caller's no more, and check the node. */
void kt_commit_files(struct kunit *test, struct pkram_save *save, const char *name);
/* A node of one file. */
void kt_save_one(struct kunit *test, const char *name, struct file *file);
/* References to the pages of a file beyond those of the page cache. */
long kt_extra_refs(struct file *file);

/* Loading as if there had been a kexec, file_helpers.c */

/* Folios as they are after a kexec: allocated, in no file, on no list, not charged. */
void kt_make_fresh(const struct pkram_object *obj);
/*
 * Let go of the saved file @file, object @index of a node, as if there had been a
 * kexec: the case owns it no more, and nothing but the node refers to its pages.
 * Returns the object, which is the node's.
 */
struct pkram_object *kt_forget_file(struct kunit *test, struct pkram_node *node, u32 index,
				    struct file *file);
/* Load object @index of a node into @target or, if NULL, a new file; a reference is the case's. */
struct file *kt_load_file(struct kunit *test, struct pkram_node *node, u32 index,
			  struct file *target);
/*
 * Save a file as "n", forget it, and load it like kt_load_file(). The node is in
 * use when this returns; kt_end_trip() ends that.
 */
struct file *kt_round_trip(struct kunit *test, struct file *file, struct file *target,
			   struct pkram_node **ret_node);
/* Remove the node "n", which only the caller uses: nothing of it is left in @file. */
void kt_end_trip(struct kunit *test, struct pkram_node *node, struct file *file);

#endif /* _MM_PKRAM_TESTS_HELPERS_H */
