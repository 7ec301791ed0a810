# SPDX-License-Identifier: LGPL-2.1-or-later
# A node that is not loaded is carried through three kexecs unchanged, while others come and go. The pfn stays the
# same.
# stages: 4
# memory: 512M
# timeout: 180

KEPT="file:size=24M,seed=21,hole=4"
ALSO="bytes:size=70000,seed=22"

stage1() {
        check "saved" pkt save kept "$KEPT" "$ALSO"
        check "saved the pfn" pkt save pfn "bytes:size=8,seed=$(pkt info super_pfn)"
        next_stage
}

same_pfn() { check "the pfn is the one of the first kernel" pkt verify --keep pfn \
        "bytes:size=8,seed=$(pkt info super_pfn)"; }

stage2() {
        boot_result RESTORED
        nodes 2
        same_pfn
        check "saved another" pkt save second "file:size=5M,seed=23"
        next_stage
}

stage3() {
        nodes 3
        same_pfn
        check "second is the same" pkt verify --generation=1 second "file:size=5M,seed=23"
        check "saved a third" pkt save third "file:size=6M,seed=24"
        next_stage
}

stage4() {
        nodes 3
        same_pfn
        check "kept is the same" pkt verify --generation=3 kept "$KEPT" "$ALSO"
        check "third is the same" pkt verify --generation=1 third "file:size=6M,seed=24"
}
