/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which units have file descriptor stores that pkram-fdstore.service is going to preserve, and what it cannot
 * preserve. */
#pragma once

#include "config.h"
#include "kexec-check.h"
#include "kexec-units.h"
#include "store.h"

/* Problems that own their strings. */
typedef struct KexecFdStores {
        KexecFdStoreProblem *problems;
        size_t n, allocated;
} KexecFdStores;

void kexec_fdstores_done(KexecFdStores *s);

/*
 * Adds the units whose file descriptors are going to be preserved to units, and what is wrong with some of them to
 * *ret. store is for what owners have stored already. proc is "/proc/1", root goes before the paths of unit files.
 * Nothing is added if pkram-fdstore.service does not run, or if the service manager preserves the stores itself. Units
 * that cannot be examined are left out. Returns 0, or the first negative errno.
 */
int kexec_fdstores_collect(sd_bus *bus, Store *store, const char *proc, const char *root, const Config *config,
                           UnitList *units, KexecFdStores *ret);
