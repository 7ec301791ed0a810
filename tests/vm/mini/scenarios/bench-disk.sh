# SPDX-License-Identifier: LGPL-2.1-or-later
# What it costs to store a file of 64 MiB as a node on a file system, and to load it again, in instructions per 4 KiB:
# pkramd's code and the kernel's. dd copies the same bytes beside it, and the node may cost at most twice as much. The
# file system is in memory, so that no disk is waited for.
# suite: campaign
# memory: 640M
# icount: yes
# cpus: 1
# append: nolapic_timer
# debug: no
# timeout: 600

stage1() {
        mkdir -p /run/bench
        mount -t tmpfs -o size=300M none /run/bench
        check "a node and dd" bench-disk /run/bench 64
        cp /tmp/check.out /tmp/bench.out
        while read -r name ns _; do
                mark DATA "$name $((ns / 16384)) insn/4KiB"
        done </tmp/bench.out
        for what in store load; do
                within "a $what costs at most twice as much as dd" "$(of_bench disk_$what)" 1000 \
                        $(($(of_bench dd_$what) * 2))
        done
}

of_bench() { sed -n "s/^$1 \([0-9]*\) .*/\1/p" /tmp/bench.out; }
