/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading entries of the journal. */
#pragma once

#include <systemd/sd-journal.h>

/* Returns a field of the current entry as a string, to be freed; NULL if there is none, or no memory. */
char *journal_get_field(sd_journal *j, const char *key);
