# SPDX-License-Identifier: LGPL-2.1-or-later
# Linux 7.3 takes over what Linux 6.12 stored, and the other way round: memfds with holes, folios of 2 MiB, byte
# streams, and a node that nothing loads on the way.
# suite: campaign
# stages: 3
# memory: 768M
# timeout: 240
# kernels: guest@7.3
# expect: 1 Linux version 6\.12
# expect: 2 Linux version 7\.3
# expect: 3 Linux version 6\.12

KEPT="file:size=24M,seed=401,hole=4"
ALSO="bytes:size=70000,seed=402"
HUGE="file:size=64M,seed=403,thp"
SHAPES="file:size=5000,seed=404,mode=0640,uid=12,gid=34,mtime=1600000000123456789"
SEALED="file:size=8M,seed=405,hole=3,seals=shrink+grow"

# save NAME: one node of all kinds
save_all() { check "saved $1" pkt save "$1" "$SHAPES" "$SEALED" "$HUGE" "$ALSO"; }

# verify_all NAME: it is what the kernel before this one was given
verify_all() { check "$1 is the same" pkt verify --generation=1 "$1" "$SHAPES" "$SEALED" "$HUGE" "$ALSO"; }

stage1() {
        check "huge pages for shmem" huge_on
        check "saved kept" pkt save kept "$KEPT" "$ALSO"
        save_all old
        KERNEL=guest@7.3 next_stage
}

stage2() {
        boot_result RESTORED
        nodes 2
        check "huge pages for shmem" huge_on
        verify_all old
        save_all new
        next_stage
}

stage3() {
        boot_result RESTORED
        nodes 2
        check "huge pages for shmem" huge_on
        verify_all new
        check "kept is the same" pkt verify --generation=2 kept "$KEPT" "$ALSO"
        nodes 0
        equal "pages left" "$(pkt info data_pages)" 0
}
