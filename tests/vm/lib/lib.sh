# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Words for the scenarios of the full guest.
#
# STAGE is the number of this boot, STATE a directory that outlives boots.

SOCKET=/run/pkram/io.pkram.Store
# Programs of the tests that the project installs.
export TESTS=/usr/lib/pkram/tests

# Marker lines go through the kernel log, so that no other line can tear them apart.
mark() { printf '<1>@@pkram %s\n' "$*" >/dev/kmsg; }

pass() { mark PASS "$1"; }

fail() {
        mark FAIL "$1: $(printf '%s' "$2" | tr '\n' ' ' | tail -c 600)"
}

# show SECTION TEXT: a line for the reader of the demo. Sections: stored, kexec, restored, checksum.
show() { mark SHOW "$*"; }

# check NAME COMMAND...: has to succeed. Its output is in $OUT.
check() {
        local name=$1 r=0
        shift
        OUT=$("$@" 2>&1) || r=$?
        [ -z "$OUT" ] || printf '%s\n' "$OUT" | tail -n 20
        if [ "$r" = 0 ]; then pass "$name"; else fail "$name" "exit status $r: $(tail -n 3 <<<"$OUT")"; fi
}

# example_text PAGE BEGINNING [PART]: print the example of a manual page (or README) that begins so; see
# lib/pkramtest/examples.py
example_text() {
        local file text
        for file in "$DIR/examples/$1"/*.1; do
                text=$(<"$file")
                if [[ ${text//$'\n'/ } == "$2"* ]]; then
                        cat "${file%.1}.${3:-1}"
                        return
                fi
        done
        fail "example of $1" "none begins with '$2'"
        return 1
}

# example PAGE BEGINNING [PART]: run it as it is printed. Its output is in $OUT.
example() {
        local text
        text=$(example_text "$@") || return
        check "example of $1: $2${3:+, part $3}" bash -e -o pipefail -c "$text"
}

# refused NAME REGEX COMMAND...: has to fail by an exit status of its own (not a signal), with one line that matches.
refused() {
        local name=$1 regex=$2 r=0
        shift 2
        OUT=$("$@" 2>&1) || r=$?
        printf '%s\n' "$OUT" | tail -n 5
        if [ "$r" = 0 ]; then
                fail "$name" "it succeeded: $OUT"
        elif [ "$r" -ge 124 ]; then
                fail "$name" "exit status $r: $OUT"
        elif ! grep -qE -- "$regex" <<<"$OUT"; then
                fail "$name" "nothing matches '$regex' in: $OUT"
        else
                pass "$name"
        fi
}

# equal NAME IS WANTED
equal() {
        if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "is '$2', not '$3'"; fi
}

# matches NAME TEXT REGEX
matches() {
        if grep -qE -- "$3" <<<"$2"; then pass "$1"; else fail "$1" "nothing matches '$3' in: $2"; fi
}

# sha NAME < DATA: remember the checksum under that name. same NAME < DATA: compare with it. came_back NAME SUM:
# compare a checksum that was made in the background.
sha() { sha256sum | cut -d' ' -f1 | tee "$STATE/sha-$1"; }
same() { came_back "$1" "$(sha256sum)"; }
came_back() {
        local is=${2%% *} wanted
        wanted=$(cat "$STATE/sha-$1" 2>/dev/null)
        show checksum "$(printf '%-8s boot %s  stored    %s' "$1" "$STAGE" "${wanted:-nothing}")"
        show checksum "$(printf '%-8s boot %s  came back %s' "$1" "$STAGE" "$is")"
        # The checksum of nothing would match that of nothing.
        if [ "$is" = e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ]; then
                fail "SHA-256 of $1" "there is no data"
        elif [ -n "$wanted" ] && [ "$is" = "$wanted" ]; then
                pass "SHA-256 of $1"
        else
                fail "SHA-256 of $1" "$is, stored was $wanted"
        fi
}

# make_files DIRECTORY NUMBER EACH: files with contents of their own, EACH of them in a directory of its own
make_files() { python3 - "$@" <<'END'
import os, sys
os.chdir(sys.argv[1])
each = int(sys.argv[3])
for n in range(int(sys.argv[2])):
    if n % each == 0:
        os.mkdir(f"d{n // each}")
    with open(f"d{n // each}/f{n}", "wb") as f:
        f.write(b"%d;" % n * (n % 50))
END
}

# sum_files DIRECTORY: checksums of every name and every byte below it
sum_files() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 cat | sha256sum && find . | sort | sha256sum); }

# keeper_unit MIB [LINE...]: write keeper.service, which keeps so much memory in a memfd; the lines are for [Unit]
keeper_unit() {
        {
                printf '%s\n' '[Unit]' "${@:2}"
                cat <<END
[Service]
Type=notify
ExecStart=$TESTS/keeper service-state $1
[Install]
WantedBy=multi-user.target
END
        } >/etc/systemd/system/keeper.service
}

# field NAME JSON: one top-level field of a JSON object
field() { python3 -c 'import json,sys; v=json.loads(sys.argv[2]).get(sys.argv[1]); print("" if v is None else v)' \
    "$1" "$2"; }

# call METHOD [PARAMETERS]: a method of io.pkram.Store as Debian's varlinkctl calls it; the answer is one line.
call() { timeout 60 varlinkctl --json=short call "$SOCKET" "io.pkram.Store.$1" "${2:-"{}"}"; }

# status_field NAME, check_field NAME: of the answers of GetStatus and CheckKexec
status_field() { field "$1" "$(call GetStatus)"; }
check_field() { field "$1" "$(call CheckKexec)"; }

# inline_data JSON: what Retrieve gave inline as the first object
inline_data() { python3 -c \
    'import base64, json, sys; sys.stdout.buffer.write(base64.b64decode(json.loads(sys.argv[1])["objects"][0]["data"]))' "$1"; }

# entries MESSAGE-ID-NAME [MATCH...]: journal entries of this boot as one JSON object a line
declare -A ID=(
        [STORED]=9a4c4d2b5f1e4c0c8f7d3a6e1b205d71 [SEALED]=3f0b7f5de26a4a0d9c1d74be5c6a9e12
        [RESTORED]=5d8e1f0a7c934b7b8a42e6d90c3f1b86 [DROPPED]=c1a7e3942f5b4e68b0d95c7f2a8e4613
        [REFUSED]=e07b95c3d1484f2fa6c83b5e9d2f7a04 [LOST]=7b2d6c8e0f914a35b9e4d1c7a3f58206
        [REPLAYED]=eb1845ad5db0decf0e90d693b5ec0400 [UP]=57159849e5f6fb4420dcf6876938c438
        [CRASHED]=5962413383663f596c7207dbb4ea7f96 [PERSISTED]=f0351152de7faaa2867aecb6db0f2d6f
)
entries() {
        local id=${ID[$1]}
        shift
        journalctl --sync >/dev/null 2>&1
        journalctl -q -b -o json "MESSAGE_ID=$id" "$@"
}

# remember_boot, then another_kernel [NAME] in the next one: a second kernel has to be at work, not the first one
# still.
remember_boot() { cat /proc/sys/kernel/random/boot_id >"$STATE/boot"; }
another_kernel() {
        if [ "$(cat /proc/sys/kernel/random/boot_id)" != "$(cat "$STATE/boot")" ]; then
                pass "${1:-another kernel runs}"
        else
                fail "${1:-another kernel runs}" "it is the same boot"
        fi
}

# one_param [NAME]: this kernel was given pkram= once, and it was the right one.
one_param() {
        equal "${1:-pkram=}" "$(journalctl -q -b -k -o cat -g '^Command line: ' | tr ' ' '\n' | grep 'pkram=' |
            sed 's/=0x0*/=/' | tr '\n' ' ')" "pkram=$(cat /sys/kernel/pkram) "
}

# refused_entries: how many kexecs the journal says were refused in this boot
refused_entries() { entries REFUSED | wc -l; }

# wait_for_report: until the unit that runs beside a scenario in each boot and completes the report has done so
wait_for_report() {
        for _ in $(seq 60); do
                [ "$(systemctl is-active pkram-report.service)" = active ] && return
                sleep 1
        done
        fail "pkram-report.service" "$(systemctl status pkram-report.service)"
}

# clean_boot: no unit failed
clean_boot() { equal "no unit failed" "$(systemctl --failed --no-legend --plain)" ""; }

# next_boot: wait to be stopped by the shutdown that was requested. A shutdown that does not come is a failure.
next_boot() {
        sleep 120
        fail "stage $STAGE" "the next boot was asked for, but did not come"
        finish
}

# kexec_now [OPTION...]: the way an administrator does it
kexec_now() {
        local out kernel=/boot/vmlinuz-pkram initrd=
        # Debian's own kernel needs one.
        [ ! -e "$DIR/initrd" ] || kernel=$DIR/bzImage initrd=$DIR/initrd
        if ! out=$(pkramctl kexec --kernel="$kernel" --initrd="$initrd" --reuse-cmdline "$@" 2>&1); then
                fail "pkramctl kexec" "$out"
                finish
        fi
        printf '%s\n' "$out"
        next_boot
}

finish() {
        sync
        journalctl --sync >/dev/null 2>&1
        sleep 1
        mark DONE
        systemctl poweroff --force --force
        sleep 60
}
