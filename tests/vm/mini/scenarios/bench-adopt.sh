# SPDX-License-Identifier: LGPL-2.1-or-later
# What 1 GiB of 2 MiB folios adds to the time from reboot() to the next kernel's init, and what adopting it takes, in a
# guest of 1.5 GiB. Adoption waits until init is there, so that the two add up.
# suite: bench
# stages: 3
# memory: 1536M
# config: minimal
# icount: yes
# cpus: 1
# append: nolapic_timer pkram_adopt.hold=1
# timeout: 900

SPEC="file:size=1G,seed=206,thp,light"

stage1() {
        nodes 0
        next_stage
}

stage2() {
        check "huge pages for shmem" huge_on
        check "saved 1 GiB" pkt save huge "$SPEC"
        equal "pages of data" "$(pkt info data_pages)" 262144
        next_stage
}

stage3() {
        boot_result RESTORED
        echo 0 >/sys/module/pkram_adopt/parameters/hold
        all_adopted
        mark DATA "adopt_2m $(ratio "$(pkt info restored_ns)" 262144) insn/4KiB"
        check "1 GiB is the same" pkt verify huge "$SPEC"
}
