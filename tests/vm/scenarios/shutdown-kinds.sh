# SPDX-License-Identifier: LGPL-2.1-or-later
# What happens to what is stored at a shutdown other than a kexec, or does not: a cancelled kexec
# and a soft-reboot keep everything, reboot and poweroff name what they lose, and after a crash the next boot says it.
# stages: 5
# timeout: 700
# memory: 1536M
# append: crashkernel=256M
# qemu: -action reboot=reset
# allow: Kernel panic - not syncing: sysrq triggered crash|Call Trace:|---\[ end Kernel panic

usable() {
        check "$1: every node is usable" bash -c \
                'pkramctl retrieve --keep big /run/back >/dev/null && cmp /run/back/* /var/tmp/data && rm -r /run/back'
        equal "$1: nodes" "$(status_field nodes)" 2
}

store_two() {
        check "stored" bash -c \
                'head -c 3000000 /dev/urandom | tee /var/tmp/data | pkramctl store big - && printf data | pkramctl store small -'
}

# MESSAGE_IDs in the journal of the boot before this one.
before() { journalctl -q -b -1 -o json "MESSAGE_ID=${ID[$1]}"; }

crash() {
        wait_for_report
        journalctl --sync
        sync
        echo c >/proc/sysrq-trigger
        sleep 60
}

stage1() {
        store_two
        check "loaded" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
        check "a kexec is scheduled" systemctl kexec --when=+2h
        matches "it is known" "$(cat /run/systemd/shutdown/scheduled)" 'MODE=kexec'
        check "shutdown -c" shutdown -c
        equal "it is cancelled" "$(ls /run/systemd/shutdown/scheduled /run/nologin 2>/dev/null)" ""
        usable "cancelled by shutdown -c"
        check "kexec -u" kexec -u
        equal "no image is loaded" "$(status_field imageState)" none
        usable "after kexec -u"

        remember_boot
        wait_for_report
        systemctl soft-reboot
        next_boot
}

stage2() {
        equal "soft-reboot: the same kernel" "$(cat /proc/sys/kernel/random/boot_id)" "$(cat "$STATE/boot")"
        usable "soft-reboot"
        equal "soft-reboot: nothing is told as lost" "$(entries LOST | wc -l)" 0
        equal "soft-reboot: nor as restored" "$(entries RESTORED | wc -l)" 0
        wait_for_report
        equal "soft-reboot: nor as crashed" "$(entries CRASHED | wc -l)" 0
        systemctl reboot
        next_boot
}

stage3() {
        equal "reboot: nothing is stored" "$(status_field nodes)" 0
        equal "reboot: nodes told as lost" "$(before LOST | wc -l)" 2
        e=$(before LOST | grep '"PKRAM_NODE":"big"')
        equal "reboot: their bytes" "$(field PKRAM_BYTES "$e")" 3000000
        matches "reboot: what that means" "$(journalctl -q -b -1 -x "MESSAGE_ID=${ID[LOST]}")" \
                'Node big will be lost in this shutdown'
        example pkram-restore.service 'journalctl -b -1 MESSAGE_ID'
        matches "reboot: what it shows" "$OUT" "'big'"
        wait_for_report
        equal "reboot: it was no crash" "$(entries CRASHED | wc -l)" 0

        # A crash with kdump. The kernel for it boots into a program that looks and resets the machine.
        store_two
        cat >/usr/local/bin/kdump-init <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -e /dev/kmsg ] || mount -t devtmpfs devtmpfs /dev
if dmesg | grep -q 'this is a kdump kernel\|pkram: disabled' || [ "$(cat /sys/kernel/pkram)" = 0 ]; then
        echo '<1>@@pkram PASS crash: the kdump kernel leaves preserved memory alone' >/dev/kmsg
else
        echo '<1>@@pkram FAIL crash: the kdump kernel: says nothing' >/dev/kmsg
fi
if [ -s /proc/vmcore ]; then
        echo '<1>@@pkram PASS crash: kdump has its dump' >/dev/kmsg
else
        echo '<1>@@pkram FAIL crash: kdump has its dump: there is no /proc/vmcore' >/dev/kmsg
fi
sync
echo b >/proc/sysrq-trigger
END
        chmod +x /usr/local/bin/kdump-init
        check "the kdump kernel is loaded" kexec -s -p /boot/vmlinuz-pkram \
                --command-line="console=ttyS0 root=/dev/vda rw rootwait panic=-1 loglevel=7 nr_cpus=1 init=/usr/local/bin/kdump-init"
        crash
}

crashed() {
        equal "$1: nothing is stored" "$(status_field nodes)" 0
        check "$1: the store works" bash -c 'printf x | pkramctl store x - && pkramctl remove x'
        wait_for_report
        equal "$1: one entry says what was lost" "$(entries CRASHED | wc -l)" 1
        matches "$1: by name" "$(field MESSAGE "$(entries CRASHED)")" "'big' of \S+ \(2\.9M\), 'small' of \S+ \("
        equal "$1: and which boot it was" "$(field PKRAM_BOOT_ID "$(entries CRASHED)")" \
                "$(journalctl -q -b -1 -n 1 -o json |
                python3 -c 'import json, sys; print(json.load(sys.stdin)["_BOOT_ID"])')"
}

stage4() {
        crashed "crash with kdump"
        example pkram-restore.service 'journalctl -b MESSAGE_ID=5962'
        matches "crash with kdump: what it shows" "$OUT" "'big'"
        example pkram 'journalctl -b -1 MESSAGE_ID'
        matches "crash with kdump: what that shows" "$OUT" "'big'"
        store_two
        crash
}

stage5() {
        crashed "crash"
        store_two
        # Looks when pkram-shutdown.service has done its work: there is no later boot to do it.
        cat >/etc/systemd/system/last-look.service <<END
[Unit]
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target pkram-shutdown.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/usr/local/bin/last-look
END
        cat >/usr/local/bin/last-look <<END
#!/bin/bash
. $DIR/lib.sh
equal "poweroff: nodes told as lost" "\$(entries LOST | wc -l)" 2
equal "poweroff: their names" "\$(entries LOST | grep -o '"PKRAM_NODE":"[a-z]*"' | sort | tr -d '\n')" '"PKRAM_NODE":"big""PKRAM_NODE":"small"'
mark DONE
END
        chmod +x /usr/local/bin/last-look
        systemctl daemon-reload
        check "last look" systemctl start last-look.service
        systemctl poweroff
        next_boot
}
