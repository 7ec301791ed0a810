#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# pkramctl against pkramd over a model of the kernel: what comes out, and each exit status. Speaks TAP.
# Usage: test-pkramctl.sh PKRAMCTL PKRAMD-MOCK
set -u
ctl=$(realpath "$1") mock=$(realpath "$2") here=$(realpath "$(dirname "$0")")
dir=$(mktemp -d)
# shellcheck source=daemon/tools/test-tap.sh
. "$here/../tools/test-tap.sh"
clean_up() { stop; rm -rf "$dir"; }

run() { # STATUS ARGS...: runs pkramctl, keeps what it says, compares the status
    local want=$1
    shift
    "$ctl" --socket="$dir/socket" "$@" >"$dir/stdout" 2>"$dir/stderr"
    local got=$?
    ((got == want)) || { echo "# status $got, not $want"; return 1; }
    # Errors are one line on standard error that begins with the name of the program.
    if ((want != 0 && want != 2)) && [[ $1 != check ]]; then
        (($(wc -l <"$dir/stderr") == 1)) && grep -q '^pkramctl: ' "$dir/stderr"
    fi
}

fake_pkramd() { # REPLY...: answers a connection with each of them, in the place of a daemon that was stopped. A form
    # feed separates the replies to several calls of a connection, a vertical tab those to one call.
    rm -f socket
    timeout 60 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
for reply in sys.argv[2:]:
    c = s.accept()[0]
    for part in reply.split("\f"):
        c.recv(65536)
        c.sendall(part.replace("\v", "\0").encode() + b"\0")' "$dir/socket" "$@" &
    for _ in {1..100}; do [[ -S $dir/socket ]] && break; sleep 0.05; done
}

says() { grep -qF -- "$1" "$dir/stdout" "$dir/stderr"; }

cd "$dir" || exit 1
head -c 300000 /dev/urandom >a
truncate -s 3M b
printf end >>b
chmod 4750 a
touch -d '2001-02-03 04:05:06' b

start
run 0 status && says 'supported by this kernel'; ok status
run 0 list && says '0 nodes.'; ok "list of nothing"
run 0 check && says 'othing'; ok "check with nothing stored"
run 0 check --reboot && says 'a reboot loses nothing'; ok "check --reboot with nothing stored"
run 0 store files a b && says '2 objects'; ok "store files"
run 11 check && says 'A kexec would lose'; ok "check: it would"
run 4 store files a && says -- '--replace'; ok "store a name that is taken"
run 0 store files a b --replace; ok "store --replace"
run 0 show files && says 'CHECKSUM' && says '4750'; ok show
run 0 retrieve files out && cmp a out/a && cmp b out/b; ok "retrieve writes what was stored"
run 0 show files; ok "retrieve keeps the node"
run 13 retrieve files out && says "'out/a' already exists"; ok "status 13: retrieve does not overwrite"
rm out/a && echo mine >out/b && run 13 retrieve files out && [[ $(cat out/b) == mine && ! -e out/a ]]
ok "nor writes anything then"
run 13 retrieve files out --release && run 0 show files; ok "and keeps the node with --release, too"
run 0 retrieve files out --force --release && cmp a out/a && cmp b out/b; ok "retrieve --force replaces files"
[[ $(stat -c '%a %s %Y' out/a out/b) == $(stat -c '%a %s %Y' a b) ]]; ok "retrieve keeps modes and times"
(($(stat -c %b out/b) * 512 < 1000000)); ok "retrieve keeps holes"
[[ -z $(find out -name '.pkramctl*') ]]; ok "retrieve leaves nothing else"
run 3 show files && says "Node 'files' not found"; ok "retrieve --release releases the node"

# Files keep what permits and describes access. Without their ACL, its mask would be the permissions of the group.
cat >attributes.py <<'END'
import os, struct, sys
def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)
access = acl((1, 6, -1), (2, 4, 33), (4, 0, -1), (0x10, 4, -1), (0x20, 0, -1))
if sys.argv[1] == "set":
    os.chmod(sys.argv[2], 0o600)
    os.setxattr(sys.argv[2], "system.posix_acl_access", access)
    for name, value in ("user.origin", b"a\0b"), ("user.empty", b""), ("trusted.t", b"t"):
        os.setxattr(sys.argv[2], name, value)
elif sys.argv[1] == "inherit":
    wide = acl((1, 7, -1), (2, 7, 33), (4, 7, -1), (0x10, 7, -1), (0x20, 0, -1))
    os.setxattr(sys.argv[2], "system.posix_acl_default", wide)
elif sys.argv[1] == "show":
    s = os.stat(sys.argv[2])
    names = sorted(os.listxattr(sys.argv[2]))
    print(oct(s.st_mode), s.st_uid, s.st_gid, {n: os.getxattr(sys.argv[2], n) for n in names})
elif sys.argv[1] == "capability":
    os.setxattr(sys.argv[2], "security.capability", bytes.fromhex("01000002" + "00200000" + "00" * 12))
END
same() { [[ $(python3 attributes.py show "$1") == "$(python3 attributes.py show "$2")" ]]; }
# A memfd has user.* since Linux 6.6, and only root sets trusted.*.
memfd_xattrs="import os; os.setxattr(os.memfd_create('x'), 'user.x', b'x')"
echo secret >key
if python3 attributes.py set key 2>/dev/null && python3 -c "$memfd_xattrs" 2>/dev/null; then
    chmod 0640 key && chattr +d key 2>/dev/null
    run 0 store key key && run 0 retrieve key kept && same key kept/key && [[ $(stat -c %a kept/key) == 640 ]] &&
        [[ $(lsattr key | cut -c -20) == "$(lsattr kept/key | cut -c -20)" ]]
    ok "store and retrieve keep ACLs, extended attributes and inode flags"
    mkdir heir && python3 attributes.py inherit heir && run 0 retrieve key heir && same key heir/key
    ok "also in a directory with a default ACL"
    run 0 store plain b && run 0 retrieve plain heir && same b heir/b; ok "which files without an ACL do not inherit"
    printf x | run 0 store bytes && run 0 retrieve bytes heir && [[ $(stat -c %a heir/stdin) == 600 ]] &&
        ! python3 attributes.py show heir/stdin | grep -q acl; ok "nor does standard input"
    run 0 store bare - <key && run 0 retrieve bare kept && python3 attributes.py show kept/stdin | grep -q '{}'
    ok "standard input has no attributes"
    cp b able && python3 attributes.py capability able && run 8 store able able && says security.capability
    ok "status 8: a capability is not dropped silently"
    if cp b log && chattr +a log 2>/dev/null; then
        run 8 store log log && says 'append-only'; ok "status 8: nor is the flag of an append-only file"
        chattr -a log
    fi
    if mkdir ram && unshare --mount --propagation private mount -t ramfs none ram 2>/dev/null; then
        # ramfs has no ACLs.
        unshare --mount --propagation private bash -c 'mount -t ramfs none ram && "$@"; r=$?; ls -A ram; exit $r' - \
            "$ctl" --socket="$dir/socket" retrieve key ram --release >stdout 2>stderr
        (($? == 13)) && says "Failed to set the ACL and extended attributes of 'ram/key'" && [[ ! -s stdout ]] &&
            run 0 show key; ok "status 13: without ACLs nothing is written, and the node remains"
        unshare --mount --propagation private bash -c 'mount -t ramfs none ram && "$@" && ls -A ram' - \
            "$ctl" --socket="$dir/socket" retrieve plain ram >stdout 2>stderr && [[ $(cat stdout) == b ]]
        ok "a file that needs none is written"
    fi
    run 0 remove key plain bytes bare; ok "nothing else is left"
fi

run 0 store name b && ln -s /nonexistent out/link && run 0 store name --replace --object=link <a &&
    run 13 retrieve name out &&
    [[ -L out/link ]]; ok "retrieve does not replace a link either"
run 0 remove name; ok "remove"
run 0 store lost a && run 0 release lost && run 3 show lost && run 0 help && says 'not retrieved are lost'
ok "release does not ask whether a node was retrieved, and the help says so"

run 0 store input --verify <a; ok "store standard input"
run 1 check --reboot && says 'cannot tell'; ok "check --reboot needs a view that this pkramd does not have"
run 0 store important --persist=7 <a && run 0 show important && says 'Importance: 7' && run 0 remove important
ok "store --persist"
run 0 store never --persist=0 <a && run 0 show never && says 'Importance: 0' && run 0 remove never
ok "store --persist=0"
run 2 store important --persist=101 <a && says 'from 0 to 100'; ok "store --persist out of range"
run 0 retrieve input - --keep && cmp a "$dir/stdout"; ok "retrieve to standard output"
run 0 show input && says stdin && says xxh3-128; ok "--keep keeps"
head -c 5000 /dev/zero | run 0 store piped --object=zeroes - && run 0 show piped && says zeroes
ok "store - with a name of its own"
[[ ! -s $dir/err ]]; ok "no progress bar when piped"

run 0 list --json=short && python3 -c '
import json, sys
l = json.load(open(sys.argv[1]))
assert [n["name"] for n in l] == ["input", "piped"], l
' "$dir/stdout"; ok "list --json=short"
for verb in status "show input" check; do
    # shellcheck disable=SC2086
    "$ctl" --socket="$dir/socket" --json=pretty $verb >"$dir/stdout" 2>"$dir/stderr"
    python3 -m json.tool "$dir/stdout" >/dev/null; ok "$verb --json=pretty"
done
run 0 list 'in*' nothing && says input && ! says piped && says '1 node.'; ok "list PATTERN"
run 0 list 'x*' && says '0 nodes.'; ok "list of no match"
run 2 list --owner=nope && says "Invalid owner 'nope'"; ok "status 2: no owner"
run 0 list -q --sort=-name && [[ $(cat "$dir/stdout") == $'piped\ninput' ]]; ok "list -q --sort"
run 0 list --bytes && says 300000 && says 5000; ok "list --bytes"
run 0 show --bytes input piped && says 300000 && says 5000 && says zeroes; ok "show several"
run 3 show input nope piped && says zeroes; ok "show shows what there is"
run 0 remove -n input && says "Would remove node 'input'" && run 0 show input; ok "remove --dry-run"
run 0 list -j && [[ $(wc -l <"$dir/stdout") == 1 ]] && says '"name":"input"'; ok "list -j"
run 0 check -q || [[ ! -s $dir/stdout ]]; ok "check --quiet"
run 0 list --no-legend && (($(wc -l <"$dir/stdout") == 2)); ok "list --no-legend"
COLUMNS=50 run 0 list && (($(wc -L <"$dir/stdout") <= 62)); ok "list fits the terminal"

# An option that a command does not take is an error, not ignored.
declare -A takes=(
    [status]='json' [list]='json owner sort bytes' [show]='json owner bytes'
    [store]='json owner replace verify persist object tree skip-special sysv'
    [retrieve]='json owner release keep force tree sysv' [release]='owner dry-run bytes' [remove]='owner dry-run bytes'
    [monitor]='json' [analyze]='json' [metrics]='' [check]='json reboot' [help]=''
    [kexec]='dry-run kernel boot-loader-entry initrd append reuse-cmdline fast force no-reboot when check-inhibitors'
)
for verb in "${!takes[@]}"; do
    failed=
    for option in json=short owner=root dry-run sort=name bytes replace persist object=x tree sysv release keep force \
        reboot no-reboot when=show initrd=; do
        [[ " ${takes[$verb]} " == *" ${option%%=*} "* ]] ||
            { run 2 "$verb" "--$option" x && says "Command '$verb' does not take --${option%%=*}."; } ||
            failed+=" $option"
    done
    [[ ! $failed ]] || echo "# taken by $verb:$failed"
    [[ ! $failed ]]; ok "options that $verb does not take"
done
run 2 --owner=root && says "Command 'status' does not take --owner."; ok "nor does the default command take --owner="
run 2 -n retrieve input --release && says "does not take --dry-run" && run 0 show input; ok "a short one comes first"
run 0 metrics --json=off && run 0 remove -n --json=off -q --no-pager --no-legend input; ok "--json=off is for all"
for option in owner=root replace verify persist object=x tree skip-special; do
    run 2 store --sysv "--$option" 0x1 && says "--sysv and --${option%%=*} may not be combined."
    ok "status 2: store --sysv --$option"
done
for option in owner=root keep force tree json=short; do
    run 2 retrieve --sysv "--$option" 0x1 && says "--sysv and --${option%%=*} may not be combined."
    ok "status 2: retrieve --sysv --$option"
done
run 2 retrieve input - -j && says '--json= may not be combined' && run 0 show input; ok "status 2: JSON among contents"
run 2 store named a --object=b && says 'not stored' && run 2 store named . --object=b && run 3 show named
ok "status 2: --object= for a file"
run 0 remove -n --bytes input && says '300000.'; ok "remove --dry-run --bytes"

# Output that cannot be written is an error, in each format. stdio forgets the failure of an earlier flush.
for format in off short pretty; do
    for words in status list "show input" "store spare a --replace" check "remove -n input" metrics monitor --help \
        --version help "kexec --boot-loader-entry=help"; do
        if [[ $words == kexec* ]]; then
            mkdir -p some/boot/EFI/Linux && : >some/boot/EFI/Linux/test.efi
        fi
        # The first event has no line of text, and some commands have no JSON.
        case $format:$words in
            off:monitor|[sp]*:remove*|[sp]*:metrics|[sp]*:help|[sp]*:kexec*) continue;;
        esac
        want=1
        [[ $words != check ]] || want=11
        # shellcheck disable=SC2086
        PKRAM_BOOT_ROOT=$dir/some timeout 20 "$ctl" --socket="$dir/socket" --json=$format $words \
            >/dev/full 2>"$dir/stderr" </dev/null
        (($? == want)) && (($(wc -l <"$dir/stderr") == 1)) &&
            grep -qE '^pkramctl: Failed to write to standard output(: No space left.*)?\.$' "$dir/stderr"
        ok "$words --json=$format on a full disk"
    done
done
run 0 show spare && run 0 remove spare; ok "the call itself was made"
"$ctl" --socket="$dir/socket" list >&- 2>"$dir/stderr"
(($? == 1)) && says 'Failed to write to standard output: Bad file descriptor'
ok "status 1: standard output is closed"
"$ctl" --socket="$dir/socket" store spare <&- 2>"$dir/stderr" && false
says "Failed to copy '-' into memory: Bad file descriptor" && run 3 show spare; ok "or standard input"
"$ctl" --socket="$dir/socket" show nope 2>&-
(($? == 3)) && run 0 list -q && says input; ok "or standard error"

"$ctl" --socket="$dir/socket" monitor >"$dir/events" &
events=$!
for _ in {1..100}; do [[ -s $dir/events ]] && break; run 0 store seen a --replace; sleep 0.02; done
kill $events; wait $events 2>/dev/null
grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} [A-Z+0-9-]+  (stored  |replaced)  seen of ' "$dir/events"
ok "monitor shows when something happened"

# Programs that read the output get the same in each language.
if localedef -i de_DE -f UTF-8 "$dir/de_DE.UTF-8" 2>/dev/null; then
    [[ $(LOCPATH=$dir LC_ALL=de_DE.UTF-8 "$(type -P printf)" %.1f 1,5) == 1,5 ]]
    ok "there is a locale with decimal commas"
    for words in status list "list --bytes" "list -j" "show input" check "remove -n input" \
        "store nothing /nonexistent"; do
        # shellcheck disable=SC2086
        LC_ALL=C "$ctl" --socket="$dir/socket" $words >"$dir/C" 2>&1
        # glibc does not free what it makes of LOCPATH.
        # shellcheck disable=SC2086
        ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 LOCPATH=$dir LC_ALL=de_DE.UTF-8 LANGUAGE=de "$ctl" \
            --socket="$dir/socket" $words >"$dir/stdout" 2>&1
        [[ -s $dir/C ]] && cmp "$dir/C" "$dir/stdout"; ok "$words is the same in a German locale"
    done
fi
timeout 5 "$ctl" --socket="$dir/socket" --json=short monitor >"$dir/monitor" &
monitor=$!
for _ in {1..100}; do [[ -s $dir/monitor ]] && break; sleep 0.02; done
run 0 remove input piped; ok "remove several"
for _ in {1..100}; do (($(grep -c '"removed"' "$dir/monitor") >= 2)) && break; sleep 0.02; done
kill $monitor; wait $monitor 2>/dev/null
[[ $(grep -c '"removed"' "$dir/monitor") == 2 ]]; ok monitor

run 3 retrieve nope; ok "status 3: no such node"
run 3 remove nope; ok "status 3: remove what is not there"
run 8 store a/b a && says "it contains '/'"; ok "status 8: slash"
run 8 store '' a && says 'it is empty'; ok "status 8: empty name"
run 8 store "$(printf 'x%.0s' {1..256})" a && says 'longer than 255'; ok "status 8: 256 bytes"
run 8 store $'a\nb' a; ok "status 8: control character"
run 8 store n a a && says 'Two objects'; ok "status 8: two objects of one name"
run 0 && says 'supported by this kernel'; ok "no command is status"
run 0 help && says 'Commands:'; ok help
run 2 frobnicate; ok "status 2: unknown command"
run 2 store; ok "status 2: store without a name"
run 2 show; ok "status 2: show without a name"
run 2 --sort=colour list; ok "status 2: unknown column"
run 2 retrieve a b c; ok "status 2: too many arguments"
run 2 --json=xml list; ok "status 2: unknown JSON mode"
run 2 --frobnicate list; ok "status 2: unknown option"
run 2 kexec --append=x --reuse-cmdline; ok "status 2: options that exclude each other"
run 1 store n /nonexistent && says 'No such file'; ok "status 1: no such file"
run 1 store n . a && says directory; ok "status 1: a directory among files"
run 0 store many a b && run 2 retrieve many -; ok "status 2: two objects to standard output"
run 0 show many; ok "a failed retrieve keeps the node"
run 1 retrieve many /proc/nope && says 'Failed to create directory'; ok "status 1: nowhere to write"
run 0 show many; ok "and keeps the node, too"
run 1 kexec --kernel=a && says 'not a kernel image'; ok "status 1: kexec into no kernel"

run 0 store behind b && { echo head; "$ctl" --socket="$dir/socket" retrieve behind - &&
    echo tail; } >mixed 2>"$dir/stderr" &&
    [[ $(head -n 1 mixed) == head && $(tail -n 1 mixed) == endtail ]] &&
    (($(stat -c %s mixed) == $(stat -c %s b) + 10)); ok "what was written before and after stays"

# What goes to standard output, and when the node is given up for it.
printf hello | run 0 store pipe && "$ctl" --socket="$dir/socket" retrieve pipe - | false
run 0 show pipe; ok "a reader that fails keeps the node"
: >empty && "$ctl" --socket="$dir/socket" retrieve pipe - >>empty && [[ $(cat empty) == hello &&
    $(stat -c %s empty) == 5 ]]; ok "append to an empty file"
"$ctl" --socket="$dir/socket" retrieve pipe - >>empty && [[ $(cat empty) == hellohello ]]; ok "append to a file"
run 0 store holes b && : >empty && "$ctl" --socket="$dir/socket" retrieve holes - >>empty && cmp b empty
ok "append a file with holes"
"$ctl" --socket="$dir/socket" retrieve holes - --release 2>"$dir/stderr" | head -c 10 >/dev/null
((PIPESTATUS[0] == 1)) && says 'has not read everything' && run 0 show holes
ok "--release: a reader that ends early keeps the node"
"$ctl" --socket="$dir/socket" retrieve pipe - --release 2>"$dir/stderr" | { sleep 0.3; exit 1; }
((PIPESTATUS[0] == 1)) && run 0 show pipe; ok "--release: a reader that reads nothing keeps the node"
"$ctl" --socket="$dir/socket" retrieve pipe - --release 2>"$dir/stderr" >/dev/full
(($? == 1)) && run 0 show pipe; ok "--release: a full disk keeps the node"
[[ $("$ctl" --socket="$dir/socket" retrieve pipe - --release) == hello ]] && run 3 show pipe
ok "--release: a reader that reads everything gets it"
{ "$ctl" --socket="$dir/socket" retrieve holes - --release && echo end; } | cat >empty &&
    (($(stat -c %s empty) == $(stat -c %s b) + 4)) && run 3 show holes; ok "--release: others write to the pipe, too"
printf hello | run 0 store pipe && "$ctl" --socket="$dir/socket" retrieve pipe - --release |
    (sleep 0.3; cat >/dev/null; sleep 0.3) &&
    run 3 show pipe; ok "--release: a slow reader"

# Objects without a name get file names that no other object has.
two_files() { [[ $(cat twofold/object-0.1) == first && $(cat twofold/object-0) == second ]]; }
python3 - "$dir/socket" <<'END' && run 0 retrieve two twofold && two_files && run 0 remove two
import base64, json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
data = [base64.b64encode(x).decode() for x in (b"first", b"second")]
s.sendall(json.dumps({"method": "io.pkram.Store.Store", "parameters": {"name": "two", "objects": [
    {"data": data[0]}, {"name": "object-0", "data": data[1]}]}}).encode() + b"\0")
sys.exit(b'"error"' in s.recv(65536))
END
ok "every object gets a file of its own"

printf x | run 0 store $'bell\u202e' && run 0 list && says 'bell\xe2\x80\xae' && run 0 remove $'bell\u202e'
ok "names are escaped"
# kexec shows what it has chosen. With the device of a real kernel the answers would be its own.
if [[ ! -e /dev/pkram ]]; then
    python3 - vmlinuz-1.2-test <<'END'
import struct, sys
image = bytearray(2048 + 4096)
def put(offset, data):
    image[offset:offset + len(data)] = data
for offset, data in ((0, b"MZ"), (0x1f1, b"\3"), (0x1f4, struct.pack("<I", 256)), (0x1fe, b"\x55\xaa\xeb\x6aHdrS"),
                     (0x206, b"\x0f\x02"), (0x20e, b"\0\4"), (0x211, b"\1"), (0x234, b"\1\0\x3f\0"),
                     (0x238, struct.pack("<I", 2047)), (0x268, struct.pack("<I", 1024)), (0x600, b"1.2-test (x) #1"),
                     (2048 + 1024, b"LToP" + struct.pack("<III", 16, 16, 8))):
    put(offset, data)
open(sys.argv[1], "wb").write(image)
END
    run 0 kexec -n --kernel=vmlinuz-1.2-test --append='quiet pkram=9' && says 'Kernel: vmlinuz-1.2-test' &&
        says 'Initrd: none' &&
        says 'Command line: quiet' && ! says 'pkram=9' && says 'No initial RAM disk found'
    ok "kexec --dry-run shows what it would start, and that there is no initrd"
    run 0 kexec -n --kernel=vmlinuz-1.2-test --append=quiet --initrd= && ! says 'No initial RAM disk found'
    ok "kexec --dry-run without an initrd on purpose"
    : >initrd.img-1.2-test
    run 0 kexec -n --kernel=vmlinuz-1.2-test --append=quiet && says "Initrd: $PWD/initrd.img-1.2-test"
    ok "kexec --dry-run finds the initrd of the kernel"
    run 0 kexec -n -q --kernel=vmlinuz-1.2-test --append=quiet && [[ ! -s $dir/stdout ]]; ok "kexec --dry-run --quiet"
    run 0 kexec -n --fast --kernel=vmlinuz-1.2-test --append='console=ttyS0 initcall_debug' &&
        says 'Command line: quiet console=ttyS0 initcall_debug' && says 'Added: quiet (The kernel prints' &&
        says "Not changed: 'initcall_debug' on the command line"
    ok "kexec --fast adds quiet, and leaves the rest alone"
    run 0 kexec -n --fast --kernel=vmlinuz-1.2-test --append='quiet pkram=9' && says 'Command line: quiet' &&
        ! says 'quiet quiet' && says 'Added: nothing'; ok "kexec --fast with nothing to add"
    run 0 kexec -n --kernel=vmlinuz-1.2-test --append=ro && says 'Command line: ro' && ! says 'Added'
    ok "kexec adds nothing without --fast"
    # A kernel with PKRAM, in a file of its own and in a unified kernel image, and boot loader entries.
    python3 - vmlinuz-1.2-test with-pkram test.efi <<'END'
import struct, sys
kernel = bytearray(open(sys.argv[1], "rb").read())
kernel[2048 + 1024:2048 + 1024 + 48] = struct.pack("<4sIII4sIIIQQ", b"LToP", 16, 48, 8, b"PKRM", 32, 7, 0, 5, 9)
open(sys.argv[2], "wb").write(kernel)
sections = [(b".cmdline", b"root=/dev/uki\n"), (b".initrd", b"x"), (b".linux", kernel)]
header = bytearray(1024)
header[0:2], header[60:64], header[128:132] = b"MZ", struct.pack("<I", 128), b"PE\0\0"
header[134:136] = struct.pack("<H", len(sections))
body = b""
for i, (name, data) in enumerate(sections):
    header[152 + 40 * i:152 + 40 * i + 24] = struct.pack("<8sIIII", name, len(data), 0, len(data), 1024 + len(body))
    body += data
open(sys.argv[3], "wb").write(bytes(header) + body)
END
    run 0 kexec -n --kernel=test.efi && says 'Kernel: test.efi' && says 'Initrd: part of the unified kernel image' &&
        says 'Command line: root=/dev/uki' && ! says 'No initial RAM disk found'; ok "kexec of a unified kernel image"
    run 0 kexec -n --kernel=test.efi --initrd=initrd.img-1.2-test --append=quiet &&
        says 'Initrd: initrd.img-1.2-test' &&
        ! says 'part of' && says 'Command line: quiet'; ok "whose parts can be replaced"
    run 0 kexec -n --kernel=test.efi --initrd= --reuse-cmdline && says 'Initrd: none' && ! says '/dev/uki'
    ok "or left out"
    mkdir -p root/boot/loader/entries root/boot/EFI/Linux && cp vmlinuz-1.2-test root/boot/linux &&
        cp test.efi root/boot/EFI/Linux/
    printf 'title Test 1\nversion 1\nlinux /linux\ninitrd /a\ninitrd /b\noptions quiet\noptions splash\n' \
        >root/boot/loader/entries/one.conf
    printf 'default test*\n' >root/boot/loader/loader.conf
    export PKRAM_BOOT_ROOT=$dir/root
    run 0 kexec --boot-loader-entry=help && [[ $(cat "$dir/stdout") == $'test.efi\none.conf' ]]
    ok "kexec --boot-loader-entry=help"
    run 0 kexec -n --boot-loader-entry=one && says 'Entry: Test 1' && says "Kernel: $dir/root/boot/linux" &&
        says "Initrd: $dir/root/boot/a" &&
        says "Initrd: $dir/root/boot/b" && says 'Command line: quiet splash'; ok "kexec of a boot loader entry"
    run 0 kexec -n && says 'Entry: test.efi' && says 'Command line: root=/dev/uki'
    ok "without other kernels, the default entry is used"
    run 0 kexec -n --boot-loader-entry=one.conf --append=x --initrd= && says 'Command line: x' && says 'Initrd: none'
    ok "options replace what an entry says"
    run 1 kexec -n --boot-loader-entry=two && says "Boot loader entry 'two' not found"; ok "status 1: no such entry"
    run 2 kexec --boot-loader-entry=one --kernel=x; ok "status 2: an entry and a kernel"
    cp with-pkram root/vmlinuz && run 0 kexec -n && says "Kernel: $dir/root/vmlinuz" && ! says 'Entry:'
    ok "a kernel with PKRAM at the usual place comes first"
    cp vmlinuz-1.2-test root/vmlinuz && run 0 kexec -n && says 'Entry: test.efi'; ok "but not one without PKRAM"
    rm -r root/boot root/vmlinuz && run 1 kexec -n && says 'No kernel found'; ok "status 1: no kernel at all"
    unset PKRAM_BOOT_ROOT
    # As systemctl, which reads its options in order. It takes an empty time for cancel.
    mkdir bin && cat >bin/systemctl <<'END' && chmod +x bin/systemctl
#!/bin/sh
echo "systemctl $*" >>systemctl.log
for word; do
    case $word in
        --when=bad|--check-inhibitors=bad) echo "Failed to parse $word" >&2; exit 1;;
        --when=|--when=cancel|--when=show) break;;
        --version) echo "systemd 257"; exit;;
    esac
done
echo "systemctl $*"
END
    systemctl_got() { local got; got=$(cat systemctl.log 2>/dev/null); rm -f systemctl.log; [[ $got == "$1" ]]; }
    plain=(--kernel=vmlinuz-1.2-test --append=quiet --initrd=)
    real_path=$PATH PATH=$dir/bin:$PATH
    run 0 kexec --when=cancel --no-ask-password --check-inhibitors=no &&
        says 'systemctl kexec --when=cancel --check-inhibitors=no --no-ask-password'
    ok "kexec --when=cancel is for systemctl"
    rm systemctl.log
    run 0 kexec --when= "${plain[@]}" && says 'systemctl kexec --when=' && ! says 'Kernel:' &&
        systemctl_got 'systemctl kexec --when='; ok "so is an empty time, which loads nothing"
    run 0 kexec -n --when= && run 0 kexec -n --when=cancel && systemctl_got ''; ok "kexec --dry-run cancels nothing"
    run 0 kexec -n --when=show && systemctl_got 'systemctl kexec --when=show'; ok "but shows what is scheduled"
    for word in --when=bad --check-inhibitors=bad; do
        for dry in '' -n; do
            # shellcheck disable=SC2086
            "$ctl" kexec $dry "${plain[@]}" $word >"$dir/stdout" 2>"$dir/stderr"
            (($? == 1)) && says "Failed to parse $word" && ! says 'Kernel:' &&
                systemctl_got "systemctl kexec $word --version"
            ok "status 1: kexec $dry $word, before a kernel is loaded"
        done
    done
    run 0 kexec -n "${plain[@]}" --when=03:00 --check-inhibitors=no && says 'Kernel:' && ! says 'systemd 257' &&
        systemctl_got 'systemctl kexec --when=03:00 --check-inhibitors=no --version'; ok "kexec --dry-run --when="
    for word in --when=03:00 --when= --when=cancel --when=show --check-inhibitors=no; do
        run 2 kexec --no-reboot "${plain[@]}" $word && says "--no-reboot and ${word%%=*}= may not be combined" &&
            systemctl_got ''; ok "status 2: --no-reboot and $word"
    done
    run 2 kexec --when=+5min --force; ok "status 2: --when= and --force"
    printf '#!/bin/sh\necho ready\nsleep 0.5\necho ended\nexit 7\n' >bin/systemctl
    python3 - "$ctl" >stdout 2>stderr <<'END'
import os, signal, subprocess, sys
for group, ended in (False, True), (True, False):
    p = subprocess.Popen([sys.argv[1], "kexec", "--when=show"], stdout=subprocess.PIPE, start_new_session=True,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert p.stdout.readline() == b"ready\n"
    (os.killpg if group else os.kill)(p.pid, signal.SIGINT)
    rest = p.stdout.read()
    assert p.wait() == 1 and (rest == b"ended\n") == ended, (p.returncode, rest)
END
    ok "an interrupt ends systemctl, and pkramctl after it"
    PATH=$real_path
fi

# What analyze shows of a kexec, with times of a fake pkramd: one is missing, and one is before its predecessor. The
# journal of this machine has nothing to do with it.
mkdir no-journal
export PKRAM_JOURNAL_DIRECTORY=$dir/no-journal
run 1 analyze && says 'was not started by a kexec'; ok "status 1: analyze without a kexec"
run 2 analyze units; ok "status 2: analyze of something else"
stop
report='{"parameters":{"version":"0","restoreUSec":1250,"lastKexec":{
    "requestedUSec":1000000000000000, "stoppedUSec":1000000006500000, "sealedUSec":1000000007000000,
    "startedUSec":1000000006900000, "restoredUSec":1000000009250000, "upUSec":1000000010000000,
    "previousKernel":"6.12 <&>", "restoredNodes":1, "restoredBytes":1, "lostNodes":0, "lost":[]}}}'
fake_pkramd "$report" "$report" "$report" "$report" "$report"
run 0 analyze && says 'stop        6.5s' && says 'seal     500.0ms' && says 'restore     2.2s' && ! says 'shutdown ' &&
    says 'until services were up: 10.0s. Adopting the nodes took 1.2ms of it.' &&
    says 'Services took long to stop' && ! says 'took long to start'
ok "analyze"
run 0 analyze time --no-legend && [[ $(awk '{print $1}' "$dir/stdout" | xargs) == 'stop seal jump restore start' ]]
ok "analyze --no-legend"
run 0 analyze -j && python3 - "$dir/stdout" <<'END'; ok "analyze -j"
import json, sys
o = json.load(open(sys.argv[1]))
assert o["adoptUSec"] == 1250, o
assert o["usec"] == 10000000 == sum(s["usec"] for s in o["steps"]), o
assert [s["usec"] for s in o["steps"]] == [6500000, 500000, 0, 2250000, 750000], o
END
run 0 analyze plot && python3 - "$dir/stdout" <<'END'; ok "analyze plot"
import sys, xml.etree.ElementTree as e
svg = e.parse(sys.argv[1]).getroot()
name = "{http://www.w3.org/2000/svg}"
width, height = float(svg.get("width")), float(svg.get("height"))
bars = [r for r in svg.iter(name + "rect") if r.find(name + "title") is not None]
assert len(bars) == 5, bars
left = right = float(bars[0].get("x"))
for b in bars:
    x, w = float(b.get("x")), float(b.get("width"))
    assert abs(x - right) < 2 and 0 <= float(b.get("y")) < height, (x, right)
    right = x + w
assert abs(right - left - 800) < 2 and right < width, right
text = [t.text for t in svg.iter(name + "text")]
assert "Kexec from 6.12 <&>: 10.0s" in text and "10 s" in text and "11 s" not in text, text
END
run 1 analyze blame && says 'no units of this kexec'; ok "status 1: analyze blame without entries of that time"
wait
unset PKRAM_JOURNAL_DIRECTORY

# Metrics are what the textfile collector and promtool accept: each with help and type, names in base units, none
# twice.
cat >metrics.py <<'END'
import re, sys
names, name, values = set(), None, {}
text = open(sys.argv[1]).read()
assert text.endswith("\n")
for line in text.splitlines():
    if line.startswith("# HELP "):
        name, about = line[7:].split(" ", 1)
        assert re.fullmatch("pkram(_[a-z]+)+", name) and about and name not in names, line
        assert not name.endswith(("_total", "_count", "_sum", "_bucket")), line
        names.add(name)
    elif line.startswith("# TYPE "):
        assert line == f"# TYPE {name} gauge", line
    else:
        m = re.fullmatch(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (\+Inf|-?[0-9]+(?:\.[0-9]+)?)', line)
        assert m and m[1] == name and name not in values, line
        values[name] = m[2] or m[3]
assert names == set(values), names ^ set(values)
for want in sys.argv[2:]:
    name, value = want.split("=", 1)
    assert values.get(name) == (value or None), (want, values.get(name))
END
start
printf x | run 0 store kept && run 0 metrics &&
    python3 metrics.py stdout pkram_supported=1 pkram_nodes=1 pkram_kexec_preserves=0 \
    pkram_kexec_refused=1 'pkram_kexec_info={reason="noImage"}' pkram_limit_nodes=65536 pkram_last_kexec_lost_nodes=
ok metrics
run 2 metrics x; ok "status 2: metrics takes no arguments"
start missing
run 0 metrics && python3 metrics.py stdout pkram_supported=0 pkram_nodes= pkram_kexec_preserves=
ok "metrics without PKRAM"
stop
run 10 metrics && [[ ! -s stdout ]]; ok "status 10: metrics of no daemon"
report='{"parameters":{"version":"0","supported":true,"place":"memory","kexecPolicy":"warn","previousKernel":"6.12\n\"x\\",
    "limits":[{"name":"TotalBytesMax","maximum":9223372036854775807}],"nodes":2,"bytes":8192,"metadataBytes":4096,
    "generation":3,"droppedNodes":1,"lastKexec":{"startedUSec":1000000006900000,"downUSec":10050000,"restoredNodes":2,
    "restoredBytes":5,"lostNodes":4,"lost":[]}}}'
fake_pkramd "$report"$'\f{"parameters":{"keeps":true,"refused":false,"reason":"keeps"}}' \
    "$report"$'\f{"error":"org.varlink.service.PermissionDenied","parameters":{}}'
run 0 metrics && python3 metrics.py stdout pkram_limit_bytes=+Inf pkram_data_bytes=8192 pkram_dropped_nodes=1 \
    'pkram_info={version="0",place="memory",kexec_policy="warn",previous_kernel="6.12\\x0a\"x\\"}' \
    pkram_last_kexec_timestamp_seconds=1000000006.900000 pkram_last_kexec_blackout_seconds=10.050000 \
    pkram_last_kexec_restored_bytes=5 pkram_last_kexec_lost_nodes=4 pkram_kexec_preserves=1 \
    pkram_kexec_refused=0; ok "metrics after a kexec"
run 5 metrics && [[ ! -s stdout ]]; ok "status 5: no half of the metrics is printed"
wait

# What became of guests, processes and shared memory in the last kexec.
guest() { printf '{"name":"%s","directory":"/srv/%s","bytes":1048576,"resumed":%s}' "$1" "$1" "$2"; }
node() { # NAME OWNER INHERITED
    printf '{"parameters":{"node":{"name":"%s","id":1,"owner":"%s","bytes":4096,"inherited":%s}}%s}' "$@"
}
fake_pkramd '{"parameters":{"version":"0","supported":true,"place":"memory","kexecPolicy":"warn","limits":[],"nodes":2,
    "bytes":8192,"lastKexec":{"restoredNodes":2,"restoredBytes":5,"lostNodes":0,"lost":[],"guests":["web","mail"],
    "processes":["counter"],"sharedMemory":["0x00000001","/dev/shm/cache"]},"guests":['"$(guest web true)"']}}' \
    "$(node sysv:0x00000001 root true ',"continues":true')"$'\v'"$(node sysv:0x2 uid:1 true '')"
run 0 status && says 'Guest: web, 1.0M in /srv/web, went on after' &&
    says 'Guest: mail, does not run, but ran before the last kexec' &&
    says 'Process: counter, does not run, but ran before the last kexec' &&
    says 'Shared memory: 0x00000001, 4.0K, not restored: it is still in its node' &&
    says 'Shared memory: /dev/shm/cache, restored after the last kexec' && ! says 'Shared memory: 0x2'
ok "status names guests, processes and shared memory"

# check --reboot has one form of JSON, also if pkramd has nothing to say about a reboot.
reboot_check() { # KEEPS TEXT: is this what check --reboot --json= shows, and each member of RebootCheck with it?
    python3 - "$dir/stdout" "$@" <<'END'
import json, sys
o = json.load(open(sys.argv[1]))
assert set(o) == {"keeps", "fits", "refused", "text", "bytes", "room", "usec", "lost"}, o
assert o["keeps"] is (sys.argv[2] == "True") and o["fits"] is True and o["refused"] is False, o
assert sys.argv[3] in o["text"] and o["bytes"] == o["room"] == o["usec"] == 0 and o["lost"] == [], o
END
}
lost='{"parameters":{"keeps":false,"refused":true,"reason":"tree","text":"Tree lost.","diskProblem":"it is full"}}'
nothing='{"parameters":{"keeps":true,"refused":false,"reason":"nothingStored","text":"A kexec."}}'
judged='{"parameters":{"keeps":true,"reason":"keeps","text":"A kexec.","reboot":{"keeps":false,"text":"Lost."}}}'
fake_pkramd "$lost" "$lost" "$nothing" "$nothing" "$judged" "$judged"
run 11 check --reboot -j && reboot_check False 'Tree lost.'; ok "check --reboot -j of a disk that cannot be used"
run 11 check --reboot && [[ $(cat stdout) == 'Tree lost.' ]]; ok "and its text"
run 0 check --reboot -j && reboot_check True 'a reboot loses nothing'; ok "check --reboot -j of nothing stored"
run 0 check --reboot && [[ $(cat stdout) == *'a reboot loses nothing'* ]]; ok "and its text, too"
run 11 check --reboot -j && [[ $(cat stdout) == '{"keeps":false,"text":"Lost."}' ]]; ok "check --reboot -j"
run 11 check --reboot -q && [[ ! -s stdout ]]; ok "check --reboot --quiet"
wait

# What a limit refuses is described in one line.
exceeded() { # LIMIT FACTOR
    printf \
        '{"error":"io.pkram.Store.QuotaExceeded","parameters":{"limit":"%s","maximum":%d,"current":%d,"requested":%d}}' \
        "$1" $((400 * $2)) $((399 * $2)) $((3 * $2))
}
fake_pkramd "$(exceeded OwnerBytesMax $((1 << 20)))" "$(exceeded OwnerNodesMax 1)"
run 6 store n a && says 'OwnerBytesMax=400.0M exceeded: 3.0M requested, 399.0M in use.'
ok "status 6: limit, value, request and use of bytes"
run 6 store n a && says 'OwnerNodesMax=400 exceeded: 3 requested, 399 in use.'; ok "and of nodes"
wait
start

mkfifo fifo
(sleep 0.3; echo x) >fifo &
run 0 store slow fifo && run 0 retrieve slow - --keep && [[ $(cat "$dir/stdout") == x ]]; ok "store from a fifo"
run 0 store empty - </dev/null && run 0 retrieve empty out && [[ -f out/stdin && ! -s out/stdin ]]
ok "store nothing at all"
"$ctl" --socket="$dir/socket" store big a >/dev/null &&
    "$ctl" --socket="$dir/socket" retrieve big - >/dev/full 2>"$dir/stderr"
(($? == 1)) && run 0 show big; ok "a full disk keeps the node"

if [[ $(stat -f -c %T /dev/shm) == tmpfs ]]; then
    shm=$(mktemp -d /dev/shm/pkramctl.XXXXXX)
    clean_up() { stop; rm -rf "$dir" "$shm"; }
    mkdir -p "$shm/from/d" "$shm/to" && head -c 100000 /dev/urandom >"$shm/from/d/large" &&
        echo small >"$shm/from/small"
    ln "$shm/from/small" "$shm/from/d/link"
    run 0 store --tree tree "$shm/from" && says "Stored tree 'tree': 3 objects"; ok "store --tree"
    run 4 store --tree tree "$shm/from"; ok "status 4: there is such a tree"
    run 15 retrieve tree && says 'RestoreTree'; ok "status 15: a tree is no object"
    run 13 retrieve --tree tree "$shm/from" && says 'not empty'; ok "status 13: the directory is not empty"
    run 13 retrieve --tree tree "$dir" && says 'tmpfs'; ok "status 13: the directory is no tmpfs"
    run 15 retrieve tree -; ok "status 15: a tree cannot go to standard output"
    run 0 retrieve --tree --keep tree "$shm/to" && diff -r "$shm/from" "$shm/to" &&
        [[ $shm/to/small -ef $shm/to/d/link ]] && run 0 show tree; ok "retrieve --tree --keep"
    run 0 release tree && run 3 show tree && diff -r "$shm/from" "$shm/to"; ok "release"
    rm -r "$shm/to" && run 0 store tree "$shm/from" && run 0 retrieve tree "$shm/to" && diff -r "$shm/from" "$shm/to"
    ok "trees without --tree"
    rm -r "$shm/to" && run 0 retrieve tree "$shm/to" --release && diff -r "$shm/from" "$shm/to"
    ok "retrieve --release of a tree"
    run 3 show tree; ok "which releases the node"
    rm -r "$shm/to" && mkdir "$shm/to"
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$shm/from/s"
    run 0 store --tree tree "$shm/from" && rm -r "$shm/to" && mkdir "$shm/to" &&
        run 0 retrieve --release --tree tree "$shm/to" &&
        [[ -S $shm/to/s ]]; ok "a socket comes back, as its name"
    run 0 store --tree --skip-special --verify tree "$shm/from" && rm -r "$shm/to" && mkdir "$shm/to" &&
        run 0 retrieve --tree tree "$shm/to" && [[ -e $shm/to/small && ! -e $shm/to/s ]]
    ok "store --tree --skip-special"
    run 8 store --tree other "$dir" && says 'not a directory on a tmpfs'; ok "status 8: no tmpfs"
    run 2 store --tree other; ok "status 2: store --tree without a directory"
    run 2 retrieve --tree other; ok "status 2: retrieve --tree without a directory"
fi

# On a terminal: colours and pager, by the rules of systemd's programs.
if command -v script >/dev/null; then
    tty() { # ENVIRONMENT... -- ARGS...: what comes out on a terminal
        local environment=()
        while [[ $1 != -- ]]; do environment+=("$1"); shift; done
        script -qec \
            "env -u NO_COLOR -u PAGER -u SYSTEMD_PAGER -u SYSTEMD_COLORS -u SUDO_UID TERM=xterm COLUMNS=70 ${environment[*]@Q} '$ctl' --socket='$dir/socket' ${*:2}" \
            /dev/null </dev/null >"$dir/stdout" 2>"$dir/stderr"
    }
    escape=$'\e['
    tty SYSTEMD_PAGER= -- list && says "$escape"; ok "a terminal has colours"
    tty SYSTEMD_PAGER= NO_COLOR=1 -- list && ! says "$escape" && says NAME; ok "but not with NO_COLOR"
    tty SYSTEMD_PAGER= SYSTEMD_COLORS=0 -- list && ! says "$escape" && says NAME; ok "nor with SYSTEMD_COLORS=0"
    tty SYSTEMD_PAGER= TERM=dumb -- list && ! says "$escape" && says NAME; ok "nor if it is dumb"
    run 0 list && ! says "$escape"; ok "a pipe has none"
    SYSTEMD_COLORS=1 run 0 list && says "$escape"; ok "but with SYSTEMD_COLORS=1"
    SYSTEMD_COLORS=1 NO_COLOR=1 run 0 list && says "$escape"; ok "which comes before NO_COLOR"
    tty "SYSTEMD_PAGER=sed s/^/paged:/" PAGER=false -- list && says "paged:"; ok "SYSTEMD_PAGER is the pager"
    tty "PAGER=sed s/^/paged:/" -- status && says "paged:"; ok "or else PAGER"
    tty "PAGER=sed s/^/paged:/" -- --help && says "paged:"; ok "for help texts, too"
    tty "PAGER=sed s/^/paged:/" -- list --no-pager && ! says "paged:" && says NAME; ok "but not with --no-pager"
    tty "PAGER=sed s/^/paged:/" -- list --json=short && ! says "paged:"; ok "nor for JSON"
    tty "PAGER=sed s/^/paged:/" SUDO_UID=1000 -- list && ! says "paged:" && says NAME
    ok "nor under sudo, where it has to be less"
    printf 1 | run 0 store first --object=one && printf 2 | run 0 store second --object=two
    tty "PAGER=sed s/^/paged:/" -- show first nope second
    tr -d '\r' <"$dir/stdout" >"$dir/order" && grep -nE 'paged: +[0-9]+ +one |not found|paged: +[0-9]+ +two ' \
        "$dir/order" | grep -oE 'one|not found|two' | xargs | grep -qx 'one not found two'
    ok "a message ends the pager, and what follows gets another"
    tty "PAGER=head -n 2" -- show first nope second
    (($(grep -cE 'Name:.*(first|second)' "$dir/stdout") == 2)) && ! says 'Failed to write'
    ok "a pager that has ended is no error"
    PAGER="sed s/^/paged:/" run 0 list && ! says "paged:"; ok "a pipe has no pager"
    (($(wc -L <"$dir/stdout") > 0)) && tty SYSTEMD_PAGER= SYSTEMD_COLORS=0 -- list &&
        (($(tr -d '\r' <"$dir/stdout" | wc -L) <= 70)); ok "tables fit the terminal"
fi

# Shell completion knows every option and verb.
words=$("$ctl" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u; "$ctl" --help | sed -n 's/^  \([a-z]\{3,\}\) .*/\1/p' |
    sort -u)
for shell in bash-completion/pkramctl zsh-completion/_pkramctl; do
    missing=
    for word in $words; do grep -qE -- "(^|[^a-z-])$word([^a-z-]|\$)" "$here/$shell" || missing+=" $word"; done
    [[ ! $missing ]] || echo "# missing in $shell:$missing"
    [[ $words && ! $missing ]]; ok "$shell knows all options and commands"
done
bash -n "$here/bash-completion/pkramctl"; ok "the completion is good bash"
if command -v zsh >/dev/null; then zsh -n "$here/zsh-completion/_pkramctl"; ok "the completion is good zsh"; fi

start off
run 9 store n a && says 'not support PKRAM'; ok "status 9: PKRAM is disabled"
run 0 status && says 'PKRAM is disabled'; ok "status says that PKRAM is off"
start missing
run 9 list && says 'not support PKRAM'; ok "status 9: no device"
run 0 status && says 'not support PKRAM'; ok "status says that there is no PKRAM"

stop
run 10 list && says 'Nothing is listening' && says 'systemctl start pkramd.socket'; ok "status 10: no process listens"
rm -f socket
run 10 store n a && says 'Nothing is listening'; ok "status 10: no socket"
run 0 --version && says pkramctl; ok version
run 0 --help && for s in {0..15}; do grep -qE "^ +$s  " "$dir/stdout" || exit 1; done; ok "help has every status"

finish
