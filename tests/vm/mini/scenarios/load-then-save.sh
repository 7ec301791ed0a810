# SPDX-License-Identifier: LGPL-2.1-or-later
# What is stored after the next kernel was loaded keeps out of the way of its segments, and the loaded image says
# what will happen to the store.
# stages: 2
# memory: 256M
# timeout: 120

stage1() {
        equal "no image is loaded" "$(pkt info image_state)" 0
        check "loaded the next kernel" load_stage
        equal "the image keeps the store" "$(pkt info image_state)" 1
        # Most of memory: some of it has to lie where the segments go.
        check "saved" pkt save after "file:size=110M,seed=111"
        check "kexec" pkt kexec --exec-only
}

stage2() {
        boot_result RESTORED
        check "the same" pkt verify after "file:size=110M,seed=111"
}
