# SPDX-License-Identifier: LGPL-2.1-or-later
# A kernel update: Debian 13 goes from Linux 6.12 to 7.3 and back by 'pkramctl kexec'. What one kernel stored the other
# one takes over: a service's memfd, a stream, an inline node that nothing retrieves, and a tree.
# suite: campaign
# stages: 3
# kernels: guest@7.3
# timeout: 900

NEW=/boot/vmlinuz-guest@7.3
TREE=/srv/tree

keeper_memory() { dd if="/proc/$(systemctl show -P MainPID keeper.service)/fd/42" bs=1M iflag=skip_bytes skip=8 \
        status=none; }
# What identifies the tree: names, modes, owners, sizes and contents.
tree_state() { (cd "$TREE" && find . -printf '%p %m %U %G %y %s %l\n' | sort && find . -type f -print0 | sort -z |
        xargs -0 sha256sum); }
lease() { inline_data "$(call Retrieve '{"name":"lease","inline":true}')"; }
stream() { tar -c --sort=name -C / usr/lib/python3; }

stage1() {
        matches "the old kernel" "$(uname -r)" '^6\.12\.'
        keeper_unit 64 Requires=pkramd.socket "After=pkramd.socket pkram-restore.service"
        cp "$DIR/guest@7.3" $NEW
        check "a service with a memfd" systemctl enable --now keeper.service
        keeper_memory | sha memfd >/dev/null
        mkdir -p $TREE
        echo "tree $TREE pkram size=200M 0 0" >>/etc/fstab
        systemctl daemon-reload
        check "a tree" mount $TREE
        cp -a /usr/share/doc /etc "$TREE/"
        ln "$TREE/etc/passwd" "$TREE/linked"
        tree_state | sha tree >/dev/null
        stream | sha stream >/dev/null
        stream | pkramctl store python -
        equal "a stream is stored" "${PIPESTATUS[1]}" 0
        printf 'the only copy of a lease' | sha lease >/dev/null
        check "an inline node is stored" call Store \
                "{\"name\":\"lease\",\"objects\":[{\"data\":\"$(printf 'the only copy of a lease' | base64 -w0)\"}]}"
        check "the new kernel is loaded" pkramctl kexec --no-reboot --kernel=$NEW --initrd= --reuse-cmdline
        check "it reads what is stored" pkramctl check
        remember_boot
        update_to $NEW
}

# update_to KERNEL: as an administrator updates
update_to() {
        check "kexec into $1" pkramctl kexec --kernel="$1" --initrd= --reuse-cmdline
        next_boot
}

# came_through: all of it, under this kernel
came_through() {
        another_kernel
        one_param
        matches "boot result" "$(status_field bootResult)" '^restored$'
        matches "the service got its memfd back" "$(journalctl -q -b -u keeper.service -o cat)" \
                "^got my memfd back, start $STAGE\$"
        keeper_memory | same memfd
        equal "the tree is mounted" "$(findmnt -n -o FSTYPE $TREE)" tmpfs
        tree_state | same tree
        lease | same lease
        clean_boot
}

stage2() {
        matches "the new kernel" "$(uname -r)" '^7\.3\.'
        came_through
        check "the stream is retrieved" pkramctl retrieve --release python /var/tmp/back
        cat /var/tmp/back/* | same stream
        stream | pkramctl store python -
        equal "it is stored under the new kernel" "${PIPESTATUS[1]}" 0
        remember_boot
        update_to /boot/vmlinuz-pkram
}

stage3() {
        matches "the old kernel again" "$(uname -r)" '^6\.12\.'
        came_through
        matches "the lease went through both" "$(pkramctl --json=short show lease)" '"generation":2'
        check "the stream is retrieved" pkramctl retrieve --release python /var/tmp/back2
        cat /var/tmp/back2/* | same stream
}
