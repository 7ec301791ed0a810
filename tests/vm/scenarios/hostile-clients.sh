# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Clients that flood, stall, never read, open 1000 connections, hand over 10,000 descriptors, sockets that linger or
# files whose server hangs, send 100 MiB or millions of values, have checksums computed, start trees and hang up, or
# store as much as they may, together: an ordinary client notices nothing, and root's tree is stored. Owners: by unit,
# else by user; no other gets in.
# stages: 1
# timeout: 420

as_unit() { timeout 120 systemd-run --quiet --wait --pipe --collect --unit="$1" --uid=nobody "${@:2}"; }
as_user() { timeout 300 systemd-run --quiet --scope --collect --slice=user-65534.slice --uid=nobody "$@"; }
KINDS="flood never_read stall connections descriptors large linger hanging unread_descriptors unread_bytes deep verify trees"
SECONDS_EACH=20

# The peak of that name from what the watcher printed.
peak_of() { sed -n "s/.*\\b$1=\\([0-9]*\\).*/\\1/p" /run/watch; }

# The last lines that a client itself has printed; the service manager writes about it, too.
said_by() { # KIND LINES
        journalctl -q -b -o cat "_SYSTEMD_UNIT=hostile-$1.service" | tail -n "$2"
}

at_most() { # WHAT VALUE LIMIT
        if [ -n "$2" ] && [ "$2" -le "$3" ]; then pass "$1: $2"; else fail "$1" "'$2', more than $3"; fi
}

stage1() {
        equal "the owner of a unit's node" "$(field owner \
                "$(as_unit owner-a varlinkctl --json=short call "$SOCKET" io.pkram.Store.GetStatus '{}')")" \
                owner-a.service
        equal "the owner of a user's node" "$(field owner \
                "$(as_user varlinkctl --json=short call "$SOCKET" io.pkram.Store.GetStatus '{}')")" uid:65534
        check "a node of one unit" as_unit owner-a varlinkctl call "$SOCKET" io.pkram.Store.Store \
                '{"name":"of-a","objects":[{"data":"b25seSBmb3IgYQ=="}]}'
        for method in Retrieve Describe Release Remove; do
                refused "$method by another unit of the same user" NoSuchNode as_unit owner-b varlinkctl call \
                        "$SOCKET" "io.pkram.Store.$method" '{"name":"of-a"}'
                refused "$method by the user alone" NoSuchNode as_user varlinkctl call "$SOCKET" \
                        "io.pkram.Store.$method" '{"name":"of-a"}'
        done
        check "another unit has the same name" as_unit owner-b varlinkctl call "$SOCKET" io.pkram.Store.Store \
                '{"name":"of-a","replace":true,"objects":[{"data":"eA=="}]}'
        check "its own unit, started again, gets it" as_unit owner-a varlinkctl --json=short call "$SOCKET" \
                io.pkram.Store.Retrieve '{"name":"of-a","inline":true}'
        matches "and it is what it was" "$OUT" b25seSBmb3IgYQ==
        check "root gets it" call Remove '{"name":"of-a","owner":"owner-a.service"}'
        check "and the other one" call Remove '{"name":"of-a","owner":"owner-b.service"}'

        mkdir -p /run/pkram-test-tree
        check "a tree of root is mounted" mount -t pkram hostile /run/pkram-test-tree
        echo "kept in spite of them" >/run/pkram-test-tree/file

        daemon=$(systemctl show -P MainPID pkramd.service)
        # How slow the machine is by itself, in milliseconds for one call.
        idle=$(python3 "$DIR/hostile.py" watch 2 | sed -n 's/.*\bmedian=\([0-9]*\).*/\1/p')
        show "a call without the others takes ${idle:-?} ms"
        for kind in $KINDS; do
                # What they do with the processors is no business of the daemon.
                systemd-run --quiet --unit="hostile-$kind" --uid=nobody --nice=19 --property=RemainAfterExit=yes \
                        --property=CPUWeight=1 --property=LimitNOFILE=16384 python3 "$DIR/hostile.py" "$kind" \
                        $SECONDS_EACH
        done
        as_user python3 "$DIR/hostile.py" crowd 0 >/run/crowd 2>&1 &
        python3 "$DIR/hostile.py" watch $SECONDS_EACH >/run/watch 2>&1 &
        sleep 5
        check "root's tree is stored meanwhile" timeout 180 umount /run/pkram-test-tree
        check "an ordinary client works on" timeout 200 python3 "$DIR/hostile.py" victim $((SECONDS_EACH - 5))
        matches "and gets its answers" "$OUT" 'rounds'
        wait
        show "the victim: $OUT"
        show "the daemon: $(cat /run/watch)"
        for kind in $KINDS; do
                for ((i = 0; i < 150; i++)); do
                        [ "$(systemctl show -P SubState "hostile-$kind")" = running ] || break
                        sleep 1
                done
                journalctl --sync
                end=$(systemctl show -P Result "hostile-$kind")/$(systemctl show -P SubState "hostile-$kind")
                [ "$end" = success/exited ] ||
                        while IFS= read -r line; do show "$kind: $line"; done < <(said_by "$kind" 20)
                equal "the client '$kind' met its end: $(said_by "$kind" 1)" "$end" success/exited
                systemctl stop "hostile-$kind"
        done
        matches "a user has a limit of its own" "$(cat /run/crowd)" 'then UserNodesMax'
        equal "the daemon is the same process" "$(systemctl show -P MainPID pkramd.service)" "$daemon"

        # AddressSanitizer takes much for itself, and much time.
        limit=16384 peak=131072 slowest=5000
        [ ! -e /usr/lib/pkram/pkramd-sanitized ] || limit=400000 peak=1000000 slowest=15000
        at_most "memory of the daemon in kB" "$(peak_of memory)" $peak
        # OwnerDescriptorsMax= for each of the two that have thousands, and connections and files of the daemon itself.
        at_most "its descriptors" "$(peak_of descriptors)" $((2 * 8192 + 500))
        at_most "processes in its unit" "$(peak_of processes)" 35
        slowest=$((slowest + 50 * ${idle:-0}))
        at_most "milliseconds for most calls" "$(peak_of late)" $((slowest / 4))
        at_most "milliseconds for any call" "$(peak_of slowest)" $slowest

        check "root's tree is restored" mount -t pkram hostile /run/pkram-test-tree
        equal "with its contents" "$(cat /run/pkram-test-tree/file)" "kept in spite of them"
        check "and unmounted permanently" umount -i /run/pkram-test-tree
        equal "nothing is left of all that" "$(status_field nodes)" 0
        fds=$(find "/proc/$daemon/fd" -type l | wc -l)
        if [ "$fds" -lt 40 ]; then pass "no descriptor leaks"; else fail "no descriptor leaks" \
                "the daemon has $fds"; fi
        # It is given back a moment after the last of them has gone.
        for ((i = 0; i < 20; i++)); do
                rss=$(awk '/^VmRSS:/ { print $2 }' "/proc/$daemon/status")
                [ "$rss" -ge "$limit" ] || break
                sleep 1
        done
        if [ "$rss" -lt "$limit" ]; then pass "no memory leaks"; else fail "no memory leaks" \
                "the daemon takes $rss kB"; fi
        # The payload of no client is in the journal.
        journalctl --sync
        log=$(journalctl -q -b -u pkramd.service -u pkramd.socket -o export)
        matches "the daemon's journal" "$log" PKRAM_NODE=of-a
        equal "has nothing of what was stored" \
                "$(grep -c 'b25seSBmb3IgYQ\|only for a\|AAAAAAAAAAAAAAAAAAAA' <<<"$log")" 0
}
