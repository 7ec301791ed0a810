# SPDX-License-Identifier: LGPL-2.1-or-later
# pkram-restore logs one structured entry for each node that came back, before ordinary services start, and the
# catalog explains it.
# stages: 2
# timeout: 400

stage1() {
        check "stored" bash -c 'head -c 5000000 /dev/urandom >/run/five && pkramctl store five /run/five'
        check "stored" bash -c 'printf x | pkramctl store one -'
        stored=$(entries STORED 'PKRAM_NODE=five')
        equal "one entry says it was stored" "$(wc -l <<<"$stored")" 1
        bytes=$(field PKRAM_BYTES "$stored")
        # The memory it takes: whole pages, and one or two for what the daemon has to know about it.
        if [ "$bytes" -ge 5000000 ] && [ "$bytes" -le 5016384 ]; then pass "its bytes"; else fail "its bytes" \
                "$bytes"; fi
        equal "its objects" "$(field PKRAM_OBJECTS "$stored")" 1
        # As Debian's kernel packages do it.
        ln -s boot/vmlinuz-pkram /vmlinuz
        mkdir -p /var/cache/app
        echo "in an archive" >/var/cache/app/file
        example pkramctl 'tar -C /var/cache/app'
        next_boot
}

stage2() {
        for n in five one; do
                e=$(entries RESTORED "PKRAM_NODE=$n")
                equal "one entry for $n" "$(wc -l <<<"$e")" 1
                equal "generation of $n" "$(field PKRAM_GENERATION "$e")" 1
                matches "owner of $n" "$(field PKRAM_OWNER "$e")" '^(root|pkram-test\.service)$'
                equal "kernel of $n" "$(field PKRAM_KERNEL "$e")" "$(uname -r)"
                matches "time for $n" "$(field PKRAM_USEC "$e")" '^[0-9]+$'
                equal "the program that logs $n" "$(field SYSLOG_IDENTIFIER "$e")" pkramd
        done
        equal "bytes of five" "$(field PKRAM_BYTES "$(entries RESTORED PKRAM_NODE=five)")" 5000000
        equal "bytes of one" "$(field PKRAM_BYTES "$(entries RESTORED PKRAM_NODE=one)")" 1
        restored=$(systemctl show -P ExecMainExitTimestampMonotonic pkram-restore.service)
        basic=$(systemctl show -P ActiveEnterTimestampMonotonic basic.target)
        if [ "$restored" -gt 0 ] && [ "$restored" -lt "$basic" ]; then
                pass "before basic.target"
        else
                fail "before basic.target" "pkram-restore ended at $restored, basic.target was reached at $basic"
        fi
        matches "the catalog explains it" "$(journalctl -q -b -x "MESSAGE_ID=${ID[RESTORED]}")" \
                'Node five was restored after a kexec'
        rm /var/cache/app/file
        example pkramctl 'tar -C /var/cache/app' 2
        equal "what was archived" "$(cat /var/cache/app/file)" "in an archive"
        clean_boot
}
