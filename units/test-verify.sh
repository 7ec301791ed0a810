#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# Lets systemd itself read every unit and drop-in, as installed. $1: source directory, $2: build directory,
# $3: directory of the programs the units run, $4: of
# mount.pkram.
set -euo pipefail

command -v systemd-analyze >/dev/null || { echo "systemd-analyze is missing: install the package systemd"; exit 1; }

src=$1 build=$2 libexec=$3 sbin=$4
root=$(mktemp -d)
trap 'rm -rf -- "$root"' EXIT
units=$root/usr/lib/systemd/system

# A root directory with the distribution's units, ours, and an executable wherever ours want one.
mkdir -p "$units" "$root/$libexec" "$root/bin" "$root/etc"
for dir in /usr/lib/systemd/system /lib/systemd/system; do
        if [ -e "$dir/sysinit.target" ]; then
                cp -a "$dir/." "$units/"
                break
        fi
done
cp "$src/pkramd.socket" "$src/pkram-kexec-check.socket" "$src/pkram-tree-worker.socket" "$build"/pkram*.service \
        "$units/"
for type in service scope socket timer path mount automount swap slice; do
        install -D -m 0644 "$src/order-before-guard.conf" "$units/$type.d/50-pkram.conf"
done
install -D -m 0644 "$src/order-before-guard-none.conf" "$units/pkram-kexec-guard.service.d/50-pkram.conf"
for program in "$libexec/pkramd" "$libexec/pkram-restore" "$libexec/pkram-kexec-guard" "$libexec/pkram-tree-worker" \
        "$libexec/pkram-shm" "$libexec/pkram-fdstore" /bin/kill /bin/systemctl /bin/true /bin/rm /bin/sh /bin/mkdir \
        "$sbin/mount.pkram" "$sbin/umount.pkram" "$sbin/pkram-qemu" \
        "$sbin/pkram-criu"; do
        install -D -m 0755 /bin/true "$root/$program"
done

cp "$units/pkram-tree@.service" "$units/pkram-tree@web.service"
# Not where it belongs: systemd reads units of users in the same way.
cp "$build/user/pkram-fdstore.service" "$units/pkram-fdstore-user.service"
cp "$units/pkram-qemu@.service" "$units/pkram-qemu@web.service"
cp "$units/pkram-criu@.service" "$units/pkram-criu@web.service"
# Without that setting, which systemd has since version 254, no store outlives its service.
version=$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
((version >= 254)) ||
        sed -i '/^FileDescriptorStorePreserve=/d' "$units/pkram-fdstore.service" "$units/pkram-fdstore-user.service"
# pkram-criu refuses to run without this one, which is from version 257.
((version >= 257)) || sed -i '/^PrivatePIDs=/d' "$units/pkram-criu@web.service"
names=(pkramd.socket pkram-kexec-check.socket pkram-kexec-check@.service pkram-tree-worker.socket \
        pkram-tree-worker@.service pkramd.service pkram-restore.service pkram-report.service pkram-shutdown.service \
        pkram-trees.service pkram-kexec-guard.service
        pkram-tree@web.service pkram-qemu@web.service pkram-criu@web.service pkram-shm.service pkram-fdstore.service
        pkram-fdstore-user.service)

# The manager's words about anything of ours are failures; the distribution's own units may have their troubles here.
out=$(systemd-analyze verify --root="$root" --man=no --recursive-errors=no "${names[@]}" 2>&1) || {
        echo "systemd-analyze verify failed:"
        echo "$out"
        exit 1
}
if grep -E 'pkram|Unknown (key|section)|ordering cycle' <<<"$out"; then
        echo "systemd complains about units, see above"
        exit 1
fi

# And it must notice what is wrong, or the check above says nothing.
sed 's/^Type=oneshot$/Type=nonsense/' "$build/pkram-restore.service" >"$units/pkram-restore.service"
out=$(systemd-analyze verify --root="$root" --man=no --recursive-errors=no pkram-restore.service 2>&1) || true
if ! grep -q nonsense <<<"$out"; then
        echo "systemd-analyze verify did not notice a bad unit; it said: $out"
        exit 1
fi

# What is left out for pkramd, which systemd can reload by itself, must not be left out of other units.
if ! grep -q '^ExecReload=.* drop-shared$' "$build/pkram-fdstore.service"; then
        echo "pkram-fdstore.service cannot be reloaded"
        exit 1
fi

# A command that fails must not keep the unit from storing during the shutdown.
if ! grep -q '^ExecStart=-.*/pkram-shm restore$' "$build/pkram-shm.service"; then
        echo "pkram-shm.service does not become active if something cannot be restored"
        exit 1
fi

# What `pkramctl check` finds, the guard has to find, too.
capabilities() { sed -n 's/^CapabilityBoundingSet=//p' "$build/$1"; }
if [ "$(capabilities pkram-kexec-guard.service)" != "$(capabilities pkram-kexec-check@.service)" ]; then
        echo "pkram-kexec-guard.service and pkram-kexec-check@.service have different capabilities"
        exit 1
fi

# A saved guest waits for its images: network file systems come first, and tries are not used up within a second.
guest=$build/pkram-qemu@.service
setting() { sed -n "s/^$1=//p" "$guest"; }
tries=$(setting StartLimitBurst) every=$(setting RestartSec)
limit=$(systemd-analyze timespan "$(setting StartLimitIntervalSec)" | sed -n 's/^ *μs: //p')
if ! grep -q '^After=.*\<remote-fs\.target\>' "$guest" || ((tries * ${every%s} < 600)) ||
        ((limit <= tries * ${every%s} * 1000000)); then
        echo "pkram-qemu@.service does not wait for an image that comes late"
        exit 1
fi

# With User=, a guest that stops asks over the system bus for the kind of shutdown: the bus has to stop after it.
for unit in dbus.socket dbus.service; do
        if ! sed -n 's/^After=//p' "$guest" | tr ' ' '\n' | grep -qx "$unit"; then
                echo "pkram-qemu@.service does not stop before $unit"
                exit 1
        fi
done

# Catalog: every MESSAGE_ID once, each with the parts a reader needs.
ids=$(grep -c '^-- [0-9a-f]\{32\}$' "$src/pkram.catalog")
unique=$(grep '^-- [0-9a-f]\{32\}$' "$src/pkram.catalog" | sort -u | wc -l)
subjects=$(grep -c '^Subject: .' "$src/pkram.catalog")
if [ "$ids" != "$unique" ] || [ "$ids" != "$subjects" ] || [ "$ids" -lt 6 ]; then
        echo "pkram.catalog has $ids entries, $unique of them different, and $subjects subjects"
        exit 1
fi
journalctl --update-catalog --root="$root" 2>/dev/null || true
header=$src/../daemon/pkram-messages.h
if [ -e "$header" ]; then
        for id in $(grep -o '"[0-9a-f]\{32\}"' "$header" | tr -d '"'); do
                if ! grep -qx -e "-- $id" "$src/pkram.catalog"; then
                        echo "pkram-messages.h has $id, pkram.catalog does not"
                        exit 1
                fi
        done
fi

# Every option is in the file of defaults, commented out, and nothing else is set.
if grep -vE '^(#.*|\[[A-Za-z]+\]|)$' "$src/pkramd.conf"; then
        echo "pkramd.conf sets something, see above"
        exit 1
fi

echo "units, drop-ins, catalog and configuration are well-formed"
