# SPDX-License-Identifier: LGPL-2.1-or-later
# Early boot finds more runs of blocks than it may reserve, and joins those with the smallest gaps between them. The
# blocks that it reserves in addition are free memory afterwards, to the page, in this boot and in the next one. It
# joins runs above 4 GiB only, so the guest has 6 GiB, of which little is ever touched.
# stages: 3
# memory: 1536M
# debug: no
# qemu: -m 6G -object memory-backend-ram,id=ram,size=6G,reserve=off -machine memory-backend=ram
# timeout: 240

BLOCKS="file:size=512M,seed=541,light,keep=2,keeprun=512"
PAGES="file:size=16M,seed=542,keep=2"
LIMIT=20

# from_log PATTERN: the number that stands for its group in the last line that fits.
from_log() { dmesg | sed -n "s/.*pkram: $1.*/\\1/p" | tail -n 1; }

mem_total() { awk '/^MemTotal:/ { print $2 }' /proc/meminfo; }

# What was reserved is what nodes have, what describes them, and what was given to the page allocator.
expect_no_leak() {
        all_adopted
        reserved=$(from_log '[0-9]* runs of 2 MiB blocks reserved, \([0-9]*\) pages')
        freed=$(from_log 'restored .*; \([0-9]*\) pages freed')
        equal "pages reserved in early boot" "$reserved" \
                "$((freed + $(pkt info data_pages) + $(pkt info meta_pages)))"
}

expect_joined() {
        within "runs that were too many" "$(from_log '\([0-9]*\) runs of touched blocks are too many')" 100 200
        joined=$(from_log '[0-9]* runs of touched blocks are too many: \([0-9]*\) blocks')
        within "blocks between them" "$joined" 80 400
        equal "runs that were reserved" "$(from_log '\([0-9]*\) runs of 2 MiB blocks')" $LIMIT
        expect_no_leak
        within "MemTotal in KiB, as before" "$(mem_total)" $(($(word pkramtest.total) - 512)) \
                $(($(word pkramtest.total) + 2048))
}

stage1() {
        check "saved every second page" pkt save pages "$PAGES"
        pages=$(sed -n 's/^pages=//p' /tmp/check.out)
        check "saved every second block" pkt save blocks "$BLOCKS"
        blocks=$(sed -n 's/^pages=//p' /tmp/check.out)
        within "pages in blocks" "$blocks" 55000 70000
        next_stage pkram_runs=$LIMIT \
                "pkramtest.blocks=$blocks pkramtest.pages=$pages pkramtest.total=$(mem_total)"
}

stage2() {
        boot_result RESTORED
        expect_joined
        check "every second page is the same" pkt verify --keep pages "$PAGES,pages=$(word pkramtest.pages)"
        check "every second block is the same" pkt verify --keep blocks "$BLOCKS,pages=$(word pkramtest.blocks)"
        words="pkramtest.blocks=$(word pkramtest.blocks) pkramtest.pages=$(word pkramtest.pages)"
        next_stage "$words pkramtest.total=$(word pkramtest.total)"
}

stage3() {
        boot_result RESTORED
        expect_joined
        check "every second page is the same" pkt verify --generation=2 pages "$PAGES,pages=$(word pkramtest.pages)"
        check "every second block is the same" \
                pkt verify --generation=2 blocks "$BLOCKS,pages=$(word pkramtest.blocks)"
        equal "pages left" "$(pkt info data_pages)" 0
}
