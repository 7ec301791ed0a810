#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# Fails if a unit is less locked up than promised. $1: where meson made the units.
set -euo pipefail

# The score times ten, as --threshold= wants it. The daemon's has to stay below 1.5; the others run for a moment, and the
# guard has to see terminals and devices.
limits=(
        pkramd.service 14
        pkram-tree-worker@.service 20
        pkram-restore.service 16
        pkram-report.service 16
        pkram-shutdown.service 16
        pkram-kexec-guard.service 23
        pkram-kexec-check@.service 22
        pkram-qemu@.service 26
        pkram-fdstore.service 16
        pkram-shm.service 25
)

fail=0
for ((i = 0; i < ${#limits[@]}; i += 2)); do
        unit=${limits[i]} limit=${limits[i + 1]}
        if ! out=$(systemd-analyze security --offline=true --no-pager --threshold="$limit" "$1/$unit" 2>&1); then
                echo "$unit is exposed more than $limit/10 allows:"
                grep -v '✓' <<<"$out"
                fail=1
        else
                grep 'Overall exposure' <<<"$out"
        fi
done
exit "$fail"
