# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Debian's QEMU in the guest, with a guest of its own that checks its RAM and writes to a virtio disk: it is set up as
# pkram-qemu(8) says, and goes on after a kexec that is cancelled and after two that are not. It boots, and the journal
# says why, after QEMU was killed while it saved it, and with another argument.
# suite: campaign
# stages: 3
# memory: 3G
# timeout: 900

# Outside of the directories for temporary files: the unit has its own.
SERIAL=/srv/serial
UNIT=pkram-qemu@web.service

# The newest word of the guest on its serial port, which is a file that each start of QEMU empties.
ticks() { grep -c '^guest tick' $SERIAL 2>/dev/null; }
last_tick() { grep '^guest tick' $SERIAL | tail -n 1; }
tick_number() { last_tick | cut -d' ' -f3; }

# Until the guest has done three rounds since QEMU was started.
rounds() {
        for _ in $(seq 120); do
                [ "$(ticks)" -ge 3 ] && return
                sleep 0.5
        done
        fail "the guest runs" "$(tail -n 3 $SERIAL 2>&1; systemctl status $UNIT 2>&1 | tail -n 5)"
}

# Everything the guest ever found is right.
healthy() {
        equal "$1: RAM and disk are right" "$(grep -c '^guest tick [0-9]* bad 0 disk 0 ' $SERIAL)" "$(ticks)"
}

# Compares the guest's hardware clock with the host's: seconds of the day.
clock_is_right() {
        python3 - "$(last_tick | sed 's/.* rtc //')" <<'END_OF_PYTHON'
import sys, time
h, m, s = map(int, sys.argv[1].split(":"))
away = abs(h * 3600 + m * 60 + s - int(time.time()) % 86400)
sys.exit(f"the guest's clock is {min(away, 86400 - away)} s away") if min(away, 86400 - away) > 5 else None
END_OF_PYTHON
}

goes_on() {
        rounds
        [ "$(head -n 1 $SERIAL | cut -d' ' -f2)" = tick ] && pass "$1: it does not boot" ||
                fail "$1: it does not boot" "$(head -n 1 $SERIAL)"
        equal "$1: it counts on" "$(grep -m 1 '^guest tick' $SERIAL | cut -d' ' -f3)" "$(($(cat "$STATE/ticks") + 1))"
        healthy "$1"
        check "$1: its clock" clock_is_right
        matches "$1: the journal" "$(journalctl -q -b -o cat -t pkram-qemu)" "Guest 'web' goes on; it stood still for"
        matches "$1: pkramctl status" "$(pkramctl status)" \
                'Guest: web, 512.0M in /var/lib/pkram-qemu/web, went on after'
        show kexec "$1: $(journalctl -q -b -o cat -t pkram-qemu | grep 'goes on' | tail -n 1)"
}

# By hand, as by a kexec.
main_process() { systemctl show -P MainPID $UNIT; }
save() { kill -USR1 "$(main_process)"; wait_for_end; }
wait_for_end() {
        for _ in $(seq 120); do
                case $(systemctl is-active $UNIT) in inactive | failed) return ;; esac
                sleep 0.5
        done
        fail "the guest's unit ends" "$(systemctl status $UNIT)"
}

# Outside of the unit of the scenario, which a kexec stops even if it is cancelled.
cancelled_kexec() {
        local state
        systemctl kexec --no-block
        for _ in $(seq 300); do
                [ -e /var/lib/pkram-qemu/web/guest.json ] && grep -q '"saved"' /var/lib/pkram-qemu/web/guest.json &&
                        break
                sleep 0.2
        done
        check "cancelled: the jobs" systemctl cancel
        state=$(grep -o '"phase":"[a-z]*"' /var/lib/pkram-qemu/web/guest.json)
        equal "cancelled: the guest was saved" "$state" '"phase":"saved"'
        last=$(cat "$STATE/ticks.before")
        check "cancelled: it starts again" systemctl start --job-mode=ignore-dependencies $UNIT
        rounds
        [ "$(tick_number)" -gt "$last" ] && pass "cancelled: it counts on" ||
                fail "cancelled: it counts on" "$(last_tick), before $last"
        healthy "cancelled"
        matches "cancelled: it goes on" "$(journalctl -q -b -o cat -t pkram-qemu)" "Guest 'web' goes on"
        systemctl kill -s KILL slow-to-stop.service
        remember_boot
        # The number is known when the guest has been saved.
        systemctl start --no-block kexec.target
        sleep 200
        fail "cancelled" "the second kexec did not come"
}

stage1() {
        example pkram-qemu 'mkdir -p'
        example_text pkram-qemu '[Guest]' >/etc/pkram/qemu/web.conf
        echo "Command=-kernel $TESTS/guest -serial file:$SERIAL -m 512M" >>/etc/pkram/qemu/web.conf
        example_text pkram-qemu '[Store]' >/etc/pkram/pkramd.conf.d/50-guests.conf
        mkdir -p /srv/images
        truncate -s 8M /srv/images/web.img
        # Notes the last tick when the guest has been saved, and keeps a kexec waiting that is to be cancelled.
        mkdir -p /etc/systemd/system/$UNIT.d
        cat >/etc/systemd/system/$UNIT.d/test.conf <<END_OF_UNIT
[Service]
ExecStopPost=/bin/sh -c 'grep "^guest tick" $SERIAL | tail -n 1 | cut -d" " -f3 >$STATE/ticks'
END_OF_UNIT
        cat >/etc/systemd/system/slow-to-stop.service <<'END_OF_UNIT'
[Unit]
# The guest is stopped before it, and the tree after it.
RequiresMountsFor=/var/lib/pkram-qemu/web
Before=pkram-qemu@web.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sleep 60
END_OF_UNIT
        # Its last command reports failure as long as no kernel is loaded.
        check "a kernel is loaded" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
        example pkram-qemu 'systemctl daemon-reload'
        rounds
        healthy "booted"
        matches "status" "$(pkramctl status)" 'Guest: web, 512.0M in /var/lib/pkram-qemu/web$'
        matches "check" "$(pkramctl check)" '1 guest will be saved on the way: web'
        refused "a device that is passed through" 'pinned memory' pkram-qemu run other \
                --directory=/var/lib/pkram-qemu/web/other --size=64M -- qemu-system-x86_64 -device vfio-pci,host=0:1.0
        refused "no tree" 'not on a file system of type pkram' pkram-qemu run other --directory=/var/tmp --size=64M \
                -- qemu-system-x86_64
        check "slow to stop" systemctl start slow-to-stop.service
        tick_number >"$STATE/ticks.before"
        check "the rest happens elsewhere" systemd-run -q --unit=cancelling -p DefaultDependencies=no -p \
                StandardOutput=journal+console \
                -E "STAGE=$STAGE" -E "STATE=$STATE" -E "DIR=$DIR" bash -c \
                '. "$DIR/lib.sh"; . "$DIR/scenario.sh"; cancelled_kexec'
        sleep 400
        fail "stage 1" "the kexec did not come"
}

stage2() {
        another_kernel
        goes_on "first kexec"
        remember_boot
        kexec_now
}

stage3() {
        another_kernel
        goes_on "second kexec"

        # QEMU does not answer, and is killed then.
        systemctl kill -s STOP $UNIT
        kill -CONT "$(main_process)"
        kill -USR1 "$(main_process)"
        sleep 1
        pkill -KILL qemu-system
        # The unit failed, and is started again.
        for _ in $(seq 120); do
                journalctl -q -b -o cat -t pkram-qemu | grep -q 'boots and does not go on' && break
                sleep 0.5
        done
        matches "killed: the journal" "$(journalctl -q -b -o cat -t pkram-qemu)" 'QEMU ended \(signal 9'
        rounds
        equal "killed: it boots" "$(head -n 1 $SERIAL)" "guest boots"
        matches "killed: and says why" "$(journalctl -q -b -o cat -t pkram-qemu)" \
                "Guest 'web' boots and does not go on: it could not be saved: QEMU ended"

        save
        echo 'Command=-smp 1' >>/etc/pkram/qemu/web.conf
        check "another argument" systemctl start $UNIT
        rounds
        equal "another argument: it boots" "$(head -n 1 $SERIAL)" "guest boots"
        matches "another argument: and says why" "$(journalctl -q -b -o cat -t pkram-qemu)" \
                "does not go on: QEMU's arguments are not those"

        check "stopped" systemctl stop $UNIT
        equal "stopped: by its power button" "$(tail -n 1 $SERIAL)" "guest off"
        equal "stopped: nothing is left" "$(ls -A /var/lib/pkram-qemu/web)" ""
}
