# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Runs in the full guest as pkram-test.service: the current stage of the scenario beside it.
#
# A scenario defines stage1, stage2 ... A stage either ends in next_boot or returns, which ends the scenario.

DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$DIR/lib.sh"
. "$DIR/scenario.sh"

mark STAGE "$STAGE"
# A daemon with sanitizers in the place of the installed one, for this boot from here on, and for the next ones.
if [ -e "$DIR/pkramd-sanitized" ] && [ "$STAGE" = 1 ]; then
        cp "$DIR/pkramd-sanitized" /usr/lib/pkram/pkramd-sanitized
        mkdir -p /etc/systemd/system/pkramd.service.d
        # The leak check at the end wants to trace the process, which its unit does not let it.
        printf '[Service]\nExecStart=\nExecStart=/usr/lib/pkram/pkramd-sanitized\nEnvironment=ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1\n' \
                >/etc/systemd/system/pkramd.service.d/sanitized.conf
        systemctl daemon-reload
        systemctl restart pkramd.service
        check "pkramd runs with sanitizers" grep -q sanitized "/proc/$(systemctl show -P MainPID pkramd.service)/cmdline"
fi
if declare -F "stage$STAGE" >/dev/null; then
        "stage$STAGE"
else
        fail "stage$STAGE" "the scenario has no such stage"
fi
finish
