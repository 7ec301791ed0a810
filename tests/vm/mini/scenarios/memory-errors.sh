# SPDX-License-Identifier: LGPL-2.1-or-later
# Memory errors: a file that has one is refused; one that comes later costs the object it is in, in this kernel and in
# those to come, and nothing else; the bad pages are never used again.
# stages: 3
# timeout: 150
# expect: 1 pkram: node at pfn 0x[0-9a-f]+: memory errors in 3 pages, affected objects are lost
# expect: 2 pkram: node at pfn 0x[0-9a-f]+: memory errors in 3 pages before the kexec
# expect: 2 pkram: node at pfn 0x[0-9a-f]+: memory errors in 1 pages, affected objects are lost
# expect: 3 pkram: node at pfn 0x[0-9a-f]+: memory errors in 3 pages before the kexec
# expect: 3 pkram: node at pfn 0x[0-9a-f]+: memory errors in 1 pages before the kexec

CLEAN="file:size=4M,seed=501"
HIT1="file:size=4M,seed=502,bytes=5000"
HIT2="file:size=1M,seed=503"
HIT3="file:size=4M,seed=504,thp"
HIT4="bytes:size=30000,seed=505"
LATER1="file:size=2M,seed=506"
LATER2="file:size=2M,seed=507"

# poison NAME OBJECT PAGE...: the pfns of the pages come to PFNS.
poison() {
        check "memory errors in $1" pkt poison "$@"
        PFNS="$PFNS $(sed -n 's/^pfn=//p' /tmp/check.out | tr '\n' ' ')"
}

# corrupted PAGES: what the system as a whole knows to be bad
corrupted() { equal "KiB of corrupted memory" "$(awk '/^HardwareCorrupted:/ { print $2 }' /proc/meminfo)" \
        $(($1 * 4)); }

# The pages that were hit in earlier kernels.
inherited() { word pkramtest.pfns | tr ',' ' '; }

stage1() {
        check "huge pages for shmem" huge_on
        check_not "a file with a memory error is refused" pkt save refused "file:size=1M,seed=500,poison=100"
        check "with EHWPOISON" grep 'PKRAM_IOC_SAVE_FILE: Memory page has hardware error' /tmp/check.out
        check_not "so is one that has large folios" pkt save refused "file:size=2M,seed=500,thp,poison=300"
        check "with EHWPOISON" grep 'PKRAM_IOC_SAVE_FILE: Memory page has hardware error' /tmp/check.out
        nodes 0
        equal "pages of data" "$(pkt info data_pages)" 0
        corrupted 2

        check "saved" pkt save clean "$CLEAN"
        check "saved" pkt save hit "$HIT1" "$HIT2" "$HIT3" "$HIT4"
        check "saved" pkt save later "$LATER1" "$LATER2"
        poison hit 0 3 500
        poison hit 2 700
        corrupted 5
        check_not "what was lost is not read in this kernel either" pkt verify --keep hit "$HIT1" "$HIT2" "$HIT3" \
                "$HIT4"
        check "pread() says so" grep 'pread at .*: Input/output error' /tmp/check.out
        # shellcheck disable=SC2086
        next_stage "pkramtest.pfns=$(echo $PFNS | tr ' ' ',')"
}

stage2() {
        boot_result RESTORED
        all_adopted
        nodes 3
        corrupted 3
        # shellcheck disable=SC2046
        check "the bad pages are marked" pkt poisoned $(inherited)
        check "a node without errors is the same" pkt verify clean "$CLEAN"
        check "objects with errors are lost, the others are the same" \
                pkt verify --keep hit "$HIT1,lost" "$HIT2" "$HIT3,lost" "$HIT4"
        PFNS=$(inherited)
        poison later 1 9
        # shellcheck disable=SC2086
        next_stage "pkramtest.pfns=$(echo $PFNS | tr ' ' ',')"
}

stage3() {
        boot_result RESTORED
        all_adopted
        nodes 2
        corrupted 4
        check "still lost" pkt verify --keep hit "$HIT1,lost" "$HIT2" "$HIT3,lost" "$HIT4"
        check "lost since it was loaded" pkt verify --keep later "$LATER1" "$LATER2,lost"
        check "removed" pkt remove hit later
        equal "pages of data" "$(pkt info data_pages)" 0
        # shellcheck disable=SC2046
        check "the bad pages are marked, and not free" pkt poisoned $(inherited)
        corrupted 4
        check "memory can be used" pkt save big "file:size=150M,seed=508,light"
        check "memory can be used" pkt verify big "file:size=150M,seed=508,light"
        # shellcheck disable=SC2046
        check "the bad pages are still not free" pkt poisoned $(inherited)
}
