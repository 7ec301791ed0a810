# SPDX-License-Identifier: LGPL-2.1-or-later
# On Debian 13's own kernel, as installed: a stream into pkramctl, a service's memfd, an inline node by varlinkctl and
# a tree of /etc/fstab come through a reboot and a kexec. Every byte is compared by SHA-256.
# suite: campaign
# stages: 3
# timeout: 900
# config: stock
# image: small
# append: audit=0
# qemu: -action reboot=reset

KEEPER_MIB=32

keeper_pid() { systemctl show -P MainPID keeper.service; }
# The service's memory without the counter at its beginning.
keeper_memory() { dd if="/proc/$(keeper_pid)/fd/42" bs=1M iflag=skip_bytes skip=8 status=none; }

make_keeper() {
        keeper_unit $KEEPER_MIB 'Requires=pkramd.socket' 'After=pkramd.socket' 'RequiresMountsFor=/srv/web'
        systemctl daemon-reload && systemctl enable --now keeper.service
}

tar_systemd() { tar -c --sort=name -C / usr/lib/systemd; }
tar_web() { (cd /srv/web && tar -c --sort=name .); }

show_kernel() { show kexec "boot $STAGE: kernel $(uname -r), boot id $(cat /proc/sys/kernel/random/boot_id)$1"; }

stage1() {
        equal "no device" "$(ls /dev/pkram 2>/dev/null)" ""
        equal "it is Debian's kernel" "$(grep -c 'debian-kernel@lists.debian.org' /proc/version)" 1
        reply=$(call GetStatus)
        equal "supported, on disk" "$(field supported "$reply") $(field place "$reply")" "True disk"

        tar_systemd | sha stream >/dev/null
        check "pkramctl takes the stream" bash -o pipefail -c \
                'tar -c --sort=name -C / usr/lib/systemd | pkramctl store usr-lib -'
        show stored "usr-lib: a tar of /usr/lib/systemd, $(($(tar_systemd | wc -c) >> 20)) MiB," \
                "streamed into 'pkramctl store usr-lib -'"

        printf 'the only copy of a lease' | sha inline >/dev/null
        data=$(printf 'the only copy of a lease' | base64 -w0)
        check "varlinkctl stores an inline node" call Store \
                "{\"name\":\"lease\",\"objects\":[{\"name\":\"lease\",\"data\":\"$data\"}]}"
        show stored "lease: 24 bytes inline, stored by varlinkctl"

        mkdir -p /srv/web
        echo 'web  /srv/web  pkram  size=64M,mode=0755  0 0' >>/etc/fstab
        check "the tree is mounted" bash -c 'systemctl daemon-reload && systemctl start srv-web.mount'
        cp -a /etc/. /srv/web/
        tar_web | sha tree >/dev/null
        show stored "web: a tree with $(find /srv/web | wc -l) files and directories, stored when it is unmounted"

        check "the keeper starts" make_keeper
        keeper_memory | sha memfd >/dev/null
        show stored "service-state: a memfd of $KEEPER_MIB MiB, handed over by keeper.service when systemd stops it"

        show_kernel "; now systemctl reboot"
        remember_boot
        systemctl reboot
        next_boot
}

# everything_came_back START: of the service, how often it was started
everything_came_back() {
        another_kernel
        equal "boot result" "$(status_field bootResult)" restored
        matches "the service got its memfd back" "$(journalctl -q -b -u keeper.service -o cat)" \
                "^got my memfd back, start $1\$"
        keeper_memory | same memfd
        check "pkramctl retrieves the stream" bash -c \
                'rm -rf /var/tmp/back && pkramctl retrieve --keep usr-lib /var/tmp/back'
        cat /var/tmp/back/* | same stream
        inline_data "$(call Retrieve '{"name":"lease","inline":true}')" | same inline
        tar_web | same tree
        equal "what is still stored" "$(pkramctl list --quiet | sort | tr '\n' ' ')" "lease usr-lib "
        clean_boot
}

stage2() {
        everything_came_back 2
        while read -r line; do
                show restored "$line"
        done < <(
                pkramctl status | grep -E '^ *(PKRAM|Place|Boot)'
                journalctl -q -b -u pkramd.service -o cat -g '^Restored node'
        )
        matches "the journal says how long it took" "$(journalctl -q -b -u pkramd.service -o cat)" \
                "^Restored node 'service-state' of keeper.service from disk: 1 object, .* in [0-9.]+ ?[a-z]+\.$"
        show_kernel "; now pkramctl kexec"
        remember_boot
        kexec_now
}

stage3() {
        show_kernel
        everything_came_back 3
        check "released" bash -c 'pkramctl release usr-lib && pkramctl release lease'
        equal "nothing is left on the disk" "$(find /var/lib/pkram/disk -name '*.node')" ""
}
