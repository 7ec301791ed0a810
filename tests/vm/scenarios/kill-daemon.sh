# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# pkramd is killed at random moments while clients store, replace, retrieve, release and remove: every acknowledged
# node is there bit for bit, nothing else is, and no page is lost.
# stages: 1
# timeout: 420

stage1() {
        kills=$(sed -n 's/.*\bpkramtest\.kills=\([0-9]*\).*/\1/p' /proc/cmdline)
        before=$(status_field nodes)
        equal "nothing is stored" "$before" 0
        shmem=$(awk '/^Shmem:/ { print $2 }' /proc/meminfo)
        check "killed ${kills:-60} times" python3 "$DIR/kill-daemon.py" "${kills:-60}"
        matches "every node was compared" "$OUT" '^ok$'
        printf '%s\n' "$OUT"
        # The unit must not have given up on a daemon that dies often: its nodes would be out of reach.
        matches "it is started again" "$(status_field supported)" '^True$'
        equal "and not limited" "$(systemctl show -P Result pkramd.service)/$(systemctl show -P Result \
                pkramd.socket)" success/success
        now=$(awk '/^Shmem:/ { print $2 }' /proc/meminfo)
        if [ "$((now - shmem))" -le 2048 ]; then pass "no page is left behind"; else fail "no page is left behind" \
                "Shmem grew from $shmem to $now kB"; fi
}
