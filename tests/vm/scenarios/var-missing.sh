# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# A file system for /var that cannot be mounted: what is in memory can be retrieved, nothing can be stored, and both
# the status and the refusal tell why. When it is mounted, it is used.
# stages: 2
# timeout: 400
# suite: campaign

stage1() {
        check "a node" bash -c 'echo node | pkramctl --owner=root store kept -'
        echo 'UUID=00000000-0000-4000-8000-000000000000 /var ext4 nofail,x-systemd.device-timeout=2s 0 2' >>/etc/fstab
        mkdir -p /etc/pkram/pkramd.conf.d
        printf '[Disk]\nPersist=all\n' >/etc/pkram/pkramd.conf.d/persist.conf
        kexec_now
}

stage2() {
        equal "/var is not mounted" "$(findmnt -rno FSTYPE -M /var)" ""
        for unit in pkramd.service pkram-shutdown.service pkram-kexec-guard.service; do
                equal "$unit" "$(systemctl is-active $unit)" active
        done
        matches "the status" "$(pkramctl status)" 'not mounted'
        refused "nothing is stored" 'not mounted' bash -c 'echo new | pkramctl --owner=root store new -'
        equal "the node is retrieved" "$(pkramctl --owner=root retrieve kept -)" node
        check "and released" pkramctl --owner=root release kept
        equal "it is gone from the store" "$(status_field nodes)" 0
        cp -a /var /srv/var
        sed -i 's,^UUID=[^ ]* /var ext4 .*,/srv/var /var none bind 0 0,' /etc/fstab
        systemctl daemon-reload
        check "/var is mounted" systemctl start var.mount
        check "pkramd starts again" systemctl restart pkramd.service
        check "a node is stored" bash -c 'echo new | pkramctl --owner=root store new -'
        check "nothing is said to be wrong" bash -c '! pkramctl status | grep "not mounted"'
        check "/var can be unmounted" systemctl stop var.mount
        equal "which stops pkramd first" "$(systemctl is-active pkramd.service)" inactive
}
