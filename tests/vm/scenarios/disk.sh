# SPDX-License-Identifier: LGPL-2.1-or-later
# On a kernel without PKRAM nodes and trees are on disk: a kexec, a reboot and a poweroff preserve them, a full disk
# costs nothing that is there, the tool shows the differences, an old copy is never taken for a new one, and with
# Use=no the answer is NotSupported.
# suite: campaign
# stages: 4
# timeout: 1200
# append: systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900
# config: nopkram
# kernels: nopkram
# power: again
# qemu: -action reboot=reset

NODES=/var/lib/pkram/disk

stage1() {
        equal "no device" "$(ls /dev/pkram 2>/dev/null)" ""
        reply=$(call GetStatus)
        equal "supported, on disk" "$(field supported "$reply") $(field place "$reply")" "True disk"
        matches "pkramctl status says where" "$(pkramctl status 2>&1)" \
                'not supported by this kernel, nodes are kept on disk'
        matches "pkramctl status says what is weaker" "$(pkramctl status 2>&1)" 'are not frozen'
        check "stored" bash -c \
                'head -c 3000000 /dev/urandom | tee /var/tmp/data | pkramctl store --verify big - && printf data | pkramctl store small -'
        matches "it says where the node is" "$(pkramctl show big)" 'Place: disk'
        equal "files are root's alone" "$(stat -c '%a %U' $NODES/nodes.*/*.node | sort -u)" "600 root"

        check "a tree" mount -t pkram -o size=64m web /srv
        check "a unit's tree" systemctl enable --now pkram-tree@unit.service
        check "files" bash -c \
                'cd /srv && head -c 2000000 /dev/urandom >large && mkdir d && seq 1000 >d/small && chmod 4750 large && chown 12:34 large'
        check "files of the unit" bash -c 'echo unit >/run/pkram/trees/unit/file'
        (cd /srv && tar c --sort=name .) | sha tree >/dev/null
        matches "a kexec loses nothing" "$(pkramctl check)" 'Nodes on disk are kept'
        clean_boot

        # A backup, which must not come back.
        cp -a $NODES/nodes.* /var/tmp/backup
        ls -d $NODES/nodes.* >/var/tmp/backup-name
        remember_boot
        check "a kernel is loaded" kexec -s -l /boot/vmlinuz-nopkram --reuse-cmdline
        systemctl kexec
        next_boot
}

back() {
        another_kernel "$1: another kernel runs"
        equal "$1: no device" "$(ls /dev/pkram 2>/dev/null)" ""
        equal "$1: boot result" "$(status_field bootResult)" restored
        check "$1: the node is there" bash -c \
                'rm -rf /run/back && pkramctl retrieve --keep big /run/back >/dev/null && cmp /run/back/* /var/tmp/data'
        equal "$1: it is still on disk" "$(pkramctl list --json=short |
                python3 -c 'import json,sys; print(*sorted({n["place"] for n in json.load(sys.stdin)}))')" disk
        mount -t pkram -o size=64m web /srv || fail "$1: the tree is mounted" "mount failed"
        (cd /srv && tar c --sort=name .) | same tree
        equal "$1: the unit's tree" "$(cat /run/pkram/trees/unit/file)" unit
        clean_boot
}

stage2() {
        back kexec
        equal "what was restored is no longer stored" "$(pkramctl list --quiet | sort | tr '\n' ' ')" "big small "
        remember_boot
        systemctl reboot
        next_boot
}

stage3() {
        back reboot
        check "released" pkramctl release small

        check "the disk is full but for 1 MB" python3 -c '
import os
fs = os.statvfs("/var")
with open("/var/tmp/fill", "wb") as f:
    os.posix_fallocate(f.fileno(), 0, fs.f_bavail * fs.f_frsize - 1000000)'
        refused "full disk: Store" 'full' pkramctl store --replace big /var/tmp/data
        check "full disk: the old node is as it was" bash -c 'pkramctl retrieve --keep big - | cmp - /var/tmp/data'
        refused "full disk: the tree stays mounted" 'full' umount /srv
        (cd /srv && tar c --sort=name .) | same tree
        rm /var/tmp/fill

        check "replaced" bash -c 'printf new | pkramctl store --replace big -'
        cp -a /var/tmp/backup "$(cat /var/tmp/backup-name)"
        remember_boot
        systemctl poweroff
        next_boot
}

stage4() {
        another_kernel "poweroff: another kernel runs"
        check "poweroff: the tree is mounted" mount -t pkram -o size=64m web /srv
        (cd /srv && tar c --sort=name .) | same tree
        equal "the old copy is set aside" "$(status_field bootResult) $(status_field droppedNodes)" "partial 2"
        matches "the journal names it" "$(journalctl -q -b -u pkramd.service -o cat)" \
                'does not belong to the last shutdown'
        equal "the new node is there" "$(pkramctl retrieve --keep big -)" new
        equal "what was released is gone" "$(pkramctl list --quiet | grep -c small)" 0

        mkdir -p /etc/pkram/pkramd.conf.d
        printf '[Disk]\nUse=no\n' >/etc/pkram/pkramd.conf.d/50-disk.conf
        check "pkramd without the disk" systemctl restart pkramd.service
        reply=$(call GetStatus)
        equal "Use=no: supported" "$(field supported "$reply")" False
        matches "Use=no: the reason" "$(field reason "$reply")" 'PKRAM'
        refused "Use=no: pkramctl store" 'PKRAM' bash -c 'printf x | pkramctl store x -'
        refused "Use=no: Store" 'NotSupported' call Store '{"name":"x","objects":[{"data":"eA=="}]}'
        clean_boot
}
