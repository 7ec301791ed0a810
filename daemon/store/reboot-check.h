/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Judges what a reboot, poweroff or halt would lose, and what is written to disk before. */
#pragma once

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "persist.h"

typedef struct RebootCheck {
        bool keeps;             /* all nodes and mounted trees are written, or there are none */
        bool fits;              /* all that are to be written fit */
        bool allowed;           /* false: they do not, and PersistPolicy=refuse */
        const char *problem;    /* why nothing can be written at all, a static string or NULL */
        const char *where;      /* with problem: the directory if that is the reason, else "disk" */
        PersistPlan plan;
        char text[2048];        /* what is written and what is lost, and what to do; no newline */
} RebootCheck;

/*
 * store: one over memory alone. utab, mounts: as for kexec_for_each_tree(). facts: all about trees and units. bus:
 * NULL, or the service manager, which is asked whether pkram-shutdown.service can write. Returns 0 and a check that
 * the caller frees, -ENOMEM, or what the device failed with.
 */
int reboot_check_new(Store *store, const Config *config, const char *utab, const char *mounts,
                     const char *disk_path, const KexecFacts *facts, sd_bus *bus, RebootCheck **ret);
RebootCheck *reboot_check_free(RebootCheck *c);
DEFINE_CLEANUP(RebootCheck *, reboot_check_free)

/* As in io.pkram.Store. NULL without memory. */
struct json_object *reboot_check_to_json(const RebootCheck *c);
