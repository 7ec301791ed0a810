# SPDX-License-Identifier: LGPL-2.1-or-later
# After each kexec of a chain, pkramctl status tells when it was asked for, sealed, started and restored and how long
# services were down, what came back and what did not; the old system's last lines are in the new journal, marked.
# stages: 3
# timeout: 500

last() { python3 -c '
import json, sys
k = json.loads(sys.argv[1])["lastKexec"]
print(eval(sys.argv[2], {"k": k}))' "$(call GetStatus)" "$1"; }

stage1() {
        wait_for_report
        equal "no report without a kexec" "$(status_field lastKexec)" ""
        refused "a name that is the system's" 'InvalidName' call Store '{"name":"io.pkram.kexec","objects":[{"data":"eA=="}]}'
        check "stored" bash -c 'head -c 3000000 /dev/urandom | pkramctl store one - && printf x | pkramctl store two - && printf y | pkramctl store broken -'
        # A bit of the third node's description, after the seal.
        check "one will be damaged" bash -c 'echo "node 2 200 0" >/sys/module/pkram_damage/parameters/flip'
        date +%s >"$STATE/asked"
        remember_boot
        kexec_now
}

check_report() { # NODES
        local asked
        asked=$(cat "$STATE/asked")
        wait_for_report
        equal "steps in order" "$(last 'k["requestedUSec"] <= k["stoppedUSec"] <= k["finalUSec"] <= k["sealedUSec"] and k["startedUSec"] <= k["restoredUSec"] <= k["upUSec"]')" True
        # The clock of the hardware knows whole seconds only.
        equal "sealed before the kernel started" "$(last 'k["sealedUSec"] <= k["startedUSec"] + 1500000')" True
        equal "it was this kexec" "$(last "$asked * 1000000 <= k['requestedUSec'] < ($asked + 300) * 1000000")" True
        equal "services were down" "$(last '0 < k["downUSec"] == k["upUSec"] - k["requestedUSec"] < 300000000')" True
        equal "previous kernel" "$(last 'k["previousKernel"]')" "$(uname -r)"
        equal "nodes that came back" "$(last 'k["restoredNodes"]')" "$1"
        equal "nodes of the system's own are gone" "$(status_field nodes)" "$1"
        matches "pkramctl status: asked for" "$(pkramctl status)" 'Kexec asked for: 20'
        matches "pkramctl status: down" "$(pkramctl status)" 'Services down for: [0-9]'
        matches "pkramctl status: came back" "$(pkramctl status)" "Came back: $1 node"
        equal "one entry says that services are up" "$(entries UP | wc -l)" 1
        equal "one entry says when it was sealed" "$(entries SEALED | wc -l)" 1

        # journald was gone by then: no other journal has these lines.
        equal "lines replayed" "$(entries REPLAYED | wc -l)" "$(last 'k["logLines"]')"
        matches "the last thing that happened" "$(journalctl -q -b -o cat -t pkram-replay)" 'All filesystems unmounted|Unmounting'
        e=$(entries REPLAYED | tail -n 1)
        equal "their boot" "$(field PKRAM_BOOT_ID "$e")" "$(tr -d - <"$STATE/boot")"
        matches "their time" "$(field PKRAM_REALTIME_USEC "$e")" '^[0-9]{16}$'
        equal "their kernel" "$(field PKRAM_KERNEL "$e")" "$(uname -r)"
        equal "they are in no journal of the old boot" "$(journalctl -q -b -1 -o cat _TRANSPORT=kernel | grep -c 'All filesystems unmounted')" 0
        matches "the catalog explains them" "$(journalctl -q -b -x -n 1 -t pkram-replay)" 'was not written now'
}

stage2() {
        check_report 2
        equal "what did not come back is named" "$(last '[n.get("name") for n in k["lost"]].count("broken")')" 1
        matches "pkramctl status: and why" "$(pkramctl status)" 'Lost: broken, .*(checksum|not here)'
        matches "the journal says it, too" "$(entries DROPPED -o cat)" "'broken'"
        example pkram-restore.service 'journalctl -b MESSAGE_ID=5d8e'
        matches "what it shows" "$OUT" "'two'"
        example pkram-restore.service 'journalctl -b -x MESSAGE_ID=c1a7'
        matches "what it shows" "$OUT" "'broken'"
        example pkram-restore.service 'pkramctl status'
        matches "what it shows" "$OUT" 'Services down for: [0-9]'
        example pkram-restore.service 'journalctl -b -t pkram-replay'
        matches "what it shows" "$OUT" 'unmount'
        # As a tree it would be what its service begins without.
        mkdir -p /srv/broken
        echo 'broken /srv/broken pkram noauto 0 0' >>/etc/fstab
        systemctl daemon-reload
        check "a tree that was dropped is mounted" systemctl start srv-broken.mount
        equal "it is empty" "$(ls -A /srv/broken)" ""
        matches "the journal says so" "$(journalctl -q -b -u srv-broken.mount -o cat)" "'broken' is not stored: the file system is empty"
        umount -i /srv/broken
        check "retrieved" pkramctl retrieve one /run/back
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
        check_report 1
        equal "generation" "$(status_field generation)" 2
        equal "nothing is missing" "$(last 'k["lostNodes"]')" 0
        matches "what was in memory only is there" "$(journalctl -q -b -o cat -t pkram-replay)" '^remember(\[[0-9]+\])?: before the kexec, and nowhere else$'
}
