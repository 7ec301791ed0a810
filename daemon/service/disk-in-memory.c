/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has pkramd keep nodes below /var/lib/pkram/disk although that is in memory, for test-disk.sh. Never installed. */
#include "disk-problem.h"

__attribute__((constructor)) static void disk_in_memory_permit(void) {
        disk_in_memory_override = 0;
}
