# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# A tree worker is killed at several moments while it restores a tree: each time the directory is empty again, with the
# owner, mode and time that it had, and the node is still stored. The same if the client is killed together with it.
# suite: campaign
# stages: 1
# timeout: 900

FILES=3000
T=/run/killed

make_tree() {
        mkdir "$1"
        make_files "$1" $FILES 100
        head -c 64M /dev/urandom >"$1/large"
}

wait_for_worker() {
        local i
        for ((i = 0; i < 600; i++)); do
                ! systemctl list-units --no-legend --state=running 'pkram-tree-worker@*' | grep -q . || return
                sleep 0.1
        done
}

state_of() { stat -c '%u:%g %a %y' "$1"; find "$1" -mindepth 1 | head -n 3; }

stage1() {
        mkdir $T
        mount -t tmpfs -o size=1g,mode=755 killed $T
        make_tree $T/from
        sum=$(sum_files $T/from)
        check "a tree is stored" pkramctl store killed $T/from
        rm -rf $T/from

        mkdir $T/to
        chown 1234:2345 $T/to
        chmod 751 $T/to
        touch -d '2001-02-03 04:05:06.789' $T/to
        before=$(state_of $T/to)

        killed=0 locked=0
        for delay in 0 0.1 0.3 0.6 1 1.5 2 3; do
                for with in worker client; do
                        pkramctl retrieve killed $T/to >/run/retrieve 2>&1 &
                        client=$!
                        wait_for_worker
                        sleep $delay
                        [ "$(stat -c %u $T/to)" != 0 ] || locked=$((locked + 1))
                        systemctl kill --signal=KILL 'pkram-tree-worker@*.service' 2>/dev/null
                        [ $with = worker ] || kill -KILL $client
                        if wait $client 2>/dev/null; then
                                # It was faster.
                                find $T/to -mindepth 1 -delete
                                chown 1234:2345 $T/to
                                chmod 751 $T/to
                                touch -d '2001-02-03 04:05:06.789' $T/to
                                continue
                        fi
                        killed=$((killed + 1))
                        # A client that lives is told when the directory is as before, not earlier.
                        for ((i = 0; i < 300; i++)); do
                                [ $with = client ] && [ "$(state_of $T/to)" != "$before" ] || break
                                sleep 0.1
                        done
                        equal "the directory, $delay s, $with killed" "$(state_of $T/to)" "$before"
                        check "and the node" pkramctl show killed
                done
        done
        show "$killed workers were killed, $locked of them while the directory was closed"
        if [ $locked -gt 0 ]; then pass "some while the directory was closed"; else fail \
                "none while the directory was closed" ""; fi

        check "the tree is restored" pkramctl retrieve --release killed $T/to
        equal "with all that was stored" "$(sum_files $T/to)" "$sum"
        equal "nothing remains stored" "$(status_field nodes)" 0
        equal "nothing was wrong" "$(journalctl -q -b -u pkramd.service -g 'Failed to (put|start a worker)' | wc -l)" 0
}
