# SPDX-License-Identifier: LGPL-2.1-or-later
# Five services that depend on each other and three trees (a line of fstab, a mount unit, pkram-tree@.service) go through
# several kexecs, loaded in another way each time, one of them into an initrd: every byte is there, everything is
# started and stopped in the order it should be. A tree that is missing is empty, or fails its unit if that asks for it.
# suite: campaign
# stages: 4
# timeout: 600

# The campaign asks for more, with as many stages.
KEXECS=$(sed -n 's/.*pkramtest\.kexecs=\([0-9]*\).*/\1/p' /proc/cmdline)
KEXECS=${KEXECS:-3}

SERVICES="alpha beta gamma delta"
JOBS=/run/pkram/trees/jobs

# What such a service does: checks what it wrote before, writes other things, and once more when it is stopped.
make_services() {
        cat >/usr/local/bin/tree-service <<'END'
#!/bin/bash
set -eu
verb=$1 name=$2
shift 2
for dir; do
        cd "$dir"
        if [ "$verb" = start ]; then
                n=$(cat "$name.count" 2>/dev/null || echo 0)
                if [ "$n" -gt 0 ]; then
                        sha256sum --check --quiet "$name.sum"
                        [ "$(wc -l <"$name.stopped")" = "$n" ]
                fi
                head -c 200000 /dev/urandom >"$name.data"
                sha256sum "$name.data" >"$name.sum"
                echo $((n + 1)) >"$name.count"
        else
                echo stopped >>"$name.stopped"
        fi
done
echo "$name did its $verb"
END
        chmod +x /usr/local/bin/tree-service
        mkdir -p /srv/web /srv/db
        echo 'web /srv/web pkram size=64M,mode=0755 0 0' >>/etc/fstab
        printf '[Mount]\nWhat=db\nWhere=/srv/db\nType=pkram\nOptions=size=64M\n[Install]\nWantedBy=local-fs.target\n' >/etc/systemd/system/srv-db.mount

        make_service alpha "RequiresMountsFor=/srv/web" /srv/web
        make_service beta "RequiresMountsFor=/srv/db
Requires=alpha.service
After=alpha.service" /srv/db
        make_service gamma "Requires=pkram-tree@jobs.service
After=pkram-tree@jobs.service" "$JOBS"
        make_service delta "RequiresMountsFor=/srv/web
Requires=pkram-tree@jobs.service beta.service gamma.service
After=pkram-tree@jobs.service beta.service gamma.service" /srv/web "$JOBS"
        cat >/etc/systemd/system/keeper.service <<END
[Unit]
Requires=delta.service
After=delta.service
[Service]
Type=notify
ExecStart=$TESTS/keeper service-state 8
[Install]
WantedBy=multi-user.target
END
        systemctl daemon-reload
        # shellcheck disable=SC2046,SC2086
        systemctl enable --now srv-db.mount pkram-tree@jobs.service keeper.service $(printf '%s.service ' $SERVICES)
}

make_service() { # NAME UNIT-LINES DIR...
        local name=$1 lines=$2
        shift 2
        cat >"/etc/systemd/system/$name.service" <<END
[Unit]
$lines
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/tree-service start $name $*
ExecStop=/usr/local/bin/tree-service stop $name $*
[Install]
WantedBy=multi-user.target
END
}

# The smallest initrd: mounts the root file system, and goes there.
make_initrd() {
        python3 - <<'END'
import gzip, os, re, subprocess
files = {"/init": b"""#!/bin/sh
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 tmpfs /run
: >/run/came-by-initrd
mount -o rw,noatime /dev/vda /root
for d in dev proc run; do mount --move /$d /root/$d; done
exec switch_root /root /sbin/init
"""}
for p in ("/bin/sh", "/bin/mount", "/sbin/switch_root"):
    files[p] = open(p, "rb").read()
    for lib in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", p], capture_output=True, text=True).stdout):
        files[lib] = open(lib, "rb").read()
out, ino = b"", 0
def entry(name, mode, data=b""):
    global out, ino
    ino += 1
    name = name.lstrip("/").encode() + b"\0"
    fields = [ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
    out += b"070701" + b"".join(b"%08x" % f for f in fields) + name
    out += b"\0" * (-len(out) % 4) + data
    out += b"\0" * (-len(out) % 4)
dirs = {"/dev", "/proc", "/run", "/root"}
for p in files:
    while p != "/":
        p = os.path.dirname(p)
        dirs.add(p)
for d in sorted(dirs - {"/"}):
    entry(d, 0o040755)
for p, data in files.items():
    entry(p, 0o100755, data)
entry("TRAILER!!!", 0)
open("/boot/initrd-test", "wb").write(gzip.compress(out, 1))
END
}

# kexec_by N: the N-th way, round and round
kexec_by() {
        case $(($1 % 4)) in
        1) kexec_now ;;
        2)
                check "kexec -s -l, with an initrd" kexec -s -l /boot/vmlinuz-pkram --initrd=/boot/initrd-test --reuse-cmdline
                : >"$STATE/initrd"
                systemctl kexec
                next_boot
                ;;
        3)
                # kexec_load(2) leaves pkram= to whoever makes the command line.
                check "kexec -c -l" kexec -c -l /boot/vmlinuz-pkram \
                        --command-line="$(sed 's/ *pkram=[^ ]*//g' /proc/cmdline) pkram=$(cat /sys/kernel/pkram)"
                systemctl kexec
                next_boot
                ;;
        0)
                check "pkramctl kexec --no-reboot" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
                check "scheduled" systemctl kexec --when=+2s
                next_boot
                ;;
        esac
}

activated() { systemctl show -P ActiveEnterTimestampMonotonic "$1"; }

# in_order UNIT...: each became active no later than the next
in_order() {
        local before=0 unit t
        for unit; do
                t=$(activated "$unit")
                if [ "$t" = 0 ] || [ "$t" -lt "$before" ]; then
                        fail "order of activation: $*" "$unit was active at $t, the one before at $before"
                        return
                fi
                before=$t
        done
        pass "order of activation: $*"
}

# Monotonic time of the last line of the boot before this one that matches.
said_before() {
        journalctl -q -b -1 -o json --output-fields=MESSAGE "$@" | tail -n 1 |
                python3 -c 'import json, sys; print(json.loads(sys.stdin.read() or "{}").get("__MONOTONIC_TIMESTAMP", 0))'
}

check_order() {
        local t before=0 step
        in_order pkramd.socket pkram-restore.service srv-web.mount sysinit.target alpha.service beta.service delta.service keeper.service
        in_order pkram-restore.service srv-db.mount sysinit.target beta.service
        in_order pkram-restore.service pkram-tree@jobs.service sysinit.target gamma.service delta.service
        matches "critical-chain has the mount" "$(systemd-analyze critical-chain --fuzz=1h alpha.service)" 'srv-web\.mount'
        matches "critical-chain has the report" "$(systemd-analyze critical-chain --fuzz=1h alpha.service)" 'pkram-restore\.service|pkramd\.socket'
        matches "plot has the trees" "$(systemd-analyze plot)" 'srv-db\.mount'

        for step in "-u keeper.service" "-u delta.service" "MESSAGE_ID=${ID[STORED]} PKRAM_NODE=web" "_SYSTEMD_UNIT=pkram-shutdown.service SYSLOG_IDENTIFIER=pkram-kexec-guard"; do
                # shellcheck disable=SC2086
                t=$(said_before $step)
                if [ "$t" = 0 ] || [ "$t" -lt "$before" ]; then
                        fail "order on the way down" "'$step' came at $t, the one before at $before"
                        return
                fi
                before=$t
        done
        pass "order on the way down"
}

check_services() { # STARTS
        local s
        for s in $SERVICES; do
                equal "$s is up" "$(systemctl is-active "$s.service")" active
        done
        equal "starts: alpha, delta in one tree" "$(cat /srv/web/alpha.count /srv/web/delta.count | tr '\n' ' ')" "$1 $1 "
        equal "starts: beta in a tree of its own" "$(cat /srv/db/beta.count)" "$1"
        equal "starts: gamma, delta" "$(cat $JOBS/gamma.count $JOBS/delta.count | tr '\n' ' ')" "$1 $1 "
        matches "the service without a tree" "$(journalctl -q -b -u keeper.service -o cat)" "$([ "$1" = 1 ] && echo '^nothing stored, made a new memfd' || echo "start $1\$")"
        check "no unit failed" bash -c 'f=$(systemctl --failed --no-legend --plain); echo "$f"; [ -z "$f" ]'
}

# Trees nobody has stored.
check_missing() {
        mkdir -p /srv/none /srv/wanted
        cat >>/etc/fstab <<'END'
none /srv/none pkram noauto,nofail 0 0
wanted /srv/wanted pkram noauto,nofail,pkram.required 0 0
END
        make_service with-none "RequiresMountsFor=/srv/none" /srv/none
        make_service with-wanted "RequiresMountsFor=/srv/wanted" /srv/wanted
        systemctl daemon-reload
        check "missing: the service starts" systemctl start with-none.service
        matches "missing: the journal says that it is empty" "$(journalctl -q -b -u srv-none.mount -o cat)" "'none' is not stored: the file system is empty"
        refused "pkram.required: the service does not start" 'dependency' systemctl start with-wanted.service
        equal "pkram.required: nothing is mounted" "$(findmnt -n /srv/wanted)" ""
        matches "pkram.required: the journal says why" "$(journalctl -q -b -u srv-wanted.mount -o cat)" "'wanted' is not stored, and the option"
        systemctl reset-failed
        systemctl stop with-none.service srv-none.mount
        pkramctl remove none
        rm /etc/systemd/system/with-*.service
        sed -i '/^none\|^wanted/d' /etc/fstab
        systemctl daemon-reload
}

stage1() {
        check "initrd" make_initrd
        check "services" make_services
        check_services 1
        check_missing
        kexec_by 1
}

later() {
        if [ -e "$STATE/initrd" ]; then
                equal "came by the initrd" "$(ls /run/came-by-initrd)" /run/came-by-initrd
                rm "$STATE/initrd"
        fi
        check_services "$STAGE"
        check_order
        equal "one pkram= on the command line" "$(grep -o '\bpkram=' /proc/cmdline | wc -l)" 1
        equal "no node is left over" "$(pkramctl --json=short list | grep -c '"name"')" 0
        [ "$STAGE" -gt "$KEXECS" ] || kexec_by "$STAGE"
}

for stage in $(seq 2 $((KEXECS + 1))); do
        eval "stage$stage() { later; }"
done
