# SPDX-License-Identifier: LGPL-2.1-or-later
# With PKRAM and Persist=marked in [Disk], marked nodes and trees are written to disk on the way into a reboot, a
# poweroff, and a kexec into a kernel without PKRAM. The next kernel finds them and their owners, with PKRAM or not.
# What is not marked is lost and named. A shutdown is refused before anything stops if they do not fit, or, with
# PersistPolicy=drop, the least important ones are lost and named.
# suite: campaign
# stages: 6
# timeout: 2000
# append: systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900
# kernels: nopkram
# power: again
# qemu: -action reboot=reset

CONF=/etc/pkram/pkramd.conf.d/50-disk.conf
NODES=/var/lib/pkram/disk

configure() {
        printf '[Disk]\nPersist=marked\n%s\n' "$1" >$CONF
        check "units are loaded again" systemctl daemon-reload
        check "pkramd with the disk" systemctl restart pkramd.service
}

# A value of the answer of CheckKexec about a reboot.
reboot_field() {
        python3 -c 'import json, sys; print(json.loads(sys.argv[2])["reboot"][sys.argv[1]])' "$1" "$(call CheckKexec)"
}

# The nodes, "NAME OWNER PLACE" each, on one line
nodes() {
        pkramctl list --json=short | python3 -c '
import json, sys
print("; ".join(sorted("%s %s %s" % (n["name"], n["owner"], n["place"]) for n in json.load(sys.stdin))))'
}

# store_big [OPTION...]: a new node "big", its bytes also in /var/tmp/data
store_big() {
        head -c 3000000 /dev/urandom >/var/tmp/data
        pkramctl store --owner=root --verify --persist=90 "$@" big - </var/tmp/data
}

# Rights that pkramd has, as bits.
rights() { sed -n 's/^CapEff:\t0*//p' "/proc/$(systemctl show -P MainPID pkramd.service)/status"; }

# reboot_refused NAME REGEX: nothing is stopped
reboot_refused() {
        local n
        n=$(refused_entries)
        systemctl reboot
        for _ in $(seq 120); do
                [ "$(refused_entries)" -gt "$n" ] && break
                sleep 1
        done
        matches "$1: the reboot is refused" "$(field MESSAGE "$(entries REFUSED | tail -n 1)")" \
                "^Refused to shut down: .*$2"
        check "$1: every node is there" pkramctl show --owner=root big
        equal "$1: no job is left" "$(systemctl list-jobs --no-legend)" ""
}

stage1() {
        mkdir -p "${CONF%/*}"
        check "marked" store_big
        check "not marked" bash -c 'printf data | pkramctl store --owner=root plain -'
        check "of a unit" systemd-run --quiet --wait --unit=own.service \
                bash -c 'echo own | pkramctl store --persist mine -'
        check "a tree" mount -t pkram -o size=64m,pkram.persist web /srv
        check "files" bash -ec 'cd /srv; head -c 2000000 /dev/urandom >large; mkdir d; seq 1000 >d/small
                chmod 4750 large; chown 12:34 large'
        (cd /srv && tar c --sort=name .) | sha tree >/dev/null
        refused "by default a reboot loses all of it" "would lose 4 nodes and mounted trees" pkramctl check --reboot

        # Units that were not loaded again have no right to write.
        printf '[Disk]\nPersist=marked\n' >$CONF
        reboot_refused "before daemon-reload" "run 'systemctl daemon-reload'"

        configure ''
        equal "no node is on disk: pkramd has CAP_SYS_ADMIN only" "$(rights)" 200000
        equal "with PKRAM all is in memory" "$(nodes)" "big root memory; mine own.service memory; plain root memory"
        refused "check --reboot names what is lost" "A shutdown writes 3 nodes .* would lose 1: 'plain' of root" \
                pkramctl check --reboot
        equal "what is marked fits" "$(reboot_field fits)" True

        configure PersistBytesMax=1M
        equal "too little room: it does not fit" "$(reboot_field fits) $(reboot_field refused)" "False True"
        reboot_refused "too little room" "'big' of root .*PersistPolicy=drop"
        equal "too little room: nothing was written" "$(ls $NODES/nodes.* 2>/dev/null)" ""

        configure ''
        remember_boot
        systemctl reboot
        next_boot
}

# back WHEN NODES: what the next kernel finds
back() {
        another_kernel "$1: another kernel runs"
        equal "$1: the nodes are on disk" "$(nodes)" "$2"
        rm -rf /run/back
        check "$1: the node is retrieved" pkramctl retrieve --owner=root --keep big /run/back
        check "$1: it has its bytes" cmp /run/back/* /var/tmp/data
        check "$1: the tree is mounted" mount -t pkram -o size=64m,pkram.persist web /srv
        (cd /srv && tar c --sort=name .) | same tree
        clean_boot
}

# lost_before: what the journal of the previous boot says was lost
lost_before() { journalctl -q -b -1 -o cat "MESSAGE_ID=${ID[LOST]}"; }

stage2() {
        equal "this kernel has PKRAM" "$(ls /dev/pkram)" /dev/pkram
        back reboot "big root disk; mine own.service disk; web root disk"
        equal "nodes are on disk: pkramd can give files their owners" "$(rights)" 20001d
        matches "what was written is named" "$(journalctl -q -b -1 -o cat "MESSAGE_ID=${ID[PERSISTED]}")" \
                "^Wrote node 'big' of root to disk"
        matches "what was lost is named, with the reason" "$(lost_before)" \
                "^Node 'plain' of root will be lost in this shutdown: .*not marked for the disk"
        check "released by its owner" systemd-run --quiet --wait --unit=own.service pkramctl release mine
        check "replaced, in memory" store_big --replace
        equal "the copies are gone" "$(nodes)" "big root memory"
        check "a reboot would lose nothing" pkramctl check --reboot
        remember_boot
        systemctl poweroff
        next_boot
}

stage3() {
        back poweroff "big root disk; web root disk"
        check "replaced again" store_big --replace
        check "a kernel without PKRAM loses nothing" \
                pkramctl kexec --dry-run --kernel=/boot/vmlinuz-nopkram --initrd= --reuse-cmdline
        check "it is loaded" kexec -s -l /boot/vmlinuz-nopkram --reuse-cmdline
        matches "check says so" "$(pkramctl check)" 'does not preserve memory. A shutdown writes 2 nodes'
        remember_boot
        systemctl kexec
        next_boot
}

stage4() {
        equal "this kernel has no PKRAM" "$(ls /dev/pkram 2>/dev/null)" ""
        back "kexec without PKRAM" "big root disk; web root disk"
        remember_boot
        systemctl reboot
        next_boot
}

stage5() {
        equal "this kernel has PKRAM again" "$(ls /dev/pkram)" /dev/pkram
        back "reboot from a kernel without PKRAM" "big root disk; web root disk"

        # The disk is full but for 40 MB and the room that stays free.
        check "less important" bash -c 'head -c 60000000 /dev/zero | pkramctl store --owner=root --persist=10 less -'
        check "the disk is nearly full" python3 -c '
import os
fs = os.statvfs("/var")
reserve = min(fs.f_blocks * fs.f_frsize // 20, 1 << 30)
with open("/var/tmp/fill", "wb") as f:
    os.posix_fallocate(f.fileno(), 0, fs.f_bavail * fs.f_frsize - reserve - 40000000)'
        reboot_refused "full disk" "'less' of root \(there is too little room"
        matches "full disk: the tree fits" "$(reboot_field text)" 'A shutdown writes 1 node '
        mkdir -p /run/pkram/pkramd.conf.d
        printf '[Disk]\nPersistPolicy=drop\n' >/run/pkram/pkramd.conf.d/drop.conf
        equal "full disk: it is not refused any more" "$(reboot_field fits) $(reboot_field refused)" "False False"
        remember_boot
        systemctl reboot
        next_boot
}

stage6() {
        back "full disk" "big root disk; web root disk"
        matches "full disk: what was lost is named" "$(lost_before)" \
                "^Node 'less' of root will be lost in this shutdown: .*too little room"
        rm /var/tmp/fill
        check "released" pkramctl release --owner=root big
        check "the tree is not wanted any more" bash -ec 'umount /srv; pkramctl remove --owner=root web'
        equal "nothing is left on disk" "$(ls $NODES/nodes.*)" ""
        clean_boot
}
