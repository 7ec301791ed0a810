# SPDX-License-Identifier: LGPL-2.1-or-later
# With PKRAM and Persist=marked in [Disk]: while a shutdown writes nodes to disk, at random moments the process that
# writes is killed, or the power fails. Each node is found whole or not at all, and never an older one. Before that, a
# halt loses nothing.
# suite: campaign
# stages: 18
# timeout: 3000
# append: systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900
# packages: e2fsprogs
# power: again
# qemu: -action reboot=reset

CONF=/etc/pkram/pkramd.conf.d/50-disk.conf
NAMES="big small one two three"

# contents NAME ROUND: what the node has that was stored in this boot
contents() {
        python3 - "$1" "$2" <<'END'
import random, sys
name, number = sys.argv[1:]
data = random.Random(f"{name} {number}").randbytes(1 << 20)
sys.stdout.buffer.write(data * {"big": 90, "small": 1}.get(name, 4) + number.encode())
END
}

# store_all: the nodes of this boot, and its tree. What an earlier shutdown has written is replaced.
store_all() {
        local name
        for name in $NAMES; do
                contents "$name" "$STAGE" | pkramctl store --owner=root --persist --replace "$name" - || return
        done
        mountpoint -q /srv || mount -t pkram -o size=64m,pkram.persist web /srv || return
        contents web "$STAGE" >/srv/file
}

# A program that runs in a shutdown, beside the one that writes.
breaker() {
        cat <<'END'
#!/bin/bash
# Usage: breaker kill|cut MILLISECONDS
for ((i = 0; i < 3000; i++)); do
        writer=$(pgrep -f -o 'pkram-restore --lost') && break
        sleep 0.02
done
[ -n "$writer" ] || exit 1
sleep "$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000)))"
if [ "$1" = kill ]; then
        # That may be the one that waits, the one that starts others, or one that copies a node.
        victim=$(pgrep -f 'pkram-restore --lost' | shuf -n 1)
        kill -KILL "$victim" && echo "process $victim of pkram-restore is killed" >/dev/kmsg
else
        echo '<1>@@pkram CUT' >/dev/kmsg
        sleep 60
fi
END
}

# arm kill|cut: for the shutdown that comes next
arm() {
        local msec=$((RANDOM % 2500))
        breaker >/run/breaker
        chmod 755 /run/breaker
        cat >/run/systemd/system/breaker.service <<END
[Unit]
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/run/breaker $1 $msec
TimeoutStopSec=90s
END
        systemctl daemon-reload
        check "$1 the writer $msec ms after it began" systemctl start breaker.service
}

# found: the nodes that there are, each with what the boot before this one stored; the tree last
found() {
        local name list wrong=0 there=""
        list=$(pkramctl list --json=short | python3 -c '
import json, sys
print(" ".join(n["name"] for n in json.load(sys.stdin)))') || fail "list" "pkramctl list failed"
        for name in $list; do
                [ "$name" != web ] || continue
                there+="$name "
                rm -rf /run/back
                if ! pkramctl retrieve --owner=root --keep "$name" /run/back >/dev/null ||
                   ! cmp -s <(contents "$name" $((STAGE - 1))) /run/back/*; then
                        wrong=$((wrong + 1))
                fi
        done
        if [[ " $list " == *" web "* ]]; then
                there+=web
                mount -t pkram -o size=64m,pkram.persist web /srv
                cmp -s <(contents web $((STAGE - 1))) /srv/file || wrong=$((wrong + 1))
        fi
        rm -rf /run/back
        show found "boot $STAGE: ${there:-nothing}"
        equal "what is found is what was stored last" "$wrong" 0
        matches "nothing else is found" "$there" '^((big|small|one|two|three|web) ?)*$'
        equal "no file is left half written" "$(compgen -G '/var/lib/pkram/disk/nodes.*/tmp-*')" ""
        FOUND=$there
}

# again SYSTEMCTL-VERB: store what belongs to this boot, and go
again() {
        check "stored" store_all
        remember_boot
        sync
        systemctl "$1"
        next_boot
}

stage1() {
        # The image has none, and would be damaged itself when the power fails. It is used from the next boot on.
        check "installed" env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends \
                -o Dpkg::Options::=--force-unsafe-io "$DIR"/packages/*.deb
        check "the root file system gets a journal" tune2fs -j /dev/vda
        mkdir -p "${CONF%/*}"
        printf '[Disk]\nPersist=marked\n' >$CONF
        check "units are loaded again" systemctl daemon-reload
        check "pkramd with the disk" systemctl restart pkramd.service
        again halt
}

stage2() {
        another_kernel "after a halt: another kernel runs"
        matches "the root file system has a journal" "$(journalctl -q -b -k -o cat -g 'vda.*: mounted filesystem')" \
                'with ordered data mode'
        found
        equal "a halt loses nothing" "$(tr ' ' '\n' <<<"$FOUND" | sort | xargs)" "big one small three two web"
        arm cut
        again reboot
}

broken() {
        another_kernel
        found
        if ((STAGE < 18)); then
                if ((STAGE % 2)); then arm kill; else arm cut; fi
                again reboot
        fi
        clean_boot
}

for STAGE_NUMBER in $(seq 3 18); do
        eval "stage$STAGE_NUMBER() { broken; }"
done
