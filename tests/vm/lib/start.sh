# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Runs in the full guest as pkram-test.service: the current stage of the scenario beside it.
#
# A scenario defines stage1, stage2 ... A stage either ends in next_boot or returns, which ends the scenario.

DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$DIR/lib.sh"
. "$DIR/scenario.sh"

mark STAGE "$STAGE"
if declare -F "stage$STAGE" >/dev/null; then
        "stage$STAGE"
else
        fail "stage$STAGE" "the scenario has no such stage"
fi
finish
