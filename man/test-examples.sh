#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# Runs the examples of pkram(7) as a service manager would, three times each, against pkramd over a model of the
# kernel. $1: pkramd-mock, $2: pkramctl, then the examples.
set -euo pipefail

if [ -z "${PKRAM_TEST_INSIDE:-}" ]; then
        # The examples know one socket only. /run is ours in a mount namespace of our own. Root needs no user namespace
        # for that, which could not be had in a chroot.
        map=--map-root-user
        ((EUID != 0)) || map=
        unshare --mount $map true 2>/dev/null || { echo "no mount namespaces here"; exit 77; }
        PKRAM_TEST_INSIDE=1 exec unshare --mount $map --kill-child "$BASH" "$0" "$@"
fi

# Debian 12 has no varlink module; the tests in the guest run that example in any case.
examples=()
for example in "${@:3}"; do
        if ! grep -q '^import varlink' "$example" || python3 -c 'import varlink' 2>/dev/null; then
                examples+=("$example")
        fi
done
set -- "$1" "$2" "${examples[@]}"

mount -t tmpfs tmpfs /run
mkdir /run/pkram
mock=$1 ctl=$2
shift 2

"$mock" /run/pkram/io.pkram.Store &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for ((i = 0; i < 100; i++)); do
        [ -S /run/pkram/io.pkram.Store ] && break
        sleep 0.1
done

wait_for_line() {
        for ((i = 0; i < 100; i++)); do
                [ -s "$1" ] && return
                sleep 0.1
        done
        echo "it said nothing within 10 s"
        exit 1
}

for example; do
        for n in 1 2 3; do
                rm -f /run/out
                case $example in
                *.py) python3 "$example" >/run/out & ;;
                *) "$example" >/run/out & ;;
                esac
                pid=$!
                wait_for_line /run/out
                kill -TERM "$pid"
                wait "$pid" || { echo "$example failed at start $n"; exit 1; }
                if [ "$(cat /run/out)" != "Start number $n." ]; then
                        echo "$example said '$(cat /run/out)' at start $n"
                        exit 1
                fi
        done
done

# What another version stored is not used: it has another layout, or another size.
for example; do
        node=$(basename "$example" | sed 's/-varlink\.py$/-varlink/; s/\.py$/-py/')
        for other in "head -c 1048576 /dev/zero" "echo short"; do
                $other >/run/other
                "$ctl" store --replace "$node" /run/other >/dev/null
                rm -f /run/out
                case $example in
                *.py) python3 "$example" >/run/out 2>/run/err & ;;
                *) "$example" >/run/out 2>/run/err & ;;
                esac
                pid=$!
                wait_for_line /run/out
                kill -TERM "$pid"
                wait "$pid" || { echo "$example failed with '$other'"; exit 1; }
                if [ "$(cat /run/out)" != "Start number 1." ] || ! grep -q '^Ignoring' /run/err; then
                        echo "$example used what '$other' made: $(cat /run/out /run/err)"
                        exit 1
                fi
        done
done

# Without the daemon they say so, and fail.
kill "$server"
wait "$server" || true
for example; do
        case $example in
        *.py) ! timeout 10 python3 "$example" >/run/out 2>&1 || { echo "$example did not notice"; exit 1; } ;;
        *) ! timeout 10 "$example" >/run/out 2>&1 || { echo "$example did not notice"; exit 1; } ;;
        esac
done
