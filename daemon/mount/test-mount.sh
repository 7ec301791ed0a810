#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# mount.pkram against pkramd over a model of the kernel, in a mount namespace of its own. Speaks TAP.
# Usage: test-mount.sh MOUNT.PKRAM PKRAMCTL PKRAMD-MOCK
set -u
if [[ ${4-} != inside ]]; then
    if ! unshare --mount --propagation private true 2>/dev/null || ((EUID != 0)); then
        echo "1..0 # SKIP needs to be root and allowed to mount"
        exit 0
    fi
    exec unshare --mount --propagation private "$BASH" "$0" "$@" inside
fi

helper=$(realpath "$1") ctl=$(realpath "$2") mock=$(realpath "$3")
dir=$(mktemp -d)
n=0 bad=0 pid=
trap 'kill $pid 2>/dev/null; umount -l "$dir/m" 2>/dev/null; rm -rf --one-file-system "$dir"' EXIT
mkdir "$dir/m"

start() { # ARGS...
    [[ $pid ]] && kill "$pid" && wait "$pid" 2>/dev/null
    "$mock" "$dir/socket" "$@" 2>/dev/null &
    pid=$!
    for _ in {1..100}; do
        "$ctl" --socket="$dir/socket" status >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "Bail out! pkramd-mock does not start"
    exit 1
}

ok() {
    local r=$?
    ((n++))
    if ((r == 0)); then
        echo "ok $n - $1"
    else
        ((bad++))
        echo "not ok $n - $1"
        sed 's/^/# /' "$dir/out"
    fi
}

# As mount(8) calls it: OPTIONS STATUS
run() {
    "$helper" tree "$dir/m" -o "rw,socket=$dir/socket${1:+,$1}" >"$dir/out" 2>&1
    local got=$?
    ((got == $2)) || { echo "# status $got, not $2"; return 1; }
}
mounted() { mountpoint -q "$dir/m"; }
says() { grep -q -e "$1" "$dir/out"; }
clear() { umount "$dir/m"; }

start
run size=10m,mode=750 0 && mounted && says "is not stored: the file system is empty"; ok "no tree: an empty tmpfs"
[[ $(stat -c %a "$dir/m") == 750 && $(($(stat -f -c '%b*%S' "$dir/m"))) == 10485760 ]]; ok "with its options"

mkdir -p "$dir/m/d" && echo hello >"$dir/m/d/small" && head -c 300000 /dev/urandom >"$dir/m/large" && chown 77:88 "$dir/m/d/small"
cp -a "$dir/m" "$dir/copy"
"$ctl" --socket="$dir/socket" store --tree tree "$dir/m" >"$dir/out" 2>&1; ok "the tree is stored"
clear; ok "and its mount is not kept busy"
run nosuid,nodev,ro,x-pkram.required 0 && says "Restored tree 'tree'"; ok "the tree comes back"
diff -r "$dir/copy" "$dir/m" && [[ $(stat -c %u:%g "$dir/m/d/small") == 77:88 ]]; ok "as it was"
[[ $(stat -c %a "$dir/m") == 750 ]]; ok "its root, too"
[[ $(findmnt -no OPTIONS "$dir/m") == *ro,*nosuid,*nodev* ]]; ok "read-only, if so wanted"
! "$ctl" --socket="$dir/socket" show tree >/dev/null 2>&1; ok "and is released"
clear

run required 32 && ! mounted && says "is not stored, and the option required"; ok "required: fails without a tree"
run frobnicate=1 32 && ! mounted; ok "unknown options are refused"
"$helper" a/b "$dir/m" >"$dir/out" 2>&1; (($? == 1)) && ! mounted; ok "status 1: no name"
"$helper" tree >"$dir/out" 2>&1; (($? == 1)); ok "status 1: no directory"
"$helper" tree "$dir/m" -f -o required; ok "-f mounts nothing"

echo x >"$dir/x" && "$ctl" --socket="$dir/socket" store tree "$dir/x" >/dev/null
run '' 32 && ! mounted && says 'holds single objects'; ok "what is no tree is not hidden by an empty file system"

start off
run '' 0 && mounted && says 'no PKRAM'; ok "no PKRAM: an empty tmpfs"
clear
run x-pkram.required 32 && ! mounted; ok "no PKRAM, but required: fails"
kill $pid; wait $pid 2>/dev/null; pid=
run '' 32 && ! mounted && says 'cannot be reached'; ok "no daemon: fails, since there may be a tree"
"$helper" --help | grep -q required && "$helper" --version | grep -q mount.pkram; ok "--help and --version"

echo "1..$n"
exit $((bad > 0))
