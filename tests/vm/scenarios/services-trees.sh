# SPDX-License-Identifier: LGPL-2.1-or-later
# Five services that depend on each other and three trees (a line of fstab, a mount unit, pkram-tree@.service) go
# through several kexecs, loaded in another way each time, one of them into an initrd: every byte is there, everything
# is started and stopped in the order it should be. A tree that is missing or damaged is empty, or fails its unit if
# that asks for it.
# stages: 3
# timeout: 600

# The campaign asks for more, with as many stages. The first two are without an initrd and with one.
KEXECS=$(sed -n 's/.*pkramtest\.kexecs=\([0-9]*\).*/\1/p' /proc/cmdline)
KEXECS=${KEXECS:-2}

SERVICES="alpha beta gamma delta"
WEB=/srv/web
CACHE=/var/cache/app
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
        make_service alpha "$(example_text pkram-tree@.service '[Unit] RequiresMountsFor')" $WEB
        make_service beta "[Unit]
RequiresMountsFor=$CACHE
Requires=alpha.service
After=alpha.service" $CACHE
        make_service gamma "$(example_text pkram-tree@.service '[Unit] Requires=')" $JOBS
        make_service delta "[Unit]
RequiresMountsFor=$WEB
Requires=pkram-tree@jobs.service beta.service gamma.service
After=pkram-tree@jobs.service beta.service gamma.service" $WEB $JOBS
        keeper_unit 8 Requires=delta.service After=delta.service
        systemctl daemon-reload
        # shellcheck disable=SC2046,SC2086
        systemctl enable --now keeper.service $(printf '%s.service ' $SERVICES)
}

# The three ways to a tree, as the manual pages have them.
make_trees() {
        mkdir -p $CACHE
        example_text mount.pkram 'cache' >>/etc/fstab
        systemctl daemon-reload
        check "a tree by fstab" systemctl start var-cache-app.mount
        equal "what it is" "$(findmnt -n -o SOURCE,FSTYPE $CACHE)" "cache tmpfs"
        systemctl stop var-cache-app.mount
        sed -i '/^cache/d' /etc/fstab
        pkramctl --owner=root remove cache

        example_text mount.pkram '[Mount]' >/etc/systemd/system/var-cache-app.mount
        systemctl daemon-reload
        check "a tree by a mount unit" systemctl enable --now var-cache-app.mount
        example README 'echo "web'
        check "the manual page has the same line" grep -qxF "$(example_text pkram-tree@.service 'web')" /etc/fstab
        example pkram-tree@.service 'systemctl enable --now'
        # What an administrator would write into the editor.
        mkdir -p /etc/systemd/system/pkram-tree@jobs.service.d
        printf '[Service]\nEnvironment=PKRAM_OPTIONS=size=32M,mode=0750\nTimeoutStopSec=10min\n' \
                >/etc/systemd/system/pkram-tree@jobs.service.d/override.conf
        systemctl daemon-reload
        check "with options" systemctl restart pkram-tree@jobs.service
        matches "its options" "$(findmnt -n -o OPTIONS $JOBS)" 'size=32768k,mode=750'
        equal "its timeout can be seen" "$(systemctl show -P TimeoutStopUSec pkram-tree@jobs.service)" 10min
}

make_service() { # NAME UNIT-SECTION DIR...
        local name=$1 unit=$2
        shift 2
        cat >"/etc/systemd/system/$name.service" <<END
$unit
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/tree-service start $name $*
ExecStop=/usr/local/bin/tree-service stop $name $*
[Install]
WantedBy=multi-user.target
END
}

# kexec_by N: the N-th way, round and round
kexec_by() {
        remember_boot
        case $(($1 % 4)) in
        1) kexec_now ;;
        2)
                check "kexec -s -l, with an initrd" kexec -s -l /boot/vmlinuz-pkram --initrd=/boot/initrd-test \
                        --reuse-cmdline
                : >"$STATE/initrd"
                systemctl kexec
                next_boot
                ;;
        3)
                # kexec_load(2) leaves pkram= to the program that builds the command line.
                check "kexec -c -l" kexec -c -l /boot/vmlinuz-pkram \
                        --command-line="$(sed 's/ *pkram=[^ ]*//g' /proc/cmdline) pkram=$(cat /sys/kernel/pkram)"
                systemctl kexec
                next_boot
                ;;
        0)
                check "pkramctl kexec --no-reboot" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram \
                        --initrd= --reuse-cmdline
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
                python3 -c \
                'import json, sys; print(json.loads(sys.stdin.read() or "{}").get("__MONOTONIC_TIMESTAMP", 0))'
}

# What systemd-analyze shows of the order, after a boot without and one with an initrd.
charts() {
        local step chain
        chain=$(systemd-analyze critical-chain --fuzz=1h alpha.service)
        matches "critical-chain has the mount" "$chain" 'srv-web\.mount'
        matches "and what that waited for" "$chain" 'pkram-restore\.service|pkramd\.socket'
        [ "$STAGE" = 2 ] || return
        cd /run || return
        example pkram-tree@.service 'systemd-analyze critical-chain'
        matches "critical-chain has the service" "$OUT" 'alpha\.service'
        for step in pkramd.socket pkram-restore.service var-cache-app.mount srv-web.mount pkram-tree@jobs.service; do
                check "the boot chart has $step" grep -qF "$step" boot.svg
        done
}

check_order() {
        local t before=0 step
        in_order pkramd.socket pkram-restore.service srv-web.mount sysinit.target alpha.service beta.service \
                delta.service keeper.service
        in_order pkram-restore.service var-cache-app.mount sysinit.target beta.service
        in_order pkram-restore.service pkram-tree@jobs.service sysinit.target gamma.service delta.service
        [ "$STAGE" -gt 3 ] || charts

        for step in "-u keeper.service" "-u delta.service" "MESSAGE_ID=${ID[STORED]} PKRAM_NODE=web" \
                "_SYSTEMD_UNIT=pkram-shutdown.service SYSLOG_IDENTIFIER=pkram-kexec-guard"; do
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
        equal "starts: alpha, delta in one tree" "$(cat /srv/web/alpha.count /srv/web/delta.count | tr '\n' ' ')" \
                "$1 $1 "
        equal "starts: beta in a tree of its own" "$(cat $CACHE/beta.count)" "$1"
        equal "starts: gamma, delta" "$(cat $JOBS/gamma.count $JOBS/delta.count | tr '\n' ' ')" "$1 $1 "
        matches "the service without a tree" "$(journalctl -q -b -u keeper.service -o cat)" \
                "$([ "$1" = 1 ] && echo '^nothing stored, made a new memfd' || echo "start $1\$")"
        clean_boot
}

# Trees that were never stored.
check_missing() {
        mkdir -p /srv/none /srv/wanted
        cat >>/etc/fstab <<'END'
none /srv/none pkram noauto,nofail 0 0
wanted /srv/wanted pkram noauto,nofail,pkram.required 0 0
END
        make_service with-none "[Unit]
RequiresMountsFor=/srv/none" /srv/none
        make_service with-wanted "[Unit]
RequiresMountsFor=/srv/wanted" /srv/wanted
        systemctl daemon-reload
        check "missing: the service starts" systemctl start with-none.service
        matches "missing: the journal says that it is empty" "$(journalctl -q -b -u srv-none.mount -o cat)" \
                "'none' is not stored, mounting an empty file system"
        refused "pkram.required: the service does not start" 'dependency' systemctl start with-wanted.service
        equal "pkram.required: nothing is mounted" "$(findmnt -n /srv/wanted)" ""
        matches "pkram.required: the journal says why" "$(journalctl -q -b -u srv-wanted.mount -o cat)" \
                "'wanted' is not stored, not mounting because of pkram.required"
        systemctl reset-failed
        systemctl stop with-none.service srv-none.mount
        pkramctl --owner=root remove none
        rm /etc/systemd/system/with-*.service
        sed -i '/^none\|^wanted/d' /etc/fstab
        systemctl daemon-reload
}

# A stored tree of which one bit is not what it was. Stored with checksums, or it would not be noticed.
check_damaged() {
        mkdir -p /srv/spoilt /srv/wanted
        check "damaged: a tree" mount -t pkram -o pkram.verify spoilt /srv/spoilt
        echo "some contents" >/srv/spoilt/file
        check "damaged: is stored" umount /srv/spoilt
        check "damaged: and spoilt" python3 "$DIR/spoil-tree.py" 'io.pkram.root|spoilt' "some contents"

        # As a mount unit, as a service, and at last by fstab, where it is not asked for.
        printf '[Mount]\nWhat=spoilt\nWhere=/srv/wanted\nType=pkram\nOptions=pkram.required\n' \
                >/etc/systemd/system/srv-wanted.mount
        mkdir -p /etc/systemd/system/pkram-tree@spoilt.service.d
        printf '[Service]\nEnvironment=PKRAM_OPTIONS=pkram.required\n' \
                >/etc/systemd/system/pkram-tree@spoilt.service.d/50-test.conf
        echo 'spoilt /srv/spoilt pkram noauto,nofail 0 0' >>/etc/fstab
        make_service with-wanted "[Unit]
RequiresMountsFor=/srv/wanted" /srv/wanted
        make_service with-service "[Unit]
Requires=pkram-tree@spoilt.service
After=pkram-tree@spoilt.service" /run/pkram/trees/spoilt
        make_service with-spoilt "[Unit]
RequiresMountsFor=/srv/spoilt" /srv/spoilt
        systemctl daemon-reload
        refused "damaged, pkram.required in a mount unit: the service does not start" 'dependency' systemctl start \
                with-wanted.service
        equal "nothing is mounted" "$(findmnt -n /srv/wanted)" ""
        matches "the journal says why" "$(journalctl -q -b -u srv-wanted.mount -o cat)" \
                "'spoilt' is damaged, not mounting because of pkram.required"
        refused "damaged, pkram.required in pkram-tree@.service: the service does not start" 'dependency' systemctl \
                start with-service.service
        equal "nothing is mounted there" "$(findmnt -n /run/pkram/trees/spoilt)" ""
        matches "the journal says why, too" "$(journalctl -q -b -u pkram-tree@spoilt.service -o cat)" \
                "'spoilt' is damaged, not mounting because of pkram.required"
        check "the node is kept" pkramctl --owner=root show spoilt
        check "damaged: without the option the service starts" systemctl start with-spoilt.service
        matches "damaged: the journal says that it is empty" "$(journalctl -q -b -u srv-spoilt.mount -o cat)" \
                "'spoilt' is damaged, mounting an empty file system"
        equal "damaged: nothing of it is there" "$(find /srv/spoilt -name file | wc -l)" 0

        systemctl reset-failed
        systemctl stop with-spoilt.service srv-spoilt.mount
        check "damaged: what is stored then is in its place" mount -t pkram -o pkram.required spoilt /srv/spoilt
        check "damaged: it is what the service left" test -s /srv/spoilt/with-spoilt.data
        umount -i /srv/spoilt
        rm -r /etc/systemd/system/with-*.service /etc/systemd/system/srv-wanted.mount \
                /etc/systemd/system/pkram-tree@spoilt.service.d
        sed -i '/^spoilt/d' /etc/fstab
        systemctl daemon-reload
}

stage1() {
        check "initrd" python3 "$DIR/initrd.py" /boot/initrd-test
        make_trees
        check "services" make_services
        check_services 1
        check_missing
        check_damaged
        kexec_by 1
}

later() {
        if [ -e "$STATE/initrd" ]; then
                equal "came by the initrd" "$(ls /run/came-by-initrd)" /run/came-by-initrd
                rm "$STATE/initrd"
        fi
        check_services "$STAGE"
        check_order
        another_kernel
        one_param
        equal "no node is left over" "$(pkramctl --json=short list | grep -c '"name"')" 0
        [ "$STAGE" -gt "$KEXECS" ] || kexec_by "$STAGE"
}

for stage in $(seq 2 $((KEXECS + 1))); do
        eval "stage$stage() { later; }"
done
