#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# pkramctl against pkramd over a model of the kernel: what comes out, and each exit status. Speaks TAP.
# Usage: test-pkramctl.sh PKRAMCTL PKRAMD-MOCK
set -u
ctl=$(realpath "$1") mock=$(realpath "$2") here=$(realpath "$(dirname "$0")")
dir=$(mktemp -d)
# shellcheck source=daemon/tools/test-tap.sh
. "$here/../tools/test-tap.sh"
trap 'stop; rm -rf "$dir"' EXIT

run() { # STATUS ARGS...: runs pkramctl, keeps what it says, compares the status
    local want=$1
    shift
    "$ctl" --socket="$dir/socket" "$@" >"$dir/stdout" 2>"$dir/stderr"
    local got=$?
    ((got == want)) || { echo "# status $got, not $want"; return 1; }
    # Errors are one line on standard error that begins with who says it.
    if ((want != 0 && want != 2)) && [[ $1 != check ]]; then
        (($(wc -l <"$dir/stderr") == 1)) && grep -q '^pkramctl: ' "$dir/stderr"
    fi
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
run 0 store files a b && says '2 objects'; ok "store files"
run 11 check && says 'A kexec would lose'; ok "check says no"
run 4 store files a && says -- '--replace'; ok "store a name that is taken"
run 0 store files a b --replace; ok "store --replace"
run 0 show files && says 'CHECKSUM' && says '4750'; ok show
run 0 retrieve files out && cmp a out/a && cmp b out/b; ok "retrieve writes what was stored"
[[ $(stat -c '%a %s %Y' out/a out/b) == $(stat -c '%a %s %Y' a b) ]]; ok "retrieve keeps modes and times"
(($(stat -c %b out/b) * 512 < 1000000)); ok "retrieve keeps holes"
[[ -z $(find out -name '.pkramctl*') ]]; ok "retrieve leaves nothing else"
run 3 show files && says "Node 'files' not found"; ok "retrieve releases the node"

run 0 store input --verify <a; ok "store standard input"
run 0 retrieve input - --keep && cmp a "$dir/stdout"; ok "retrieve to standard output"
run 0 show input && says stdin && says xxh3-128; ok "--keep keeps"
head -c 5000 /dev/zero | run 0 store piped --object=zeroes - && run 0 show piped && says zeroes; ok "store - with a name of its own"
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
run 0 list --no-legend && (($(wc -l <"$dir/stdout") == 2)); ok "list --no-legend"
COLUMNS=50 run 0 list && (($(wc -L <"$dir/stdout") <= 62)); ok "list fits the terminal"

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
run 2; ok "status 2: no command"
run 2 frobnicate; ok "status 2: unknown command"
run 2 store; ok "status 2: store without a name"
run 2 show a b; ok "status 2: too many names"
run 2 --json=xml list; ok "status 2: unknown JSON mode"
run 2 --frobnicate list; ok "status 2: unknown option"
run 2 kexec --append=x --reuse-cmdline; ok "status 2: options that exclude each other"
run 1 store n /nonexistent && says 'No such file'; ok "status 1: no such file"
run 1 store n . && says directory; ok "status 1: a directory"
run 0 store many a b && run 2 retrieve many -; ok "status 2: two objects to standard output"
run 0 show many; ok "a failed retrieve keeps the node"
run 1 retrieve many /proc/nope && says 'cannot be'; ok "status 1: nowhere to write"
run 0 show many; ok "and keeps the node, too"
run 1 kexec --kernel=a && says 'not a kernel image'; ok "status 1: kexec into no kernel"

run 0 store behind b && { echo head; "$ctl" --socket="$dir/socket" retrieve behind - && echo tail; } >mixed 2>"$dir/stderr" &&
    [[ $(head -n 1 mixed) == head && $(tail -n 1 mixed) == endtail ]] && (($(stat -c %s mixed) == $(stat -c %s b) + 10)); ok "what was written before and after stays"

mkfifo fifo
(sleep 0.3; echo x) >fifo &
run 0 store slow fifo && run 0 retrieve slow - && [[ $(cat "$dir/stdout") == x ]]; ok "store from a fifo"
run 0 store empty - </dev/null && run 0 retrieve empty out && [[ -f out/stdin && ! -s out/stdin ]]; ok "store nothing at all"
"$ctl" --socket="$dir/socket" store big a >/dev/null && "$ctl" --socket="$dir/socket" retrieve big - >/dev/full 2>"$dir/stderr"
(($? == 1)) && run 0 show big; ok "a full disk keeps the node"

if [[ $(stat -f -c %T /dev/shm) == tmpfs ]]; then
    shm=$(mktemp -d /dev/shm/pkramctl.XXXXXX)
    trap 'stop; rm -rf "$dir" "$shm"' EXIT
    mkdir -p "$shm/from/d" "$shm/to" && head -c 100000 /dev/urandom >"$shm/from/d/large" && echo small >"$shm/from/small"
    ln "$shm/from/small" "$shm/from/d/link"
    run 0 store --tree tree "$shm/from" && says "Stored tree 'tree': 3 objects"; ok "store --tree"
    run 4 store --tree tree "$shm/from"; ok "status 4: there is such a tree"
    run 15 retrieve tree out && says 'RestoreTree'; ok "status 15: a tree is no object"
    run 13 retrieve --tree tree "$shm/from" && says 'not empty'; ok "status 13: the directory is not empty"
    run 13 retrieve --tree tree "$dir" && says 'tmpfs'; ok "status 13: the directory is no tmpfs"
    run 0 retrieve --tree tree "$shm/to" && diff -r "$shm/from" "$shm/to" &&
        [[ $shm/to/small -ef $shm/to/d/link ]]; ok "retrieve --tree"
    run 3 show tree; ok "retrieve --tree releases the node"
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$shm/from/s"
    run 0 store --tree tree "$shm/from" && rm -r "$shm/to" && mkdir "$shm/to" && run 0 retrieve --tree tree "$shm/to" &&
        [[ -S $shm/to/s ]]; ok "a socket comes back, as its name"
    run 0 store --tree --skip-special --verify tree "$shm/from" && rm -r "$shm/to" && mkdir "$shm/to" &&
        run 0 retrieve --tree tree "$shm/to" && [[ -e $shm/to/small && ! -e $shm/to/s ]]; ok "store --tree --skip-special"
    run 8 store --tree other "$dir" && says 'no directory of a tmpfs'; ok "status 8: no tmpfs"
    run 2 store --tree other; ok "status 2: store --tree without a directory"
    run 2 retrieve --tree other; ok "status 2: retrieve --tree without a directory"
    run 2 retrieve --tree --keep tree "$shm/to"; ok "status 2: retrieve --tree --keep"
fi

# On a terminal: colours and pager, by the rules of systemd's programs.
if command -v script >/dev/null; then
    tty() { # ENVIRONMENT... -- ARGS...: what comes out on a terminal
        local environment=()
        while [[ $1 != -- ]]; do environment+=("$1"); shift; done
        script -qec "env -u NO_COLOR -u PAGER -u SYSTEMD_PAGER -u SYSTEMD_COLORS -u SUDO_UID TERM=xterm COLUMNS=70 ${environment[*]@Q} '$ctl' --socket='$dir/socket' ${*:2}" \
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
    tty "PAGER=sed s/^/paged:/" SUDO_UID=1000 -- list && ! says "paged:" && says NAME; ok "nor under sudo, where it has to be less"
    PAGER="sed s/^/paged:/" run 0 list && ! says "paged:"; ok "a pipe has no pager"
    (($(wc -L <"$dir/stdout") > 0)) && tty SYSTEMD_PAGER= SYSTEMD_COLORS=0 -- list && (($(tr -d '\r' <"$dir/stdout" | wc -L) <= 70)); ok "tables fit the terminal"
fi

# Shell completion knows every option and verb.
words=$("$ctl" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u; "$ctl" --help | sed -n 's/^  \([a-z]\{3,\}\) .*/\1/p' | sort -u)
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
run 10 list && says 'Nothing is listening' && says 'systemctl start pkramd.socket'; ok "status 10: nobody listens"
rm -f socket
run 10 store n a && says 'Nothing is listening'; ok "status 10: no socket"
run 0 --version && says pkramctl; ok version
run 0 --help && for s in {0..15}; do grep -qE "^ +$s  " "$dir/stdout" || exit 1; done; ok "help has every status"

finish
