#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# What the generator makes of fstab and of mount units. $1: pkram-generator.
set -euo pipefail

generator=$1
dir=$(mktemp -d)
trap 'rm -rf -- "$dir"' EXIT
mkdir "$dir/out" "$dir/units"

cat >"$dir/fstab" <<'END'
# a comment
/dev/vda / ext4 defaults 0 1
web /var/cache/web pkram size=1G,nofail 0 0
odd /srv//a-b\040c/.d/ pkram defaults
tmp /tmp tmpfs defaults 0 0
END
printf '[Unit]\nDescription=x\n[Mount]\nWhat=db\nWhere=/srv/db\nType = pkram \n' >"$dir/units/srv-db.mount"
printf '[Mount]\nWhat=x\nWhere=/srv/x\nType=tmpfs\n# Type=pkram\n' >"$dir/units/srv-x.mount"
printf '[Unit]\nType=pkram\n[Mount]\nType=pkram\nType=\n' >"$dir/units/srv-y.mount"
printf '[Mount]\nType=pkram\n' >"$dir/units/other.service"

# Nothing of this host.
export PKRAM_DEVICE_PATH=/dev/null PKRAM_SYSFS_PATH=$dir/none PKRAM_STATE_PATH=$dir/none PKRAM_CONFIG_ROOT=$dir/root
export PKRAM_UTAB=$dir/none SYSTEMD_PROC_CMDLINE_PATH=$dir/none CREDENTIALS_DIRECTORY=$dir/none
SYSTEMD_FSTAB=$dir/fstab SYSTEMD_UNIT_PATH=$dir/none:$dir/units "$generator" "$dir/out" "$dir/out" "$dir/out"

want=$(sort <<'END'
srv-a\x2db\x20c-.d.mount.d/50-pkram.conf
srv-db.mount.d/50-pkram.conf
var-cache-web.mount.d/50-pkram.conf
END
)
is=$(cd "$dir/out" && find . -type f -printf '%P\n' | sort)
if [ "$is" != "$want" ]; then
        printf 'made:\n%s\nwanted:\n%s\n' "$is" "$want"
        exit 1
fi
# systemd has to agree about the names.
for path in /var/cache/web '/srv//a-b c/.d/'; do
        [ -e "$dir/out/$(systemd-escape --path --suffix=mount "$path").d/50-pkram.conf" ] ||
                { echo "$path has another name"; exit 1; }
done
grep -q '^Requires=pkramd.socket$' "$dir/out/var-cache-web.mount.d/50-pkram.conf"

early() { grep -q '^Before=sysinit.target$' "$dir/out/$1.d/50-pkram.conf"; }
early var-cache-web.mount && early srv-db.mount || { echo "an ordinary mount is not early"; exit 1; }
grep -q '^Before=pkram-kexec-guard.service$' "$dir/out/var-cache-web.mount.d/50-pkram.conf"

# Paths through links, other sources, the network, and names that are there twice.
rm -r "$dir/out"
mkdir -p "$dir/out" "$dir/cred" "$dir/real/data"
real=$(realpath "$dir/real")
ln -s real "$dir/link"
cat >"$dir/fstab" <<END
linked $dir/link/data pkram size=1G 0 0
missing $dir/link/not/yet pkram defaults 0 0
net /srv/net pkram _netdev,size=1M 0 0
server:/x /srv/nfs nfs defaults 0 0
below /srv/nfs/below pkram defaults 0 0
late /srv/late pkram x-systemd.requires=network-online.target 0 0
linked /srv/twice pkram defaults 0 0
END
echo 'credential /srv/credential pkram defaults 0 0' >"$dir/cred/fstab.extra"
printf '%s\n' \
        'quiet systemd.mount-extra=extra:/srv/extra:pkram:size=16M,nofail systemd.mount-extra="a b:/srv/with space:pkram" systemd.mount-extra=x:/srv/other:tmpfs' >"$dir/cmdline"
printf '%s\n' 'SRC=x TARGET=/srv/by\040hand ROOT=/ OPTS=helper=pkram,x-pkram.verify' \
        'SRC=x TARGET=/srv/nfs2 ROOT=/ OPTS=_netdev' \
        'SRC=x TARGET=/run/pkram/trees/x ROOT=/ OPTS=helper=pkram' 'SRC=x TARGET=/srv/extra ROOT=/ OPTS=helper=pkram' \
        >"$dir/utab"
printf '[Unit]\nAfter=network-online.target\n[Mount]\nWhat=db\nWhere=/srv/db\nType=pkram\n' >"$dir/units/srv-db.mount"
PKRAM_UTAB=$dir/utab SYSTEMD_PROC_CMDLINE_PATH=$dir/cmdline CREDENTIALS_DIRECTORY=$dir/cred SYSTEMD_FSTAB=$dir/fstab \
        SYSTEMD_UNIT_PATH=$dir/units \
        "$generator" "$dir/out" "$dir/out" "$dir/out" 2>"$dir/stderr"
is=$(cd "$dir/out" && find . -type f -printf '%P\n' | sort)
want=$(for path in "$real/data" "$real/not/yet" /srv/net /srv/nfs/below /srv/late /srv/twice /srv/credential \
        /srv/extra '/srv/with space' '/srv/by hand' /srv/db; do
        echo "$(systemd-escape --path --suffix=mount "$path").d/50-pkram.conf"
done | sort)
if [ "$is" != "$want" ]; then
        printf 'made:\n%s\nwanted:\n%s\n' "$is" "$want"
        exit 1
fi
early srv-extra.mount && early "$(systemd-escape --path --suffix=mount "$real/data")" ||
        { echo "a mount by the command line or a link is not early"; exit 1; }
for unit in srv-net.mount srv-nfs-below.mount srv-late.mount srv-db.mount; do
        if early $unit; then
                echo "$unit needs the network, but is before sysinit.target: a cycle"
                exit 1
        fi
done
if [ -w /dev/kmsg ]; then echo "(messages go to the kernel log)"; else grep -q "tree 'linked'" "$dir/stderr"; fi

SYSTEMD_FSTAB=$dir/none SYSTEMD_UNIT_PATH=$dir/none "$generator" "$dir/none" "$dir/none" "$dir/none"
if "$generator" 2>/dev/null; then
        echo "it takes anything"
        exit 1
fi
echo "the generator finds mounts of type pkram, and no others"

# Nodes on disk: without PKRAM, where an earlier kernel left some, and where they may appear when /var is mounted.
disk() { rm -rf "$dir/out"; mkdir "$dir/out"; SYSTEMD_FSTAB=$dir/fstab "$generator" "$dir/out" "$dir/out" \
        "$dir/out"; [ -e "$dir/out/pkramd.service.d/50-disk.conf" ]; }
echo '/dev/vda / ext4 defaults 0 1' >"$dir/fstab"
export SYSTEMD_UNIT_PATH=$dir/none
! disk || { echo "pkramd is ordered after file systems although nodes are in memory"; exit 1; }
PKRAM_DEVICE_PATH=$dir/none disk || { echo \
        "pkramd cannot write to the disk without PKRAM and without a configuration"; exit 1; }
echo 0 >"$dir/off"
PKRAM_SYSFS_PATH=$dir/off disk || { echo "pkramd cannot write to the disk where PKRAM is off"; exit 1; }
echo 1f03 >"$dir/on"
! PKRAM_SYSFS_PATH=$dir/on disk || { echo "pkramd is ordered after file systems although PKRAM is on"; exit 1; }
mkdir -p "$dir/root/etc/pkram/pkramd.conf.d"
printf '[Disk]\nUse = no\n' >"$dir/root/etc/pkram/pkramd.conf.d/x.conf"
! PKRAM_DEVICE_PATH=$dir/none disk || { echo "pkramd may use the disk although the configuration forbids it"; exit 1; }
printf '[Disk]\nUse = auto\n' >"$dir/root/etc/pkram/pkramd.conf.d/y.conf"
PKRAM_DEVICE_PATH=$dir/none disk || { echo "pkramd cannot write to the disk although a later file lets it"; exit 1; }
rm "$dir/root/etc/pkram/pkramd.conf.d/x.conf"
! disk || { echo "pkramd is ordered after file systems although nodes are in memory"; exit 1; }
PKRAM_DEVICE_PATH=$dir/none disk || { echo "pkramd cannot write to the disk without PKRAM"; exit 1; }
[ -L "$dir/out/sysinit.target.wants/pkramd.service" ]
grep -q '^ReadWritePaths=-/var/lib/pkram$' "$dir/out/pkramd.service.d/50-disk.conf"
grep -q '^ProcSubset=all$' "$dir/out/pkramd.service.d/50-disk.conf"
grep -q '^LimitDATA=512M$' "$dir/out/pkramd.service.d/50-disk.conf"
grep -q '^BindPaths=' "$dir/out/pkram-tree-worker@.service.d/50-disk.conf"
[ ! -e "$dir/out/pkram-shutdown.service.d" ]
# With PKRAM and Persist=: pkram-shutdown.service writes there.
printf '[Disk]\nPersist = marked\n' >"$dir/root/etc/pkram/pkramd.conf.d/z.conf"
disk || { echo "pkramd cannot remove what was written to disk"; exit 1; }
grep -q '^ReadWritePaths=-/var/lib/pkram$' "$dir/out/pkram-shutdown.service.d/50-disk.conf"
grep -q '^TimeoutStopSec=25min$' "$dir/out/pkram-shutdown.service.d/50-disk.conf"
grep -q '^KillMode=process$' "$dir/out/pkram-shutdown.service.d/50-disk.conf"
PKRAM_DEVICE_PATH=$dir/none disk
[ ! -e "$dir/out/pkram-shutdown.service.d" ] || { echo "nothing is in memory"; exit 1; }
printf '[Disk]\nPersist=no\n' >"$dir/root/etc/pkram/pkramd.conf.d/z.conf"
! disk || { echo "Persist=no is not understood"; exit 1; }
rm "$dir/root/etc/pkram/pkramd.conf.d/z.conf"
PKRAM_STATE_PATH=/dev/null disk || { echo "nodes of an earlier kernel are out of reach"; exit 1; }
echo '/dev/vdb /var ext4 defaults 0 1' >>"$dir/fstab"
disk || { echo "nodes of an earlier kernel may be in /var"; exit 1; }
# Nodes in memory can be retrieved although /var is not mounted; nodes on disk cannot.
for unit in pkramd.service pkram-kexec-check@.service; do
        for line in After=var.mount StopPropagatedFrom=var.mount Environment=PKRAM_DISK_MOUNT=/var; do
                grep -qx "$line" "$dir/out/$unit.d/50-disk.conf" || { echo "$unit has no $line"; exit 1; }
        done
        ! grep -q '^RequiresMountsFor=' "$dir/out/$unit.d/50-disk.conf" || { echo "$unit needs /var"; exit 1; }
done
PKRAM_DEVICE_PATH=$dir/none disk && grep -qx 'RequiresMountsFor=/var/lib/pkram' \
        "$dir/out/pkramd.service.d/50-disk.conf" || { echo "without PKRAM, pkramd does not need /var"; exit 1; }
! grep -q PKRAM_DISK_MOUNT "$dir/out/pkramd.service.d/50-disk.conf" || { echo "it awaits /var, too"; exit 1; }
cp "$dir/fstab" "$dir/fstab.var"
printf '/dev/vdc /var/lib ext4 nofail 0 2\n/dev/vdd /var/lib/other ext4 defaults 0 2\n' >>"$dir/fstab"
disk && grep -qx 'Environment=PKRAM_DISK_MOUNT=/var/lib' "$dir/out/pkramd.service.d/50-disk.conf" ||
        { echo "the innermost of two mounts is not seen"; exit 1; }
mv "$dir/fstab.var" "$dir/fstab"
sed -i 's/ext4 defaults 0 1$/pkram defaults 0 0/' "$dir/fstab"
! disk || { echo "/var is a tree, and pkramd would wait for it"; exit 1; }
printf '[Disk]\nPersist=all\n' >"$dir/root/etc/pkram/pkramd.conf.d/z.conf"
! disk || { echo "/var is a tree, and pkramd would wait for it because of Persist="; exit 1; }
rm "$dir/root/etc/pkram/pkramd.conf.d/z.conf"
! PKRAM_DEVICE_PATH=$dir/none disk || { echo "without PKRAM, /var is a tree, and pkramd would wait for it"; exit 1; }
for line in 'server:/var /var nfs defaults' '/dev/sdb /var/lib ext4 _netdev'; do
        printf '/dev/vda / ext4 defaults 0 1\n%s 0 0\n' "$line" >"$dir/fstab"
        ! PKRAM_DEVICE_PATH=$dir/none disk || { echo "pkramd would wait for the network: $line"; exit 1; }
done

# /var is mounted by something else than fstab.
echo '/dev/vda / ext4 defaults 0 1' >"$dir/fstab"
! disk || { echo "pkramd is ordered after file systems although nothing is mounted above the nodes"; exit 1; }
mkdir -p "$dir/later" "$dir/state"
var_unit() { printf '%s\n' "$@" >"$dir/later/var.mount"; }
var_unit '[Mount]' 'What=/dev/vdb' 'Where=/var' 'Type=ext4'
SYSTEMD_UNIT_PATH=$dir/later disk || { echo "a mount unit for /var is not seen"; exit 1; }
var_unit '[Mount]' 'What=/dev/vdb' 'Where=/srv' 'Type=ext4'
! SYSTEMD_UNIT_PATH=$dir/later disk || { echo "a mount unit for another directory counts"; exit 1; }
for type in nfs pkram; do
        var_unit '[Mount]' 'What=server:/var' 'Where=/var' "Type=$type"
        ! SYSTEMD_UNIT_PATH=$dir/later PKRAM_DEVICE_PATH=$dir/none disk ||
                { echo "pkramd would wait for a mount unit of type $type"; exit 1; }
done
var_unit '[Unit]' 'After=network-online.target' '[Mount]' 'What=/dev/sdb' 'Where=/var/lib'
! SYSTEMD_UNIT_PATH=$dir/later PKRAM_DEVICE_PATH=$dir/none disk ||
        { echo "pkramd would wait for a mount unit that waits for the network"; exit 1; }
echo 'quiet systemd.mount-extra=/dev/vdb:/var:ext4' >"$dir/cmdline"
SYSTEMD_PROC_CMDLINE_PATH=$dir/cmdline disk || { echo "systemd.mount-extra= for /var is not seen"; exit 1; }
echo 'quiet systemd.mount-extra=/dev/vdb:/var' >"$dir/cmdline"
SYSTEMD_PROC_CMDLINE_PATH=$dir/cmdline disk || { echo "systemd.mount-extra= without a type is not seen"; exit 1; }
echo 'quiet systemd.mount-extra=/dev/vdb:/variable:ext4' >"$dir/cmdline"
! SYSTEMD_PROC_CMDLINE_PATH=$dir/cmdline disk || { echo "systemd.mount-extra= for another directory counts"; exit 1; }
echo '/dev/vdb /var ext4 defaults 0 1' >"$dir/cred/fstab.extra"
CREDENTIALS_DIRECTORY=$dir/cred disk || { echo "fstab.extra for /var is not seen"; exit 1; }
# systemd-gpt-auto-generator leaves nothing to look at, but the directory is not there yet.
PKRAM_STATE_PATH=$dir/absent/disk/state disk || { echo "a missing /var/lib/pkram is not seen"; exit 1; }
! PKRAM_STATE_PATH=$dir/state/disk/state disk || { echo "an existing /var/lib/pkram counts as missing"; exit 1; }
echo "the generator finds where nodes on disk may appear later"
