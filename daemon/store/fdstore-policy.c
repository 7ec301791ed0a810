/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fnmatch.h>
#include <stdio.h>
#include <strings.h>

#include "fdstore-node.h"
#include "fdstore-policy.h"
#include "kexec-units.h"

static bool unit_is_listed(const char *patterns, const char *unit) {
        char pattern[CONFIG_LINE_MAX];

        for (const char *p = patterns + strspn(patterns, " \t"); *p; p += strspn(p, " \t")) {
                size_t n = strcspn(p, " \t");

                (void) snprintf(pattern, sizeof(pattern), "%.*s", (int) n, p);
                /* Names of units hold backslashes. */
                if (fnmatch(pattern, unit, FNM_NOESCAPE) == 0)
                        return true;
                p += n;
        }
        return false;
}

int fdstore_policy_parse(const char *value, size_t n, int before) {
        /* A boolean's values are those of FDSTORE_NO and FDSTORE_YES. */
        if (n == strlen("required") && strncasecmp(value, "required", n) == 0)
                return FDSTORE_REQUIRED;
        return unit_setting_parse_boolean(value, n, before);
}

FdStorePolicy fdstore_policy_decide(const Config *c, const char *unit, int own) {
        if (streq(c->fdstore_units, "none") || own == FDSTORE_NO)
                return FDSTORE_NO;
        if (own == FDSTORE_REQUIRED)
                return FDSTORE_REQUIRED;
        if (own < 0 && !streq(c->fdstore_units, "all") && !unit_is_listed(c->fdstore_units, unit))
                return FDSTORE_NO;
        /* A plain yes is an answer to the list, and to RequireRestore= as well. */
        return own < 0 && c->fdstore_require_restore ? FDSTORE_REQUIRED : FDSTORE_YES;
}

const char *preserving_unit_node(const PreservingUnit *unit, FdStorePolicy policy) {
        return fdstore_node_name((streq(unit->notify_access, "all") ? FDSTORE_NODE_ALL :
                                  streq(unit->notify_access, "exec") ? FDSTORE_NODE_EXEC : 0) |
                                 (unit->rooted ? FDSTORE_NODE_ROOT : 0) |
                                 (policy == FDSTORE_REQUIRED ? FDSTORE_NODE_REQUIRED : 0));
}

const char *preserving_unit_obstacle(const PreservingUnit *unit, FdStorePolicy policy) {
        KernelName kernel_name = node_name_encode(unit->name, preserving_unit_node(unit, policy)), owner, name;

        if (unit->rooted && unit->has_commands)
                return "the unit has RootDirectory= or RootImage= and further commands, set "
                        "RootDirectoryStartOnly=yes";
        /* The generator reads the name of the unit in the name of the node. */
        if (!node_name_decode(kernel_name.text, &owner, &name))
                return "the name of the unit is too long, shorten it";
        return NULL;
}
