# SPDX-License-Identifier: LGPL-2.1-or-later
# A saver that dies before its commit leaves no node and no page, now and after a kexec.
# stages: 2
# memory: 384M
# timeout: 120

stage1() {
        # Once to warm up what is allocated on first use and kept.
        check_killed
        before=$(free_pages)
        for i in 1 2 3 4 5 6 7 8; do
                check_killed
        done
        within "pages lost by 8 killed savers of 16 MiB" $((before - $(free_pages))) -4000 1000
        # Fewer than there are savers: not a single page of each is lost.
        killed 50
        before=$(free_pages)
        killed 600
        within "pages lost by 600 killed savers" $((before - $(free_pages))) -4000 400
        nodes 0
        equal "data pages" "$(pkt info data_pages)" 0
        check "saved one" pkt save alive "bytes:size=100,seed=61"
        check_killed
        next_stage
}

# killed N: that many savers with little to save, each of which has a node page, link pages, and pages of bytes
killed() {
        local r n=0
        while [ $n -lt "$1" ]; do
                r=0
                pkt kill dead "file:size=64K,seed=64" "bytes:size=5000,seed=65" || r=$?
                [ "$r" = 137 ] || break
                n=$((n + 1))
        done
        equal "savers killed by SIGKILL" "$n" "$1"
}

check_killed() {
        local r=0
        pkt kill dead "file:size=16M,seed=62,hole=9" "bytes:size=200000,seed=63" || r=$?
        equal "killed by SIGKILL" "$r" 137
}

stage2() {
        boot_result RESTORED
        nodes 1
        check "the other one lives" pkt verify alive "bytes:size=100,seed=61"
}
