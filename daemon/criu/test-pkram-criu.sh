#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# pkram-criu with a program in the place of CRIU, on a tree of pkramd over a model of the kernel, in namespaces of
# their own. Speaks TAP. Usage: test-pkram-criu.sh PKRAM-CRIU MOUNT.PKRAM UMOUNT.PKRAM PKRAMCTL PKRAMD-MOCK
set -u
if [[ ${6-} != inside ]]; then
    if ! unshare --mount --pid --fork --propagation private true 2>/dev/null || ((EUID != 0)); then
        echo "1..0 # SKIP needs to be root and allowed to make namespaces"
        exit 0
    fi
    # nohup ignores the signal, and bash does not trap what was ignored when it began.
    exec env --default-signal=HUP unshare --mount --propagation private "$BASH" "$0" "$@" inside
fi

criu=$(realpath "$1") mount=$(realpath "$2") umount=$(realpath "$3") ctl=$(realpath "$4") mock=$(realpath "$5")
here=$(realpath "$(dirname "$0")")
program=$here/counting-program.sh
mount -t tmpfs none /run || exit 1
dir=$(mktemp -d)
# The user of the program reaches the files.
chmod 755 "$dir"
# shellcheck source=daemon/tools/test-tap.sh
. "$here/../tools/test-tap.sh"
clean_up() { stop; manager_stop; umount -l "$dir/tree" 2>/dev/null; rm -rf --one-file-system "$dir"; }
mkdir -p "$dir/tree" "$dir/bin" "$dir/counts" /run/pkram
chmod 777 "$dir/counts"
ln -s "$here/fake-criu.py" "$dir/bin/criu"
export PATH=$dir/bin:$PATH COUNT=$dir/counts/count

tree() { "$mount" criu "$dir/tree" -o "rw,size=64m,pkram.socket=$dir/socket" >/dev/null 2>&1; }
# Goes through the store, as in a kexec.
kexec() { "$umount" "$dir/tree" >"$dir/stdout" 2>&1 && tree; }

launcher='' guest='' options=()
child_of() { tr -d ' ' 2>/dev/null <"/proc/$1/task/$1/children"; } 2>/dev/null
# launch WORDS-FOR-FAKE [OPTION...]: in the background, as process 1 of a PID namespace
launch() {
    # One that a failed test has left.
    [[ $launcher ]] && kill -KILL "$guest" 2>/dev/null && wait "$launcher"
    rm -f "$dir/stdout"
    FAKE=$1 unshare --pid --fork --mount-proc "$criu" run a --directory="$dir/tree/a" "${options[@]}" "${@:2}" -- \
        "$program" >"$dir/stdout" 2>&1 &
    launcher=$!
    guest=
    for _ in {1..100}; do
        guest=$(child_of "$launcher")
        [[ $guest ]] && return 0
        kill -0 "$launcher" 2>/dev/null || return 0
        sleep 0.02
    done
}
says() { writes "$launcher" 200 "$1"; }
# ends STATUS|any [SIGNAL]: unshare of Debian 12 has a status of its own for a signal
ends() {
    [[ ${2-} ]] && kill -"$2" "$guest"
    wait "$launcher"
    local got=$?
    launcher=''
    [[ $1 == any ]] || ((got == $1)) || { echo "# status $got, not $1"; return 1; }
}
count() { cat "$COUNT" 2>/dev/null; }
# Until it has counted on: what a test wants to see again afterwards is never the beginning.
counted() {
    local before
    before=$(count)
    for _ in {1..100}; do
        (($(count) > before + 2)) && return
        sleep 0.05
    done
    return 1
}
note() { grep -q -e "$1" /run/pkram/processes/a.json 2>/dev/null; }
phase() { grep -q "\"phase\":\"$1\"" "$dir/tree/a/process.json" 2>/dev/null; }
empty() { [[ -z $(ls -A "$dir/tree/a") ]]; }
# saved WORDS: a process is started, saved, and begins to be started again
saved() {
    launch '' && says 'counts from 0' && counted && ends 0 USR1 && reached=$(count) && echo 0 >"$COUNT" && launch "$@"
}
again() { says "started again and does not continue: $1" && says 'counts from 0'; }

start
tree
launch '' && says "Process 'a' is started: it was not saved" && says 'counts from 0 as root in /, process 301'
ok "without images the program is started, beyond the process IDs of CRIU"
[[ $(stat -c %a "$dir/tree/a") == 700 ]]; ok "its directory is for root only"
note '"resumed":false' && "$ctl" --socket="$dir/socket" status | grep -q "Process: a, .* in $dir/tree/a$"
ok "pkramctl status shows it"
"$ctl" --socket="$dir/socket" check | grep -q '^1 process will be saved on the way: a$'; ok "and pkramctl check"
unshare --pid --fork "$criu" run a --directory="$dir/tree/a" -- "$program" >"$dir/stderr" 2>&1; [[ $? == 2 ]] &&
    grep -q 'runs already' "$dir/stderr" && rm "$dir/stderr"; ok "it runs once only"
unshare --pid --fork "$criu" run a --directory="$dir/tree/other" -- "$program" >"$dir/stderr" 2>&1; [[ $? == 2 ]] &&
    grep -q 'a process of this name runs already, in another directory' "$dir/stderr" && rm "$dir/stderr"
ok "and once under its name"
kill -HUP "$guest" && says 'asked to reload'; ok "signals that reload are passed on"
counted; ends 0 USR1 && says "Saved process 'a'" && phase saved && [[ ! -e /run/pkram/processes/a.json ]]
ok "it is saved"
[[ $(od -An -tx1 -j32 -N10 "$dir/tree/a/images/files.img" | tr -d ' ') == 28013001380040014800 ]]
ok "with a periodic timer that expires once more"
reached=$(count)
kexec && phase saved; ok "and is in the store and back"
launch '' && says "Process 'a' continues; it stood still for" && says "counts from $reached as root"; ok "it continues"
says 'counts.*process 301'; ok "with the same process ID, and its output is ours"
note '"resumed":true' && empty; ok "its images are gone"
counted && ends 0 USR1 && reached=$(count) && launch '' && says "counts from $reached" ; ok "it is saved again"
counted && ends 0 TERM && says 'ended after' && says "Process 'a' has ended" && empty
ok "a stop without a kexec ends the program, and nothing is left"

# What a stop is for, as the service manager says.
manager none
launch '' && says 'counts from' && ends 0 TERM && says 'ended after' && empty
ok "a stop by hand: the program is ended"
manager kexec.target
launch '' && says 'counts from' && counted && ends 0 TERM && says "Saved process 'a'"; ok "a kexec: it is saved"
manager silent:kexec.target 1.5
launch '' && says continues && counted && ends 0 TERM && says "Saved process 'a'" && ! says 'Failed to ask'
ok "the service manager answers later"
manager silent
launch '' --save=6 && says continues && counted && ends 0 TERM && reached=$(count) &&
    says 'Failed to ask the service manager .*, saving process' && says "Saved process 'a'"; ok "or never: it is saved"
manager none
launch '' && says "counts from $reached" && ends 0 TERM && says 'ended after' && empty
ok "and continues in the same boot"
manager_stop

launch '' && says 'counts from' && "$criu" stop "$guest" && grep -q "Process 'a' has ended" "$dir/stdout" && ends 0
ok "pkram-criu stops another one, and waits for it"
"$criu" stop && "$criu" stop '' && "$criu" stop "$guest"; ok "or does nothing if it has ended"
for wrong in 0 1 -1 x 12x 99999999999; do
    "$criu" stop "$wrong" 2>"$dir/stderr"; [[ $? == 2 ]] && grep -q 'Invalid process ID' "$dir/stderr" || break
done
[[ $wrong == 99999999999 ]]; ok "or refuses what is no process ID"
rm "$dir/stderr"

# Images that cannot be used.
saved restore-fails && again 'CRIU cannot restore it: File srv/log has bad size 5 (expect 4)\.$' && ends 0 TERM
ok "CRIU cannot restore it: the program is started again, with the reason of CRIU"
saved restore-silent && again 'CRIU cannot restore it: CRIU failed (exit status 3)' && ends 0 TERM
ok "nor does it say why"
saved restore-dies && again 'CRIU cannot restore it: CRIU was ended by signal 9 (Killed)' && ends 0 TERM
ok "CRIU dies"
saved restore-lies && again 'CRIU cannot restore it: CRIU reported success, but it is not there' && ends 0 TERM
ok "CRIU restores nothing"
saved restore-half && again 'CRIU cannot restore it: CRIU failed (exit status 3)' &&
    [[ $(grep -c 'counts from' "$dir/stdout") -le 2 ]] && counted && ends 0 TERM
ok "CRIU fails when a process is there already: that one is gone"
options=(--environment=EXTRA=this)
saved '' --environment=EXTRA=that &&
    again "its configuration is not the one that it was saved with: 'Environment=EXTRA=that' was" &&
    ends 0 TERM; ok "another configuration"
options=()
launch '' && says 'counts from 0' && counted && ends 0 USR1 && rm "$dir/tree/a/images/pages-1.img" && launch '' &&
    again 'its images are not complete' && ends 0 TERM; ok "an image is missing"
launch '' && says 'counts from 0' && counted && ends 0 USR1 && truncate -s 10 "$dir/tree/a/images/pages-1.img" &&
    launch '' && again 'its images are not complete' && ends 0 TERM; ok "an image is too short"
launch '' && says 'counts from 0' && counted && ends 0 USR1 && rm -r "$dir/tree/a/images" && launch '' &&
    again 'its images are not complete' && ends 0 TERM; ok "all images are missing"
launch '' && says 'counts from 0' && counted && ends 0 USR1 && chown daemon "$dir/tree/a/images/core.img" &&
    launch '' && again 'other users can change its images' && ends 0 TERM; ok "an image of another owner"
launch '' && says 'counts from 0' && counted && ends 0 USR1 && chmod 777 "$dir/tree/a/images" && launch '' &&
    again 'other users can change its images' && ends 0 TERM; ok "images that others can write"
launch '' && says 'counts from 0' && counted && ends 0 USR1 &&
    mv "$dir/tree/a/images/core.img" "$dir/core" && ln -s "$dir/core" "$dir/tree/a/images/core.img" &&
    launch '' && again 'its images are not complete' && ends 0 TERM; ok "a link in the place of an image"
launch '' && says 'counts from 0' && counted && ends 0 USR1 && chown daemon "$dir/tree/a/process.json" &&
    launch '' && again 'other users can change the record' && ends 0 TERM; ok "a record of another owner"
launch '' && says 'counts from 0' && counted && ends 0 USR1 && echo '{' >"$dir/tree/a/process.json" && launch '' &&
    again 'the record of its state cannot be read' && ends 0 TERM; ok "a spoilt record"
launch '' && says 'counts from 0' && counted && ends 0 USR1 && cp -a "$dir/tree/a" "$dir/copy" && launch '' &&
    says 'continues' && ends 0 TERM && launch '' && says 'it was not saved' && ends 0 TERM
ok "images are not used twice"

# Saving fails.
launch dump-fails && says 'counts from 0' && ends 0 USR1 &&
    says "Failed to save process 'a': Can't dump half of stream unix connection" && says 'ended after' && phase failed
ok "CRIU cannot save it: the program is ended in an orderly way"
kexec && launch '' && again "it could not be saved: Can't dump half" && ends 0 TERM && empty
ok "and the next start says so"
launch dump-silent && says 'counts from 0' && ends 0 USR1 && says 'CRIU failed (exit status 3)' && says 'ended after'
ok "nor does it say why"
launch '' && again 'it could not be saved: CRIU failed' && ends 0 TERM; ok "and the next start says so, too"
launch dump-damages && says 'counts from 0' && ends 1 USR1 && says "Can't cure the parasite" && phase failed
ok "CRIU fails, and the program is gone"
launch dump-lingers && says 'counts from 0' && ends 1 USR1 && says "Can't cure the parasite" && phase failed
ok "or ends a moment later"
launch dump-dies && says "it could not be saved: Can't cure" && says 'counts from 0' && ends 1 USR1 &&
    says 'CRIU was ended by signal 9' && ! says 'ended after'
ok "CRIU dies while it saves: what it has left is not run on"
launch dump-hangs --save=1 && says 'could not be saved: CRIU was ended' && says 'counts from 0' && ends 1 USR1 &&
    says "Failed to save process 'a': it took too long"; ok "CRIU hangs while it saves"
launch dump-late --save=1 && says 'could not be saved: it took too long' && says 'counts from 0' && ends 1 USR1 &&
    says "it took too long" && [[ ! -e $dir/tree/a/images ]]; ok "or after it has saved: that counts as failed"
launch '' && again 'it could not be saved: it took too long' && ends 0 TERM; ok "and the next start says so"

# pkram-criu is killed.
launch '' && says 'counts from 0' && ends any KILL && ! "$ctl" --socket="$dir/socket" status | grep -q Process: &&
    launch '' && says 'it was not saved' && ends 0 TERM
ok "killed while the program runs"
launch dump-hangs && says 'counts from 0' && kill -USR1 "$guest" && for _ in {1..100}; do
    phase saving && break
    sleep 0.05
done
phase saving && ends any KILL && launch '' && again 'it was not saved completely' && ends 0 TERM
ok "killed while it is saved"
launch dump-late && says 'counts from 0' && kill -USR1 "$guest" && for _ in {1..100}; do
    [[ -e $dir/tree/a/images/pages-1.img ]] && break
    sleep 0.05
done
phase saving && ends any KILL && launch '' && again 'it was not saved completely' && ends 0 TERM
ok "killed when images are there, but not recorded"
saved restore-hangs && for _ in {1..100}; do
    phase restoring && break
    sleep 0.05
done
phase restoring && ends any KILL && launch '' && again 'an earlier start did not finish restoring it' && ends 0 TERM
ok "killed before it is restored"
saved restore-late && counted && (($(count) > reached)) && phase restoring && ends any KILL && launch '' &&
    again 'an earlier start did not finish restoring it' && ends 0 TERM
ok "killed when it is restored, but not recorded: images are not used twice"

# Programs.
options=(--stop=1)
PROGRAM=stubborn launch '' && says 'counts from 0' && ends 0 TERM && says 'did not end in time'
ok "a program that does not end is killed"
options=()
PROGRAM=ends launch '' && ends 0 && says "Process 'a' has ended" && empty; ok "a program ends"
PROGRAM=crashes launch '' && ends 1 && says "Process 'a' ended: exit status 3" && empty; ok "a program fails"
PROGRAM=daemon launch '' && says 'A kexec would lose process .*sleep ([0-9]*): it is no child of the program' &&
    note '"problem":' && "$ctl" --socket="$dir/socket" status | grep -q 'a, .*; cannot be saved: sleep' &&
    "$ctl" --socket="$dir/socket" check | grep -q "^1 process cannot be saved, see 'pkramctl status': a$"
ok "a process that cannot be saved: the log, pkramctl status and check say so beforehand"
ends 0 USR1 && says "Failed to save process 'a': sleep" && says 'ended after' && launch '' &&
    again 'it could not be saved: sleep' && ends 0 TERM; ok "it is not saved, and the next start says so"
options=(--user=daemon --working-directory=/tmp --environment='EXTRA="a b"')
NOTIFY_SOCKET=/nosuch launch '' && says 'counts from 0 as daemon in /tmp with a b, process' && ends 0 TERM
ok "user, directory and environment of the program"
options=(--user=nosuch)
launch '' && ends 1 && says "Failed to find user 'nosuch'"; ok "a user that there is not"
options=()

# What is refused before the program is started.
launch check-fails && ends 2 && says "Refusing to start 'a': CRIU could not save it: Kernel lacks a feature" && empty
ok "refused: CRIU cannot work on this kernel"
rm "$dir/bin/criu"
launch '' && ends 2 && says "there is no program 'criu'"; ok "refused: no CRIU"
ln -s "$here/fake-criu.py" "$dir/bin/criu"
"$criu" run a --directory="$dir/tree/a" -- "$program" >"$dir/stdout" 2>&1; [[ $? == 2 ]] &&
    grep -q 'PrivatePIDs=yes' "$dir/stdout"; ok "refused: no PID namespace"
options=(--directory="$dir/elsewhere")
launch '' && ends 2 && says 'not on a file system of type pkram'; ok "refused: no tree"
options=()
chown daemon "$dir/tree/a" && launch '' && ends 2 && says "other users can write to '$dir/tree/a'"
ok "refused: a directory of another user"
chown root "$dir/tree/a" && chmod 770 "$dir/tree/a" && launch '' && ends 2 && says 'other users can write'
ok "refused: a directory that others can write to"
chmod 700 "$dir/tree/a"

cat >"$dir/a.conf" <<END_OF_CONF
[Process]
Directory=$dir/tree/b
Environment=EXTRA=1 OTHER=2
Command=$program
END_OF_CONF
FAKE='' unshare --pid --fork --mount-proc "$criu" run b --config="$dir/a.conf" --environment=EXTRA=3 >"$dir/stdout" \
    2>&1 &
launcher=$!
says "Process 'b' is started" && says 'with 3' && guest=$(child_of "$launcher") &&
    ends 0 TERM; ok "a configuration file, where options are stronger"
echo 'Nonsense=1' >>"$dir/a.conf"
"$criu" run b --config="$dir/a.conf" >"$dir/stdout" 2>&1; [[ $? == 2 ]] &&
    grep -q 'line 5: there is no such setting' "$dir/stdout"; ok "a wrong one is refused"
"$criu" run ../b -- "$program" >"$dir/stdout" 2>&1; [[ $? == 2 ]]; ok "a wrong name is refused"
"$criu" run nosuch >"$dir/stdout" 2>&1; [[ $? == 2 ]] && grep -q '/etc/pkram/criu/nosuch.conf' "$dir/stdout"
ok "no configuration"
"$criu" --help >"$dir/stdout" && "$criu" --version | grep -q pkram-criu; ok "help and version"

finish
