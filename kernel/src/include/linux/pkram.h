/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PKRAM: memory preserved across kexec, for the rest of the kernel.
 */
#ifndef _LINUX_PKRAM_H
#define _LINUX_PKRAM_H

#include <linux/errno.h>
#include <linux/gfp_types.h>
#include <linux/types.h>
#include <uapi/linux/pkram.h>

struct folio;
struct kexec_buf;
struct kimage;
struct page;
struct pkram_node;
struct pkram_object;

/** PKRAM_NAME_MAX - longest node name in bytes, NUL included */
#define PKRAM_NAME_MAX		256

/**
 * enum pkram_data_flags - what an object holds
 * @PKRAM_DATA_none:  nothing; not valid for an object
 * @PKRAM_DATA_pages: a stream of pages, each with its index in a file
 * @PKRAM_DATA_bytes: a stream of bytes
 */
enum pkram_data_flags {
	PKRAM_DATA_none		= 0,
	PKRAM_DATA_pages	= 1,
	PKRAM_DATA_bytes	= 2,
};

/**
 * struct pkram_stream - a node being saved or loaded
 * @gfp_mask: how to allocate while saving
 * @node:     the node
 * @obj:      the current object, NULL between objects
 * @next_obj: index of the object that the next pkram_prepare_load_obj() takes
 * @saving:   it is being saved, not loaded
 * @open:     enum pkram_data_flags of the streams that an access is saving
 *
 * Filled in by pkram_prepare_save() or pkram_prepare_load(). One task at a time
 * may use it.
 */
struct pkram_stream {
	gfp_t gfp_mask;
	struct pkram_node *node;
	struct pkram_object *obj;
	u32 next_obj;
	bool saving;
	unsigned int open;
};

struct pkram_access_state;

/**
 * struct pkram_access - access to one of the two streams of an object
 * @ps:    the stream whose current object is meant
 * @dtype: PKRAM_DATA_pages or PKRAM_DATA_bytes
 * @state: position; NULL until the first call
 *
 * Declared with PKRAM_ACCESS() between pkram_prepare_*_obj() and
 * pkram_finish_*_obj(), and ended with pkram_finish_access(). An object's pages
 * and its bytes may be accessed in any order, also alternately, each through
 * one access of its own.
 */
struct pkram_access {
	struct pkram_stream *ps;
	enum pkram_data_flags dtype;
	struct pkram_access_state *state;
};

/**
 * PKRAM_ACCESS - declare a struct pkram_access
 * @name:   of the variable
 * @stream: a &struct pkram_stream with a current object
 * @type:   pages or bytes
 */
#define PKRAM_ACCESS(name, stream, type)		\
	struct pkram_access name = {			\
		.ps = (stream),				\
		.dtype = PKRAM_DATA_##type,		\
	}

#ifdef CONFIG_PKRAM

int pkram_prepare_save(struct pkram_stream *ps, const char *name, gfp_t gfp_mask);
int pkram_prepare_save_obj(struct pkram_stream *ps, enum pkram_data_flags flags);
void pkram_finish_save_obj(struct pkram_stream *ps);
void pkram_finish_save(struct pkram_stream *ps);
void pkram_discard_save(struct pkram_stream *ps);

int pkram_prepare_load(struct pkram_stream *ps, const char *name);
int pkram_prepare_load_obj(struct pkram_stream *ps);
void pkram_finish_load_obj(struct pkram_stream *ps);
void pkram_finish_load(struct pkram_stream *ps);

void pkram_finish_access(struct pkram_access *pa, bool status_ok);

int pkram_save_file_page(struct pkram_access *pa, struct page *page);
int pkram_save_file_folio(struct pkram_access *pa, struct folio *folio);
struct page *pkram_load_file_page(struct pkram_access *pa, unsigned long *index);
struct folio *pkram_load_file_folio(struct pkram_access *pa, unsigned long *index);

ssize_t pkram_write(struct pkram_access *pa, const void *buf, size_t count);
size_t pkram_read(struct pkram_access *pa, void *buf, size_t count);

/* Hooks, called from one place each. */

/** PKRAM_PARAM_LEN - bytes of "pkram=0x<16 digits> ", without a NUL */
#define PKRAM_PARAM_LEN		25
/** PKRAM_PARAM_MAX - bytes of that word with its NUL */
#define PKRAM_PARAM_MAX		(PKRAM_PARAM_LEN + 1)

void pkram_reserve(void);
void pkram_reserve_busy(phys_addr_t start, phys_addr_t size);
void pkram_hold_crash(void);
void pkram_release_crash(void);
unsigned long pkram_reserved_pages(void);
void pkram_seal(const struct kimage *image);
bool pkram_booted_by_kexec(void);
bool pkram_active(void);
void pkram_kexec_begin(void);
void pkram_kexec_end(void);
void pkram_kexec_classify(struct kimage *image);
u32 pkram_bzimage_state(const char *kernel, unsigned long len);
unsigned long pkram_next_preserved(unsigned long start, unsigned long end,
				   unsigned long *ret_end);
unsigned long pkram_next_avoided(unsigned long start, unsigned long end,
				 unsigned long *ret_end);
bool pkram_kexec_clear(const struct kimage *image);
bool pkram_kexec_make_room(const struct kexec_buf *kbuf);
int pkram_kexec_cmdline(struct kimage *image);
unsigned long pkram_kexec_strip(char *cmdline);
int pkram_kexec_param(char *buf, size_t size);
u32 pkram_image_tag_state(const void *info, size_t len);

#else /* !CONFIG_PKRAM */

static inline int pkram_prepare_save(struct pkram_stream *ps, const char *name,
				     gfp_t gfp_mask)
{
	return -ENODEV;
}

static inline int pkram_prepare_load(struct pkram_stream *ps, const char *name)
{
	return -ENODEV;
}

static inline void pkram_reserve(void) { }
static inline void pkram_reserve_busy(phys_addr_t start, phys_addr_t size) { }
static inline void pkram_hold_crash(void) { }
static inline void pkram_release_crash(void) { }
static inline unsigned long pkram_reserved_pages(void) { return 0; }
static inline void pkram_seal(const struct kimage *image) { }
static inline bool pkram_active(void)
{
	return false;
}

static inline void pkram_kexec_begin(void) { }
static inline void pkram_kexec_end(void) { }
static inline void pkram_kexec_classify(struct kimage *image) { }

static inline int pkram_kexec_cmdline(struct kimage *image)
{
	return 0;
}

static inline unsigned long pkram_next_preserved(unsigned long start, unsigned long end,
						 unsigned long *ret_end)
{
	return 0;
}

static inline unsigned long pkram_next_avoided(unsigned long start, unsigned long end,
					       unsigned long *ret_end)
{
	return 0;
}

static inline bool pkram_kexec_clear(const struct kimage *image)
{
	return true;
}

static inline bool pkram_kexec_make_room(const struct kexec_buf *kbuf)
{
	return false;
}

#endif /* CONFIG_PKRAM */

#if defined(CONFIG_PKRAM) && defined(CONFIG_MEMORY_FAILURE)
void pkram_poison_note(unsigned long pfn);
#else
static inline void pkram_poison_note(unsigned long pfn) { }
#endif

#endif /* _LINUX_PKRAM_H */
