#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# mount.pkram and umount.pkram against pkramd over a model of the kernel, in a mount namespace of their own. Speaks TAP.
# Usage: test-mount.sh MOUNT.PKRAM UMOUNT.PKRAM PKRAMCTL PKRAMD-MOCK
set -u
if [[ ${5-} != inside ]]; then
    if ! unshare --mount --propagation private true 2>/dev/null || ((EUID != 0)); then
        echo "1..0 # SKIP needs to be root and allowed to mount"
        exit 0
    fi
    exec unshare --mount --propagation private "$BASH" "$0" "$@" inside
fi

helper=$(realpath "$1") uhelper=$(realpath "$2") ctl=$(realpath "$3") mock=$(realpath "$4")
# What libmount remembers is not the business of the host.
mount -t tmpfs none /run || exit 1
dir=$(mktemp -d)
# shellcheck source=daemon/tools/test-tap.sh
. "$(dirname "$0")/../tools/test-tap.sh"
trap 'stop; umount -l "$dir/m" 2>/dev/null; rm -rf --one-file-system "$dir"' EXIT
mkdir "$dir/m"

# As mount(8) calls it: OPTIONS STATUS
run() {
    "$helper" tree "$dir/m" -o "rw,pkram.socket=$dir/socket${1:+,$1}" >"$dir/stdout" 2>&1
    local got=$?
    ((got == $2)) || { echo "# status $got, not $2"; return 1; }
}
# As umount(8) calls it: STATUS [OPTION...]
unmount() {
    "$uhelper" "$dir/m" "${@:2}" >"$dir/stdout" 2>&1
    local got=$?
    ((got == $1)) || { echo "# status $got, not $1"; return 1; }
}
remembered() { grep -q "TARGET=$dir/m .*helper=pkram" /run/mount/utab 2>/dev/null; }
mounted() { mountpoint -q "$dir/m"; }
says() { grep -q -e "$1" "$dir/stdout"; }
clear() { umount -i "$dir/m" && rm -f /run/mount/utab; }

start
run size=10m,mode=750 0 && mounted && says "is not stored: the file system is empty"; ok "no tree: an empty tmpfs"
[[ $(stat -c %a "$dir/m") == 750 && $(($(stat -f -c '%b*%S' "$dir/m"))) == 10485760 ]]; ok "with its options"

mkdir -p "$dir/m/d" && echo hello >"$dir/m/d/small" && head -c 300000 /dev/urandom >"$dir/m/large" && chown 77:88 "$dir/m/d/small"
cp -a "$dir/m" "$dir/copy"
"$ctl" --socket="$dir/socket" store --tree tree "$dir/m" >"$dir/stdout" 2>&1; ok "the tree is stored"
clear; ok "and its mount is not kept busy"
run nosuid,nodev,ro,pkram.required 0 && says "Restored tree 'tree'"; ok "the tree comes back"
diff -r "$dir/copy" "$dir/m" && [[ $(stat -c %u:%g "$dir/m/d/small") == 77:88 ]]; ok "as it was"
[[ $(stat -c %a "$dir/m") == 750 ]]; ok "its root, too"
[[ $(findmnt -no OPTIONS "$dir/m") == *ro,*nosuid,*nodev* ]]; ok "read-only, if so wanted"
! "$ctl" --socket="$dir/socket" show tree >/dev/null 2>&1; ok "and is released"
clear

run pkram.required 32 && ! mounted && says "is not stored, and the option pkram.required"; ok "pkram.required: fails without a tree"
! remembered; ok "what is not mounted is not remembered"
run frobnicate=1 32 && ! mounted; ok "unknown options are refused"
run pkram.frobnicate 1 && ! mounted && run x-pkram.required 1 && ! mounted; ok "unknown options of ours, too"
"$helper" a/b "$dir/m" >"$dir/stdout" 2>&1; (($? == 1)) && ! mounted; ok "status 1: no name"
"$helper" tree >"$dir/stdout" 2>&1; (($? == 1)); ok "status 1: no directory"
"$helper" tree "$dir/m" -f -o pkram.required; ok "-f mounts nothing"

echo x >"$dir/x" && "$ctl" --socket="$dir/socket" store tree "$dir/x" >/dev/null
run '' 32 && ! mounted && says 'is not a directory tree'; ok "what is no tree is not hidden by an empty file system"

"$ctl" --socket="$dir/socket" remove tree

run mode=711,nosuid,pkram.verify 0 && remembered; ok "what is mounted is remembered for umount(8)"
echo one >"$dir/m/file" && chmod 4755 "$dir/m/file"
# Large enough to be frozen and not copied: it stays open in what is mounted nowhere then.
head -c 300000 /dev/urandom >"$dir/m/large" && cp "$dir/m/large" "$dir/large"
unmount 0 && ! mounted && says "Stored tree 'tree'"; ok "umount stores the tree"
! remembered; ok "and forgets the mount"
"$ctl" --socket="$dir/socket" show tree | grep -q xxh3; ok "with checksums, as it was mounted"
run pkram.required 0 && [[ $(cat "$dir/m/file") == one && $(stat -c %a "$dir/m/file" "$dir/m" | xargs) == "4755 711" ]] &&
    cmp "$dir/m/large" "$dir/large"; ok "which comes back"

exec 7>>"$dir/m/file"
unmount 32 && mounted && says 'is in use' && says 'umount -i'; ok "in use for writing: fails"
exec 7>&-
echo two >>"$dir/m/file"; ok "and can be written to"
cd "$dir/m" || exit 1
unmount 32 && mounted && says 'cannot be unmounted'; ok "in use otherwise: fails"
cd / && ! "$ctl" --socket="$dir/socket" show tree >/dev/null 2>&1 && echo three >>"$dir/m/file"; ok "and is not stored behind everybody's back"
mkdir "$dir/m/within" && mount -t tmpfs none "$dir/m/within"
unmount 32 && says "'./within' in the tree cannot be kept" && says 'stays mounted' && echo four >>"$dir/m/file"; ok "what cannot be stored stays mounted, and writable"
umount "$dir/m/within"
cd "$dir/m" && unmount 0 -l && ! mounted; ok "lazily, it can be in use for reading"
touch late; ok "and what is mounted nowhere is writable, for a restore in this system"
cd / && run pkram.required,ro 0 && (($(wc -l <"$dir/m/file") == 4)); ok "with everything"
unmount 0; ok "read-only, it is stored as well"

# While the system goes down nobody comes back to try again.
mkdir "$dir/bin" && printf '#!/bin/sh\necho stopping\n' >"$dir/bin/systemctl" && chmod +x "$dir/bin/systemctl"
path=$PATH
run pkram.required 0 && cd "$dir/m" && PATH=$dir/bin:$path unmount 32 && mounted && says "Tree 'tree' is stored all the same" &&
    says "end what uses it (.*bash ($$)"; ok "in use while the system goes down: it is stored, and who uses it is said"
! { touch file; } 2>/dev/null && ! remembered; ok "nobody can change it then, and it does not count as lost"
# A restore in this system, unlike one in the next, opens the files where they are.
cd / && mount -o remount,rw "$dir/m" && clear
run pkram.required 0; ok "it comes back"
exec 7>>"$dir/m/file"
PATH=$dir/bin:$path unmount 32 && mounted && says "Tree 'tree' is lost: .*by .*bash ($$).*RequiresMountsFor=$dir/m to its unit"
ok "in use for writing while the system goes down: what is lost, and why"
remembered && grep -q 'x-pkram.lost=use' /run/mount/utab; ok "which is counted, with the reason"
exec 7>&-
unmount 0

# The time-out of a unit ends with a signal, while pkramd has not answered yet.
interrupt() { # STATUS SIGNAL READY COMMAND...: by then the command READY succeeds
    local child got=0 status=$1 signal=$2 ready=$3
    shift 3
    kill -STOP "$pid"
    "$@" >"$dir/stdout" 2>&1 &
    child=$!
    for _ in {1..100}; do
        $ready && break
        sleep 0.05
    done
    sleep 0.2
    kill -"$signal" $child
    wait $child 2>/dev/null || got=$?
    kill -CONT "$pid"
    ((got == status)) || { echo "# status $got, not $status"; return 1; }
}
frozen() { ! { : >"$dir/m/probe"; } 2>/dev/null; }
stored() { "$ctl" --socket="$dir/socket" show tree >/dev/null 2>&1; }
run pkram.required 0
interrupt 32 TERM frozen "$uhelper" "$dir/m" && mounted && says "Storing tree 'tree' was interrupted (Terminated), .*stays mounted; try again"; ok "asked to end while it stores: it stays mounted"
remembered && rm "$dir/m/probe" && ! stored; ok "and writable, and nothing is stored"
path=$PATH
PATH=$dir/bin:$path interrupt 32 TERM frozen "$uhelper" "$dir/m" && mounted && says "Tree 'tree' is lost: storing it took longer than its unit may take"; ok "the same while the system goes down: what is lost, and what to do"
remembered && grep -q 'x-pkram.lost=timeout' /run/mount/utab; ok "which is counted, with the reason"
PATH=$dir/bin:$path unmount 32 && says "it is not tried again"; ok "and not tried again"
rm "$dir/m/probe"
unmount 0 && ! mounted; ok "in a system that goes on after all it is stored"

# shellcheck disable=SC2154
waits() { find "/proc/$child/fd" -lname 'socket:*' 2>/dev/null | grep -q .; }
interrupt 32 TERM waits "$helper" tree "$dir/m" -o "pkram.socket=$dir/socket" && ! mounted && ! remembered &&
    says "Restoring tree 'tree' was interrupted (Terminated): not mounted"; ok "asked to end while it restores: nothing is mounted"
stored; ok "and the tree is still stored"
rm /run/mount/utab && mkdir /run/mount/utab && run pkram.required 32 && ! mounted && stored; ok "the same if it cannot be mounted"
rmdir /run/mount/utab
interrupt 137 KILL waits "$helper" tree "$dir/m" -o "pkram.socket=$dir/socket" && ! mounted && ! remembered && stored; ok "the same if it is killed"

run pkram.required 0 && (($(wc -l <"$dir/m/file") == 4)) && cmp "$dir/m/large" "$dir/large"; ok "and comes back"
stop
unmount 32 && mounted && says 'cannot be reached' && echo five >>"$dir/m/file"; ok "no daemon: stays mounted, and writable"
clear
mount -t tmpfs none "$dir/m"
unmount 32 && mounted && says 'not mounted with type pkram'; ok "what mount.pkram did not mount is left alone"
clear
unmount 32 && says 'Nothing is mounted'; ok "status 32: nothing mounted"
"$uhelper" >"$dir/stdout" 2>&1; (($? == 1)); ok "status 1: no directory to unmount"

start off
run '' 0 && mounted && says 'no PKRAM'; ok "no PKRAM: an empty tmpfs"
clear
run pkram.required 32 && ! mounted; ok "no PKRAM, but required: fails"
run '' 0 && unmount 0 && ! mounted && says 'no PKRAM'; ok "no PKRAM: umount says what is lost"
stop
run '' 32 && ! mounted && says 'cannot be reached'; ok "no daemon: fails, since there may be a tree"
"$helper" --help | grep -q required && "$helper" --version | grep -q mount.pkram; ok "--help and --version"
"$uhelper" --help | grep -q Stores && "$uhelper" --version | grep -q umount.pkram; ok "of umount.pkram"

finish
