/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The start of a guest: the checks before QEMU is started, resuming a saved guest, and booting. */
#pragma once

#include "guest-run.h"

/* Starts QEMU with the guest. Returns 0 if the guest runs, or a negative errno after a message: -EOPNOTSUPP if it
 * could not be preserved, -EBUSY if it runs already. After an error the caller ends QEMU, and removes the files of a
 * guest that was booted. */
int guest_start(GuestRun *run);
