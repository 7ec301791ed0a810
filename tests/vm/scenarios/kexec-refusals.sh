# SPDX-License-Identifier: LGPL-2.1-or-later
# A kexec that would lose what is stored is refused before anything stops, with the reason, whatever the reason is; the
# right kernel is then let through. What counts: nodes, memory of services that run, trees, and the command line as the
# kernel reads it. KexecPolicy=warn and --force let others through, and the journal says what that cost.
# stages: 4
# timeout: 700
# kernels: nopkram
# expect: 1 pkram: kexec refused, no unit was stopped

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

# refuses CASE REASON TEXT: what is loaded now is refused by every program that is asked, for that reason.
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
        refused "$1: pkramctl kexec reads it from the image" "$2" pkramctl kexec --kernel="$3" \
                --initrd= --reuse-cmdline
        equal "$1: nothing was started" "$(systemctl list-jobs --no-legend | wc -l)" 0
}

# Other kernels, made of this one: a later format, and another architecture.
make_images() {
        python3 - <<'END'
image = bytearray(open("/boot/vmlinuz-pkram", "rb").read())
tag = image.index(b"PKRM\x20\0\0\0")
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
                "$(kexec -c -l /boot/vmlinuz-pkram --reuse-cmdline --mem-min=$from \
                --mem-max=$((from + size + 0x7ffff)) 2>&1)" \
                '^kexec_load failed: Cannot assign requested address'
        matches "conflict: the kernel's log says what to do" "$(dmesg)" \
                'pkram: kexec_load: segment .* would overwrite preserved memory: use kexec_file_load'
        equal "conflict: what was loaded before is still there" "$(check_field reason)" keeps
        check "conflict: kexec -s finds another place" kexec -s -l /boot/vmlinuz-pkram --reuse-cmdline
}

# A service that stores when it stops and retrieves when it starts has nothing stored while it runs.
holding_units() {
        cat >/etc/systemd/system/mycache.service <<'END'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/usr/bin/pkramctl retrieve mycache /run/mycache
ExecStop=/bin/sh -c 'echo memory | pkramctl store mycache -'
END
        systemctl daemon-reload
        check "holding: the wrong image is loaded" kexec -s -l "$WRONG" --reuse-cmdline
        equal "holding: nothing is refused before" "$(check_field reason)" nothingStored
        check "holding: a service that found nothing to retrieve" systemctl start mycache.service
        equal "holding: nothing is stored" "$(status_field nodes)" 0
        refuses "holding" noSupport 'what mycache.service stores when it stops.*has no PKRAM'
        equal "holding: it still runs" "$(systemctl is-active mycache.service)" active
        check "holding: the mark survives the daemon" systemctl restart pkramd.service
        equal "holding: it is refused after that" "$(check_field reason)" noSupport
        check "holding: the right image is loaded" kexec -s -l /boot/vmlinuz-pkram --reuse-cmdline
        equal "holding: it is not refused" "$(check_field reason) $(check_field keepsAtOnce)" "keeps False"
        matches "holding: what kexec -e would lose" "$(pkramctl check)" "kexec -e.*mycache.service"

        # Stopped, it holds nothing any more; a declaration counts before the first call, and can take it back.
        check "holding: it stops" systemctl stop mycache.service
        check "holding: what it stored is removed" pkramctl remove --owner=mycache.service mycache
        equal "holding: a unit that does not run" "$(check_field reason)" nothingStored
        rm /run/pkram/units/mycache.service
        sed -i 's/^Exec.*//' /etc/systemd/system/mycache.service
        echo 'ExecStart=/bin/true' >>/etc/systemd/system/mycache.service
        example pkram-kexec-guard.service 'install -d /etc/systemd/system'
        check "declared: it runs" systemctl restart mycache.service
        equal "declared: it counts" "$(field units "$(call CheckKexec)")" "['mycache.service']"
        check "declared: the wrong image is loaded" kexec -s -l "$WRONG" --reuse-cmdline
        refused "declared: an image without PKRAM" 'mycache.service.*has no PKRAM' pkramctl check
        equal "declared: with an exit status of its own" "$(pkramctl check >/dev/null; echo $?)" 11
        echo 'X-Pkram-Stores=no' >>/etc/systemd/system/mycache.service.d/pkram.conf
        systemctl daemon-reload
        touch /run/pkram/units/mycache.service
        equal "declared: no" "$(check_field reason)" nothingStored
        rm -r /run/pkram/units/mycache.service /etc/systemd/system/mycache.service.d
        systemctl stop mycache.service
        kexec -u
}

# A tree that cannot be stored: there are too many files, or a process writes in it that is not stopped.
unstorable_trees() {
        mkdir -p /srv/web /etc/pkram/pkramd.conf.d
        check "tree: mounted" mount -t pkram -o size=64m web /srv/web
        check "tree: the right image is loaded" kexec -s -l /boot/vmlinuz-pkram --reuse-cmdline
        equal "tree: it will be stored" "$(check_field reason) $(check_field trees) $(check_field keepsAtOnce)" \
                "keeps 1 False"
        for n in $(seq 20); do head -c 70000 /dev/zero >"/srv/web/$n"; done
        printf '[Store]\nObjectsMax=10\n' >/etc/pkram/pkramd.conf.d/50-few.conf
        check "tree: with a limit" systemctl reload pkramd.service
        refuses "tree: too many files" tree "tree 'web' at '/srv/web' needs 21, which exceeds ObjectsMax=10"
        equal "tree: it is still mounted" "$(find /srv/web -type f | wc -l)" 20
        refused "tree: pkramctl kexec says so, too" 'ObjectsMax=10' pkramctl kexec --kernel=/boot/vmlinuz-pkram \
                --initrd= --reuse-cmdline
        OUT=$(pkramctl kexec -n --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline 2>&1)
        matches "tree: a dry run does not claim to load" "$OUT" 'Without --dry-run, the kernel is loaded'
        OUT=$(pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline 2>&1)
        matches "tree: the kernel can be loaded meanwhile" "$OUT" 'Loading the kernel without starting it'
        rm /etc/pkram/pkramd.conf.d/50-few.conf
        check "tree: without the limit" systemctl reload pkramd.service
        equal "tree: it will be stored again" "$(check_field reason)" keeps

        systemd-run --quiet --unit=stopped sh -c 'exec sleep infinity >>/srv/web/log'
        systemd-run --quiet --unit=writer --property=DefaultDependencies=no sh -c 'exec sleep infinity >>/srv/web/log'
        sleep 1
        refuses "tree: in use for writing" tree \
                "'/srv/web' is in use for writing by sleep \\([0-9]+, writer.service\\), which"
        check "tree: no process writes any more" systemctl stop writer.service stopped.service
        equal "tree: and it will be stored" "$(check_field reason)" keeps
        check "tree: unmounted" umount /srv/web
        check "tree: removed" pkramctl remove --owner=root web
        kexec -u
}

# What systemctl refuses is refused before a kernel is loaded. If the kexec is not started for another reason, the user
# is told that the kernel is loaded.
failing_systemctl() {
        local command=(pkramctl kexec --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline)
        kexec -u
        refused "not started: a time" 'Failed|Invalid' "${command[@]}" --when=nonsense
        refused "not started: a mode" 'nonsense' "${command[@]}" --check-inhibitors=nonsense
        equal "not started: no kernel is loaded" "$(cat /sys/kernel/kexec_loaded)" 0
        mkdir -p /run/failing
        printf '#!/bin/sh\nexit 1\n' >/run/failing/systemctl
        chmod +x /run/failing/systemctl
        refused "not started: it is said" 'The kernel is loaded, but not started' \
                env PATH=/run/failing:"$PATH" "${command[@]}"
        equal "not started: a kernel is loaded" "$(cat /sys/kernel/kexec_loaded)" 1
        kexec -u
}

# The command line as the kernel reads it, with kexec_load(2), where the kernel does not make it.
command_lines() {
        local base param
        base=$(sed 's/ *pkram=[^ ]*//g' /proc/cmdline)
        param=pkram=$(cat /sys/kernel/pkram)
        for line in "$base test=\"a $param b\"" "$base -- $param" "$param $base pkram=1234"; do
                check "no pkram= that counts: loaded" kexec -c -l /boot/vmlinuz-pkram --append="$line"
                equal "no pkram= that counts: ${line//$base/...}" "$(check_field reason)" noParameter
        done
        for line in "$param $base -- word" "$base pkram=1234 $param" "$base \"$param\"" \
                "$param $base test=\"a pkram=1 b\""; do
                check "pkram= that counts: loaded" kexec -c -l /boot/vmlinuz-pkram --append="$line"
                equal "pkram= that counts: ${line//$base/...}" "$(check_field reason)" keeps
        done
        for length in 1990 2010 2016 2017 2018 2022 2047 2048 3000; do
                line="$base x=$(head -c $((length - ${#base} - 3)) /dev/zero | tr '\0' y)"
                if OUT=$(pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --append="$line" 2>&1); then
                        pass "$length bytes: loaded"
                else
                        matches "$length bytes: too long, and that is said" "$OUT" 'too long'
                fi
                equal "$length bytes: what is loaded keeps" "$(status_field imageState)" keeps
        done
}

stage1() {
        check "images" make_images
        check "nothing stored: the wrong image is loaded" kexec -s -l "$WRONG" --reuse-cmdline
        example pkram-kexec-guard.service 'pkramctl check'
        matches "nothing stored: nothing is refused" "$OUT" 'loses nothing'
        equal "nothing stored: the reason" "$(check_field reason) $(check_field keeps)" "nothingStored True"
        file_refused "nothing stored" 'what services store when they stop: .* has no PKRAM' "$WRONG"
        kexec -u

        holding_units
        unstorable_trees
        failing_systemctl

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
        check "wrong pkram=: loaded" kexec -c -l /boot/vmlinuz-pkram \
                --command-line="console=ttyS0 root=/dev/vda pkram=deadbeef"
        refuses "wrong pkram=" noParameter 'lacks pkram='

        command_lines
        conflicts

        # The way people do it: without waiting for an answer.
        check "systemctl kexec: the wrong image is loaded" kexec -s -l "$WRONG" --reuse-cmdline
        n=$(refused_entries)
        systemctl kexec
        for _ in $(seq 60); do
                [ "$(refused_entries)" -gt "$n" ] && break
                sleep 1
        done
        equal "systemctl kexec: refused" "$(refused_entries)" $((n + 1))
        # With a kernel loaded these are a kexec as well.
        for way in "systemctl reboot" "shutdown -r now"; do
                no_jobs "$way"
                n=$(refused_entries)
                $way
                for _ in $(seq 60); do
                        [ "$(refused_entries)" -gt "$n" ] && break
                        sleep 1
                done
                equal "$way: refused" "$(refused_entries)" $((n + 1))
        done
        example pkram-kexec-guard.service 'journalctl -b MESSAGE_ID'
        matches "systemctl kexec: what it shows" "$OUT" 'Refused to kexec: .* has no PKRAM'
        no_jobs "systemctl kexec"
        for unit in $active; do
                [ "$(systemctl is-active "$unit")" = active ] || [ "$(systemctl show -P Type "$unit")" = oneshot ] ||
                        fail "every service still runs" "$unit does not"
        done
        pass "every service still runs"
        equal "users can still log in" "$(ls /run/nologin 2>/dev/null)" ""
        check "the node is usable" bash -c \
                'pkramctl retrieve --keep kept /run/back >/dev/null && cmp /run/back/* /run/data'
        equal "the node is listed" "$(status_field nodes)" 1

        # The right kernel is let through. As Debian's kernel packages do it:
        ln -s boot/vmlinuz-pkram /vmlinuz
        remember_boot
        check "the image is unloaded" kexec -u
        check "a dry run" pkramctl kexec --dry-run
        matches "it shows the kernel" "$OUT" 'Kernel: /boot/vmlinuz-pkram'
        matches "and its command line" "$OUT" 'Command line: .*pkram='
        equal "a dry run loads nothing" "$(cat /sys/kernel/kexec_loaded)" 0
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
        example pkram-kexec-guard.service 'mkdir -p /etc/pkram'
        equal "KexecPolicy=warn lets it through" "$(check_field keeps) $(check_field refused)" "False False"
        remember_boot
        systemctl reboot
        next_boot
}

lost_before() {
        another_kernel "$1: another kernel runs"
        matches "$1: the journal says that it went on" "$(journalctl -q -b -1 -o cat)" "Going on, since $2"
        equal "$1: and what was lost" "$(journalctl -q -b -1 -o json "MESSAGE_ID=${ID[LOST]}" |
                grep -c '"PKRAM_NODE":"kept"')" 1
        equal "$1: nothing was refused" "$(journalctl -q -b -1 -o json "MESSAGE_ID=${ID[REFUSED]}" | wc -l)" 0
}

# It has PKRAM, whatever it said.
stage3() {
        lost_before "KexecPolicy=warn" 'KexecPolicy= allows it'
        rm /etc/pkram/pkramd.conf.d/50-kexec.conf
        equal "nothing came back" "$(status_field nodes)" 0
        check "stored" bash -c 'printf data | pkramctl store kept -'
        refused "without --force" 'has no PKRAM.*Use --force' pkramctl kexec --kernel="$WRONG" \
                --initrd= --reuse-cmdline
        remember_boot
        ln -sf "$WRONG" /vmlinuz
        example pkram-kexec-guard.service 'pkramctl kexec --force'
        next_boot
}

stage4() {
        lost_before "--force" 'it was forced'
        equal "the kernel without PKRAM runs" "$(ls /dev/pkram 2>/dev/null)" ""
}
