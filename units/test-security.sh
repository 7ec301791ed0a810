#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# Fails if a unit is less locked up than promised, or what it may take and how long it may hang is not bounded. $1:
# where meson made the units.
set -euo pipefail

# The score times ten, as --threshold= wants it. The daemon's has to stay below 1.5; the others run for a moment, and
# the guard has to see terminals and devices.
limits=(
        pkramd.service 14
        pkram-tree-worker@.service 20
        pkram-restore.service 16
        pkram-report.service 16
        pkram-shutdown.service 16
        pkram-kexec-guard.service 23
        pkram-kexec-check@.service 22
        pkram-qemu@.service 26
        # CRIU needs most capabilities, and no filter of system calls, see the unit.
        pkram-criu@.service 82
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

# UNIT SETTING MAXIMUM: the setting is there, and no more than that: a time in microseconds or a size in bytes.
at_most() {
        local value
        value=$(sed -n "s/^$2=//p" "$1")
        case $2:$value in
        *:) ;;
        *Sec:*) value=$(systemd-analyze timespan "$value" | sed -n 's/.*s: *//p') ;;
        *) value=$(numfmt --from=iec "$value") ;;
        esac
        if [ -z "$value" ] || [ "$value" -gt "$3" ]; then
                echo "${1##*/}: $2 is '$value', more than $3"
                fail=1
        fi
}

# Services that store when they stop have 90 s. A pkramd that hangs has to be there again well before.
at_most "$1/pkramd.service" WatchdogSec 20000000
at_most "$1/pkramd.service" TimeoutStopSec 20000000
at_most "$1/pkramd.service" RestartSec 1000000
at_most "$1/pkramd.service" MemoryMax $((1 << 30))
at_most "$1/pkram-tree-worker@.service" LimitDATA $((2 << 30))
at_most "$1/pkram-tree-worker@.service" RuntimeMaxSec $((3600 * 1000000))
exit "$fail"
