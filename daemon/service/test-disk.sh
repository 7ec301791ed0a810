#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# pkramd and its worker on a kernel without PKRAM, with nodes on disk, in a mount namespace of their own: reboots, a
# daemon that is killed, and what pkramctl shows. Speaks TAP.
# Usage: test-disk.sh PKRAMD WORKER PKRAMCTL MOUNT.PKRAM UMOUNT.PKRAM INSTALLED-PKRAMD
# The first pkramd takes a tmpfs for a disk.
set -u
if [[ ${7-} != inside ]]; then
    if ! unshare --mount --propagation private true 2>/dev/null || ((EUID != 0)); then
        echo "1..0 # SKIP needs to be root and allowed to mount"
        exit 0
    fi
    if [[ -e /dev/pkram || -e /proc/vmcore ]] || ! command -v systemd-socket-activate >/dev/null; then
        echo "1..0 # SKIP needs a kernel without PKRAM, and systemd-socket-activate"
        exit 0
    fi
    exec unshare --mount --propagation private "$BASH" "$0" "$@" inside
fi

daemon=$(realpath "$1") worker=$(realpath "$2") ctl=$(realpath "$3") helper=$(realpath "$4") uhelper=$(realpath "$5")
installed=$(realpath "$6")
# Directories and the boot ID of this system stay as they are.
mount -t tmpfs none /run && mount -t tmpfs none /var/lib || exit 1
mkdir -p /etc/pkram && mount -t tmpfs none /etc/pkram || exit 1
dir=$(mktemp -d) mock=none workers=
# shellcheck source=daemon/tools/test-tap.sh
. "$(dirname "$0")/../tools/test-tap.sh"
clean_up() { stop; kill $workers; rm -rf --one-file-system "$dir"; }

new_boot() {
    cat /proc/sys/kernel/random/uuid >"$dir/boot_id"
    umount /proc/sys/kernel/random/boot_id 2>/dev/null
    mount --bind "$dir/boot_id" /proc/sys/kernel/random/boot_id 2>/dev/null && return
    echo "1..0 # SKIP needs to be allowed to mount on /proc/sys"
    exit 0
}

up() {
    stop
    rm -f /run/pkram/io.pkram.Store
    systemd-socket-activate -l /run/pkram/io.pkram.Store "$daemon" 2>>"$dir/journal" &
    pid=$!
    for _ in {1..100}; do
        [[ -S /run/pkram/io.pkram.Store ]] && "$ctl" status >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "Bail out! pkramd does not start"
    exit 1
}

run() { # STATUS ARGS...
    "$ctl" "${@:2}" >"$dir/stdout" 2>"$dir/stderr"
    local got=$?
    ((got == $1)) || { echo "# status $got, not $1"; return 1; }
}
says() { grep -qF -- "$1" "$dir/stdout" "$dir/stderr"; }
# A store whose writes end at so many KiB: the disk is full.
small_disk() { mount -t tmpfs -o "size=$1,mode=700" none /var/lib/pkram/disk; }

mkdir -p /run/pkram /run/t /run/u
systemd-socket-activate -a -l /run/pkram/tree-worker "$worker" 2>>"$dir/journal" &
workers=$!
mount -t tmpfs none /run/t && mount -t tmpfs none /run/u
head -c 3000000 /dev/urandom >"$dir/data"
mkdir /run/t/d && seq 2000 >/run/t/d/small && cp "$dir/data" /run/t/large && truncate -s 1T /run/t/sparse &&
    ln /run/t/large /run/t/link

mkdir /run/mount
echo 'ID=1 SRC=web TARGET=/run/t ROOT=/ OPTS=helper=pkram' >/run/mount/utab
new_boot
up
[[ ! -e $(echo /var/lib/pkram/disk/nodes.*/*.node) ]]; ok "mounted trees are not recorded for a kexec"
run 0 status && says 'nodes are kept on disk' && says 'are not frozen'; ok "status says where nodes are"
run 0 store --verify big "$dir/data"; ok "stored"
run 0 show big && says 'Place: disk'; ok "show says where it is"
[[ $(stat -c '%a %u' /var/lib/pkram/disk/nodes.*/*.node) == '600 0' ]]; ok "the file is root's alone"
run 0 store --tree --verify tree /run/t; ok "a tree is stored"
{ kill -KILL $pid && wait $pid; } 2>/dev/null
up
run 0 list -q && [[ $(sort "$dir/stdout" | tr '\n' ' ') == 'big tree ' ]]
ok "both are there after the daemon was killed"

new_boot
up
run 0 status && says 'all nodes of the previous boot'; ok "both are there after a reboot"
run 0 retrieve --release big "$dir/back" && cmp "$dir/data" "$dir"/back/*; ok "what was stored comes back"
run 0 retrieve --release tree /run/u && diff -r -x sparse /run/t /run/u &&
    [[ $(stat -c %s:%b /run/u/sparse) == 1099511627776:0 ]] &&
    [[ /run/u/large -ef /run/u/link ]]; ok "and so does the tree"
(($(grep -cE "Restored node '(big|tree)' of .* from disk: .*, boots survived: 1, in [0-9.]+[a-z0-9 ]*\.$" \
    "$dir/journal") == 2))
ok "the journal has how long reading took"
run 0 list && says '0 nodes.'; ok "it is released"
new_boot
up
run 0 list && says '0 nodes.'; ok "and does not come back"

# 20 times, at random moments.
bad_kills=0
echo old >"$dir/old"
run 0 store --replace kept "$dir/old"
for i in {1..20}; do
    "$ctl" store --replace kept "$dir/data" >/dev/null 2>&1 &
    client=$!
    sleep "0.00$((RANDOM % 90 + 10))"
    { kill -KILL $pid && wait $pid; } 2>/dev/null
    wait $client
    stored=$?
    ((i % 2)) && new_boot
    up
    "$ctl" retrieve --keep kept - >"$dir/kept" 2>/dev/null
    if ((stored == 0)); then
        cmp -s "$dir/kept" "$dir/data"
    else
        cmp -s "$dir/kept" "$dir/data" || cmp -s "$dir/kept" "$dir/old"
    fi || ((bad_kills++))
    compgen -G '/var/lib/pkram/disk/nodes.*/tmp-*' >/dev/null && ((bad_kills++))
    "$ctl" store --replace kept "$dir/old" >/dev/null
done
((bad_kills == 0)); ok "a daemon that is killed while it stores leaves the old node or the new one"

stop
# Copies would be set aside.
mv /var/lib/pkram/disk /var/lib/kept
mkdir -m 700 /var/lib/pkram/disk
small_disk 1m
up
run 0 store small "$dir/old"; ok "a small node fits on a small disk"
run 6 store big "$dir/data" && says 'full'; ok "a large one does not, and the reason is told"
run 0 retrieve --keep small -; ok "the small one is as it was"
mount -o remount,ro /var/lib/pkram/disk
run 1 store more "$dir/old" && says 'read-only'; ok "read-only, which is told"
run 0 retrieve --keep small -; ok "but what is there can be read"
umount /var/lib/pkram/disk
run 1 store more "$dir/old" && says 'unmounted'; ok "an unmounted disk is not replaced by what is under it"

# The disk cannot be used from the start: each client is told, and the journal has the reason once.
echo 'ID=1 SRC=web TARGET=/run/t ROOT=/ OPTS=helper=pkram' >/run/mount/utab
unusable() { # REASON [STATUS OF STORE] [STATUS OF RETRIEVE]
    stop
    : >"$dir/journal"
    new_boot
    up
    run 0 status && says "$1" || return
    run ${2-1} store n "$dir/old" && says "$1" || return
    run ${2-1} store m "$dir/old" && says "$1" || return
    run ${3-1} retrieve n - || return
    # Whether it is full is not known before.
    ((${2-1} == 6)) || {
        run 11 check && says "$1" && says 'would lose 1 mounted tree' || return
        run 11 check --reboot && says "$1" || return
    }
    (($(grep -cF -- "$1" "$dir/journal") == 1))
}
stop
rm -rf /var/lib/pkram/disk
small_disk_parent() { mount -t tmpfs -o "$1,mode=755" none /var/lib/pkram; }
small_disk_parent size=1m && mount -o remount,ro /var/lib/pkram
unusable 'mounted read-only' 1 3; ok "a read-only file system: status, check and clients tell, the journal once"
mount -o remount,rw /var/lib/pkram
run 0 store n "$dir/old" && run 0 status && says 'nodes are kept on disk'; ok "it is used when it can be"
stop
up
mkdir /run/m
mount_tree() { "$helper" tree /run/m "$@" >"$dir/stdout" 2>"$dir/stderr"; }
unmount_tree() { "$uhelper" /run/m >"$dir/stdout" 2>"$dir/stderr"; }
mount_tree && echo one >/run/m/file && unmount_tree && mount_tree && [[ $(</run/m/file) == one ]] &&
    unmount_tree; ok "a tree on disk is mounted"
run 8 store --persist=0 n "$dir/old" && says 'must not be written to disk'; ok "store --persist=0 is refused"
mount_tree -o pkram.persist=0 && says 'will be discarded' && [[ $(</run/m/file) == one ]] && unmount_tree &&
    says 'Discarding' && ! mountpoint -q /run/m && run 0 list -q && ! says tree
ok "a tree with pkram.persist=0 is discarded, which is told before"
mount_tree && [[ ! -e /run/m/file ]] && echo one >/run/m/file && unmount_tree; ok "and is not stored"
stop
chmod 777 /var/lib/pkram/disk
unusable 'other users can write to it'; ok "wrong permissions"
mount_tree
(($? == 32)) && ! mountpoint -q /run/m && says 'not mounting' && says 'other users can write to it'
ok "its trees are not mounted empty"
stop
chmod 700 /var/lib/pkram/disk
up
mount_tree && [[ $(</run/m/file) == one ]] && echo two >>/run/m/file
ok "the tree is there when the disk can be used"
stop
chmod 777 /var/lib/pkram/disk
up
unmount_tree
(($? == 32)) && mountpoint -q /run/m && says 'stays mounted' && says 'other users can write to it' &&
    echo three >>/run/m/file; ok "a mounted tree stays mounted if it cannot be stored"
stop
chmod 700 /var/lib/pkram/disk
up
unmount_tree && mount_tree && (($(wc -l </run/m/file) == 3)) && unmount_tree
ok "it is stored when the disk can be used"
stop
chown 65534 /var/lib/pkram/disk
unusable 'does not belong to root'; ok "a wrong owner"
stop
rm -rf /var/lib/pkram/disk && : >/var/lib/pkram/disk
unusable 'is not a directory'; ok "a file in its place"
stop
rm /var/lib/pkram/disk && ln -s /run/t /var/lib/pkram/disk
unusable 'is not a directory'; ok "a symbolic link in its place"
[[ ! -e /run/t/state ]]; ok "which is not followed"
stop
rm /var/lib/pkram/disk
umount /var/lib/pkram
small_disk_parent nr_inodes=1
unusable 'is full' 6 3; ok "no room for the directory"
stop
umount /var/lib/pkram

# A place in memory is no disk. On an overlay, the upper directory counts.
takes_all=$daemon daemon=$installed
unusable 'it is in memory'; ok "a tmpfs: status, check and clients tell, the journal once"
[[ ! -e /var/lib/pkram/disk ]]; ok "nothing is created there"
overlay() { # DIRECTORY
    stop
    mkdir -p "$1"/{lower,upper,work}
    mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" none /var/lib/pkram 2>/dev/null
}
if overlay /run/overlay; then
    unusable 'it is in memory'; ok "an overlay in memory"
    stop
    umount /var/lib/pkram
fi
if [[ $(stat -f -c %T "$dir") != @(tmpfs|ramfs|overlayfs) ]] && overlay "$dir/overlay"; then
    chmod 755 /var/lib/pkram
    new_boot
    up
    run 0 store n "$dir/old" && run 0 retrieve n -; ok "an overlay on a disk is used"
    stop
    umount /var/lib/pkram
fi
daemon=$takes_all

# Nodes of the last boot, and a file system that cannot be written to when this one begins.
small_disk_parent size=1m
up
head -c 300000 /dev/urandom >"$dir/third"
run 0 store big "$dir/third" && run 0 store n "$dir/old"; ok "nodes on a small disk"
head -c 2000000 /dev/zero >/var/lib/pkram/filler 2>/dev/null
stop
: >"$dir/journal"
new_boot
up
run 0 status && says 'is full' && run 0 list -q && [[ $(sort "$dir/stdout" | tr '\n' ' ') == 'big n ' ]] &&
    run 0 retrieve --keep big "$dir/full" && cmp "$dir/third" "$dir"/full/*
ok "a full disk at boot: nodes can be listed and retrieved"
run 6 store m "$dir/old" && says 'full' && (($(grep -c 'is full' "$dir/journal") == 1))
ok "and none stored, the journal has the reason once"
run 0 release big && run 0 store m "$dir/old" && run 0 status && ! says 'is full'
ok "a node that is released makes room"
stop
new_boot
mount -o remount,ro /var/lib/pkram
up
run 0 status && says 'mounted read-only' && run 0 retrieve --keep n - && run 1 release n && says 'read-only' &&
    run 0 retrieve --keep n -; ok "a read-only file system at boot: nodes can be retrieved, and not released"
mount -o remount,rw /var/lib/pkram
run 0 release n && run 0 retrieve m - && run 0 status && ! says 'read-only'; ok "they can be when it is writable"
stop
umount /var/lib/pkram
rm -rf /var/lib/pkram/disk
up
run 0 store n "$dir/old"
stop
sed -i 's/^version=2$/version=9/' /var/lib/pkram/disk/state
unusable 'a later version'; ok "a state of a later version"
stop
rm -rf /var/lib/pkram/disk
up
run 0 store n "$dir/old"
nodes=$(echo /var/lib/pkram/disk/nodes.*)
touch "$nodes/foreign"
stop
: >"$dir/journal"
up
for i in 1 2 3; do
    touch "$nodes/foreign-$i"
    run 0 list
done
run 0 store --replace n "$dir/data" && (($(grep -c 'Ignoring' "$dir/journal") == 1)) &&
    grep -q "Ignoring 'foreign'" "$dir/journal"
ok "a foreign file is named once, and left alone"
echo >/run/mount/utab

stop
rm -rf /var/lib/pkram/disk
mv /var/lib/kept /var/lib/pkram/disk
printf '[Disk]\nUse=no\n' >/etc/pkram/pkramd.conf
new_boot
up
run 9 store n "$dir/old" && says PKRAM; ok "with Use=no: nothing can be stored"
run 0 status && says 'does not support PKRAM'; ok "with Use=no: status says why"
rm /etc/pkram/pkramd.conf
mount -t tmpfs none /proc/sys/kernel/random
up
run 9 store n "$dir/old" && grep -q 'does not permit access' "$dir/journal"
ok "a unit without access to the disk: a warning, and nothing can be stored"
umount /proc/sys/kernel/random
new_boot
up
run 0 list && says '0 nodes.'; ok "nodes from before a boot without the store are not offered"
grep -q 'does not belong to the last shutdown' "$dir/journal"; ok "and that is logged"
compgen -G '/var/lib/pkram/disk/set-aside/*/nodes.*/*.node' >/dev/null; ok "they are set aside"
run 0 status && says 'set aside'; ok "status says so"
finish
