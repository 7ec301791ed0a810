# SPDX-License-Identifier: LGPL-2.1-or-later
# A save for which memory does not suffice fails with ENOMEM: nobody is killed, no node and no page is left.
# suite: campaign
# stages: 2
# memory: 320M
# timeout: 150
# refuse: * Out of memory

mib_available() { awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo; }

# fails_with_enomem COMMAND...
fails_with_enomem() {
        local r=0
        "$@" 2>&1 || r=$?
        echo "exit status $r"
        [ "$r" = 1 ]
}

stage1() {
        check "saved" pkt save before "file:size=4M,seed=421" "bytes:size=100000,seed=422"
        fails_with_enomem pkt save warm-up "bytes:size=1000000,seed=423" >/dev/null
        pkt remove warm-up
        before=$(free_pages)

        mount -t tmpfs -o size=100% tmpfs /run
        fill=$(($(mib_available) - 24))
        dd if=/dev/zero of=/run/fill bs=1M count=$fill 2>/dev/null
        check "a long byte stream" fails_with_enomem pkt save bytes "bytes:size=200M,seed=423"
        check "because there is no memory" grep -q 'Cannot allocate memory' /tmp/check.out
        nodes 1
        check "a short one is possible" pkt save short "bytes:size=100000,seed=424"
        check "and the same" pkt verify short "bytes:size=100000,seed=424"
        rm /run/fill
        within "pages lost" $((before - $(free_pages))) -4000 1000

        # Files on the destinations of a loaded image have to be copied, for which there is no memory either.
        check "loaded the next kernel" load_stage
        before=$(free_pages)
        check "a file as large as memory, parts of which have to be copied" \
                fails_with_enomem pkt save copied "file:size=$(($(mib_available) - 12))M,seed=425,light"
        check "because there is no memory" grep -q 'Cannot allocate memory' /tmp/check.out
        nodes 1
        within "pages lost" $((before - $(free_pages))) -4000 1000
        equal "pages of data" "$(pkt info data_pages)" $((1024 + 25))
        check "kexec" pkt kexec --exec-only
}

stage2() {
        boot_result RESTORED
        nodes 1
        check "what was stored before is the same" pkt verify before "file:size=4M,seed=421" "bytes:size=100000,seed=422"
}
