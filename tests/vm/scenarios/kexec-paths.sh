# SPDX-License-Identifier: LGPL-2.1-or-later
# Every way into a kexec that pkramctl, kexec-tools, Debian and systemd know keeps what is stored, and puts the right
# pkram= on the next command line exactly once, whatever was there before. One way a boot, in one chain.
# suite: campaign
# stages: 9
# timeout: 900
# append: pkram=dead

KERNEL=/vmlinuz

loaded() { equal "$1: the loaded kernel keeps it" "$(status_field imageState)" keeps; }

# leave NAME: remember what the next boot has to find, and by which way it came.
leave() {
        printf '%s\n' "$1" >"$STATE/way"
        cat /proc/sys/kernel/random/boot_id >"$STATE/boot"
        sync
}

# late: something that is stored while a kernel is loaded already, so that it has to keep out of that one's way
late() {
        head -c 3000000 /dev/urandom >/run/late
        sha late </run/late >/dev/null
        check "$1: store after loading" pkramctl store --replace late /run/late
}

arrived() {
        local way
        way=$(cat "$STATE/way")
        if [ "$(cat /proc/sys/kernel/random/boot_id)" = "$(cat "$STATE/boot")" ]; then
                fail "$way: another kernel runs" "it is the same boot"
        else
                pass "$way: another kernel runs"
        fi
        equal "$way: pkram=" "$(tr ' ' '\n' </proc/cmdline | grep 'pkram=' | sed 's/=0x/=/' | tr '\n' ' ')" "pkram=$(cat /sys/kernel/pkram) "
        matches "$way: the rest of the command line" "$(cat /proc/cmdline)" 'console=ttyS0.* root=/dev/vda.* watchdog_thresh=60'
        pkramctl retrieve --keep kept - | same kept
        pkramctl retrieve --keep late - | same late
        matches "$way: every kexec is counted" "$(pkramctl --json=short show kept)" "\"generation\":$((STAGE - 1))\b"
        equal "$way: nodes" "$(status_field nodes)" 2
        matches "$way: the journal says that it came back" "$(entries RESTORED PKRAM_NODE=kept | wc -l)" '^1$'
}

stage1() {
        # As Debian's kernel packages do it.
        ln -s boot/vmlinuz-pkram /vmlinuz
        equal "the wrong pkram= is on the first command line" "$(journalctl -q -b -k -o cat -g 'Command line' | grep -o 'pkram=dead')" "pkram=dead"
        head -c 20000000 /dev/urandom >/run/kept
        sha kept </run/kept >/dev/null
        check "stored" pkramctl store kept /run/kept
        late first
        leave "pkramctl kexec"
        check "pkramctl kexec" pkramctl kexec
        next_boot
}

stage2() {
        arrived
        check "kexec -s -l" kexec -s -l $KERNEL --append="pkram=12345 $(cat /proc/cmdline) pkram=0xabc"
        loaded "kexec -s -l"
        late "kexec -s -l"
        leave "kexec -s -l, systemctl kexec"
        systemctl kexec
        next_boot
}

# The older system call: kexec-tools lays the image out by itself, and the command line is the caller's.
stage3() {
        arrived
        check "kexec -c -l without pkram=" kexec -c -l $KERNEL --append="$(sed 's/pkram=[^ ]*//' /proc/cmdline)"
        equal "pkram= is missed before anything stops" "$(status_field imageState)" noParameter
        refused "pkramctl check" 'pkram=' pkramctl check
        check "kexec -c -l --reuse-cmdline" kexec -c -l $KERNEL --reuse-cmdline
        loaded "kexec -c -l --reuse-cmdline"
        check "kexec -c -l" kexec -c -l $KERNEL --append="$(sed 's/pkram=[^ ]*//' /proc/cmdline) pkram=$(cat /sys/kernel/pkram)"
        loaded "kexec -c -l"
        late "kexec -c -l"
        leave "kexec -c -l, systemctl kexec"
        systemctl kexec
        next_boot
}

# What Debian's kexec-tools have for /etc/default/kexec.
stage4() {
        arrived
        sed -i 's/^INITRD=.*/INITRD=""/' /etc/default/kexec
        matches "/etc/default/kexec" "$(cat /etc/default/kexec)" '^KERNEL_IMAGE="/vmlinuz"'
        check "kexec-load-kernel" kexec-load-kernel
        loaded kexec-load-kernel
        leave "/etc/default/kexec, systemctl kexec"
        systemctl kexec
        next_boot
}

stage5() {
        arrived
        check "kexec -l" kexec -l $KERNEL --reuse-cmdline
        check "scheduled" systemctl kexec --when=+2h
        check "cancelled" systemctl kexec --when=cancel
        equal "nothing is scheduled" "$(ls /run/systemd/shutdown/scheduled 2>/dev/null)" ""
        pkramctl retrieve --keep kept - | same kept
        late "after a cancelled kexec"
        loaded "after a cancelled kexec"
        leave "scheduled, cancelled, systemctl kexec"
        systemctl kexec
        next_boot
}

stage6() {
        arrived
        check "kexec -l" kexec -l $KERNEL --reuse-cmdline
        loaded "kexec -l"
        leave "kexec -l, kexec -e"
        # No service is stopped: what was stored before is what counts.
        kexec -e
        next_boot
}

stage7() {
        arrived
        check "pkramctl kexec --no-reboot" pkramctl kexec --no-reboot
        loaded "pkramctl kexec --no-reboot"
        late "systemctl kexec --force"
        leave "pkramctl kexec --no-reboot, systemctl kexec --force"
        systemctl kexec --force
        next_boot
}

stage8() {
        arrived
        check "kexec -l" kexec -l $KERNEL --reuse-cmdline
        leave "kexec -l, systemctl kexec --when"
        check "scheduled" systemctl kexec --when=+5s
        next_boot
}

stage9() {
        arrived
        check "retrieved for good" pkramctl retrieve kept /run/back
        check "removed" pkramctl remove late
        equal "nodes in the end" "$(status_field nodes)" 0
        check "the boot was clean" bash -c 'f=$(systemctl --failed --no-legend --plain); echo "$f"; [ -z "$f" ]'
}
