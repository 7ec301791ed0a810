# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Trees in use during shutdown: the one that is only read is stored and restored, the one
# that is written is lost, and the operator reads which, why and what to do, before and after. And a tree of 100,000
# files.
# suite: campaign
# stages: 2
# memory: 3G
# timeout: 1200

FILES=100000

# By a process that is not stopped before the file systems are unmounted.
hold() { # NAME COMMAND
        systemd-run --quiet --unit="$1" --property=DefaultDependencies=no sh -c "$2; exec sleep infinity"
}

stage1() {
        for name in reading writing many; do
                mkdir -p "/srv/$name"
                echo "$name /srv/$name pkram size=1g,mode=755,nr_inodes=200k,x-systemd.mount-timeout=600 0 0" \
                        >>/etc/fstab
        done
        systemctl daemon-reload
        check "three trees are mounted" systemctl start srv-reading.mount srv-writing.mount srv-many.mount
        head -c 300000 /dev/urandom >/srv/reading/large
        echo precious >/srv/writing/file
        sum_files /srv/reading >"$STATE/reading"
        check "one of them with $FILES files" make_files /srv/many $FILES 1000
        sum_files /srv/many >"$STATE/many"

        check "a process is in one" hold reader "cd /srv/reading"
        check "a process writes in another" hold writer "exec >>/srv/writing/log"
        sleep 1
        refused "which cannot be unmounted" "in use by .*sleep.* Stop the processes that have files open" umount \
                /srv/writing
        # It is refused as long as something can be done about it.
        mkdir -p /etc/pkram/pkramd.conf.d
        check "the right kernel is loaded" kexec -s -l /boot/vmlinuz-pkram --reuse-cmdline
        refused "a kexec would lose it" \
                "lose 1 of 3 mounted trees: tree 'writing' at '/srv/writing' is in use for writing by sleep" pkramctl \
                check
        printf '[Store]\nKexecPolicy=warn\n' >/etc/pkram/pkramd.conf.d/50-test.conf
        systemctl reload pkramd.service
        kexec_now
}

stage2() {
        equal "the one that was read is there" "$(sum_files /srv/reading)" "$(cat "$STATE/reading")"
        equal "the one with $FILES files, too" "$(sum_files /srv/many)" "$(cat "$STATE/many")"
        for unit in many reading; do
                equal "$unit came from the store" \
                        "$(journalctl -q -b -u "srv-$unit.mount" -o cat | grep -c "Restored tree '$unit'")" 1
        done
        equal "the one that was written is empty" "$(find /srv/writing -mindepth 1 | wc -l)" 0

        # What was lost, why, and what to do: from the old system, and from this one.
        matches "the old system said that one was stored in use" "$(journalctl -q -b -1 -u srv-reading.mount -o cat)" \
                "Tree 'reading' is stored anyway"
        matches "and who used it" "$(journalctl -q -b -1 -u srv-reading.mount -o cat)" \
                "stop the processes that use it .*sleep"
        matches "and that the other one is lost" "$(journalctl -q -b -1 -u srv-writing.mount -o cat)" \
                "Tree 'writing' is lost: '/srv/writing' was in use for writing by .*sleep.* RequiresMountsFor=/srv/writing"
        matches "this one says so, too" "$(journalctl -q -b -t pkramd -t pkram-restore -o cat)" \
                "Tree 'writing' of root was lost: it was in use"
        matches "and pkramctl status" "$(pkramctl status)" writing
        equal "nothing else is lost" "$(python3 -c \
                'import json, sys; print([n["name"] for n in json.loads(sys.argv[1])["lastKexec"]["lost"]])' \
                "$(pkramctl --json=short status)")" "['writing']"
}
