# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Words shared by the test scripts and kernel/tree: messages, the cache, locks, becoming root.
#
# Everything said goes to stderr, so that the stdout of a script stays its result. Functions return non-zero on
# failure; die() ends the script.

PKRAM_TOP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
PKRAM_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pkram
export PKRAM_TOP PKRAM_CACHE

# Compilers are called through ccache, by the links that its package has for them. Kernels of different configurations
# have most of their objects in common; below PKRAM_CACHE the names of directories make no difference.
export PATH=/usr/lib/ccache:$PATH CCACHE_DIR=$PKRAM_CACHE/ccache CCACHE_BASEDIR=$PKRAM_CACHE CCACHE_NOHASHDIR=1 \
        CCACHE_MAXSIZE=4G

say() { printf '%s\n' "$*" >&2; }

# One step of the work, with the seconds since the script started, so that a slow step shows.
step() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }

die() {
        printf '%s: %s\n' "${0##*/}" "$*" >&2
        exit 1
}

# cache_dir NAME: make and print a directory of the cache. It may vanish between two runs, never during one.
cache_dir() {
        mkdir -p -- "$PKRAM_CACHE/$1" ||
                die "cannot create $PKRAM_CACHE/$1; set XDG_CACHE_HOME to a place you can write"
        printf '%s\n' "$PKRAM_CACHE/$1"
}

# with_lock NAME COMMAND...: run the command while no other process runs one under the same name. The lock is a file
# in the cache and dies with the process. A function may be the command; it runs in a subshell.
with_lock() {
        # Named so that the command, which sees them, does not trip over them.
        local lock_name=$1 lock_dir
        shift
        lock_dir=$(cache_dir locks) || return 1
        (
                if ! flock -n 9; then
                        say "waiting for another run that holds the lock '$lock_name' ..."
                        flock 9
                fi
                "$@" 9>&-
        ) 9>"$lock_dir/$lock_name"
}

# as_root COMMAND...: run as root, through sudo if need be.
as_root() {
        if [ "$(id -u)" = 0 ]; then
                "$@"
        elif command -v sudo >/dev/null; then
                sudo -- "$@"
        else
                die "this needs root: run '$*' as root, or install sudo"
        fi
}

# content_hash PATH...: one hash over the names, modes (executable or not) and bytes of all files below the paths.
# Paths that do not exist count as absent. The current directory does not matter: paths are relative to the checkout.
content_hash() (
        cd -- "$PKRAM_TOP" || exit 1
        for p; do
                [ -e "$p" ] || continue
                find "$p" -type f ! -path '*/.git/*' ! -path '*/__pycache__/*' -perm /111 -printf 'x %p\n' -o \
                        -type f ! -path '*/.git/*' ! -path '*/__pycache__/*' -printf '- %p\n' -o \
                        -type l -printf 'l %p %l\n'
        done | LC_ALL=C sort -u | while read -r kind path rest; do
                case $kind in
                l) printf 'l %s %s\n' "$path" "$rest" ;;
                *) printf '%s %s %s\n' "$kind" "$path" "$(sha256sum <"$path")" ;;
                esac
        done | sha256sum | cut -c1-16
)

# True only where the processor really has virtualisation: a /dev/kvm node alone proves nothing and can hang QEMU.
have_kvm() {
        grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]
}
