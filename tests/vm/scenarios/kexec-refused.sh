# SPDX-License-Identifier: LGPL-2.1-or-later
# A kexec into a kernel without PKRAM is refused before anything stops, says why, and leaves every node usable; the
# right kernel is then let through.
# stages: 2
# timeout: 500
# kernels: nopkram

refused_entries() { entries REFUSED | wc -l; }

stage1() {
        check "stored" bash -c 'head -c 3000000 /dev/urandom | tee /run/data | pkramctl store kept -'
        sha kept </run/data >/dev/null
        active=$(systemctl list-units --state=active --type=service --no-legend --plain | cut -d' ' -f1 | sort)

        refused "pkramctl kexec into a kernel without PKRAM" 'PKRAM' \
                pkramctl kexec --kernel=/boot/vmlinuz-nopkram --initrd= --reuse-cmdline
        equal "nothing was started" "$(systemctl list-jobs --no-legend | wc -l)" 0

        check "the wrong image is loaded" kexec -s -l /boot/vmlinuz-nopkram --reuse-cmdline
        equal "the status knows" "$(status_field imageState)" noSupport
        systemctl kexec
        sleep 20
        equal "entries that say it was refused" "$(refused_entries)" 1
        equal "jobs left" "$(systemctl list-jobs --no-legend | wc -l)" 0
        for unit in $active; do
                [ "$(systemctl is-active "$unit")" = active ] || [ "$(systemctl show -P Type "$unit")" = oneshot ] ||
                        fail "every service still runs" "$unit does not"
        done
        pass "every service still runs"
        equal "nobody is kept from logging in" "$(ls /run/nologin 2>/dev/null)" ""
        # Not through logind, and with somebody waiting for the answer.
        refused "starting kexec.target" 'cancel' systemctl start kexec.target
        equal "entries after the second time" "$(refused_entries)" 2
        check "the node is usable" bash -c 'pkramctl retrieve --keep kept /run/back >/dev/null && cmp /run/back/* /run/data'
        equal "the node is listed" "$(status_field nodes)" 1
        kexec_now
}

stage2() {
        equal "nodes" "$(status_field nodes)" 1
        check "retrieved" pkramctl retrieve kept /run/back
        cat /run/back/* | same kept
}
