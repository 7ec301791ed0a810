# SPDX-License-Identifier: LGPL-2.1-or-later
# Several threads at one node: saving ranges of one file, loading different objects at once, and joining each other.
# A load that is killed ends at once.
# stages: 2
# memory: 768M
# timeout: 150

BIG="file:size=65000000,seed=491,hole=7"
SLOW="file:size=256M,seed=496,light"
O1="file:size=9M,seed=492,hole=3"
O2="file:size=9M,seed=493"
O3="file:size=9M,seed=494,scatter"
O4="file:size=9M,seed=495,hole=2,run=64"

stage1() {
        check "two idle descriptors that join each other are refused" pkt join-cross
        check "saved by eight threads" pkt parallel-save big "$BIG"
        check "saved, what takes long to load" pkt save slow "$SLOW"
        check "saved" pkt save many "$O1" "$O2" "$O3" "$O4"
        next_stage
}

stage2() {
        boot_result RESTORED
        check "loaded by four threads" pkt parallel-load many "$O1" "$O2" "$O3" "$O4"
        check "and again, now that the files exist" pkt parallel-load many "$O1" "$O2" "$O3" "$O4"
        check "a load can be killed" pkt load-killed slow
        check "and the object is the same afterwards" pkt verify slow "$SLOW"
        check "what eight threads saved is the same" pkt verify big "$BIG"
        check "removed" pkt remove many
        nodes 0
        equal "pages left" "$(pkt info data_pages)" 0
}
