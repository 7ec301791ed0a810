# SPDX-License-Identifier: LGPL-2.1-or-later
# Every second page, and every second block of 2 MiB: more runs of blocks than memblock has room for in early boot, and
# holes in all of them that are free memory again in the end.
# stages: 2
# memory: 768M
# timeout: 180

BLOCKS="file:size=448M,seed=481,light,keep=2,keeprun=512"
PAGES="file:size=96M,seed=482,keep=2"

mem_total() { awk '/^MemTotal:/ { print $2 }' /proc/meminfo; }

# Blocks of 2 MiB that the kernel uses for unmovable memory.
unmovable() {
        awk '/^Number of blocks/ { seen = 1; next } seen && /^Node/ { n += $5 } END { print n + 0 }' /proc/pagetypeinfo
}

stage1() {
        unmovable=$(unmovable)
        # In this order, or the single pages fill the blocks between.
        check "saved every second page" pkt save pages "$PAGES"
        pages=$(sed -n 's/^pages=//p' /tmp/check.out)
        check "saved every second block" pkt save blocks "$BLOCKS"
        blocks=$(sed -n 's/^pages=//p' /tmp/check.out)
        within "pages in blocks" "$blocks" 50000 65536
        within "single pages" "$pages" 10000 14000
        next_stage \
                "pkramtest.blocks=$blocks pkramtest.pages=$pages pkramtest.total=$(mem_total) pkramtest.unmovable=$unmovable"
}

stage2() {
        boot_result RESTORED
        within "runs of blocks" "$(dmesg | sed -n 's/.*pkram: \([0-9]*\) runs of 2 MiB blocks.*/\1/p')" 100 200
        # What is free in preserved blocks has the same uses as usual.
        within "unmovable blocks" "$(unmovable)" 1 $(($(word pkramtest.unmovable) + 40))
        check "every second block is the same" pkt verify blocks "$BLOCKS,pages=$(word pkramtest.blocks)"
        check "every second page is the same" pkt verify pages "$PAGES,pages=$(word pkramtest.pages)"
        # Early boot makes smaller hash tables where there is less free memory; they are no part of the total.
        within "MemTotal in KiB, as before" "$(mem_total)" $(($(word pkramtest.total) - 512)) \
                $(($(word pkramtest.total) + 2048))
        check "all of it can be used" sh -c \
                'mount -t tmpfs -o size=100% t /run && dd if=/dev/zero of=/run/fill bs=1M count=600 2>/dev/null'
}
