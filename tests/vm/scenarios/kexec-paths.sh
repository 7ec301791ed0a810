# SPDX-License-Identifier: LGPL-2.1-or-later
# Every way into a kexec that pkramctl, kexec-tools, Debian and systemd know keeps what is stored, as the manual pages
# show it, and puts the right pkram= on the next command line exactly once, whatever was there before.
# stages: 6
# timeout: 600
# append: pkram=dead

KERNEL=/vmlinuz

loaded() { equal "$1: the loaded kernel keeps it" "$(status_field imageState)" keeps; }

# leave WAY: what is written where the next boot has to come from
leave() {
        printf '%s\n' "$1" >"$STATE/way"
        remember_boot
        sync
}

# late WAY: something that is stored while a kernel is loaded already, so that it has to keep out of that one's way
late() {
        head -c 3000000 /dev/urandom >/run/late
        sha late </run/late >/dev/null
        check "$1: store after loading" pkramctl store --replace late /run/late
}

# The examples name an initial RAM disk, pkramctl looks for one; the other ways do without.
arrived() { # yes|no: by the initial RAM disk?
        local way
        way=$(cat "$STATE/way")
        another_kernel "$way: another kernel runs"
        one_param "$way: pkram="
        equal "$way: came by an initrd" "$([ -e /run/came-by-initrd ] && echo yes || echo no)" "$1"
        matches "$way: the rest of the command line" "$(cat /proc/cmdline)" \
                'console=ttyS0.* root=/dev/vda.* watchdog_thresh=60'
        pkramctl retrieve --keep kept - | same kept
        pkramctl retrieve --keep late - | same late
        matches "$way: every kexec is counted" "$(pkramctl --json=short show kept)" "\"generation\":$((STAGE - 1))\b"
        equal "$way: nodes" "$(status_field nodes)" 2
        matches "$way: the journal says that it came back" "$(entries RESTORED PKRAM_NODE=kept | wc -l)" '^1$'
}

stage1() {
        # As Debian's kernel packages do it.
        ln -s boot/vmlinuz-pkram /vmlinuz
        ln -s boot/initrd.img-pkram /initrd.img
        check "initrd" python3 "$DIR/initrd.py" /boot/initrd.img-pkram
        equal "the wrong pkram= is on the first command line" \
                "$(journalctl -q -b -k -o cat -g 'Command line' | grep -o 'pkram=dead')" "pkram=dead"
        head -c 5000000 /dev/urandom >/run/kept
        sha kept </run/kept >/dev/null
        check "stored" pkramctl store kept /run/kept
        late first

        mkdir -p /var/cache/app
        example mount.pkram 'mount -t pkram'
        echo "by hand" >/var/cache/app/file
        leave "pkramctl kexec"
        example mount.pkram 'mount -t pkram' 2
        next_boot
}

stage2() {
        example mount.pkram 'mount -t pkram' 3
        equal "the tree mounted by hand" "$(cat /var/cache/app/file)" "by hand"
        example mount.pkram 'mount -o remount,size=2G'
        equal "it is larger" "$(stat -f -c '%b*%S' /var/cache/app)" "524288*4096"
        umount -i /var/cache/app
        arrived yes

        check "kexec -s -l" kexec -s -l $KERNEL --append="pkram=12345 $(cat /proc/cmdline) pkram=0xabc"
        loaded "kexec -s -l"
        late "kexec -s -l"
        # A tree is stored by the shutdown, which this way does without. That is said before and after.
        mkdir -p /srv/open
        check "a tree" mount -t pkram -o size=16m open /srv/open
        echo lost >/srv/open/file
        equal "its name is kept, and is not a node" "$(status_field nodes)" 2
        equal "systemctl kexec would keep it, kexec -e would not" "$(check_field keeps) $(check_field keepsAtOnce)" \
                "True False"
        matches "pkramctl check says so" "$(pkramctl check)" \
                "'kexec -e', a kexec would lose the contents of 1 mounted tree"
        leave "kexec -s -l, kexec -e"
        # No service is stopped: what was stored before is what counts. It does not come back.
        example pkram 'pkramctl check && kexec -e'
}

# The older system call: kexec-tools lays the image out by itself, and the command line is the caller's.
stage3() {
        arrived no
        equal "the tree that was lost is named" \
                "$(python3 -c \
                'import json, sys; print([n["name"] for n in json.loads(sys.argv[1])["lastKexec"]["lost"]])' \
                "$(call GetStatus)")" "['open']"
        matches "and why" "$(entries DROPPED | tail -n 1)" "Tree 'open'.* was lost: .*kexec -e"
        check "kexec -c -l without pkram=" kexec -c -l $KERNEL --append="$(sed 's/pkram=[^ ]*//' /proc/cmdline)"
        equal "pkram= is missed before anything stops" "$(status_field imageState)" noParameter
        refused "pkramctl check" 'pkram=' pkramctl check
        # /proc/cmdline does not show the word that the kernel added.
        check "kexec -c -l --reuse-cmdline" kexec -c -l $KERNEL --reuse-cmdline
        equal "kexec -c -l --reuse-cmdline lacks pkram=" "$(status_field imageState)" noParameter
        example pkram 'kexec -c -l'
        loaded "kexec -c -l"
        late "kexec -c -l"
        leave "kexec -c -l, systemctl kexec --force"
        example pkram 'pkramctl check && systemctl kexec --force'
        next_boot
}

# What Debian's kexec-tools have for /etc/default/kexec.
stage4() {
        arrived yes
        sed -i 's/^INITRD=.*/INITRD=""/' /etc/default/kexec
        matches "/etc/default/kexec" "$(cat /etc/default/kexec)" '^KERNEL_IMAGE="/vmlinuz"'
        leave "/etc/default/kexec, systemctl kexec"
        example pkram 'kexec-load-kernel'
        next_boot
}

stage5() {
        arrived no
        example pkram 'kexec -l'
        loaded "kexec -l"
        example pkram 'systemctl kexec --when'
        equal "cancelled: nothing is scheduled" "$(ls /run/systemd/shutdown/scheduled 2>/dev/null)" ""
        pkramctl retrieve --keep kept - | same kept
        late "kexec -l"
        leave "kexec -l, systemctl kexec --when"
        check "scheduled" systemctl kexec --when=+5s
        next_boot
}

stage6() {
        arrived yes
        check "retrieved and released" pkramctl retrieve --release kept /run/back
        check "removed" pkramctl remove late
        equal "nodes in the end" "$(status_field nodes)" 0
        clean_boot
}
