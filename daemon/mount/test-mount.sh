#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# mount.pkram and umount.pkram against pkramd over a model of the kernel, in a mount namespace of their own. Speaks
# TAP. Usage: test-mount.sh MOUNT.PKRAM UMOUNT.PKRAM PKRAMCTL PKRAMD-MOCK
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
clean_up() { stop; umount -l "$dir/m" 2>/dev/null; rm -rf --one-file-system "$dir"; }
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
run size=10m,mode=750 0 && mounted && says "is not stored, mounting an empty file system"; ok "no tree: an empty tmpfs"
[[ $(stat -c %a "$dir/m") == 750 && $(($(stat -f -c '%b*%S' "$dir/m"))) == 10485760 ]]; ok "with its options"

mkdir -p "$dir/m/d" && echo hello >"$dir/m/d/small" && head -c 300000 /dev/urandom >"$dir/m/large" &&
    chown 77:88 "$dir/m/d/small"
cp -a "$dir/m" "$dir/copy"
"$ctl" --socket="$dir/socket" store --tree tree "$dir/m" >"$dir/stdout" 2>&1; ok "the tree is stored"
clear; ok "and its mount is not kept busy"
run nosuid,nodev,ro,pkram.required 0 && says "Restored tree 'tree'"; ok "the tree comes back"
diff -r "$dir/copy" "$dir/m" && [[ $(stat -c %u:%g "$dir/m/d/small") == 77:88 ]]; ok "as it was"
[[ $(stat -c %a "$dir/m") == 750 ]]; ok "its root, too"
[[ $(findmnt -no OPTIONS "$dir/m") == *ro,*nosuid,*nodev* ]]; ok "read-only, if so wanted"
! "$ctl" --socket="$dir/socket" show tree >/dev/null 2>&1; ok "and is released"
clear

# The tree of a user with the name of a mount is another node, which no mount finds.
cp "$ctl" "$dir/ctl" && chmod 755 "$dir" && chmod 666 "$dir/socket" && mkdir -m 777 /run/evil &&
    echo evil >/run/evil/index && chown -R 12345:12345 /run/evil
as_user() { setpriv --reuid=12345 --regid=12345 --clear-groups "$dir/ctl" --socket="$dir/socket" "$@"; }
as_user store --tree tree /run/evil >"$dir/stdout" 2>&1; ok "a user stores a tree with the name of a mount"
run mode=751 0 && says "is not stored" && [[ $(stat -c %u:%a "$dir/m") == 0:751 && -z $(ls -A "$dir/m") ]]
ok "which is not what root mounts"
echo good >"$dir/m/index" && unmount 0 && run '' 0 && [[ $(cat "$dir/m/index") == good ]]
ok "nor in the way of root's tree"
clear
"$ctl" --socket="$dir/socket" show tree >"$dir/stdout" 2>&1 && says 'Owner.*uid:12345'
ok "pkramctl show finds what list shows root"
! "$ctl" --socket="$dir/socket" show tre '*' >"$dir/stdout" 2>&1 && says "Node 'tre' not found" &&
    says "Node '[*]' not found"; ok "by its whole name"
as_user show tree >/dev/null && as_user remove tree && ! as_user --owner=root show tree 2>/dev/null
ok "and stays the user's"

run pkram.required 32 && ! mounted && says "is not stored, not mounting because of pkram.required"
ok "pkram.required: fails without a tree"
! remembered; ok "what is not mounted is not remembered"
run frobnicate=1 32 && ! mounted; ok "unknown options are refused"
run pkram.frobnicate 1 && ! mounted && run x-pkram.required 1 && ! mounted; ok "unknown options of ours, too"
"$helper" a/b "$dir/m" >"$dir/stdout" 2>&1; (($? == 1)) && ! mounted; ok "status 1: no name"
"$helper" tree >"$dir/stdout" 2>&1; (($? == 1)); ok "status 1: no directory"
"$helper" tree "$dir/m" -f -o pkram.required; ok "-f mounts nothing"
mkdir -p /run/mount/tmptgt && "$helper" tree /run/mount/tmptgt >"$dir/stdout" 2>&1; (($? == 1)) &&
    says 'X-mount.subdir=' && ! mountpoint -q /run/mount/tmptgt
ok "a directory of a tree is not mounted without the rest"

echo x >"$dir/x" && "$ctl" --socket="$dir/socket" store tree "$dir/x" >/dev/null
run '' 32 && ! mounted && says 'is not a directory tree'; ok "what is no tree is not hidden by an empty file system"

"$ctl" --socket="$dir/socket" remove tree

run pkram.persist=101 1 && ! mounted && says 'an importance from 0 to 100'; ok "an importance out of range is refused"
run pkram.persist=7 0 && grep -q 'x-pkram.persist=7' /run/mount/utab && unmount 0 &&
    "$ctl" --socket="$dir/socket" show tree | grep -q 'Importance: 7'; ok "pkram.persist: the tree is marked"
run '' 0 && run remount,pkram.persist 0 && grep -q 'x-pkram.persist=50' /run/mount/utab && unmount 0 &&
    "$ctl" --socket="$dir/socket" show tree | grep -q 'Importance: 50'; ok "and can be marked by a remount"
"$ctl" --socket="$dir/socket" remove tree
run mode=711,nosuid,pkram.verify 0 && remembered; ok "what is mounted is remembered for umount(8)"
echo one >"$dir/m/file" && chmod 4755 "$dir/m/file"
# Large enough to be frozen and not copied: it stays open in what is mounted nowhere then.
head -c 300000 /dev/urandom >"$dir/m/large" && cp "$dir/m/large" "$dir/large"
unmount 0 && ! mounted && says "Stored tree 'tree'"; ok "umount stores the tree"
! remembered; ok "and forgets the mount"
"$ctl" --socket="$dir/socket" show tree | grep -q xxh3; ok "with checksums, as it was mounted"
run pkram.required 0 && [[ $(cat "$dir/m/file") == one &&
    $(stat -c %a "$dir/m/file" "$dir/m" | xargs) == "4755 711" ]] &&
    cmp "$dir/m/large" "$dir/large"; ok "which comes back"

exec 7>>"$dir/m/file"
unmount 32 && mounted && says 'is in use' && says 'umount -i'; ok "in use for writing: fails"
exec 7>&-
echo two >>"$dir/m/file"; ok "and can be written to"
cd "$dir/m" || exit 1
unmount 32 && mounted && says 'Failed to unmount'; ok "in use otherwise: fails"
cd / && ! "$ctl" --socket="$dir/socket" show tree >/dev/null 2>&1 && echo three >>"$dir/m/file"
ok "and is not stored unnoticed"
mkdir "$dir/m/within" && mount -t tmpfs none "$dir/m/within"
unmount 32 && says "'./within' in the tree cannot be preserved" && says 'stays mounted' && echo four >>"$dir/m/file"
ok "what cannot be stored stays mounted, and writable"
umount "$dir/m/within"
cd "$dir/m" && unmount 0 -l && ! mounted; ok "lazily, it can be in use for reading"
! touch late 2>/dev/null; ok "and cannot be written to any more: that would be in no node"
cd / && run pkram.required,ro 0 && (($(wc -l <"$dir/m/file") == 4)); ok "with everything"
unmount 0; ok "read-only, it is stored as well"

# During shutdown there is no second attempt.
mkdir "$dir/bin" && printf '#!/bin/sh\necho stopping\n' >"$dir/bin/systemctl" && chmod +x "$dir/bin/systemctl"
path=$PATH
run pkram.required 0 && cd "$dir/m" && PATH=$dir/bin:$path unmount 32 && mounted &&
    says "Tree 'tree' is stored anyway" &&
    says "stop the processes that use it (.*bash ($$)"
ok "in use during shutdown: it is stored, and its users are named"
! { touch file; } 2>/dev/null && ! remembered; ok "it cannot be changed then, and does not count as lost"
# A restore in this system, unlike one in the next, opens the files where they are.
cd / && mount -o remount,rw "$dir/m" && clear
run pkram.required 0; ok "it comes back"
exec 7>>"$dir/m/file"
PATH=$dir/bin:$path unmount 32 && mounted &&
    says "Tree 'tree' is lost: .*by .*bash ($$).*RequiresMountsFor=$dir/m to the units"
ok "in use for writing during shutdown: what is lost, and why"
remembered && grep -q 'x-pkram.lost=use' /run/mount/utab; ok "which is counted, with the reason"
exec 7>&-
unmount 0

# The timeout of a unit ends with a signal, while pkramd has not answered yet.
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
interrupt 32 TERM frozen "$uhelper" "$dir/m" && mounted &&
    says "Interrupted while storing tree 'tree' (Terminated), .*stays mounted. Try again"
ok "asked to end while it stores: it stays mounted"
remembered && rm "$dir/m/probe" && ! stored; ok "and writable, and nothing is stored"
path=$PATH
PATH=$dir/bin:$path interrupt 32 TERM frozen "$uhelper" "$dir/m" && mounted &&
    says "Tree 'tree' is lost: storing it took longer than its unit may take"
ok "the same during shutdown: what is lost, and what to do"
remembered && grep -q 'x-pkram.lost=timeout' /run/mount/utab; ok "which is counted, with the reason"
PATH=$dir/bin:$path unmount 32 && says "Not trying again"; ok "and not tried again"
rm "$dir/m/probe"
unmount 0 && ! mounted; ok "in a system that goes on after all it is stored"

# shellcheck disable=SC2154
waits() { find "/proc/$child/fd" -lname 'socket:*' 2>/dev/null | grep -q .; }
interrupt 32 TERM waits "$helper" tree "$dir/m" -o "pkram.socket=$dir/socket" && ! mounted && ! remembered &&
    says "Interrupted while restoring tree 'tree' (Terminated), not mounting"
ok "asked to end while it restores: nothing is mounted"
stored; ok "and the tree is still stored"
rm /run/mount/utab && mkdir /run/mount/utab && run pkram.required 32 && ! mounted && stored
ok "the same if it cannot be mounted"
rmdir /run/mount/utab
interrupt 137 KILL waits "$helper" tree "$dir/m" -o "pkram.socket=$dir/socket" && ! mounted && ! remembered && stored
ok "the same if it is killed"

run pkram.required 0 && (($(wc -l <"$dir/m/file") == 4)) && cmp "$dir/m/large" "$dir/large"; ok "and comes back"
stop
unmount 32 && mounted && says 'Failed to connect' && echo five >>"$dir/m/file"
ok "no daemon: stays mounted, and writable"
clear
mount -t tmpfs none "$dir/m"
unmount 32 && mounted && says 'is not a pkram mount'; ok "what mount.pkram did not mount is left alone"
clear
unmount 32 && says 'Nothing is mounted'; ok "status 32: nothing mounted"
"$uhelper" >"$dir/stdout" 2>&1; (($? == 1)); ok "status 1: no directory to unmount"

# The name of a tree is a name, whatever lies in the directory where mount(8) runs: libmount makes a path of it.
mkdir "$dir/cwd" "$dir/cwd/srv" "$dir/real" "$dir/o" && ln -s "$dir/real" "$dir/cwd/link" &&
    ln -s ../real "$dir/cwd/second"
as_libmount() { # PATH [ARGUMENT...]: what mount(8) does in the directory cwd, with those arguments on its own command
    # line
    (cd "$dir/cwd" && exec bash -c '"$0" "$1" "$2" -o "pkram.socket=$3"; exit $?' "$helper" "$1" "$dir/m" \
        "$dir/socket" "${@:2}") >"$dir/stdout" 2>&1
}
source_is() { [[ $(findmnt -no SOURCE "$dir/m") == "$1" ]]; }
start
as_libmount "$dir/cwd/srv" && source_is srv; ok "the name of an entry of the current directory"
unmount 0 && "$ctl" --socket="$dir/socket" show srv >/dev/null; ok "which is the name in the store, too"
rm "$dir/cwd/second"
as_libmount "$dir/real" && source_is link && unmount 0; ok "the name of a symbolic link"
ln -s ../real "$dir/cwd/second"
as_libmount "$dir/real" second && source_is second && unmount 0
ok "of two links to one place, the one that mount(8) was given"
as_libmount "$dir/real"; (($? == 1)) && says 'pkram.name=' && ! mounted; ok "neither, if nothing says which"
run pkram.name=first 0 && source_is first && unmount 0; ok "the name by an option"
as_libmount "$dir/o"; (($? == 1)) && says 'Invalid tree name' && ! mounted; ok "a path is no name"

# One tree in two places, two trees in one place.
run size=10m 0 && echo one >"$dir/m/file" && cp "$dir/large" "$dir/m/large"
"$helper" tree "$dir/o" -o "pkram.socket=$dir/socket" >"$dir/stdout" 2>&1; (($? == 32)) &&
    says "'tree' is already mounted at '$dir/m'" &&
    ! mountpoint -q "$dir/o"; ok "a tree is mounted in one place only"
"$helper" other "$dir/m" -o "pkram.socket=$dir/socket" >"$dir/stdout" 2>&1; (($? == 32)) &&
    says "'tree' is already mounted at '$dir/m'"; ok "and a place has one tree only"
run '' 32 && says "already mounted" && run pkram.existing 0 && says "leaving it as it is" &&
    (($(grep -c " $dir/m " /proc/self/mountinfo) == 1))
ok "the same tree in the same place is left as it is, if so wanted"
for _ in 1 2 3 4; do "$helper" raced "$dir/o" -o "pkram.socket=$dir/socket" >/dev/null 2>&1 & done
for child in $(jobs -p | grep -vx "$pid"); do wait "$child"; done
(($(grep -c " $dir/o " /proc/self/mountinfo) == 1)); ok "of several at the same time, one"
"$uhelper" "$dir/o" >"$dir/stdout" 2>&1; ok "which is stored"

# Remounting, as mount -o remount and systemctl reload do.
run remount,size=20m,nosuid 0 && (($(grep -c " $dir/m " /proc/self/mountinfo) == 1)) &&
    [[ $(stat -f -c '%b*%S' "$dir/m") == 5120*4096 && $(cat "$dir/m/file") == one ]]; ok "remount: another size"
run remount,ro 0 && ! { echo x >"$dir/m/x"; } 2>/dev/null && run remount,rw,pkram.verify 0 && echo two >>"$dir/m/file"
ok "remount: read-only and back"
run remount,size=4k 32 && run remount,frobnicate 32; ok "remount: what tmpfs refuses"
mount -o remount,size=30m "$dir/m" && remembered; ok "remount by mount(8) alone: umount still stores it"
unmount 0 && "$ctl" --socket="$dir/socket" show tree | grep -q xxh3
ok "with checksums from now on, as the second remount said"
run remount 32 && says 'No tree is mounted'; ok "remount: nothing mounted"
run bind 1; ok "no bind mounts"

# A removed file that is still read: the kernel does not make the file system read-only, though nothing can write.
run pkram.required 0 && echo log >"$dir/m/log" && exec 7<"$dir/m/log" && rm "$dir/m/log"
unmount 32 && says "in use by .*bash ($$" && says 'Removed files' && ! says 'for writing' &&
    echo three >>"$dir/m/file"; ok "a removed file is read: fails, without talking of writers"
PATH=$dir/bin:$path unmount 32 && says "stored anyway" && ! touch "$dir/m/late" 2>/dev/null && stored
ok "during shutdown the tree is stored"
exec 7>&- && umount -i "$dir/m"
run pkram.required 0 && (($(wc -l <"$dir/m/file") == 3)); ok "and comes back"
exec 7<"$dir/m/file" 8>"$dir/m/log" && rm "$dir/m/log"
PATH=$dir/bin:$path unmount 32 && says "in use for writing by .*bash ($$" && ! stored
ok "a removed file that is written is in the way"
exec 7>&- 8>&-

# Other mounts of the same file system.
mount --bind "$dir/m" "$dir/o"
unmount 32 && says "mounted elsewhere, too: '$dir/o'" && echo four >>"$dir/m/file"
ok "a bind mount: refused, and named"
umount -i "$dir/o"
unshare --mount --propagation private sleep 100 &
sleeper=$!
until [[ $(readlink /proc/$sleeper/ns/mnt) != $(readlink /proc/$$/ns/mnt) &&
    $(cat /proc/$sleeper/comm) == sleep ]]; do sleep 0.05; done
unmount 32 && says "in the mount namespace of sleep ($sleeper" && echo five >>"$dir/m/file" && ! stored
ok "a private mount namespace: refused, and its process named"
PATH=$dir/bin:$path unmount 0 && stored && ! mounted; ok "during shutdown it is stored"
! { echo late >"/proc/$sleeper/root$dir/m/late"; } 2>/dev/null && [[ -e /proc/$sleeper/root$dir/m/file ]]
ok "and read-only in the other namespace"
run pkram.required 0 && (($(wc -l <"$dir/m/file") == 5)) && cmp "$dir/m/large" "$dir/large"
ok "it comes back in this system"
kill $sleeper; wait $sleeper 2>/dev/null
if loop=$(losetup -f --show "$dir/m/large" 2>/dev/null); then
    unmount 32 && says "in use by loop device $loop. Stop .* for writing" && ! stored
    ok "a loop device: refused, and named"
    losetup -d "$loop"
fi

# Owners that mount(8) maps: what the mount shows is not what was restored.
idmap() { # PATH: what mount(8) does with X-mount.idmap=0:1000:1 when the helper is done
    unshare --user sleep 100 &
    local mapper=$! status
    until [[ $(readlink /proc/$mapper/ns/user) != $(readlink /proc/$$/ns/user) ]]; do sleep 0.05; done
    echo "0 1000 1" >/proc/$mapper/uid_map && echo "0 1000 1" >/proc/$mapper/gid_map &&
        python3 - "$1" /proc/$mapper/ns/user <<'END'
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    r = libc.syscall(*arguments)
    if r < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    return r
path = sys.argv[1].encode()
tree = call(428, -100, path, 1)                                                 # open_tree(OPEN_TREE_CLONE)
attributes = struct.pack("QQQQ", 0x100000, 0, 0, os.open(sys.argv[2], os.O_RDONLY))   # MOUNT_ATTR_IDMAP
call(442, tree, b"", 0x1000, attributes, 32)                                    # mount_setattr(AT_EMPTY_PATH)
libc.umount2(path, 0)
call(429, tree, b"", -100, path, 4)                                             # move_mount(MOVE_MOUNT_F_EMPTY_PATH)
END
    status=$?
    kill $mapper
    wait $mapper 2>/dev/null
    return $status
}
if idmap "$dir/m" 2>"$dir/stdout"; then
    [[ $(stat -c %u "$dir/m/file") == 1000 ]] && unmount 32 && mounted && says 'X-mount.idmap=' && ! stored &&
        touch "$dir/m/large"
    ok "a mount with mapped owners: refused"
    PATH=$dir/bin:$path unmount 32 && says "is lost: .* X-mount.idmap="; ok "and lost during shutdown"
    clear && run '' 0 && echo one >"$dir/m/file" && cp "$dir/large" "$dir/m/large"
fi

# Options of tmpfs that depend on the kernel: kept, or refused with the option named.
unmount 0
for option in usrquota grpquota,usrquota_block_hardlimit=1M casefold; do
    if run "$option" 0; then
        [[ $(findmnt -no OPTIONS "$dir/m") == *${option%%,*}* ]] && unmount 0 && run "$option,pkram.required" 0 &&
            [[ $(<"$dir/m/file") == one ]]
        ok "option $option: mounted, stored and mounted again"
        unmount 0
    else
        ! mounted && says "tmpfs option '${option%%,*}'" && stored
        ok "option $option: refused, and the tree remains stored"
    fi
done
run '' 0

"$helper" second "$dir/o" -o "pkram.socket=$dir/socket" >/dev/null 2>&1
"$uhelper" -a >"$dir/stdout" 2>&1 && ! mounted && ! mountpoint -q "$dir/o" && stored &&
    "$ctl" --socket="$dir/socket" show second >/dev/null; ok "umount.pkram -a stores all trees"
stop

start off
run '' 0 && mounted && says 'no PKRAM'; ok "no PKRAM: an empty tmpfs"
clear
run pkram.required 32 && ! mounted; ok "no PKRAM, but required: fails"
run '' 0 && unmount 0 && ! mounted && says 'no PKRAM'; ok "no PKRAM: umount says what is lost"

# A store that cannot be used may have the tree.
run '' 0 && echo one >"$dir/m/file"
start denied
unmount 32 && mounted && says "stays mounted: .*denies pkramd access" && echo two >>"$dir/m/file"
ok "access denied: umount fails, and the tree stays as it was"
clear
run '' 32 && ! mounted && says "not mounting.*denies pkramd access"; ok "access denied: nothing is mounted"
start
run '' 0
stop
rm -f "$dir/socket"
"$mock" "$dir/socket" failing 2>"$dir/journal" &
pid=$!
until [[ -S $dir/socket ]]; do sleep 0.05; done
sleep 0.1
unmount 32 && mounted && says "stays mounted: pkramd is busy"; ok "an error of GetStatus: umount fails"
clear
run '' 32 && ! mounted && says "not mounting.*pkramd is busy"; ok "an error of GetStatus: nothing is mounted"
stop
run '' 32 && ! mounted && says 'Failed to connect'; ok "no daemon: fails, since there may be a tree"
"$helper" --help | grep -q required && "$helper" --version | grep -q mount.pkram; ok "--help and --version"
"$uhelper" --help | grep -q Store && "$uhelper" --version | grep -q umount.pkram; ok "of umount.pkram"

finish
