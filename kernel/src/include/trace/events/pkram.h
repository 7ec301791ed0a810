/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pkram

#if !defined(_TRACE_PKRAM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_PKRAM_H

#include <linux/tracepoint.h>

/* A node was committed. */
TRACE_EVENT(pkram_save,
	TP_PROTO(const char *name, u64 data_pages, u64 meta_pages),
	TP_ARGS(name, data_pages, meta_pages),
	TP_STRUCT__entry(
		__string(name, name)
		__field(u64, data_pages)
		__field(u64, meta_pages)
	),
	TP_fast_assign(
		__assign_str(name);
		__entry->data_pages = data_pages;
		__entry->meta_pages = meta_pages;
	),
	TP_printk("name=%s data_pages=%llu meta_pages=%llu", __get_str(name),
		  __entry->data_pages, __entry->meta_pages)
);

/* An object was made into a file, or could not be: @err is 0 or a negative errno. */
TRACE_EVENT(pkram_load,
	TP_PROTO(u64 id, u32 object, u64 pages, int err),
	TP_ARGS(id, object, pages, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, pages)
		__field(u32, object)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->pages = pages;
		__entry->object = object;
		__entry->err = err;
	),
	TP_printk("id=%llu object=%u pages=%llu err=%d", __entry->id, __entry->object,
		  __entry->pages, __entry->err)
);

/* The store was completed for the next kernel. */
TRACE_EVENT(pkram_seal,
	TP_PROTO(u64 nr_nodes, u64 data_pages),
	TP_ARGS(nr_nodes, data_pages),
	TP_STRUCT__entry(
		__field(u64, nr_nodes)
		__field(u64, data_pages)
	),
	TP_fast_assign(
		__entry->nr_nodes = nr_nodes;
		__entry->data_pages = data_pages;
	),
	TP_printk("nodes=%llu data_pages=%llu", __entry->nr_nodes, __entry->data_pages)
);

/* A node of the previous kernel was checked and belongs to this one now. */
TRACE_EVENT(pkram_adopt,
	TP_PROTO(u64 pfn, u64 data_pages, u64 meta_pages),
	TP_ARGS(pfn, data_pages, meta_pages),
	TP_STRUCT__entry(
		__field(u64, pfn)
		__field(u64, data_pages)
		__field(u64, meta_pages)
	),
	TP_fast_assign(
		__entry->pfn = pfn;
		__entry->data_pages = data_pages;
		__entry->meta_pages = meta_pages;
	),
	TP_printk("pfn=%#llx data_pages=%llu meta_pages=%llu", __entry->pfn,
		  __entry->data_pages, __entry->meta_pages)
);

/* A damaged node of the previous kernel was discarded; @damage is enum pkram_damage. */
TRACE_EVENT(pkram_drop,
	TP_PROTO(u64 pfn, u32 damage),
	TP_ARGS(pfn, damage),
	TP_STRUCT__entry(
		__field(u64, pfn)
		__field(u32, damage)
	),
	TP_fast_assign(
		__entry->pfn = pfn;
		__entry->damage = damage;
	),
	TP_printk("pfn=%#llx damage=%u", __entry->pfn, __entry->damage)
);

#endif /* _TRACE_PKRAM_H */

/* This part must be outside of the include guard. */
#include <trace/define_trace.h>
