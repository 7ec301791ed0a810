# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Further kinds of mounts of trees: names of 255 bytes and with blanks, quotes, percent signs and backslashes; a tree
# below a tree, bind mounts, moved mounts, loop devices, quotas, options that change between boots, read-only trees,
# and unmounts that the helper does not see. A soft-reboot and a kexec after it keep all of them, as was said before.
# stages: 3
# timeout: 700
# suite: campaign

LONG=$(printf 'n%.0s' $(seq 255))
# In fstab, blanks and backslashes are written as octal numbers.
ODD='100% "ä" \b'
ODD_FSTAB='100%\040"ä"\040\134b'

tree_at() { equal "the tree at $1" "$(findmnt -rno FSTYPE -M "$1") $(cat "$1/file" 2>&1)" "tmpfs in $1"; }

fill() { # DIRECTORY...
        for dir; do
                mountpoint -q "$dir" || findmnt -M "$dir" >/dev/null || fail "fill $dir" "nothing is mounted there"
                echo "in $dir" >"$dir/file"
        done
}

options_of() { findmnt -rno OPTIONS -M "$1"; }
problems() { field treeProblems "$(call CheckKexec)"; }

# Unmounts without umount(8), as programs do that call the kernel.
raw_umount() { python3 - "$1" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.umount2(os.fsencode(sys.argv[1]), 0) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
END
}

fstab_lines() {
        mkdir -p /srv/long '/srv/o d%d' /srv/outer /srv/opts /srv/bound /srv/quota
        printf '%s\n' "$LONG /srv/long pkram size=8M,mode=755 0 0" \
                "$ODD_FSTAB /srv/o\\040d%d pkram size=8M,mode=755 0 0" \
                'outer /srv/outer pkram size=8M,mode=755 0 0' \
                'inner /srv/outer/inner pkram size=8M,mode=755 0 0' \
                'quota /srv/quota pkram size=8M,mode=777,usrquota,usrquota_block_hardlimit=1M 0 0' \
                'opts /srv/opts pkram size=8M,uid=1000,gid=1000,mode=2750,huge=within_size,nr_inodes=100 0 0' \
                '/srv/opts/sub /srv/bound none bind,x-systemd.requires-mounts-for=/srv/opts,nofail 0 0' >>/etc/fstab
        systemctl daemon-reload
        check "a name of 255 bytes" systemctl start srv-long.mount
        check "a name of every kind of character" systemctl start \
            "$(systemd-escape --path --suffix=mount '/srv/o d%d')"
        equal "it is the name" "$(findmnt -no SOURCE -M '/srv/o d%d')" "$ODD"
        check "a tree below a tree" sh -c \
            'systemctl start srv-outer.mount && mkdir -p /srv/outer/inner && systemctl start srv-outer-inner.mount'
        check "with options of tmpfs" systemctl start srv-opts.mount
        mkdir -p /srv/opts/sub
        check "a bind mount of a part of it" systemctl start srv-bound.mount
        fill /srv/long '/srv/o d%d' /srv/outer /srv/outer/inner /srv/opts /srv/bound
}

# as_nobody FILE: half of the quota of a user that has the other half already, or none
as_nobody() { setpriv --reuid 65534 --clear-groups dd if=/dev/zero of=/srv/quota/"$1" bs=64k count=8 status=none; }

quotas() {
        check "with quotas" systemctl start srv-quota.mount
        fill /srv/quota
        check "a user writes half of the quota" as_nobody first
        check "the tree is stored" umount /srv/quota
        check "and comes back" mount /srv/quota
        quota_holds
}

# quota_holds: what a user had counts, and what is new, too
quota_holds() {
        matches "the tree has quotas" "$(options_of /srv/quota)" 'usrquota.*usrquota_block_hardlimit=1048576'
        check "the user writes the other half" as_nobody second
        refused "no more" 'quota exceeded' as_nobody third
        check "it is removed" rm -f /srv/quota/second /srv/quota/third
}

remounts() {
        check "remounted with other attributes" mount -o remount,noexec,nodev,nosuid,lazytime /srv/long
        matches "they are there" "$(options_of /srv/long)" 'nosuid.*nodev.*noexec'
        check "read-only" mount -o remount,ro /srv/long
        refused "a read-only tree is not written to" 'Read-only' touch /srv/long/other
        check "it is stored" umount /srv/long
        check "and comes back" mount /srv/long
        tree_at /srv/long
        mkdir -p /srv/readonly
        check "mounted read-only" mount -t pkram -o ro,size=8M readonly /srv/readonly
        check "stored read-only" umount /srv/readonly
        check "in a directory that mount makes" mount -t pkram -o X-mount.mkdir,size=8M made /srv/made/here
        fill /srv/made/here
        check "by a relative path" sh -c \
            'cd /srv/made && umount here && mount -t pkram -o pkram.required,size=8M made ./here'
        tree_at /srv/made/here
        refused "a part of a tree in the place of all" 'X-mount.subdir' mount -t pkram -o X-mount.subdir=sub,size=8M \
            part /srv/readonly
        equal "nothing is mounted" "$(findmnt -rno FSTYPE -M /srv/readonly)" ""
        equal "nor remembered" "$(grep -c 'SRC=part' /run/mount/utab)" 0
}

moved_mounts() {
        mkdir -p /srv/private /srv/raw
        mount --bind /srv/private /srv/private
        mount --make-private /srv/private
        mkdir -p /srv/private/from /srv/private/to
        check "to be moved" mount -t pkram -o size=8M moved /srv/private/from
        check "moved" mount --move /srv/private/from /srv/private/to
        fill /srv/private/to
        check "stored from its new place" umount /srv/private/to
        check "it is stored" pkramctl --owner=root show moved
        check "and comes back" mount -t pkram -o size=8M,pkram.required moved /srv/private/from
        equal "with what it had" "$(cat /srv/private/from/file)" "in /srv/private/to"

        check "a bind mount by hand" mount --bind /srv/private/from /srv/private/to
        refused "is in the way" "mounted elsewhere.*'/srv/private/to'" umount /srv/private/from
        check "until it is unmounted" umount -i /srv/private/to
        check "then it is stored" umount /srv/private/from
        umount /srv/private

        check "to be unmounted by the kernel" mount -t pkram -o size=8M raw /srv/raw
        trees=$(check_field trees)
        check "unmounted by a program" raw_umount /srv/raw
        equal "it does not count any more" "$(check_field trees)" $((trees - 1))
        check "and is mounted again" mount -t pkram -o size=8M raw /srv/raw
        fill /srv/raw

        mkdir -p /srv/gone
        check "another one" mount -t pkram -o size=8M gone /srv/gone
        check "which a program unmounts, and is not mounted again" raw_umount /srv/gone
}

loop_devices() {
        local loop
        mkdir -p /srv/images /mnt/disk
        check "a tree with an image" mount -t pkram -o size=32M images /srv/images
        fill /srv/images
        truncate -s 8M /srv/images/disk
        check "a file system in it" mkfs.vfat /srv/images/disk
        check "a kernel is loaded" kexec -s -l /boot/vmlinuz-pkram --reuse-cmdline
        equal "it would be stored" "$(check_field reason)" keeps
        loop=$(losetup --find --show /srv/images/disk)
        equal "a loop device on it" "$(check_field reason)" tree
        matches "which is named" "$(problems)" "'directory': '/srv/images', 'users': 'loop device $loop'"
        refused "pkramctl check says what to do" \
            "tree 'images' at '/srv/images' is in use for writing by loop device $loop.*losetup -d" pkramctl check
        refused "as does umount" "loop device $loop" umount /srv/images
        losetup -d "$loop"
        equal "without it" "$(check_field reason)" keeps
        loop=$(losetup --read-only --find --show /srv/images/disk)
        equal "one that only reads" "$(check_field reason)" keeps
        losetup -d "$loop"
        check "unmounted" umount /srv/images

        printf '%s\n' 'images /srv/images pkram size=32M 0 0' '/srv/images/disk /mnt/disk vfat loop,nofail 0 0' \
            >>/etc/fstab
        systemctl daemon-reload
        check "by units" systemctl start srv-images.mount mnt-disk.mount
        echo "on the disk" >/mnt/disk/file
        equal "a device that ends before the tree is stored" "$(check_field reason)" keeps
        kexec -u
}

stage1() {
        check "a tree by its unit" systemctl start pkram-tree@jobs.service
        example pkram-tree@.service 'systemctl stop pkram-tree@jobs.service'
        equal "it is mounted again" "$(systemctl is-active pkram-tree@jobs.service)" active
        fstab_lines
        quotas
        remounts
        moved_mounts
        loop_devices
        mkdir -p /srv/lazy
        check "to be unmounted while it is used" mount -t pkram -o size=8M lazy /srv/lazy
        fill /srv/lazy
        (cd /srv/lazy && exec sleep infinity) &
        sleep 1
        refused "a tree in use" "sleep" umount /srv/lazy
        check "lazily" umount -l /srv/lazy
        check "it is stored, too" pkramctl --owner=root show lazy
        # What a line says applies to a new tree; a restored one has what it had.
        sed -i 's/uid=1000,gid=1000,mode=2750,huge=within_size,nr_inodes=100/mode=700,huge=never,nr_inodes=200/' \
            /etc/fstab
        systemctl daemon-reload
        remember_boot
        wait_for_report
        systemctl soft-reboot
        next_boot
}

# By units after a soft-reboot, and all of them after the kexec that follows.
stage2() {
        equal "soft-reboot: the same kernel" "$(cat /proc/sys/kernel/random/boot_id)" "$(cat "$STATE/boot")"
        for dir in /srv/long '/srv/o d%d' /srv/outer /srv/outer/inner /srv/opts /srv/quota \
            /srv/images; do tree_at "$dir"; done
        for name in made lazy raw; do check "soft-reboot: $name is stored" pkramctl --owner=root show $name; done
        # Where a distribution has the kernel that is started by default.
        ln -sf vmlinuz-pkram /boot/vmlinuz
        example mount.pkram 'pkramctl kexec --dry-run'
        matches "which names what it would start" "$OUT" 'Kernel: /boot/vmlinuz'
        kexec_now
}

stage3() {
        another_kernel
        for dir in /srv/long '/srv/o d%d' /srv/outer /srv/outer/inner /srv/opts /srv/quota \
            /srv/images; do tree_at "$dir"; done
        quota_holds
        equal "the bind mount" "$(cat /srv/bound/file)" "in /srv/bound"
        equal "the owner and mode of the directory" "$(stat -c '%u:%g %a' /srv/opts)" "1000:1000 2750"
        matches "the options of the new line" "$(options_of /srv/opts)" 'nr_inodes=200'
        equal "the image, and what was written to it" "$(cat /mnt/disk/file)" "on the disk"
        mkdir -p /srv/made/here
        for name in made lazy raw; do
                dir=/srv/$name
                [ $name != made ] || dir=/srv/made/here
                check "by hand: $name" mount -t pkram -o size=8M,pkram.required $name $dir
                tree_at $dir
        done
        # What was unmounted past umount.pkram was gone before the kexec.
        equal "nothing is reported as lost" "$(python3 -c \
            'import json, sys; print([n.get("name") for n in json.loads(sys.argv[1])["lastKexec"]["lost"]])' \
            "$(call GetStatus)")" "[]"
        clean_boot
}
