/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is behind an option of QEMU: "driver,key=value,...", where a comma in a value is written twice, or JSON. QEMU
 * takes more than JSON, single quotes for example; here such a text is an error, so that nothing in it stays unseen.
 */
#pragma once

#include "macro.h"

/* Gets the last part of a key, "driver" of "file.driver", and whether there are other parts. Values other than strings
 * are passed as texts. Returns 0 or a negative errno, which ends the walk. */
typedef int (*QemuOptionVisit)(void *userdata, const char *key, const char *value, bool nested);

/*
 * Calls visit for each value in a text. implied (may be NULL) is the key of the first value if that comes without one.
 * Returns 0, -EBADMSG: the text begins as JSON, and is not strict JSON; -ENOMEM; or what visit returned.
 */
int qemu_option_walk(const char *text, const char *implied, QemuOptionVisit visit, void *userdata);

/* The value of a key that is not nested, the last one if there are several, as in QEMU; NULL if there is none. The
 * caller frees it. Returns 0, or the errors above. */
int qemu_option_find(const char *text, const char *implied, const char *key, char **ret);
