# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Debian's QEMU in the guest, with a guest of its own that checks its RAM and writes to a virtio disk: it is set up as
# pkram-qemu(8) says, and goes on after a kexec that is cancelled and after two that are not. It boots, and the journal
# says why, after QEMU was killed while it saved it, and with another argument.
# suite: campaign
# stages: 3
# memory: 3G
# timeout: 1800

# Outside of the directories for temporary files: the unit has its own. Each start of QEMU appends to it.
SERIAL=/srv/serial
UNIT=pkram-qemu@web.service

# The complete lines of all that the guest ever said on its serial port.
said() { [ ! -e $SERIAL ] || head -n -1 $SERIAL; }
last_tick() { said | grep '^guest tick' | tail -n 1 | cut -d' ' -f3; }
boots() { said | grep -c 'guest boots$'; }

# What is wrong in there, if anything. A guest that goes on says the number after the last one, and all it finds in its
# RAM and on its disk is right. The line before a boot may be torn.
wrong() {
        said | awk '
                /guest boots$/ { next_tick = 1; next }
                /^guest off$/ { next }
                /^guest tick [0-9]+ bad 0 disk 0 rtc [0-9:]+$/ && $3 == next_tick { next_tick++; next }
                { print "line " NR ": " $0; exit }'
}
healthy() { equal "$1: RAM, disk and numbers are right" "$(wrong)" ""; }

# Until the guest has said three numbers more.
rounds() {
        local before
        before=$(said | grep -c '^guest tick')
        for _ in $(seq 240); do
                [ "$(said | grep -c '^guest tick')" -ge $((before + 3)) ] && return
                sleep 0.5
        done
        fail "the guest runs" "$(tail -n 3 $SERIAL 2>&1; systemctl status $UNIT 2>&1 | tail -n 5)"
}

# Compares the guest's hardware clock, as it said it last, with the host's before and after reading that.
seconds_of_day() { IFS=: read -r h m s <<<"$1"; echo $((10#$h * 3600 + 10#$m * 60 + 10#$s)); }
clock_is_right() {
        local before guest after away
        before=$(seconds_of_day "$(date -u +%T)")
        guest=$(seconds_of_day "$(tail -n 2 $SERIAL | sed -n '1s/.* rtc //p')")
        after=$(seconds_of_day "$(date -u +%T)")
        # Midnight may be in between.
        away=$(((guest - before + 43200 + 86400) % 86400 - 43200))
        echo "before $before guest $guest after $after"
        ((away >= -5 && away <= (after - before + 86400) % 86400 + 5))
}

# qemu_log: what pkram-qemu said in this boot
qemu_log() { journalctl --sync; journalctl -q -b -o cat -t pkram-qemu; }

# remember_guest, and later goes_on NAME: it has not booted since, and does not run by itself
remember_guest() { echo "$(boots) $(last_tick)" >"$STATE/guest"; }
goes_on() {
        local boots tick
        read -r boots tick <"$STATE/guest"
        rounds
        equal "$1: it does not boot" "$(boots)" "$boots"
        [ "$(last_tick)" -gt "$tick" ] && pass "$1: it counts on" || fail "$1: it counts on" "$(last_tick), was $tick"
        healthy "$1"
        check "$1: its clock" clock_is_right
        matches "$1: the journal" "$(qemu_log)" "Guest 'web' goes on; it stood still for"
        matches "$1: pkramctl status" "$(pkramctl status)" \
                'Guest: web, 512.0M in /var/lib/pkram-qemu/web, went on after'
        show kexec "$1: $(qemu_log | grep 'goes on' | tail -n 1)"
}

# boots_again NAME REASON
boots_again() {
        rounds
        equal "$1: it boots" "$(boots)" "$(($(cut -d' ' -f1 "$STATE/guest") + 1))"
        healthy "$1"
        matches "$1: and says why" "$(qemu_log)" "Guest 'web' boots and does not go on: $2"
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
        local record=/var/lib/pkram-qemu/web/guest.json
        remember_guest
        systemctl kexec --no-block
        for _ in $(seq 300); do
                grep -qs '"phase":"saved"' $record && break
                sleep 0.2
        done
        check "cancelled: the jobs" systemctl cancel
        check "cancelled: the guest was saved" grep -o '"phase":"saved"' $record
        check "cancelled: it starts again" systemctl start --job-mode=ignore-dependencies $UNIT
        goes_on "cancelled"
        remember_guest
        remember_boot
        systemctl kill -s KILL slow-to-stop.service
        systemctl start --no-block kexec.target
        sleep 200
        fail "cancelled" "the second kexec did not come"
}

stage1() {
        example pkram-qemu 'mkdir -p'
        example_text pkram-qemu '[Guest]' >/etc/pkram/qemu/web.conf
        mkdir -p /etc/systemd/system/pkram-qemu@web.service.d
        example_text pkram-qemu '[Unit]' >/etc/systemd/system/pkram-qemu@web.service.d/override.conf
        {
                echo "Command=-kernel $TESTS/guest -m 512M"
                echo "Command=-chardev file,id=serial,path=$SERIAL,append=on -serial chardev:serial"
        } >>/etc/pkram/qemu/web.conf
        example_text pkram-qemu '[Store]' >/etc/pkram/pkramd.conf.d/50-guests.conf
        mkdir -p /srv/images
        truncate -s 8M /srv/images/web.img
        # Keeps a kexec waiting that is to be cancelled: the guest is stopped before it, and the tree after it.
        cat >/etc/systemd/system/slow-to-stop.service <<END_OF_UNIT
[Unit]
RequiresMountsFor=/var/lib/pkram-qemu/web
Before=$UNIT
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
        equal "booted: once, with a disk" "$(said | head -n 1) $(boots)" "guest boots 1"
        matches "status" "$(pkramctl status)" 'Guest: web, 512.0M in /var/lib/pkram-qemu/web$'
        matches "check" "$(pkramctl check)" '1 guest will be saved on the way: web'
        refused "a device that is passed through" 'pinned memory' pkram-qemu run other \
                --directory=/var/lib/pkram-qemu/web/other --size=64M -- qemu-system-x86_64 -device vfio-pci,host=0:1.0
        refused "no tree" 'not on a file system of type pkram' pkram-qemu run other --directory=/var/tmp --size=64M \
                -- qemu-system-x86_64
        refused "a second one of this name" 'runs already' pkram-qemu run web
        check "slow to stop" systemctl start slow-to-stop.service
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
        wait_for_report
        matches "first kexec: the report names the guest" "$(entries UP)" 'Guests: web continues'
        remember_guest
        remember_boot
        kexec_now
}

stage3() {
        another_kernel
        goes_on "second kexec"

        # QEMU is killed while it is asked to save the guest: it does not answer before that.
        remember_guest
        check "killed: QEMU stands still" pkill -STOP qemu-system
        kill -USR1 "$(main_process)"
        for _ in $(seq 50); do
                grep -qs '"phase":"saving"' /var/lib/pkram-qemu/web/guest.json && break
                sleep 0.2
        done
        check "killed: while it is saved" pkill -KILL qemu-system
        # The unit failed, and is started again.
        boots_again "killed" "it could not be saved: QEMU ended \(signal 9 \(Killed\)\) while it saved it"

        remember_guest
        save
        echo 'Command=-smp 1' >>/etc/pkram/qemu/web.conf
        check "another argument" systemctl start $UNIT
        boots_again "another argument" "QEMU's arguments are not those that it was saved with: '-smp' was ''"

        check "stopped" systemctl stop $UNIT
        equal "stopped: by its power button" "$(tail -n 1 $SERIAL)" "guest off"
        equal "stopped: nothing is left" "$(ls -A /var/lib/pkram-qemu/web)" ""
}
