#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# Fails if the daemon's unit is less locked up than promised. $1: where meson made the units.
set -euo pipefail

# The score times ten, as --threshold= wants it: below 1.5.
LIMIT=14

fail=0
for unit in pkramd.service; do
        if ! out=$(systemd-analyze security --offline=true --no-pager --threshold="$LIMIT" "$1/$unit" 2>&1); then
                echo "$unit is exposed more than $LIMIT/10 allows:"
                grep -v '✓' <<<"$out"
                fail=1
        else
                grep 'Overall exposure' <<<"$out"
        fi
done
exit "$fail"
