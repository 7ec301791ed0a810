# SPDX-License-Identifier: LGPL-2.1-or-later
# The next kernel is told that memory which holds preserved pages is none: what was there is dropped, the rest lives.
# stages: 2
# memory: 768M
# append: kernelcore=384M
# timeout: 120
# expect: 2 pkram: node '.*' .*dropped: page (in use by firmware or boot loader|outside preserved memory)

stage1() {
        for n in $(seq 40); do
                check "saved $n" pkt save "n$n" "file:size=12M,seed=$((470 + n)),light"
        done
        # A whole section of the memory map, of what is movable: files are there, and never what describes them, which
        # could take every node along if it were.
        next_stage 'memmap=128M$0x20000000'
}

stage2() {
        boot_result PARTIAL
        pkt list --dropped
        # 480 MiB are stored and 384 MiB are movable: some nodes have nothing there.
        within "dropped nodes" "$(pkt info nr_dropped)" 5 35
        equal "no node is missing" $(($(pkt info nr_dropped) + $(pkt info nr_nodes))) 40
        for n in $(pkt list | sed 's/^n\([0-9]*\) .*/\1/'); do
                check "the same, $n" pkt verify "n$n" "file:size=12M,seed=$((470 + n)),light"
        done
        nodes 0
}
