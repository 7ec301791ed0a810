// SPDX-License-Identifier: GPL-2.0
/*
 * PKRAM: the seal.
 */
#define pr_fmt(fmt) "pkram: " fmt

#include <linux/kexec.h>
#include <linux/pkram.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>
#include <trace/events/pkram.h>
#include <asm/pkram.h>

#include "pkram.h"

/**
 * DOC: seal
 *
 * The seal is made by the last code that runs before the jump, with one CPU
 * left and interrupts off: it adds checksums and the word PKRAM_SEALED. It
 * takes no lock, allocates nothing and cannot fail. A kernel that crashes,
 * reboots, or jumps to an image that would not take the store over never seals,
 * and the next one adopts nothing that is not sealed. Adopting unseals.
 *
 * What was not adopted so far is handed on as it is: the pages of such nodes were not
 * changed, and their blocks stay in the map. Pages of the directory that were not checked
 * so far keep the checksums of the previous kernel, so that damage remains visible.
 *
 * No user thread runs any more, so what is sealed is what was stored, with one
 * exception: the hardware may have lost a page since. See poison.c.
 */

/**
 * pkram_seal - make the chain final
 * @image: what is about to be started
 *
 * Context: the last CPU, interrupts off, right before machine_kexec(). Takes no
 * locks: their holders never run again, and the metadata is consistent after
 * every single store.
 */
void pkram_seal(const struct kimage *image)
{
	struct pkram_super *sb = pkram.sb;
	u64 nr_nodes = 0, begin = arch_pkram_ticks();
	u32 i, nr_map, nr_dir = 0;
	__le64 pfn;

	if (!sb || image->type != KEXEC_TYPE_DEFAULT || image->preserve_context)
		return;
	if (image->pkram_state != PKRAM_IMAGE_KEEPS) {
		if (pkram_active())
			pr_warn("losing %llu nodes: the kexec image does not preserve them\n",
				pkram.nr_nodes);
		return;
	}
	if (!pkram_poison_seal())
		return;

	sb = pkram.sb;
	for (pfn = sb->dir_pfn; pfn && nr_dir < READ_ONCE(pkram.dirs_known); nr_dir++) {
		struct pkram_dir *dir = pfn_to_kaddr(le64_to_cpu(pfn)), *twin;

		for (i = 0; i < PKRAM_DIR_SLOTS; i++)
			nr_nodes += !!dir->slot[i];
		pkram_page_finish(&dir->hdr);
		if (!pkram_is_alone(dir)) {
			/* an update may have been cut off between the two */
			twin = pkram_twin_page(dir);
			memcpy(twin->slot, dir->slot, sizeof(twin->slot));
			twin->hdr.next = dir->hdr.next;
			pkram_page_finish(&twin->hdr);
		}
		pfn = dir->hdr.next;
	}
	nr_map = le32_to_cpu(sb->nr_map);
	for (i = 0; i < nr_map; i++) {
		pkram_page_finish(&pkram.map[i].hdr);
		if (!pkram.map_twin)
			continue;
		memcpy(pkram.map_twin[i].bits, pkram.map[i].bits, sizeof(pkram.map[i].bits));
		pkram_page_finish(&pkram.map_twin[i].hdr);
	}

	if (pfn) {
		/* the rest of the directory is not known */
		nr_nodes = le64_to_cpu(sb->nr_nodes);
	} else {
		sb->nr_dir = cpu_to_le32(nr_dir);
		sb->nr_nodes = cpu_to_le64(nr_nodes);
	}
	sb->sealed_ns = cpu_to_le64(ktime_get_real_fast_ns());
	sb->sealed_tsc = cpu_to_le64(arch_pkram_ticks());
	strscpy_pad((char *)sb->release, init_utsname()->release, sizeof(sb->release));
	pkram_super_set_crash(sb);
	sb->seal = cpu_to_le64(PKRAM_SEALED);
	pkram_page_finish(&sb->hdr);
	if (pkram.sb_twin) {
		memcpy(pkram.sb_twin, sb, sizeof(*sb));
		pkram.sb_twin->hdr.pfn = cpu_to_le64(pkram_pfn(pkram.sb_twin));
		pkram_page_finish(&pkram.sb_twin->hdr);
	}
	trace_pkram_seal(nr_nodes, pkram.data_pages);
	if (IS_ENABLED(CONFIG_PKRAM_DAMAGE))
		pkram_damage();
	pr_info("sealed %llu nodes, %llu pages of data, super block at pfn 0x%llx, in %llu ns\n",
		nr_nodes, pkram.data_pages, le64_to_cpu(sb->hdr.pfn),
		arch_pkram_ticks_to_ns(arch_pkram_ticks() - begin));
}
