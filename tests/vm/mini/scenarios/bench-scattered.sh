# SPDX-License-Identifier: LGPL-2.1-or-later
# 1 GiB of pages, no two of which adjoin both in the file and in memory, in a guest of 1.5 GiB: metadata, early boot,
# and how long it takes from reboot() to the next kernel's init, with nothing stored and with that. Then how long the
# seal takes, without a memory error and after one.
# suite: bench
# stages: 4
# memory: 1536M
# config: minimal
# icount: yes
# cpus: 1
# append: nolapic_timer
# timeout: 1200

SPEC="file:size=1G,seed=203,shuffle,mix=4"
PAGES=262144

stage1() {
        nodes 0
        next_stage
}

stage2() {
        check "saved 1 GiB" pkt save scattered "$SPEC"
        equal "pages of data" "$(pkt info data_pages)" "$PAGES"
        next_stage
}

stage3() {
        boot_result RESTORED
        all_adopted
        meta=$(pkt list | sed -n 's/.*meta_pages=\([0-9]*\).*/\1/p')
        # Less than this, and the pages were not scattered.
        within "pages of metadata" "$meta" 440 1000
        ns=$(pkt info restored_ns)
        check "1 GiB is the same" pkt verify --keep scattered "$SPEC"
        mark DATA "meta_base $(ratio "$((meta * 4096))" "$PAGES") B/page"
        mark DATA "adopt_scattered $(ratio "$ns" "$PAGES") insn/page"
        check_not "a file with a memory error is refused" pkt save refused "file:size=1M,seed=205,poison=100"
        equal "KiB of corrupted memory" "$(awk '/^HardwareCorrupted:/ { print $2 }' /proc/meminfo)" 4
        next_stage
}

stage4() { boot_result RESTORED; }
