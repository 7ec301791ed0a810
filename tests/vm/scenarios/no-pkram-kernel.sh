# SPDX-License-Identifier: LGPL-2.1-or-later
# On a kernel without PKRAM the store works at once: as installed, nodes and trees are on disk, and status and manual
# say what is weaker. With Use=no the daemon and the tool answer that the kernel has no PKRAM; nothing hangs and no
# unit fails.
# stages: 1
# timeout: 240
# config: nopkram

stage1() {
        equal "no device" "$(ls /dev/pkram 2>/dev/null)" ""
        reply=$(call GetStatus)
        equal "supported, on disk" "$(field supported "$reply") $(field place "$reply")" "True disk"
        matches "pkramctl status" "$(pkramctl status 2>&1)" 'not supported by this kernel, nodes are kept on disk'
        check "stored and retrieved" bash -c \
                'printf data | pkramctl store x - && [ "$(pkramctl retrieve --keep x -)" = data ]'
        printf 'a secret' >/run/lease
        example pkram-disk 'systemd-creds encrypt'
        equal "the file on disk is encrypted" "$(grep -rlF 'a secret' /var/lib/pkram/disk)" ""
        rm /run/lease
        example pkram-disk 'systemd-creds encrypt' 2
        equal "and decrypted when it is retrieved" "$(cat /run/lease)" 'a secret'
        check "a tree is stored" bash -c 'mount -t pkram -o size=8m web /srv && seq 1000 >/srv/file && umount /srv'
        check "and mounted again" bash -c \
                'mount -t pkram -o size=8m web /srv && seq 1000 | cmp - /srv/file && umount -i /srv'

        mkdir -p /etc/pkram/pkramd.conf.d
        printf '[Disk]\nUse=no\n' >/etc/pkram/pkramd.conf.d/50-disk.conf
        check "pkramd without the disk" bash -c 'systemctl daemon-reload && systemctl restart pkramd.service'
        reply=$(call GetStatus)
        equal "Use=no: supported" "$(field supported "$reply")" False
        matches "Use=no: the reason" "$(field reason "$reply")" 'PKRAM'
        matches "Use=no: pkramctl status" "$(pkramctl status 2>&1)" 'kernel.*PKRAM|PKRAM.*kernel'
        refused "Use=no: pkramctl store" 'PKRAM' bash -c 'printf x | pkramctl store x -'
        refused "Use=no: Store" 'NotSupported' call Store '{"name":"x","objects":[{"data":"eA=="}]}'
        clean_boot
}
