#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests/bare runs by default: everything that needs no kernel, as README.md tells people to do it, and a look at
# what the package leaves behind on a system that had never seen it.
#
#     tests/lib/bare.sh [STEP...]      steps: unit package dist image (default: these four), demo, run

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
. tests/lib/common.sh

DEBS=${PKRAM_DEBS:-/tmp/pkram-deb}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq --yes "$@"; }

# listing: a line for every file of the system: kind, mode, owner, size, time, name, target; /etc by its content. Logs and
# caches are left out, and what dpkg knows.
listing() {
        as_root find / -xdev \( -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o \
                -path /tmp \
                -o -path /var/tmp -o -path /srv -o -path /root -o -path /home -o -path /var/lib/systemd/catalog -o \
                -path /etc/ld.so.cache \) -prune -o \
                \( -type d -printf '%y %m %u %g %p\n' \) -o -printf '%y %m %u %g %s %T@ %p %l\n' | LC_ALL=C sort
        as_root find /etc -xdev -type f ! -name ld.so.cache -exec sha256sum {} + | LC_ALL=C sort
}

step_unit() { tests/run unit; }

step_package() {
        local before after
        if [ -z "${PKRAM_DEBS:-}" ]; then
                apt update
                apt build-dep --no-install-recommends ./units
                units/deb "$DEBS"
        fi
        # Its dependencies are not resolved here.
        apt install --no-install-recommends "$DEBS"/pkram_*.deb
        pkramctl --version
        apt remove pkram
        apt purge pkram
        before=$(mktemp) after=$(mktemp)
        listing >"$before"
        apt install --no-install-recommends "$DEBS"/pkram_*.deb
        dpkg --verify pkram
        [ -L /etc/systemd/system/sockets.target.wants/pkramd.socket ] || die "pkramd.socket is not switched on"
        apt purge pkram
        listing >"$after"
        diff "$before" "$after" >&2 || die "the package leaves files or changes those of others, see above"
        before=$(as_root find / -xdev \( -path /srv -o -path /tmp -o -path /root -o -path /home -o -path /var/cache \
                \) -prune -o -name '*pkram*' -print)
        [ -z "$before" ] || die "the package left $before"
        rm -f -- "$after"
}

step_dist() {
        rm -rf /tmp/pkram-dist
        meson setup /tmp/pkram-dist
        meson dist -C /tmp/pkram-dist
}

step_image() { tests/vm/image/build; }

step_demo() { complete tests/demo; }

step_run() { complete tests/run; }

# complete COMMAND: run a command of README.md to its end, and keep its last line and its time for the summary. Goes on
# after a failure, so that one run shows what both commands lack.
complete() {
        local began=$SECONDS log status=0
        log=$(mktemp)
        "$1" 2>&1 | tee "$log" || status=$?
        summary+=("$1: exit status $status, $((SECONDS - began)) s: $(tail -n 1 "$log")")
        [ "$status" = 0 ] || failed=yes
        rm -f -- "$log"
}

summary=()
failed=
[ $# -gt 0 ] || set -- unit package dist image
for s; do
        step "bare: $s"
        "step_$s"
done
[ ${#summary[@]} = 0 ] || printf '%s\n' "${summary[@]}"
[ -z "$failed" ] || die "a command failed, see above"
step "bare: all steps passed"
