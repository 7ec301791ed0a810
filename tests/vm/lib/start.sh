# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Runs in the full guest as pkram-test.service: the current stage of the scenario beside it.
#
# A scenario defines stage1, stage2 ... A stage either ends in next_boot or returns, which ends the scenario.

DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$DIR/lib.sh"
. "$DIR/scenario.sh"

mark STAGE "$STAGE"
# A daemon and a worker with sanitizers in the place of the installed ones, for this boot from here on, and for the
# next ones.
sanitize() { # PROGRAM UNIT
        cp "$DIR/$1-sanitized" "/usr/lib/pkram/$1-sanitized"
        mkdir -p "/etc/systemd/system/$2.d"
        # The leak check at the end wants to trace the process, which its unit does not let it.
        printf \
                '[Service]\nExecStart=\nExecStart=/usr/lib/pkram/%s-sanitized\nMemoryMax=infinity\nLimitDATA=infinity\nEnvironment=ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1\n' \
                "$1" >"/etc/systemd/system/$2.d/sanitized.conf"
}
if [ -e "$DIR/pkramd-sanitized" ]; then
        if [ "$STAGE" = 1 ]; then
                sanitize pkramd pkramd.service
                sanitize pkram-tree-worker pkram-tree-worker@.service
                systemctl daemon-reload
                systemctl restart pkramd.service
        fi
        systemctl start pkramd.service
        check "pkramd runs with sanitizers" grep -ao pkramd-sanitized \
                "/proc/$(systemctl show -P MainPID pkramd.service)/cmdline"
        matches "and so will the worker for trees" "$(systemctl show -P ExecStart pkram-tree-worker@test.service)" \
                'path=/usr/lib/pkram/pkram-tree-worker-sanitized '
fi
if declare -F "stage$STAGE" >/dev/null; then
        "stage$STAGE"
else
        fail "stage$STAGE" "the scenario has no such stage"
fi
finish
