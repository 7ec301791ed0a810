# SPDX-License-Identifier: LGPL-2.1-or-later
# A stored file refuses every change, by another process, too, until it is removed, and its file seals never change;
# a file that cannot be frozen is refused.
# stages: 2
# memory: 384M
# timeout: 90

stage1() {
        check "frozen, and thawed again" pkt frozen file
        nodes 0
        check "saved" pkt save loaded "file:size=1M,seed=71"
        next_stage
}

stage2() {
        check "frozen in the next kernel too" pkt verify loaded "file:size=1M,seed=71"
        check "frozen, and thawed again" pkt frozen file
}
