# SPDX-License-Identifier: LGPL-2.1-or-later
# A save for which memory does not suffice fails with ENOMEM: no process is killed, no node and no page is left.
# stages: 2
# memory: 384M
# timeout: 150
# refuse: * Out of memory|oom-kill|page allocation failure

stage1() {
        # Below the one, memory is only for the kernel's emergencies, and a process that wants some is killed; as much
        # as the other says may lie with a processor, out of reach of the others. Both depend on the size of the guest.
        echo 2048 >/proc/sys/vm/min_free_kbytes
        echo 1000 >/proc/sys/vm/percpu_pagelist_high_fraction
        check "saved" pkt save before "file:size=4M,seed=421" "bytes:size=100000,seed=422"
        before=$(free_pages)

        check "a byte stream that is longer than memory" pkt starve 8192 short
        check "a short one afterwards" pkt verify short "bytes:size=100000,seed=1"
        nodes 1
        equal "pages of data" "$(pkt info data_pages)" $((1024 + 25))
        within "pages lost" $((before - $(free_pages))) -4000 500

        # Files on the destinations of a loaded image have to be copied, for which there is no memory either.
        check "the next kernel is there" boot_files
        before=$(free_pages)
        check "a file that lies where the loaded image goes" \
                pkt starve 8192 short /boot/bzImage /boot/initrd \
                "$(base_line) pkramtest.stage=2 pkram=$(cat /sys/kernel/pkram)"
        check "a short byte stream afterwards" pkt verify --keep short "bytes:size=100000,seed=1"
        equal "the image keeps the store" "$(pkt info image_state)" 1
        nodes 2
        equal "pages of data" "$(pkt info data_pages)" $((1024 + 25 + 25))
        check "unloaded" pkt kexec --unload
        within "pages lost, without those of the byte stream" $((before - 26 - $(free_pages))) -4000 500
        next_stage
}

stage2() {
        boot_result RESTORED
        nodes 2
        check "what was stored before is the same" pkt verify before "file:size=4M,seed=421" \
                "bytes:size=100000,seed=422"
        check "and what was stored afterwards" pkt verify short "bytes:size=100000,seed=1"
}
