# SPDX-License-Identifier: LGPL-2.1-or-later
# The next kernel is told that memory which holds preserved pages is none: what was there is dropped, the rest lives.
# stages: 2
# memory: 768M
# timeout: 120
# expect: 2 pkram: node '.*' .*dropped: page (in use by firmware or boot loader|outside preserved memory)

stage1() {
        for n in $(seq 40); do
                check "saved $n" pkt save "n$n" "file:size=12M,seed=$((470 + n)),light"
        done
        # A whole section of the memory map.
        next_stage 'memmap=128M$0x10000000'
}

stage2() {
        boot_result PARTIAL
        pkt list --dropped
        within "dropped nodes" "$(pkt info nr_dropped)" 5 25
        equal "no node is missing" $(($(pkt info nr_dropped) + $(pkt info nr_nodes))) 40
        for n in $(pkt list | sed 's/^n\([0-9]*\) .*/\1/'); do
                check "the same, $n" pkt verify "n$n" "file:size=12M,seed=$((470 + n)),light"
        done
        nodes 0
}
