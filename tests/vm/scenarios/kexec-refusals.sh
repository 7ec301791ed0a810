# SPDX-License-Identifier: LGPL-2.1-or-later
# A kexec that would lose what is stored is refused before anything stops, with the reason, whatever the reason is; the
# right kernel is then let through. KexecPolicy=warn and --force let others through, and the journal says what that cost.
# stages: 4
# timeout: 500
# kernels: nopkram
# expect: 1 pkram: the kexec was refused, nothing was stopped

WRONG=/boot/vmlinuz-nopkram
# Says that it reads a later version of the format.
LATER=/var/tmp/vmlinuz-later

# The guard itself starts once more after it has refused. Nothing else may be left.
no_jobs() {
        for _ in $(seq 20); do
                [ "$(systemctl list-jobs --no-legend | wc -l)" = 0 ] && break
                sleep 1
        done
        equal "$1: no job is left" "$(systemctl list-jobs --no-legend)" ""
}

# refuses CASE REASON TEXT: what is loaded now is refused by everybody who is asked, for that reason.
refuses() {
        local n
        n=$(refused_entries)
        matches "$1: CheckKexec knows the reason, and that it is refused" "$(call CheckKexec)" \
                "\"keeps\":false,.*\"refused\":true,.*\"reason\":\"$2\""
        refused "$1: pkramctl check says why" "$3" pkramctl check
        refused "$1: kexec.target is cancelled" 'cancel' systemctl start kexec.target
        no_jobs "$1"
        equal "$1: one entry more in the journal" "$(refused_entries)" $((n + 1))
        matches "$1: with the reason" "$(field MESSAGE "$(entries REFUSED | tail -n 1)")" "$3"
}

# file_refused CASE TEXT FILE: pkramctl reads it from the image, and loads nothing.
file_refused() {
        refused "$1: pkramctl kexec reads it from the image" "$2" pkramctl kexec --kernel="$3" --initrd= --reuse-cmdline
        equal "$1: nothing was started" "$(systemctl list-jobs --no-legend | wc -l)" 0
}

# Other kernels, made of this one: a later format, and another architecture.
make_images() {
        python3 - <<'END'
image = bytearray(open("/boot/vmlinuz-pkram", "rb").read())
tag = image.index(b"PKRM\x10\0\0\0")
later = bytearray(image)
later[tag + 8] += 1
open("/var/tmp/vmlinuz-later", "wb").write(later)
# XLF_KERNEL_64 in xloadflags: without it there is no 64-bit entry point.
image[0x236] &= 0xfe
open("/var/tmp/vmlinuz-i386", "wb").write(image)
END
}

# kexec_load(2) to where the super block is, which stays where it is: between 2 MiB and the end there is room for the
# kernel in one place only.
conflicts() {
        local at size from
        at=$((16#$(cat /sys/kernel/pkram) * 4096))
        # init_size, what the kernel needs while it is unpacked.
        size=$(od -An -tu4 -j $((0x260)) -N 4 /boot/vmlinuz-pkram)
        from=$(((at - size / 2) & ~0x1fffff))
        [ "$from" -ge $((2 << 20)) ] || from=$((2 << 20))
        check "conflict: another image is loaded" kexec -s -l /boot/vmlinuz-pkram --reuse-cmdline
        # Its exit status is 255.
        matches "conflict: kexec_load refuses" \
                "$(kexec -c -l /boot/vmlinuz-pkram --reuse-cmdline --mem-min=$from --mem-max=$((from + size + 0x7ffff)) 2>&1)" \
                '^kexec_load failed: Cannot assign requested address'
        matches "conflict: the kernel's log says what to do" "$(dmesg)" \
                'pkram: kexec_load: segment .* would overwrite preserved memory: use kexec_file_load'
        equal "conflict: what was loaded before is still there" "$(check_field reason)" keeps
        check "conflict: kexec -s finds another place" kexec -s -l /boot/vmlinuz-pkram --reuse-cmdline
}

stage1() {
        check "images" make_images
        check "nothing stored: the wrong image is loaded" kexec -s -l "$WRONG" --reuse-cmdline
        example pkram-kexec-guard.service 'pkramctl check'
        matches "nothing stored: nothing is refused" "$OUT" 'loses nothing'
        equal "nothing stored: the reason" "$(check_field reason) $(check_field keeps)" "nothingStored True"
        kexec -u

        check "stored" bash -c 'head -c 3000000 /dev/urandom | tee /run/data | pkramctl store kept -'
        sha kept </run/data >/dev/null
        active=$(systemctl list-units --state=active --type=service --no-legend --plain | cut -d' ' -f1 | sort)

        refuses "no image" noImage 'no kernel is loaded'

        file_refused "without PKRAM" 'has no PKRAM' "$WRONG"
        check "without PKRAM: loaded" kexec -s -l "$WRONG" --reuse-cmdline
        refuses "without PKRAM" noSupport 'has no PKRAM'
        check "without PKRAM: loaded by kexec_load" kexec -c -l "$WRONG" --reuse-cmdline
        refuses "without PKRAM, kexec_load" noSupport 'has no PKRAM'

        file_refused "wrong format" 'reads format version' $LATER
        check "wrong format: loaded" kexec -s -l $LATER --reuse-cmdline
        refuses "wrong format" format 'does not read format version'

        file_refused "wrong architecture" 'is for i386, not x86-64' /var/tmp/vmlinuz-i386
        file_refused "no kernel at all" 'is not a kernel image' /usr/bin/true

        check "no pkram=: loaded" kexec -c -l /boot/vmlinuz-pkram --command-line="console=ttyS0 root=/dev/vda"
        refuses "no pkram=" noParameter 'lacks pkram='
        check "wrong pkram=: loaded" kexec -c -l /boot/vmlinuz-pkram --command-line="console=ttyS0 root=/dev/vda pkram=deadbeef"
        refuses "wrong pkram=" noParameter 'lacks pkram='

        conflicts

        # The way people do it: nobody waits for an answer.
        check "systemctl kexec: the wrong image is loaded" kexec -s -l "$WRONG" --reuse-cmdline
        n=$(refused_entries)
        systemctl kexec
        for _ in $(seq 60); do
                [ "$(refused_entries)" -gt "$n" ] && break
                sleep 1
        done
        equal "systemctl kexec: refused" "$(refused_entries)" $((n + 1))
        example pkram-kexec-guard.service 'journalctl -b MESSAGE_ID'
        matches "systemctl kexec: what it shows" "$OUT" 'Refused to kexec: .* has no PKRAM'
        no_jobs "systemctl kexec"
        for unit in $active; do
                [ "$(systemctl is-active "$unit")" = active ] || [ "$(systemctl show -P Type "$unit")" = oneshot ] ||
                        fail "every service still runs" "$unit does not"
        done
        pass "every service still runs"
        equal "nobody is kept from logging in" "$(ls /run/nologin 2>/dev/null)" ""
        check "the node is usable" bash -c 'pkramctl retrieve --keep kept /run/back >/dev/null && cmp /run/back/* /run/data'
        equal "the node is listed" "$(status_field nodes)" 1

        # The right kernel is let through. As Debian's kernel packages do it:
        ln -s boot/vmlinuz-pkram /vmlinuz
        remember_boot
        example pkramctl 'pkramctl kexec --no-reboot'
        next_boot
}

stage2() {
        another_kernel
        equal "nodes" "$(status_field nodes)" 1
        check "retrieved" pkramctl retrieve --keep kept /run/back
        cat /run/back/* | same kept

        check "the wrong image is loaded" kexec -s -l "$LATER" --reuse-cmdline
        equal "KexecPolicy=refuse" "$(check_field keeps) $(check_field refused)" "False True"
        example pkram-kexec-guard.service 'mkdir -p'
        equal "KexecPolicy=warn lets it through" "$(check_field keeps) $(check_field refused)" "False False"
        remember_boot
        systemctl kexec
        next_boot
}

lost_before() {
        another_kernel "$1: another kernel runs"
        matches "$1: the journal says that it went on" "$(journalctl -q -b -1 -o cat)" "Going on, since $2"
        equal "$1: and what was lost" "$(journalctl -q -b -1 -o json "MESSAGE_ID=${ID[LOST]}" | grep -c '"PKRAM_NODE":"kept"')" 1
        equal "$1: nothing was refused" "$(journalctl -q -b -1 -o json "MESSAGE_ID=${ID[REFUSED]}" | wc -l)" 0
}

# It has PKRAM, whatever it said.
stage3() {
        lost_before "KexecPolicy=warn" 'KexecPolicy= allows it'
        rm /etc/pkram/pkramd.conf.d/50-kexec.conf
        equal "nothing came back" "$(status_field nodes)" 0
        check "stored" bash -c 'printf data | pkramctl store kept -'
        refused "without --force" 'has no PKRAM.*Use --force' pkramctl kexec --kernel="$WRONG" --initrd= --reuse-cmdline
        remember_boot
        ln -sf "$WRONG" /vmlinuz
        example pkram-kexec-guard.service 'pkramctl kexec --force'
        next_boot
}

stage4() {
        lost_before "--force" 'it was forced'
        equal "the kernel without PKRAM runs" "$(ls /dev/pkram 2>/dev/null)" ""
}
