/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Units that store memory when they stop. pkramd marks each unit that stores or retrieves
 * a node; a unit can also declare it, or deny it, with X-Pkram-Stores= in its unit file.
 */
#pragma once

#include "macro.h"
#include "manager-bus.h"

/* An empty file for each unit that stored or retrieved since the kernel was started. Owned by pkramd. */
#define KEXEC_UNITS_DIR "/run/pkram/units"

/* Names of units, each once, in no order. */
typedef struct UnitList {
        char **names;
        size_t n, allocated;
} UnitList;

void unit_list_done(UnitList *l);
#define _cleanup_units_ _cleanup_(unit_list_done)

/* Returns true if the list has that name. */
bool unit_list_has(const UnitList *l, const char *name);

/* Adds a name that is not in the list yet. Returns 0, or -ENOMEM. */
int unit_list_add(UnitList *l, const char *name);

/* Connects to the service manager, with five seconds for each answer. The caller unrefs the bus. */
int service_manager_connect(sd_bus **ret);

/* Returns true for units that can hold memory for themselves: services, and scopes that are no login session. */
bool kexec_unit_counts(const char *name);

/* Marks a unit. directory is KEXEC_UNITS_DIR or, for tests, another one; it is created. Returns 0, or a negative
 * errno. */
int kexec_unit_mark(const char *directory, const char *name);

/* Reads all marks. Returns 0, also without the directory, or a negative errno. */
int kexec_units_marked(const char *directory, UnitList *ret);

/*
 * Parses one assignment of a setting. value: n bytes without surrounding blanks. Returns the new value, -1 to reset
 * it, or before if the text makes no sense.
 */
typedef int (*UnitSettingParse)(const char *value, size_t n, int before);

/* For a boolean: 1 or 0, and -1 for an empty value. */
int unit_setting_parse_boolean(const char *value, size_t n, int before);

/*
 * Parses all assignments of a setting in the text of a unit file or drop-in, in [Unit], [Service] or [Scope]. Returns
 * the last value, or before if the text does not set it.
 */
int unit_text_fold(const char *text, size_t size, const char *key, UnitSettingParse parse, int before);

/*
 * The same for all files of a unit, given its object path on the bus. root is put before their paths, "" for the real
 * ones. Returns the value, or -1 if none of the files sets it. Files that cannot be read are ignored.
 */
int unit_files_fold(sd_bus *bus, const char *root, const char *object, const char *key, UnitSettingParse parse);

/*
 * Reads X-Pkram-Stores= from the text of a unit file or drop-in, in [Unit], [Service] or [Scope]. Returns 1 for yes, 0
 * for no, or the value of before if the text does not set it. An empty value resets to -1.
 */
int kexec_unit_parse(const char *text, size_t size, int before);

/*
 * Finds the active units that store memory when they stop: the marked ones and those that declare it, without those
 * that deny it. root is put before the directories of unit files, "" for the real ones. bus may be NULL; then all
 * marked units count. Returns 0, or a negative errno.
 */
int kexec_units_find(sd_bus *bus, const char *directory, const char *root, UnitList *ret);

/*
 * The first function returns 1 if the unit requires the mount of the tree of that name at path, and so is stopped
 * before. The second one returns 1 if a shutdown stops the unit before the tree is unmounted: it requires the mount,
 * or conflicts with shutdown.target or umount.target; systemd-journald.service counts as such a unit. Both return 0 if
 * not, or a negative errno.
 */
int kexec_unit_needs_mount(sd_bus *bus, const char *unit, const char *path, const char *tree);
int kexec_unit_stops_before(sd_bus *bus, const char *unit, const char *path, const char *tree);

/*
 * Returns 1 if a shutdown stops the unit no later than another one: it is stopped at all, see unit-stop.h, and is not
 * ordered before the other one. Returns 0 if not, or a negative errno.
 */
int kexec_unit_stops_before_unit(sd_bus *bus, const char *unit, const char *other);
