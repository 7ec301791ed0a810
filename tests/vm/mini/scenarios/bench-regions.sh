# SPDX-License-Identifier: LGPL-2.1-or-later
# 1 GiB in every second block of 2 MiB of a guest: the most regions that memblock can be asked to reserve.
# suite: bench
# stages: 2
# memory: 2560M
# config: minimal
# cpus: 1
# timeout: 600

SPEC="file:size=2176M,seed=204,thp,light,keep=2,keeprun=512,most=262144"

stage1() {
        check "huge pages for shmem" huge_on
        check "saved 1 GiB" pkt save regions "$SPEC"
        equal "pages of data" "$(pkt info data_pages)" 262144
        next_stage
}

stage2() {
        boot_result RESTORED
        check "1 GiB is the same" pkt verify regions "$SPEC,pages=262144"
        regions=$(dmesg | sed -n 's/.*memblock has \([0-9]*\) reserved regions.*/\1/p')
        # Each block is a run of its own, or this is not the worst case.
        within "runs of blocks" "$(dmesg | sed -n 's/.*pkram: \([0-9]*\) runs of 2 MiB blocks.*/\1/p')" 500 600
        mark DATA "memblock_regions $regions regions/GiB"
}
