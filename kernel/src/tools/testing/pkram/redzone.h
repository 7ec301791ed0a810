/* SPDX-License-Identifier: GPL-2.0 */
/* Memory that must not be touched, for the address sanitizer if it is there. */
#ifndef _PKRAM_REDZONE_H
#define _PKRAM_REDZONE_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REDZONE_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define REDZONE_ASAN
#endif

#include <stddef.h>

#ifdef REDZONE_ASAN
#include <sanitizer/asan_interface.h>
#define redzone_add(p, len)	__asan_poison_memory_region(p, len)
#define redzone_remove(p, len)	__asan_unpoison_memory_region(p, len)
#else
static inline void redzone_add(const void *p, size_t len)
{
	(void)p;
	(void)len;
}

static inline void redzone_remove(const void *p, size_t len)
{
	(void)p;
	(void)len;
}
#endif

#endif /* _PKRAM_REDZONE_H */
