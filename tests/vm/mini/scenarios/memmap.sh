# SPDX-License-Identifier: LGPL-2.1-or-later
# The next kernel is told that memory which holds preserved pages is none: what was there is dropped, the rest lives.
# First of 50 pages here and there, then of a whole section.
# stages: 3
# memory: 768M
# append: kernelcore=384M
# timeout: 150
# expect: 2 pkram: node '.*' .*dropped: page in use by firmware or boot loader
# expect: 3 pkram: node '.*' .*dropped: page (in use by firmware or boot loader|outside preserved memory)

# survivors: every node that is left is what it was, and none has gone without a word
survivors() {
        for n in $(pkt list | sed 's/^n\([0-9]*\) .*/\1/'); do
                check "the same, $n" pkt verify --keep "n$n" "file:size=12M,seed=$((470 + n)),light"
        done
}

stage1() {
        local holes='' n
        for n in $(seq 40); do
                check "saved $n" pkt save "n$n" "file:size=12M,seed=$((470 + n)),light"
        done
        # Of what is movable: files are there, and never what describes them, which could take every node along if it
        # were. All in a few MiB, so that they hit some nodes and not all of them.
        for n in $(seq 0 49); do
                holes="$holes${holes:+,}4K\$$(printf '0x%x' $((0x20000000 + n * 0x41000)))"
        done
        next_stage "memmap=$holes"
}

stage2() {
        boot_result PARTIAL
        within "dropped nodes" "$(pkt info nr_dropped)" 1 35
        equal "no node is missing" $(($(pkt info nr_dropped) + $(pkt info nr_nodes))) 40
        survivors
        next_stage 'memmap=128M$0x20000000' "pkramtest.nodes=$(pkt info nr_nodes)"
}

stage3() {
        boot_result PARTIAL
        pkt list --dropped
        # 480 MiB are stored and 384 MiB are movable: some nodes have nothing there.
        within "dropped nodes" "$(pkt info nr_dropped)" 1 35
        equal "no node is missing" $(($(pkt info nr_dropped) + $(pkt info nr_nodes))) "$(word pkramtest.nodes)"
        survivors
        # shellcheck disable=SC2046
        check "removed" pkt remove $(pkt list | sed 's/ .*//')
        nodes 0
}
