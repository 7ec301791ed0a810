# SPDX-License-Identifier: LGPL-2.1-or-later
# After each kexec of a chain, pkramctl status tells when it was asked for, sealed, started and restored and how long
# services were down, what came back and what did not; the old system's last lines are in the new journal, marked.
# Trees that take longer to store than their units may take hold up nothing, and it is said which they are and what to
# do.
# stages: 3
# timeout: 500
# expect: 1 pkram: tree 'slow' is lost in this kexec: storing it took longer than its unit may take
# expect: 1 pkram: tree 'late' is lost in this kexec: storing it took longer than its unit may take

last() { python3 -c '
import json, sys
k = json.loads(sys.argv[1])["lastKexec"]
print(eval(sys.argv[2], {"k": k}))' "$(call GetStatus)" "$1"; }

LATE=/run/pkram/trees/late

# hurry SETTING UNIT: as long as this kernel runs the unit has so few seconds, enough under emulation to begin with
# what it does, but not always for all of it
hurry() {
        mkdir -p "/run/systemd/system/$2.d"
        printf '[%s]\n%s=15\n' "$([[ $2 = *.mount ]] && echo Mount || echo Service)" "$1" \
                >"/run/systemd/system/$2.d/50-test.conf"
        systemctl daemon-reload
        equal "timeout of $2" "$(systemctl show -P "${1%Sec}USec" "$2")" 15s
}

# Two trees whose units will not have the time to store them, and one that has it.
make_trees() {
        mkdir -p /srv/slow /srv/fine
        printf '%s\n' 'slow /srv/slow pkram x-systemd.mount-timeout=200 0 0' \
                'fine /srv/fine pkram x-systemd.mount-timeout=200 0 0' >>/etc/fstab
        systemctl daemon-reload
        check "trees are mounted" systemctl start srv-slow.mount srv-fine.mount pkram-tree@late.service
        equal "timeout by fstab" "$(systemctl show -P TimeoutUSec srv-slow.mount)" "3min 20s"
        hurry TimeoutSec srv-slow.mount
        hurry TimeoutStopSec pkram-tree@late.service
        for tree in /srv/slow /srv/fine $LATE; do
                echo "in $tree" >"$tree/file"
        done
}

# hold_workers PATTERN: however fast the machine is, no worker begins as long as there is such a command line, which is
# that of a client that waits for the worker.
hold_workers() {
        mkdir -p /etc/systemd/system/pkram-tree-worker@.service.d
        printf '#!/bin/sh\nwhile pgrep -f "%s" >/dev/null; do sleep 1; done\n' "$1" >/usr/local/bin/hold-worker
        chmod +x /usr/local/bin/hold-worker
        # A unit of its own: the worker's own commands run in a root directory that does not have the program.
        printf \
                '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nSlice=system.slice\nExecStart=/usr/local/bin/hold-worker\n' >/etc/systemd/system/hold-worker@.service
        printf '[Unit]\nWants=hold-worker@%%i.service\nAfter=hold-worker@%%i.service\n' \
                >/etc/systemd/system/pkram-tree-worker@.service.d/50-test.conf
        systemctl daemon-reload
}

release_workers() {
        rm /etc/systemd/system/pkram-tree-worker@.service.d/50-test.conf
        systemctl daemon-reload
}

# Until the interrupted process has put everything in order: systemd does not wait for that.
until_gone() {
        for _ in $(seq 100); do
                pgrep -f 'mount.pkram.* /srv/slow' >/dev/null || break
                sleep 0.3
        done
}

# While the system goes on, such a unit fails and its tree is as it was.
interrupted() {
        refused "stopping it takes too long" 'failed' systemctl stop srv-slow.mount
        until_gone
        equal "it is mounted still" "$(findmnt -no FSTYPE,SOURCE /srv/slow | xargs)" "tmpfs slow"
        matches "the journal says what happened" "$(journalctl -q -b -u srv-slow.mount -o cat)" \
                "Interrupted while storing tree 'slow' .*, '/srv/slow' stays mounted. Try again"
        check "it can be written to" touch /srv/slow/more
        refused "nothing of it is stored" "'slow' not found" pkramctl --owner=root show slow
        systemctl reset-failed
}

# What is known of the two after the kexec, and that the third one was none of them.
check_too_late() {
        local unit
        equal "what is lost" "$(last 'sorted(n.get("name") for n in k["lost"])')" "['broken', 'late', 'slow']"
        equal "why" "$(last 'sum("took longer to store than its unit may take" in n["reason"] for n in k["lost"])')" 2
        matches "pkramctl status: why, and what to do" "$(pkramctl status)" \
                'slow, it took longer .*x-systemd.mount-timeout='
        # Not for what fstab says.
        equal "no unit waited longer than 15 seconds" "$(journalctl -q -b -1 -o json -u srv-slow.mount | python3 -c '
import json, sys
at = [(e["MESSAGE"], int(e["__MONOTONIC_TIMESTAMP"])) for e in map(json.loads, sys.stdin)]
begin = [t for m, t in at if m.startswith("Unmounting ") and m.endswith("...")][-1]
end = [t for m, t in at if "is lost: storing it" in m][-1]
print(14_900_000 <= end - begin < 90_000_000)')" True
        for unit in srv-slow.mount pkram-tree@late.service; do
                matches "what the old system said of $unit" "$(journalctl -q -b -1 -u $unit -o cat)" \
                        "Tree '(slow|late)' is lost: storing it took longer than its unit may take to stop"
                matches "and systemd" "$(journalctl -q -b -1 -u $unit -o cat)" '[Tt]imed out'
        done
        matches "late is not tried again" "$(journalctl -q -b -1 -o cat)" "'late' is lost, .*Not trying again"
        equal "late is empty" "$(systemctl start pkram-tree@late.service; ls -A $LATE)" ""
        equal "slow is empty" "$(ls -A /srv/slow)" ""
        matches "as its unit says" "$(journalctl -q -b -u srv-slow.mount -o cat)" \
                "'slow' is not stored, it was lost in the last kexec \(it took longer .*\), mounting an empty file system"
        equal "the one beside them is there" "$(cat /srv/fine/file)" "in /srv/fine"
        echo "in time" >/srv/slow/file
        echo "in time" >$LATE/file
        release_workers
}

# The same at boot: a unit that needs the tree does not start without it, and it stays stored.
too_late_to_restore() {
        check "slow is stored in time" systemctl stop srv-slow.mount
        hold_workers '/mount.pkram.* /srv/slow'
        hurry TimeoutSec srv-slow.mount
        printf '[Unit]\nRequiresMountsFor=/srv/slow\n[Service]\nType=oneshot\nExecStart=true\n' \
                >/run/systemd/system/needs-slow.service
        systemctl daemon-reload
        refused "restoring it takes too long: a unit that requires it does not start" 'dependency' systemctl start \
                needs-slow.service
        until_gone
        equal "it is not mounted" "$(findmnt -no FSTYPE,SOURCE /srv/slow)" ""
        matches "its unit says why" "$(journalctl -q -b -u srv-slow.mount -o cat)" \
                "Interrupted while restoring tree 'slow' .*, not mounting"
        check "it is still stored" pkramctl --owner=root show slow
        rm -r /run/systemd/system/srv-slow.mount.d
        release_workers
        check "in time, it is mounted" systemctl start srv-slow.mount
        equal "with what was in it" "$(cat /srv/slow/file)" "in time"
}

stage1() {
        wait_for_report
        equal "no report without a kexec" "$(status_field lastKexec)" ""
        refused "a name that is the system's" 'InvalidName' call Store \
                '{"name":"io.pkram.kexec","objects":[{"data":"eA=="}]}'
        check "stored" bash -c \
                'head -c 3000000 /dev/urandom | pkramctl store one - && printf x | pkramctl store two - && printf y | pkramctl --owner=root store broken -'
        # A bit of the third node's description, after the seal.
        check "one will be damaged" bash -c 'echo "node 2 200 0" >/sys/module/pkram_damage/parameters/flip'
        make_trees
        hold_workers "umount.pkram.* (/srv/slow|$LATE)"
        interrupted
        date +%s >"$STATE/asked"
        remember_boot
        kexec_now
}

check_report() { # CAME-BACK STILL-STORED
        local asked
        asked=$(cat "$STATE/asked")
        wait_for_report
        equal "steps in order" "$(last \
                'k["requestedUSec"] <= k["stoppedUSec"] <= k["finalUSec"] <= k["sealedUSec"] and k["startedUSec"] <= k["restoredUSec"] <= k["upUSec"]')" True
        # The clock of the hardware knows whole seconds only.
        equal "sealed before the kernel started" "$(last 'k["sealedUSec"] <= k["startedUSec"] + 1500000')" True
        equal "it was this kexec" "$(last "$asked * 1000000 <= k['requestedUSec'] < ($asked + 300) * 1000000")" True
        equal "services were down" "$(last '0 < k["downUSec"] == k["upUSec"] - k["requestedUSec"] < 300000000')" True
        equal "previous kernel" "$(last 'k["previousKernel"]')" "$(uname -r)"
        equal "nodes that came back" "$(last 'k["restoredNodes"]')" "$1"
        equal "nodes of the system's own are gone" "$(status_field nodes)" "$2"
        matches "pkramctl status: asked for" "$(pkramctl status)" 'Kexec requested: 20'
        matches "pkramctl status: down" "$(pkramctl status)" 'Services down for: [0-9]'
        matches "pkramctl status: came back" "$(pkramctl status)" "Restored: $1 node"
        equal "one entry says that services are up" "$(entries UP | wc -l)" 1
        equal "one entry says when it was sealed" "$(entries SEALED | wc -l)" 1

        # journald was gone by then: no other journal has these lines.
        equal "lines replayed" "$(entries REPLAYED | wc -l)" "$(last 'k["logLines"]')"
        matches "the last thing that happened" "$(journalctl -q -b -o cat -t pkram-replay)" \
                'All filesystems unmounted|Unmounting'
        e=$(entries REPLAYED | tail -n 1)
        equal "their boot" "$(field PKRAM_BOOT_ID "$e")" "$(tr -d - <"$STATE/boot")"
        matches "their time" "$(field PKRAM_REALTIME_USEC "$e")" '^[0-9]{16}$'
        equal "their kernel" "$(field PKRAM_KERNEL "$e")" "$(uname -r)"
        equal "they are in no journal of the old boot" \
                "$(journalctl -q -b -1 -o cat _TRANSPORT=kernel | grep -c 'All filesystems unmounted')" 0
        matches "the catalog explains them" "$(journalctl -q -b -x -n 1 -t pkram-replay)" 'This line was replayed'
}

stage2() {
        check_report 3 2
        check_too_late
        equal "pkramctl analyze blame" "$(pkramctl analyze blame -j | python3 -c '
import json, sys
u = {u["unit"]: u for u in json.load(sys.stdin)}
print(u["srv-fine.mount"]["stopUSec"] > 0 and u["srv-fine.mount"]["startUSec"] > 0, u["srv-slow.mount"]["stopUSec"] > 14_900_000)')" \
                "True True"
        too_late_to_restore
        equal "what did not come back is named" "$(last '[n.get("name") for n in k["lost"]].count("broken")')" 1
        matches "pkramctl status: and why" "$(pkramctl status)" 'Lost node: broken, .*(checksum|not here)'
        matches "the journal says it, too" "$(entries DROPPED -o cat)" "'broken'"
        example pkram-restore.service 'journalctl -b MESSAGE_ID=5d8e'
        matches "what it shows" "$OUT" "'two'"
        example pkram-restore.service 'journalctl -b -x MESSAGE_ID=c1a7'
        matches "what it shows" "$OUT" "'broken'"
        example pkram-restore.service 'pkramctl status'
        matches "what it shows" "$OUT" 'Services down for: [0-9]'
        example pkram-restore.service 'journalctl -b -t pkram-replay'
        matches "what it shows" "$OUT" 'unmount'
        # As a tree it would be what its service begins without, unless it is required.
        mkdir -p /srv/broken
        refused "a tree that was dropped is not mounted if it is required" \
                "'broken' is not stored, it was lost .*, not mounting because of pkram.required" \
                mount -t pkram -o pkram.required broken /srv/broken
        echo 'broken /srv/broken pkram noauto 0 0' >>/etc/fstab
        systemctl daemon-reload
        check "a tree that was dropped is mounted" systemctl start srv-broken.mount
        equal "it is empty" "$(ls -A /srv/broken)" ""
        matches "the journal says so" "$(journalctl -q -b -u srv-broken.mount -o cat)" \
                "'broken' is not stored, it was lost in the last kexec \(.*\), mounting an empty file system"
        umount -i /srv/broken
        check "retrieved" pkramctl retrieve --release one /run/back
        # From here on the journal is in memory only.
        mkdir -p /etc/systemd/journald.conf.d
        printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/50-test.conf
        check "journal in memory" systemctl restart systemd-journald.service
        logger --tag remember "before the kexec, and nowhere else"
        date +%s >"$STATE/asked"
        remember_boot
        kexec_now
}

stage3() {
        check_report 4 2
        equal "given the time, slow is there" "$(cat /srv/slow/file)" "in time"
        systemctl start pkram-tree@late.service
        equal "late, too" "$(cat $LATE/file)" "in time"
        equal "generation" "$(status_field generation)" 2
        equal "nothing is missing" "$(last 'k["lostNodes"]')" 0
        matches "what was in memory only is there" "$(journalctl -q -b -o cat -t pkram-replay)" \
                '^remember(\[[0-9]+\])?: before the kexec, and nowhere else$'
}
