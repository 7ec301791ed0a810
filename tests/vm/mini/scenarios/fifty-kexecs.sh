# SPDX-License-Identifier: LGPL-2.1-or-later
# Fifty kexecs in a row: one node is carried all the way, others are made, loaded and removed at every stop, and the
# fiftieth kernel has as much memory, and as much of it free, as the second.
# suite: campaign
# stages: 51
# memory: 384M
# timeout: 900

CARRIED="file:size=20M,seed=301,hole=6"

stage1() {
        check "saved" pkt save carried "$CARRIED" "bytes:size=12345,seed=302"
        check "saved" pkt save step "file:size=4M,seed=1"
        next_stage
}

stage_any() {
        nodes 2
        check "the one of the last stop" pkt verify --generation=1 step "file:size=4M,seed=$((STAGE - 1))"
        check "the carried one" pkt verify --keep --generation=$((STAGE - 1)) carried "$CARRIED" \
                "bytes:size=12345,seed=302"
        free=$(free_pages)
        total=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
        if [ "$STAGE" = 2 ]; then
                FREE=$free
                TOTAL=$total
        else
                FREE=$(word pkramtest.free)
                TOTAL=$(word pkramtest.total)
                within "MemTotal in KiB, as in the second kernel" "$total" $((TOTAL - 512)) $((TOTAL + 1024))
                within "free pages, as in the second kernel" "$free" $((FREE - 700)) $((FREE + 700))
        fi
        check "saved" pkt save step "file:size=4M,seed=$STAGE"
        [ "$STAGE" = 51 ] || next_stage "pkramtest.free=$FREE pkramtest.total=$TOTAL"
}
