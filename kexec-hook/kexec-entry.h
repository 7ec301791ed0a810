/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Boot loader entries as the UAPI group specifies them: type 1 are files loader/entries/ID.conf that name a kernel,
 * its initial RAM disks and its command line, type 2 are unified kernel images EFI/Linux/ID.efi. Both lie on the EFI
 * system partition or the extended boot loader partition, which are mounted at /efi, /boot or /boot/efi. */

#include <stdbool.h>
#include <stddef.h>

typedef struct KexecEntry {
        char *id;               /* name of the file, without the counter of boot attempts */
        char *title;            /* NULL if the entry has none */
        char *version, *sort_key, *machine_id; /* each NULL if the entry has none */
        char *kernel;           /* path of the kernel or of the unified kernel image */
        char **initrds;         /* paths, terminated by NULL; NULL if there are none */
        char *options;          /* command line, NULL if the entry has none */
        bool failed;            /* no attempt to boot it is left */
} KexecEntry;

typedef struct KexecEntries {
        KexecEntry *entries;
        size_t n, allocated;
} KexecEntries;

/* Reads all entries of this machine's architecture, in the order in which the boot loader shows them, with its default
 * entry first. The default is the one that the EFI variable LoaderEntryDefault or "default" in loader/loader.conf
 * selects. Entries that start no kernel, and files that are no valid entries, are left out.
 *
 * root: "" or a directory to look below, without a slash at the end.
 * ret: the caller calls kexec_entries_done(). Returns 0, also if there are none, or a negative errno. */
int kexec_entries_load(const char *root, KexecEntries *ret);

/* Returns the entry with this ID, which may lack its suffix .conf or .efi, or NULL. */
const KexecEntry *kexec_entries_find(const KexecEntries *e, const char *id);

/* Returns the first entry whose kernel, or the one in its unified kernel image, supports PKRAM, or else the first one,
 * or NULL if there are none. *ret_has_pkram is whether the kernel of that entry does. */
const KexecEntry *kexec_entries_default(const KexecEntries *e, bool *ret_has_pkram);

void kexec_entries_done(KexecEntries *e);
