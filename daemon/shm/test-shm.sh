#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# pkram-shm with pkramd over a model of the kernel, in an IPC namespace of their own, where a kexec is a signal to the
# model and the removal of all segments. Speaks TAP. Usage: test-shm.sh PKRAM-SHM PKRAMCTL PKRAMD-MOCK SEGMENTS
set -u
if [[ ${5-} != inside ]]; then
    if ! unshare --ipc --mount --propagation private true 2>/dev/null || ((EUID != 0)); then
        echo "1..0 # SKIP needs to be root and allowed to make namespaces"
        exit 0
    fi
    exec unshare --ipc --mount --propagation private "$BASH" "$0" "$@" inside
fi
mount -t tmpfs none /run || exit 1

shm=$(realpath "$1") ctl=$(realpath "$2") mock=$(realpath "$3") segments=$(realpath "$4")
dir=$(mktemp -d)
# shellcheck source=daemon/tools/test-tap.sh
. "$(dirname "$0")/../tools/test-tap.sh"
clean_up() { stop; manager_stop; umount "$dir/shm" 2>/dev/null; rm -rf "$dir"; }
mkdir -p "$dir/shm" "$dir/etc/pkram"
mount -t tmpfs none "$dir/shm" || exit 1

configure() { printf '[SharedMemory]\n%s\n' "$@" >"$dir/etc/pkram/pkramd.conf"; }
run() { # STATUS VERB
    "$shm" "$2" --now --root="$dir" --shm="$dir/shm" --socket="$dir/socket" >"$dir/stdout" 2>&1
    local got=$?
    ((got == $1)) || { echo "# status $got, not $1"; return 1; }
}
says() { grep -q -e "$1" "$dir/stdout"; }
use() { "$segments" "$@" >"$dir/stderr" 2>&1; }
forget() {
    local line word
    # All of it at once: the file changes when a segment is removed.
    mapfile -t -s 1 lines </proc/sysvipc/shm
    for line in "${lines[@]}"; do
        read -r -a word <<<"$line"
        ipcrm -m "${word[1]}"
    done
    rm -f "$dir/shm"/* "$dir/shm"/.app*
}
kexec() { forget && kill -USR1 "$pid" && sleep 0.2; }
stored() { "$ctl" --socket="$dir/socket" --owner=root show "$1" >/dev/null 2>&1; }

start
configure 'SysVKeys=0x52e2c1 0xae001000' 'SysVUsers=daemon'
use create 0x52e2c1 1000000 640 && use create 0xae001000 4194304 600 && use create 77 8192 600
chown_segment() { python3 -c 'import ctypes,sys
libc = ctypes.CDLL(None, use_errno=True)
class Ds(ctypes.Structure): _fields_ = [("key", ctypes.c_int), ("uid", ctypes.c_uint), ("gid", ctypes.c_uint), ("rest", ctypes.c_char * 200)]
ds, i = Ds(), libc.shmget(int(sys.argv[1], 0), 0, 0)
assert libc.shmctl(i, 2, ctypes.byref(ds)) == 0
ds.uid, ds.gid = int(sys.argv[2]), int(sys.argv[2])
assert libc.shmctl(i, 1, ctypes.byref(ds)) == 0' "$@"; }
chown_segment 0x52e2c1 999
run 0 save && says 'Stored segment 0x0052e2c1' && says 'Stored segment 0xae001000' && ! says '0x0000004d'
ok "segments are stored by key, and no others"
stored sysv:0x0052e2c1; ok "as nodes of root"
kexec
run 0 restore && says 'Restored segment 0x0052e2c1: 1000000 bytes'; ok "and come back"
use check 0x52e2c1 1000000 640 && grep -qx 'uid 999 gid 999' "$dir/stderr"; ok "with contents, size, mode and owner"
use check 0xae001000 4194304 600 && use change 0xae001000; ok "and can be written"
! stored sysv:0x0052e2c1 && ! use check 77 8192 600; ok "nothing else does"
run 0 save && run 0 restore && ! stored sysv:0x0052e2c1 && use check 0x52e2c1 1000000 640
ok "a kexec that did not happen leaves them as they are"

chown_segment 0x52e2c1 1
configure 'SysVUsers=daemon'
run 0 save && says 0x0052e2c1 && ! says 0xae001000; ok "segments are chosen by owner"
run 0 restore

configure 'SysVKeys=0xae001000'
"$segments" hold 0xae001000 >"$dir/held" & holder=$!
for _ in {1..50}; do [[ -s $dir/held ]] && break; sleep 0.1; done
run 2 save && says "Refusing to store segment 0xae001000.*attached for writing by segments ($holder)"
ok "one that is in use is not stored, and the process is named"
kill "$holder"; wait "$holder" 2>/dev/null
run 0 save && kexec && use create 0xae001000 8192 600
run 2 restore && says 'another segment with this key exists already, from uid 0 with 8192 bytes' &&
    stored sysv:0xae001000; ok "one whose key is taken stays stored"
python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1] + "/notify")
s.settimeout(20)
print(s.recv(4096).decode(), file=open(sys.argv[1] + "/notified", "w"))' "$dir" &
listener=$!
for _ in {1..50}; do [[ -S $dir/notify ]] && break; sleep 0.1; done
NOTIFY_SOCKET=$dir/notify run 2 restore; wait "$listener"
grep -qx 'STATUS=Not restored: 1 of 1 pieces of shared memory, see the journal.' "$dir/notified"
ok "and the status of the unit says so"
run 2 save && says "Refusing to store segment 0xae001000 .*node 'sysv:0xae001000' holds contents that were not"
ok "the other segment does not replace it"
"$ctl" --socket="$dir/socket" store --sysv 0xae001000 >"$dir/stdout" 2>&1; (($? == 4)); ok "nor does pkramctl"
use remove 0xae001000 && run 0 restore && use check 0xae001000 4194304 600; ok "and comes back when it is free"
forget

use private 4096
configure 'SysVKeys=*'
run 0 save && ! says 0x00000000; ok "one without a key is left out if all are named"
configure 'SysVKeys=0'
run 2 save && says 'Refusing to store segment 0x00000000.*is private'; ok "one without a key is refused"
configure 'SysVUsers=root'
run 0 save; ok "but left out if only its owner is named"
forget
configure 'SysVKeys=5'
use huge 5 2097152 && run 2 save && says 'is of huge pages (SHM_HUGETLB)'; ok "one of huge pages is refused"
forget
as_user() { setpriv --reuid "$1" --regid "$1" --clear-groups "$segments" "${@:2}" >"$dir/stderr" 2>&1; }
cp "$segments" "$dir/use" && chmod 755 "$dir" "$dir/use" && segments=$dir/use
configure 'SysVUsers=1'
as_user 12345 create 6 65536 600 && as_user 1 create 7 65536 600 && use create 8 65536 600 &&
    chown_segment 6 1 && chown_segment 8 1
run 0 save && ! says 0x00000006 && says 0x00000007 && says 0x00000008
ok "a user's segments are those that it made itself, or root for it"
run 0 restore; forget
use create 9 65536 600 && use lock 9 && configure 'SysVKeys=9'
run 0 save && kexec && run 0 restore && use check 9 65536 600 && grep -qx 'uid 0 gid 0 locked' "$dir/stderr"
ok "a locked one is locked again"
forget

configure 'SysVKeys=*'
for ((i = 1; i <= 100; i++)); do use create $((i + 1000)) 65536 600; done
run 0 save && kexec && run 0 restore
good=0
for ((i = 1; i <= 100; i++)); do use check $((i + 1000)) 65536 600 && ((good++)); done
((good == 100)); ok "100 segments"
forget

by_hand() { # STATUS ARGUMENT...
    "$ctl" --socket="$dir/socket" "${@:2}" >"$dir/stdout" 2>&1
    local got=$?
    ((got == $1)) || { echo "# status $got, not $1"; return 1; }
}
use create 0x99 65536 600 && use create 0x98 65536 640; id=$(grep -o '^[0-9]*' "$dir/stderr")
by_hand 0 store --sysv 0x99 "$id" && stored sysv:0x00000098 && stored sysv:0x00000099
ok "pkramctl stores segments by key and identifier"
kexec && by_hand 0 retrieve --sysv 0x99 0x98 && use check 0x99 65536 600 && use check 0x98 65536 640
ok "and creates them again"
by_hand 3 retrieve --sysv 0x99 && by_hand 1 store --sysv 0x97 && by_hand 2 store --sysv abc &&
    by_hand 2 retrieve --sysv 5 && by_hand 2 store --sysv; ok "or says what is wrong"
forget

configure 'PosixFiles=app-* cache' 'PosixFiles=other?'
for f in app-1 app-2 cache other1 other ignored .app-3; do printf '%s' "$f is here" >"$dir/shm/$f"; done
chmod 640 "$dir/shm/app-1" && chown 5:6 "$dir/shm/app-1" && ln -s cache "$dir/shm/app-link"
run 2 save && says "Refusing to store shared memory 'app-link': it is a symbolic link"; ok "a symbolic link is refused"
rm "$dir/shm/app-link"
python3 -c 'import mmap, sys, time
with open(sys.argv[1], "r+b") as f: memory = mmap.mmap(f.fileno(), 5)
print("mapped", flush=True)
time.sleep(100)' "$dir/shm/app-2" >"$dir/held2" & holder=$!
for _ in {1..50}; do [[ -s $dir/held2 ]] && break; sleep 0.1; done
run 2 save && says "Refusing to store shared memory 'app-2': it is mapped for writing by python3 ($holder)"
ok "a file that is in use is not stored, and the process is named"
kill "$holder"; wait "$holder" 2>/dev/null
run 0 save && kexec && run 0 restore; ok "files by pattern"
[[ $(ls -A "$dir/shm" | tr '\n' ' ') == 'app-1 app-2 cache other1 ' ]]; ok "and no others"
[[ $(cat "$dir/shm/app-1") == 'app-1 is here' && $(stat -c %u:%g:%a "$dir/shm/app-1") == 5:6:640 ]]
ok "with contents, mode and owner"
run 0 save && run 0 restore && [[ $(cat "$dir/shm/cache") == 'cache is here' ]] && ! stored posix:cache
ok "a kexec that did not happen leaves them as they are"
run 0 save && kexec && echo new >"$dir/shm/cache"
run 2 restore && says "Failed to create shared memory 'cache'" && [[ $(cat "$dir/shm/cache") == new ]] &&
    stored posix:cache; ok "a file that is there already stays"
run 2 save && says "Refusing to store shared memory 'cache'" && stored posix:cache; ok "and does not replace it"

rm "$dir/etc/pkram/pkramd.conf" && run 0 save && run 0 restore && stored posix:cache
ok "without a configuration nothing happens"

forget
configure 'PosixFiles=.app-* setid'
printf hidden >"$dir/shm/.app-3" && printf setid >"$dir/shm/setid" && chown 5:6 "$dir/shm/setid" &&
    chmod 6644 "$dir/shm/setid"
run 0 save && kexec && run 0 restore && [[ $(cat "$dir/shm/.app-3") == hidden ]]
ok "a file whose name begins with a dot comes back"
says "Ignoring the set-user-ID and set-group-ID bits of shared memory 'setid'" &&
    [[ $(cat "$dir/shm/setid") == setid && $(stat -c %u:%g:%a "$dir/shm/setid") == 5:6:644 ]]
ok "one with a set-user-ID bit comes back without it"

forget
configure 'PosixFiles=app-*' 'PosixUsers=1001 daemon'
for u in 0 1 999 1000 1001; do printf '%s' "$u" >"$dir/shm/app-$u" && chown "$u" "$dir/shm/app-$u"; done
ln -s app-0 "$dir/shm/app-link" && chown -h 1000 "$dir/shm/app-link"
run 0 save && says "Ignoring shared memory 'app-1000' of user 1000" && says "Ignoring shared memory 'app-link'" &&
    kexec && run 0 restore && [[ $(cd "$dir/shm" && echo app-*) == 'app-0 app-1 app-1001 app-999' ]]
ok "files of ordinary users only if they are named"
forget
configure 'SysVKeys=* 0x5' 'SysVUsers=1001'
for ((i = 1; i <= 5; i++)); do use create "$i" 65536 600; done
chown_segment 2 999 && chown_segment 3 1000 && chown_segment 4 1001 && chown_segment 5 1000
run 0 save && says 'Ignoring segment 0x00000003 of user 1000, which SysVUsers= does not name' &&
    says 'Stored segment 0x00000001' && says 'Stored segment 0x00000002' && ! says 'Stored segment 0x00000003' &&
    says 'Stored segment 0x00000004' && says 'Stored segment 0x00000005'
ok "and so are their segments, unless the key is named"
run 0 restore; forget

forget
mkdir -p /run/pkram
configure 'SysVUsers=network-user' 'PosixFiles=none' 'PosixUsers=other-user'
use create 7 65536 600 && chown_segment 7 4711
run 2 save && says "Failed to resolve user 'network-user', whose segments are not stored" &&
    says "Failed to resolve user 'other-user', whose files are not stored"; ok "a user that is unknown is an error"
run 0 restore
{ cat /etc/passwd; printf '%s:x:4711:4711::/:/bin/sh\n' network-user other-user; } >"$dir/passwd"
mount --bind "$dir/passwd" /etc/passwd && run 0 restore && umount /etc/passwd
run 0 save && says 'Stored segment 0x00000007' && run 0 restore && run 0 save && says 'Stored segment 0x00000007'
ok "but not if it was known when shared memory was restored"
run 0 restore; forget

# What a stop is for, as the service manager says.
stops() { # STATUS [OPTION...]
    "$shm" save "${@:2}" --root="$dir" --shm="$dir/shm" --socket="$dir/socket" >"$dir/stdout" 2>&1
    local got=$?
    ((got == $1)) || { echo "# status $got, not $1"; return 1; }
}
forget
configure 'SysVKeys=0x52e2c1'
use create 0x52e2c1 65536 640
stops 0 && says 'There is no systemd' && ! stored sysv:0x0052e2c1; ok "no service manager: nothing is stored"
manager none
stops 0 && ! stored sysv:0x0052e2c1; ok "a stop by hand: nothing is stored"
manager silent:kexec.target 1.5
stops 0 && says 'Stored segment 0x0052e2c1' && ! says 'Failed to ask'; ok "a kexec, and the answer comes late"
run 0 restore
manager silent
stops 0 --wait=2 && says 'Failed to ask the service manager .*, storing' && stored sysv:0x0052e2c1
ok "the service manager never answers: segments are stored"
manager_stop
run 0 restore && ! stored sysv:0x0052e2c1 && use check 0x52e2c1 65536 640 && use change 0x52e2c1
ok "and can be used after the next start of the unit"
stops 1 --wait=soon; ok "a wrong time"

run 1 nonsense; ok "a wrong command"
"$shm" --help >/dev/null && "$shm" --version | grep -q pkram-shm; ok "help and version"
finish
