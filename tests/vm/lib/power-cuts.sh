#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The first program of a guest whose power fails at any moment (campaign disk-power): mounts the disk that survives,
# starts pkramd, tells what it finds, and stores, replaces and releases nodes until QEMU is killed.
#
# Node "a" is a file that is retrieved and released now and then, "b" is one that is replaced only, and "t" is a tree.
# Their contents follow from a version, the number of the operation that stored them. lib/pkramtest/power_cuts.py knows
# from the lines below which versions the next boot may find.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin
SOCKET=/run/pkram/io.pkram.Store

tell() { printf '<1>@@power %s\n' "$*" >/dev/kmsg; }
# give_up REASON: the guest ends, which the host has not asked for
give_up() {
        tell "failed $*"
        sleep 1
        exit 1
}

# contents VERSION
contents() { yes "version $1" | head -c $((100000 + $1 * 7919 % 30 * 40000)); }

# make_tree VERSION DIRECTORY
make_tree() {
        local i
        find "$2" -mindepth 1 -delete
        for ((i = 0; i <= $1 % 20; i++)); do
                echo "version $1" >"$2/file$i"
        done
}

# version_of FILE: print the version that a file begins with, "none" if there is none
version_of() { sed -n '1s/^version \([0-9]*\)$/\1/p' "$1"; }

# found_file NAME: print the version of a node, or what is wrong with it
found_file() {
        local version r=0
        pkramctl retrieve --keep "$1" - >/run/work/found 2>/run/work/error || r=$?
        case $r in
        0)
                version=$(version_of /run/work/found)
                if [ -n "$version" ] && contents "$version" | cmp -s - /run/work/found; then
                        echo "$version"
                else
                        echo broken
                fi
                ;;
        3) echo none ;;
        *) echo "broken-$r" ;;
        esac
}

found_tree() {
        local version r=0
        find /run/found -mindepth 1 -delete
        pkramctl retrieve --keep t /run/found >/run/work/out 2>/run/work/error || r=$?
        case $r in
        0)
                version=$(version_of /run/found/file0)
                make_tree "${version:-0}" /run/tree
                if [ -n "$version" ] && diff -r /run/tree /run/found >/dev/null; then
                        echo "$version"
                else
                        echo broken
                fi
                ;;
        3) echo none ;;
        *) echo "broken-$r" ;;
        esac
}

# operation NUMBER: one of the three nodes is stored, or "a" is released. The host counts as this does.
operation() {
        case $(($1 % 6)) in
        1 | 4) contents "$1" | pkramctl store --replace --verify a - ;;
        0 | 2) contents "$1" | pkramctl store --replace b - ;;
        3)
                rm -rf /run/work/released
                pkramctl retrieve --release a /run/work/released && contents "$version_a" | cmp - /run/work/released/*
                ;;
        5)
                make_tree "$1" /run/tree
                pkramctl store --replace --tree t /run/tree
                ;;
        esac >/run/work/out 2>&1
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
read -r number </proc/cmdline
number=${number##*power.operation=}
number=${number%% *}
mkdir -p /run/pkram /run/work /run/tree /run/found /var/lib/pkram
tell start
mount -t ext4 /dev/vdb /var/lib/pkram || give_up "the disk is not mounted"
mount -t tmpfs tmpfs /run/tree && mount -t tmpfs tmpfs /run/found || give_up "no tmpfs"
systemd-socket-activate -a -l /run/pkram/tree-worker /usr/lib/pkram/pkram-tree-worker >/dev/null 2>&1 &
systemd-socket-activate -l $SOCKET /usr/lib/pkram/pkramd >/dev/kmsg 2>&1 &
for ((i = 0; i < 600; i++)); do
        [ -S $SOCKET ] && [ -S /run/pkram/tree-worker ] && break
        sleep 0.1
done

version_a=$(found_file a)
found="a=$version_a b=$(found_file b) t=$(found_tree)"
set_aside=$(find /var/lib/pkram/disk/set-aside -name '*.node*' 2>/dev/null | wc -l)
tell "found $found aside=$set_aside nodes=$(pkramctl list -q | wc -l)"

for (( ; ; number++)); do
        # There is nothing to release.
        [ $((number % 6)) != 3 ] || [ "$version_a" != none ] || continue
        tell "begin $number"
        operation "$number" || give_up "operation $number: $(tail -n 2 /run/work/out | tr '\n' ' ')"
        tell "done $number"
        case $((number % 6)) in
        1 | 4) version_a=$number ;;
        3) version_a=none ;;
        esac
done
