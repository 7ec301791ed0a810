# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# A root file system that stays read-only, with /var on a file system of its own, which is a tree: all units start,
# nodes and trees are kept through kexecs into this state and out of it.
# stages: 3
# timeout: 600
# suite: campaign

stage1() {
        mkdir -p /srv/web
        check "a tree for /var" mount -t pkram -o size=256M,mode=755 var /mnt
        check "is filled" cp -a /var/. /mnt/
        check "and stored" umount /mnt
        sed -i 's,^/dev/vda / ext4 rw,/dev/vda / ext4 ro,' /etc/fstab
        printf '%s\n' 'var /var pkram size=256M,mode=755 0 0' 'web /srv/web pkram size=8M 0 0' >>/etc/fstab
        systemctl daemon-reload
        check "a tree below the root" systemctl start srv-web.mount
        echo web >/srv/web/file
        check "and one by its unit" systemctl enable --now pkram-tree@jobs.service
        echo jobs >/run/pkram/trees/jobs/file
        check "a node" bash -c 'echo node | pkramctl --owner=root store kept -'
        sync
        # The next boots count in the /var that is a tree.
        OUT=$(pkramctl kexec --kernel=/boot/vmlinuz-pkram --initrd= --append="$(sed 's/\brw\b/ro/' /proc/cmdline)" \
                2>&1) ||
                fail "pkramctl kexec" "$OUT"
        next_boot
}

# All of it is there, although nothing on the root can be changed.
all_there() {
        refused "the root is read-only" 'Read-only' touch /srv/file
        equal "/var is a tree" "$(findmnt -rno SOURCE,FSTYPE -M /var)" "var tmpfs"
        equal "the tree below the root" "$(cat /srv/web/file)" web
        equal "the one of a unit" "$(cat /run/pkram/trees/jobs/file)" jobs
        equal "the node" "$(pkramctl --owner=root retrieve --keep kept -)" node
        for unit in pkramd.service pkramd.socket pkram-restore.service pkram-trees.service pkram-shutdown.service \
                pkram-kexec-guard.service pkram-tree@jobs.service; do
                equal "$unit" "$(systemctl is-active $unit)" active
        done
        wait_for_report
        clean_boot
}

stage2() {
        all_there
        equal "nothing is reported as lost" "$(python3 -c \
                'import json, sys; print(json.loads(sys.argv[1])["lastKexec"]["lost"])' "$(call GetStatus)")" "[]"
        kexec_now
}

stage3() { all_there; }
