# SPDX-License-Identifier: LGPL-2.1-or-later
# A kernel update: Debian 13 goes from Linux 6.12 to 7.3 and back by 'pkramctl kexec'. What one kernel stored the other
# one takes over: a stream into pkramctl, a service's memfd, an inline node that nothing releases, and a tree of
# /etc/fstab. Every byte is compared by SHA-256.
# suite: campaign
# stages: 3
# kernels: guest@7.3
# timeout: 900

NEW=/boot/vmlinuz-guest@7.3
OLD=/boot/vmlinuz-pkram
KEEPER_MIB=64

# The service's memory without the counter at its beginning.
keeper_memory() { dd if="/proc/$(systemctl show -P MainPID keeper.service)/fd/42" bs=1M iflag=skip_bytes skip=8 \
        status=none; }

make_keeper() {
        keeper_unit $KEEPER_MIB 'Requires=pkramd.socket' 'After=pkramd.socket pkram-restore.service' \
                'RequiresMountsFor=/srv/web'
        systemctl daemon-reload && systemctl enable --now keeper.service
}

tar_python() { tar -c --sort=name -C / usr/lib/python3; }
# What identifies the tree: names, modes, owners, sizes and contents.
tree_state() { (cd /srv/web && find . -printf '%p %m %U %G %y %s %l\n' | sort && find . -type f -print0 | sort -z |
        xargs -0 sha256sum); }

store_stream() {
        tar_python | pkramctl store usr-lib -
        equal "pkramctl takes the stream" "${PIPESTATUS[1]}" 0
}

show_kernel() { show kexec "boot $STAGE: kernel $(uname -r), boot id $(cat /proc/sys/kernel/random/boot_id)$1"; }

stage1() {
        matches "the old kernel" "$(uname -r)" '^6\.12\.'
        cp "$DIR/guest@7.3" $NEW

        tar_python | sha stream >/dev/null
        store_stream
        show stored "usr-lib: a tar of /usr/lib/python3, $(($(tar_python | wc -c) >> 20)) MiB," \
                "streamed into 'pkramctl store usr-lib -'"

        printf 'the only copy of a lease' | sha inline >/dev/null
        check "varlinkctl stores an inline node" call Store \
                "{\"name\":\"lease\",\"objects\":[{\"data\":\"$(printf 'the only copy of a lease' | base64 -w0)\"}]}"
        show stored "lease: 24 bytes inline, stored by varlinkctl"

        mkdir -p /srv/web
        echo 'web  /srv/web  pkram  size=200M,mode=0755  0 0' >>/etc/fstab
        check "the tree is mounted" bash -c 'systemctl daemon-reload && systemctl start srv-web.mount'
        cp -a /usr/share/doc /etc /srv/web/
        ln /srv/web/etc/passwd /srv/web/linked
        tree_state | sha tree >/dev/null
        show stored "web: a tree with $(find /srv/web | wc -l) files and directories, stored when it is unmounted"

        check "the keeper starts" make_keeper
        keeper_memory | sha memfd >/dev/null
        show stored "service-state: a memfd of $KEEPER_MIB MiB, handed over by keeper.service when systemd stops it"

        check "the new kernel is loaded" pkramctl kexec --no-reboot --kernel=$NEW --initrd= --reuse-cmdline
        check "it reads what is stored" pkramctl check
        update_to $NEW
}

# update_to KERNEL: as an administrator updates
update_to() {
        show_kernel "; now pkramctl kexec --kernel=$1"
        remember_boot
        check "kexec into $1" pkramctl kexec --kernel="$1" --initrd= --reuse-cmdline
        next_boot
}

# everything_came_back: all of it, under this kernel; the stream is taken out
everything_came_back() {
        another_kernel
        one_param
        matches "boot result" "$(status_field bootResult)" '^restored$'
        matches "the service got its memfd back" "$(journalctl -q -b -u keeper.service -o cat)" \
                "^got my memfd back, start $STAGE\$"
        keeper_memory | same memfd
        equal "the tree is mounted" "$(findmnt -n -o FSTYPE /srv/web)" tmpfs
        tree_state | same tree
        inline_data "$(call Retrieve '{"name":"lease","inline":true}')" | same inline
        check "pkramctl retrieves the stream" pkramctl retrieve --release usr-lib "/var/tmp/back$STAGE"
        cat "/var/tmp/back$STAGE"/* | same stream
        while read -r line; do
                show restored "boot $STAGE: $line"
        done < <(journalctl -q -b -t pkramd -o cat -g '^Restored node')
        clean_boot
}

stage2() {
        matches "the new kernel" "$(uname -r)" '^7\.3\.'
        everything_came_back
        store_stream
        update_to $OLD
}

stage3() {
        matches "the old kernel again" "$(uname -r)" '^6\.12\.'
        show_kernel
        everything_came_back
        matches "the lease went through both" "$(pkramctl --json=short show lease)" '"generation":2'
        equal "what is still stored" "$(pkramctl list --quiet | tr '\n' ' ')" "lease "
}
