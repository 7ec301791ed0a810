# SPDX-License-Identifier: LGPL-2.1-or-later
# /sys/kernel/pkram shows the pfn of the super block, and writing 0 frees every idle node.
# stages: 2
# memory: 384M
# timeout: 90

stage1() {
        check "saved" pkt save a "file:size=16M,seed=101"
        check "saved" pkt save b "bytes:size=100000,seed=102"
        equal "the pfn" "$(cat /sys/kernel/pkram)" "$(printf %x "$(pkt info super_pfn)")"
        before=$(free_pages)
        equal "nodes that /sys/kernel/mm/pkram counts" "$(cat /sys/kernel/mm/pkram/nodes)" 2
        equal "pages of data" "$(cat /sys/kernel/mm/pkram/data_pages)" "$(pkt info data_pages)"
        equal "pages of metadata" "$(cat /sys/kernel/mm/pkram/meta_pages)" "$(pkt info meta_pages)"
        equal "pages of earlier kernels" "$(cat /sys/kernel/mm/pkram/adopted_pages)" 0
        check_not "only 0 can be written" sh -c 'echo 1 >/sys/kernel/pkram'
        check_not "reading needs CAP_SYS_ADMIN" pkt uncapable cat /sys/kernel/pkram
        check "because it is not permitted" grep 'Operation not permitted' /tmp/check.out
        check_not "so does writing" pkt uncapable sh -c 'echo 0 >/sys/kernel/pkram'
        check "because it is not permitted" grep 'Operation not permitted' /tmp/check.out
        check "all users can read the counters" pkt uncapable cat /sys/kernel/mm/pkram/nodes
        nodes 2
        check "writing 0" sh -c 'echo 0 >/sys/kernel/pkram'
        nodes 0
        within "pages that became free" $(($(free_pages) - before)) 4000 6000
        check "saved" pkt save c "file:size=2M,seed=103"
        next_stage
}

stage2() {
        nodes 1
        equal "pages of earlier kernels" "$(cat /sys/kernel/mm/pkram/adopted_pages)" 512
        check "what was stored afterwards is there" pkt verify --keep c "file:size=2M,seed=103"
        check "writing 0" sh -c 'echo 0 >/sys/kernel/pkram'
        nodes 0
}
