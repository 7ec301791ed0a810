# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What tests in shell share: a daemon over a model of the kernel, and TAP. Sourced with $ctl, $mock and $dir set.
# shellcheck disable=SC2154
n=0 bad=0 pid=

# The test defines clean_up(). A background process has the trap of the test until it runs its program: if it was
# killed before that, it would clean up under the test.
trap '[[ $BASHPID != "$$" ]] || clean_up' EXIT

stop() {
    [[ $pid ]] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    pid=
}

start() { # ARGS...: a new daemon, with nothing stored
    stop
    "$mock" "$dir/socket" "$@" 2>"$dir/journal" &
    pid=$!
    for _ in {1..100}; do
        [[ -S $dir/socket ]] && "$ctl" --socket="$dir/socket" status >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "Bail out! pkramd-mock does not start"
    exit 1
}

# manager KIND [WAIT]: a service manager from now on, in a /run of the test's own; see fake-manager.py
manager_pid=
manager_stop() {
    [[ $manager_pid ]] && kill "$manager_pid" 2>/dev/null && wait "$manager_pid" 2>/dev/null
    manager_pid=
    rm -rf /run/systemd "$dir/manager"
}
manager() {
    manager_stop
    mkdir -p /run/systemd/system
    "$(dirname "${BASH_SOURCE[0]}")/fake-manager.py" "$@" >"$dir/manager" &
    manager_pid=$!
    for _ in {1..100}; do
        [[ -s $dir/manager ]] && return
        sleep 0.05
    done
    echo "Bail out! fake-manager.py does not start"
    exit 1
}

writes() { # PID TRIES WORDS: does a background process write this to $dir/stdout, with 20 tries a second?
    local i
    for ((i = 0; i < $2; i++)); do
        grep -qs -e "$3" "$dir/stdout" && return
        kill -0 "$1" 2>/dev/null || break
        sleep 0.05
    done
    grep -q -e "$3" "$dir/stdout"
}

ok() { # NAME: by the status of the last command
    local r=$?
    ((n++))
    if ((r == 0)); then
        echo "ok $n - $1"
    else
        ((bad++))
        echo "not ok $n - $1"
        cat "$dir/stdout" "$dir/stderr" 2>/dev/null | sed 's/^/# /'
    fi
}

# The last line of a test.
finish() {
    echo "1..$n"
    exit $((bad > 0))
}
