# SPDX-License-Identifier: LGPL-2.1-or-later
# Nearly all memory below 4 GiB is preserved: the next kernel is loaded above, boots, and gives it back.
# stages: 2
# memory: 2560M
# qemu: -machine max-ram-below-4g=1G
# debug: no
# timeout: 300

# Pages whose pfn is below 2^20 stay.
LOW="file:size=2304M,seed=431,thp,light,keep=1000000,keeprun=1048576"

stage1() {
        check "huge pages for shmem" huge_on
        check "saved" pkt save low "$LOW"
        pages=$(sed -n 's/^pages=//p' /tmp/check.out)
        within "pages below 4 GiB" "$pages" 200000 262144
        next_stage "pkramtest.pages=$pages"
}

stage2() {
        boot_result RESTORED
        nodes 1
        check "the same" pkt verify low "$LOW,pages=$(word pkramtest.pages)"
        nodes 0
        next=$(free_pages)
        within "free pages" "$next" 560000 655360
}
