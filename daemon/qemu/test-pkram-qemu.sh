#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# pkram-qemu with a program in the place of QEMU, on a tree of pkramd over a model of the kernel, in a mount namespace
# of their own. Speaks TAP. Usage: test-pkram-qemu.sh PKRAM-QEMU MOUNT.PKRAM UMOUNT.PKRAM PKRAMCTL PKRAMD-MOCK
set -u
if [[ ${6-} != inside ]]; then
    if ! unshare --mount --propagation private true 2>/dev/null || ((EUID != 0)); then
        echo "1..0 # SKIP needs to be root and allowed to mount"
        exit 0
    fi
    exec unshare --mount --propagation private "$BASH" "$0" "$@" inside
fi

qemu=$(realpath "$1") mount=$(realpath "$2") umount=$(realpath "$3") ctl=$(realpath "$4") mock=$(realpath "$5")
fake=$(realpath "$(dirname "$0")/fake-qemu.py")
mount -t tmpfs none /run || exit 1
dir=$(mktemp -d)
# shellcheck source=daemon/tools/test-tap.sh
. "$(dirname "$0")/../tools/test-tap.sh"
clean_up() {
    [[ $holder ]] && kill "$holder" 2>/dev/null
    stop; manager_stop; umount -l "$dir/vm" 2>/dev/null; rm -rf --one-file-system "$dir"
}
mkdir -p "$dir/vm" /run/pkram

tree() { "$mount" vm "$dir/vm" -o "rw,size=512m,pkram.socket=$dir/socket" >/dev/null 2>&1; }
# Goes through the store, as in a kexec.
kexec() { "$umount" "$dir/vm" >"$dir/stdout" 2>&1 && tree; }

arguments=(-machine q35)
guest='' holder=''
# The QEMU that pkram-qemu, a process with this id, has started.
child_of() { tr -d ' ' <"/proc/$1/task/$1/children"; }
# Kills $child, and waits for its locks, which last until its files are closed: that comes after its memory. A zombie
# has neither.
child_kill() { kill -KILL "$child"; while [[ $(ls "/proc/$child/fd" 2>/dev/null) ]]; do sleep 0.05; done; }
# launch WORDS-FOR-FAKE [OPTION...]: in the background
launch() {
    rm -f "$dir/stdout"
    FAKE=$1 "$qemu" run a --directory="$dir/vm/a" --size=64M "${@:2}" -- "$fake" "${arguments[@]}" >"$dir/stdout" \
        2>&1 &
    guest=$!
}
says() { writes "$guest" 100 "$1"; }
# ends STATUS [SIGNAL]
ends() {
    [[ ${2-} ]] && kill -"$2" "$guest"
    wait "$guest"
    local got=$?
    guest=
    ((got == $1)) || { echo "# status $got, not $1"; return 1; }
}
ram() { od -An -tu1 -N1 "$dir/vm/a/ram" | tr -d ' '; }
note() { grep -q -e "$1" /run/pkram/guests/a.json 2>/dev/null; }

start
tree
launch '' && says "Guest 'a' boots: it was not saved"; ok "without a saved guest it boots"
[[ $(ram) == 1 && $(stat -c %a "$dir/vm/a/ram") == 600 ]]; ok "its memory is on the tree, for root only"
note '"resumed":false' && "$ctl" --socket="$dir/socket" status | grep -q "Guest: a, "; ok "pkramctl shows it"
"$qemu" run a --directory="$dir/vm/a" --size=64M -- "$fake" >"$dir/stderr" 2>&1; [[ $? == 2 ]] &&
    grep -q 'runs already' "$dir/stderr"; ok "it runs once only"
ends 0 USR1 && says "Saved guest 'a'" && [[ ! -e /run/pkram/guests/a.json ]]; ok "it is saved"
kexec && [[ $(ram) == 1 ]]; ok "and is in the store and back"
launch '' && says "Guest 'a' goes on; it stood still for" && [[ $(ram) == 1 ]]; ok "it goes on"
note '"resumed":true' && [[ ! -e $dir/vm/a/guest.json && ! -e $dir/vm/a/state ]]; ok "and can do so once only"
ends 0 TERM && says "off after 1" && says 'There is no systemd' && [[ -z $(ls -A "$dir/vm/a") ]]
ok "a stop without a kexec shuts it down, and nothing is left"

# What a stop is for, as the service manager says.
manager none
launch '' && says boots && ends 0 TERM && says 'off after'; ok "a stop by hand: it is shut down"
manager reboot.target
launch '' && says boots && ends 0 TERM && says 'off after'; ok "a reboot: it is shut down"
manager kexec.target
launch '' && says boots && ends 0 TERM && says "Saved guest 'a'"; ok "a kexec: it is saved"
for how in silent closes; do
    manager "$how:kexec.target" 1.5
    launch '' && says 'goes on' && ends 0 TERM && says "Saved guest 'a'" && ! says 'Failed to ask'
    ok "the service manager $how, and answers later: kexec"
    manager "$how:none" 1.5
    launch '' && says 'goes on' && ends 0 TERM && says 'off after' && ! says 'Failed to ask'
    ok "or: no kexec"
    manager "$how"
    # It gives up a little earlier if there is no time for another question, and SECONDS counts whole ones.
    SECONDS=0
    launch '' --save=6 && says boots && ends 0 TERM && says 'Failed to ask the service manager .*, saving guest' &&
        says "Saved guest 'a'" && ((SECONDS >= 5 && SECONDS < 60)); ok "or never: it is saved"
done
launch '' && says 'goes on; it stood still for' && [[ $(ram) == 1 ]]; ok "and goes on in the same boot"
manager none
ends 0 TERM && says 'off after'; ok "and is shut down"
manager_stop

saved() { launch '' && says boots && ends 0 USR1 && launch "$@"; }
saved load-dies && says "does not go on: QEMU ended (exit status 1) when it loaded its state" && ends 0 TERM
ok "QEMU cannot load: it boots"
saved load-fails && says "does not go on: QEMU cannot load its state: Unknown section" && ends 0 TERM
ok "nor if QEMU says so"
kept="The saved memory of guest 'a' stays in"
goes_on() { launch '' && says "goes on; it stood still for" && [[ $(ram) == 1 ]] && ends 0 TERM; }
saved load-killed && says "$kept" && ends 1 && says "Failed to load guest 'a': QEMU ended (signal 9 (Killed))" &&
    goes_on; ok "QEMU is killed while it loads: the guest stays saved"
saved load-hangs-up && says "$kept" && ends 1 && says "Failed to load guest 'a': Connection reset" && goes_on
ok "or its monitor is lost"
saved cont-fails && says "$kept" && ends 1 && says "QEMU refuses to run guest 'a': Failed to get \"write\" lock" &&
    launch cont-fails && says "$kept" && ends 1 && goes_on; ok "QEMU refuses to run it, twice: it stays saved"
saved cont-dies && says "memory of guest 'a' is lost: QEMU was told to run it, and did not answer" && ends 1 &&
    ! says "$kept" && launch '' && says "does not go on: it may have run since it was saved: QEMU was told" &&
    [[ $(ram) == 1 ]] && ends 0 TERM; ok "QEMU may have run it: it boots"
saved '' && says 'goes on' && ends 0 USR1 && sed -i 's/"saved"/"resuming"/' "$dir/vm/a/guest.json" && launch '' &&
    says "it may have run since it was saved: pkram-qemu ended" && ends 0 TERM; ok "or pkram-qemu was killed then"
launch cont-fails && says "refuses to run guest 'a': Failed to get" && ends 1 && [[ -z $(ls -A "$dir/vm/a") ]]
ok "QEMU refuses to run a guest that was not saved: nothing is left"
# QEMU would refuse to run it.
launch io-error && says boots && ends 0 USR1 && says "Saved guest 'a' in .*: it stands still" && launch cont-fails &&
    says "Guest 'a' is back, and stands still as it did" && says "a disk had an I/O error, .* enter 'cont'" &&
    [[ $(ram) == 1 ]] && ends 0 USR1 && grep -q '"stop": *"io-error"' "$dir/vm/a/guest.json"
ok "a guest that stands still for an I/O error is saved, and is not run after that"
launch cont-fails --shutdown=1 && says 'is back' && ends 0 TERM && says 'did not shut down in time' &&
    [[ -z $(ls -A "$dir/vm/a") ]]; ok "and can be switched off"
saved new-machine && says "its machine is 'pc-q35-11.0-machine' now" && ends 0 TERM
ok "another version of the machine: it boots"
arguments=(-machine q35 -smp 2)
launch '' && says boots && ends 0 USR1
arguments=(-machine q35 -smp 4)
launch '' && says "'4' was '2'" && [[ $(ram) == 1 ]] && ends 0 TERM; ok "other arguments: it boots"
echo 1 >"$dir/disk"
arguments=(-hda "$dir/disk")
launch '' && says boots && ends 0 USR1
mv "$dir/disk" "$dir/away" && launch '' && ends 1 && says "disk $dir/disk is missing. Its saved memory stays"
ok "a disk is missing: it waits"
mv "$dir/away" "$dir/disk" && launch '' && says "goes on" && ends 0 USR1; ok "and goes on when it is there"
echo 2 >>"$dir/disk" && launch '' && says "disk $dir/disk was changed" && ends 0 TERM
ok "a disk was changed: it boots"
mkdir "$dir/here" "$dir/there"
cp "$dir/disk" "$dir/here/disk"
cp "$dir/disk" "$dir/there/disk"
arguments=(-hda disk)
launch_in() { cd "$1" && launch ''; cd - >/dev/null || exit 1; }
launch_in "$dir/here" && says boots && ends 0 USR1 && launch_in "$dir/here" && says 'goes on' && ends 0 USR1 &&
    echo 2 >>"$dir/here/disk" && launch_in "$dir/here" && says "disk $dir/here/disk was changed" && ends 0 USR1
ok "a disk with a relative name was changed: it boots"
rm "$dir/here/disk" && launch_in "$dir/here" && ends 1 && says "disk $dir/here/disk is missing"; ok "or is missing"
cp "$dir/disk" "$dir/here/disk" && launch_in "$dir/here" && says boots && ends 0 USR1 && launch_in "$dir/there" &&
    says "QEMU does not open its disk $dir/here/disk any more" && ends 0 TERM; ok "or is elsewhere: it boots"
arguments=(-hda /dev/fdset/1)
launch '' && ends 2 && says 'is a descriptor of a file that has no name'; ok "refused: a disk that has no name"
arguments=()

arguments=(-add-fd "fd=3,set=1" -add-fd "fd=5,set=2")
echo third >"$dir/3"; echo fifth >"$dir/5"
exec 3<"$dir/3" 5<"$dir/5"
launch '' && says 'descriptor 3: third' && says 'descriptor 5: fifth' && says boots && ends 0 USR1 && launch '' &&
    says 'descriptor 3: third' && says 'descriptor 5: fifth' && says 'goes on' && ends 0 TERM
ok "descriptors that pkram-qemu was started with keep their numbers"
exec 3<&- 5<&-
arguments=()

launch save-fails && says boots && ends 0 USR1 && says "Failed to save guest .*No space left" && says "off after"
ok "it cannot be saved: it is shut down"
launch '' && says "does not go on: it could not be saved: No space left" && ends 0 TERM
ok "and the next start says so"
# QEMU writes caches of disks out before it answers.
launch save-blocks=22 && says boots && ends 0 USR1 && says "Saved guest 'a' in 2" && launch '' && says 'goes on' &&
    ends 0 TERM; ok "saving takes longer than another answer may"
launch save-blocks=4 --save=1 && says boots && ends 0 USR1 && says "Failed to save guest 'a': it took too long" &&
    says 'off after 1'; ok "but it has a limit: the guest runs again, and is shut down"
launch '' && says "could not be saved: it took too long" && ends 0 TERM; ok "and the next start says so"
launch save-hangs --save=1 && says boots && ends 0 USR1 && says "it took too long" && says 'off after 1'
ok "saving hangs: it is cancelled, the guest runs again, and is shut down"
launch save-blocks=60 --save=1 --shutdown=2 && says boots && ends 0 USR1 && says "did not run again in time"
ok "it does not run again: it is switched off"

launch save-dies && says boots && ends 1 USR1 && says 'QEMU ended (signal 9 (Killed)) while it saved it'
ok "QEMU is killed while it saves"
kexec && launch '' && says "could not be saved: QEMU ended (signal 9" && ends 0 TERM; ok "and the next start says so"
launch '' && says boots && ends 0 USR1 && sed -i 's/"saved"/"saving"/' "$dir/vm/a/guest.json"
launch '' && says "it was not saved completely" && ends 0 TERM; ok "pkram-qemu was killed while it saved"
launch '' && says boots && ends 0 USR1 && echo '{' >"$dir/vm/a/guest.json"
launch '' && says "record of its state cannot be read" && ends 0 TERM; ok "a spoilt record"
launch '' && says boots && ends 0 USR1 && rm "$dir/vm/a/state"
launch '' && says "are not complete" && ends 0 TERM; ok "a file is missing"

launch stubborn --shutdown=1 && says boots && ends 0 TERM && says "did not shut down in time"
ok "a guest that does not shut down is switched off"
launch '' && says boots && kill -KILL "$(child_of "$guest")" && ends 1 && says "QEMU ended: signal 9"
ok "QEMU crashes"
[[ -z $(ls -A "$dir/vm/a") ]]; ok "of which nothing is left"

launch panics && says boots && sleep 0.5 && ends 0 USR1 && says "Saved guest 'a'" && launch panics &&
    says 'goes on' && sleep 0.5 && ends 0 TERM && says 'off after'
ok "a guest that panics with large numbers can be saved and shut down"
launch ends-slowly && says boots && sleep 0.5 && ends 0 TERM && says "Guest 'a' is off"
ok "a stop while QEMU, without its monitor, is ending"
launch hangs-up && says "Failed to read from QEMU's monitor, guest 'a' cannot be saved" && ends 1 TERM &&
    says "Failed to shut down guest 'a': QEMU's monitor is lost" && [[ -z $(ls -A "$dir/vm/a") ]]
ok "QEMU closes its monitor, and does not end: it is ended"
launch hangs-up && says "Failed to read from QEMU's monitor" && ends 1 USR1 && launch '' &&
    says "could not be saved: QEMU's monitor is lost" && ends 0 TERM; ok "nor can it be saved"

launch no-mode && ends 2 && says "cannot keep a guest's memory"; ok "refused: a QEMU without the mode"
launch blocked && ends 2 && says "a device that cannot be saved"; ok "refused: QEMU says that it cannot be saved"
launch '' --extra-max=0 && ends 2 && says "beside its RAM"; ok "refused: too much other memory"
launch start-fails && ends 1 && says "QEMU ended (exit status 1) when it was started"; ok "QEMU does not start"
[[ -z $(ls -A "$dir/vm/a") ]]; ok "of which nothing is left, too"
arguments=(-device vfio-pci)
launch '' && ends 2 && says "pinned memory"; ok "refused: pinned memory"
arguments=()
"$qemu" run a --directory="$dir" --size=64M -- "$fake" >"$dir/stdout" 2>&1; [[ $? == 2 ]] &&
    grep -q 'not on a file system of type pkram' "$dir/stdout"; ok "refused: no tree"
launch '' --size=600M && ends 2 && says 'mount it with a larger size='; ok "refused: the tree is too small"

object() {
    arguments=(-object "memory-backend-file,id=r,size=67108864,mem-path=$1,share=on" -machine memory-backend=r)
}
object "$dir/vm/a/own"
launch '' && says boots && [[ $(stat -c %a:%s "$dir/vm/a/own") == 600:67108864 ]] && ends 0 USR1 && launch '' &&
    says 'goes on' && ends 0 TERM; ok "memory in a file with a name of its own, for root only"
echo mine >"$dir/vm/a/own"
launch '' && ends 2 && says "/own' exists, and pkram-qemu did not create it" && [[ $(<"$dir/vm/a/own") == mine ]]
ok "refused: a file that is there already, which stays"
rm "$dir/vm/a/own"
launch '' && says boots && child=$(child_of "$guest") && kill -KILL "$guest" && { ends 137 || true; }
child_kill
object "$dir/vm/a/other"
launch '' && says boots && [[ ! -e $dir/vm/a/own ]] && ends 0 TERM && [[ -z $(ls -A "$dir/vm/a") ]]
ok "but one that an earlier start has left is removed"
# A list that leads elsewhere.
echo keep >"$dir/vm/keep"
echo "[\"$dir/vm/keep\",\"$dir/vm/a/../keep\"]" >"$dir/vm/a/files.json"
launch '' && says boots && ends 0 TERM && [[ -e $dir/vm/keep && -z $(ls -A "$dir/vm/a") ]]; ok "and nothing elsewhere"
rm "$dir/vm/keep"
mkdir "$dir/vm/a/sub" && object "$dir/vm/a/sub"
launch '' && ends 2 && says 'has to name a file on the tree'; ok "refused: a directory in the place of a file"
rmdir "$dir/vm/a/sub"
truncate -s 64M "$dir/elsewhere" && object "$dir/vm/a/link"
launch '' && says boots && ends 0 USR1 && mv "$dir/vm/a/link" "$dir/away" && ln -s "$dir/away" "$dir/vm/a/link" &&
    launch '' && ends 2 && says 'has to name a file on the tree'; ok "refused: a link to somewhere else"
rm -rf "$dir/vm/a" "$dir/elsewhere" "$dir/away"
arguments=()

launch '' && says boots
"$qemu" run a --directory="$dir/vm/other" --size=64M -- "$fake" >"$dir/stderr" 2>&1; [[ $? == 2 ]] &&
    grep -q 'a guest of this name runs already, in another directory' "$dir/stderr"
ok "refused: a second guest of this name"
"$qemu" run c --directory="$dir/vm/c" --size=200M -- "$fake" >"$dir/stderr" 2>&1; [[ $? == 2 ]] &&
    grep -q 'beside its other guests' "$dir/stderr"; ok "refused: what the first guest may still take"
shown() { "$ctl" --socket="$dir/socket" status | grep -q "Guest: a, "; }
shown && child=$(child_of "$guest") && kill -KILL "$guest" && { ends 137 || true; } && ! shown
ok "a guest whose pkram-qemu was killed is not shown any more"
launch '' && ends 2 && says 'runs already'; ok "nor is it started as long as its QEMU runs"
child_kill
launch '' && says boots && shown && ends 0 TERM; ok "and then it is"

# A user, whose guest has its note in a directory that a unit makes, with RuntimeDirectory=.
chmod 755 "$dir" "$dir/vm" && mkdir "$dir/vm/u" && chown daemon "$dir/vm/u"
as_user() { # launched as launch does it
    rm -f "$dir/stdout"
    (umask 077; exec setpriv --reuid=daemon --regid=daemon --clear-groups "$qemu" run u --directory="$dir/vm/u" \
        --size=64M -- "$fake") >"$dir/stdout" 2>&1 &
    guest=$!
}
status() { "$ctl" --socket="$dir/socket" status | grep -q "Guest: $1"; }
as_user && says "Guest 'u' boots" && says 'Set RuntimeDirectory=pkram/guests/u in its unit' && ! status u &&
    ends 0 TERM
ok "a guest of a user: the log says that it is not seen, and what to do"
mkdir /run/pkram/guests/u && chown daemon /run/pkram/guests/u
as_user && says "Guest 'u' boots" && ! says 'RuntimeDirectory=' && status "u, 64.0M in $dir/vm/u\$"
ok "with a directory of its own it is seen"
[[ $(stat -c %a /run/pkram/guests /run/pkram/guests/u/note.json | xargs) == '755 644' ]]
ok "pkramd, which has few capabilities, can read its note"
"$qemu" run u --directory="$dir/vm/v" --size=64M -- "$fake" >"$dir/stderr" 2>&1; [[ $? == 2 ]] &&
    grep -q 'a guest of this name runs already, in another directory' "$dir/stderr"; ok "under one name, too"
sed -i 's/"name":"u"/"name":"a"/' /run/pkram/guests/u/note.json; ! status .; ok "a note with another name is ignored"
ends 0 TERM && [[ -d /run/pkram/guests/u && ! -e /run/pkram/guests/u/note.json ]]; ok "it is gone with the guest"
mkfifo /run/pkram/guests/u/note.json && ! status .; ok "what is no file holds up nothing"
rm -r /run/pkram/guests/u "$dir/vm/u"

# hold BYTES [PROBLEM]: the note of a process on the tree that will write so much when it is saved
hold() {
    mkdir -p /run/pkram/processes
    python3 - "$dir/vm" "$@" <<'END_OF_PYTHON' &
import fcntl, json, struct, sys, time
f = open("/run/pkram/processes/held.json", "w")
fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
note = {"name": "held", "directory": sys.argv[1], "bytes": 1, "savedBytes": int(sys.argv[2])}
if len(sys.argv) > 3:
    note["problem"] = sys.argv[3]
json.dump(note, f)
f.flush()
time.sleep(1000)
END_OF_PYTHON
    holder=$!
    for _ in {1..100}; do
        [[ -s /run/pkram/processes/held.json ]] && return
        sleep 0.05
    done
}
let_go() { kill "$holder"; wait "$holder" 2>/dev/null; rm -f /run/pkram/processes/held.json; }
hold $((64 << 20))
launch '' --size=200M && ends 2 && says 'has room for 448.0M beside its other guests and processes'
ok "refused: what a process on the tree will write"
let_go
launch '' --size=200M && says boots && ends 0 TERM; ok "and started when the process has ended"
hold $((64 << 20)) 'it is traced'
launch '' --size=200M && says boots && ends 0 TERM; ok "nor does one count that cannot be saved"
let_go
start NodeBytesMax=$((400 << 20))
hold $((100 << 20))
launch '' && ends 2 && says "NodeBytesMax= .* is 400.0M, and with the guest the tree at '$dir/vm' takes up to 436.0M"
ok "refused: together they exceed a limit"
let_go
launch '' && says boots && ends 0 TERM; ok "and alone it does not"
start off
launch '' && says "This kernel has no PKRAM: the memory of the guest does not survive" && ends 0 TERM
ok "without PKRAM it boots, and says that a kexec ends it"
start denied
launch '' && says "The store cannot be used, .*: .*denies pkramd access" && ends 0 TERM
ok "and why, if the store cannot be used"
start

cat >"$dir/a.conf" <<END_OF_CONF
[Guest]
Directory=$dir/vm/b
Size=32M
Command=$fake -machine q35
Command=-smp 2
END_OF_CONF
"$qemu" run b --config="$dir/a.conf" --size=48M >"$dir/stdout" 2>&1 &
guest=$!
says "Guest 'b' boots" && [[ $(stat -c %s "$dir/vm/b/ram") == $((48 << 20)) ]]
ok "a configuration file, where options are stronger"
ends 0 TERM; ok "and it ends"
echo 'Nonsense=1' >>"$dir/a.conf"
"$qemu" run b --config="$dir/a.conf" >"$dir/stdout" 2>&1; [[ $? == 2 ]] &&
    grep -q 'line 6: there is no such setting' "$dir/stdout"; ok "a wrong one is refused"
"$qemu" run ../b -- "$fake" >"$dir/stdout" 2>&1; [[ $? == 2 ]]; ok "a wrong name is refused"
"$qemu" run nosuch >"$dir/stdout" 2>&1; [[ $? == 2 ]] && grep -q '/etc/pkram/qemu/nosuch.conf' "$dir/stdout"
ok "no configuration"
"$qemu" --help >"$dir/stdout" && "$qemu" --version | grep -q pkram-qemu; ok "help and version"

finish
