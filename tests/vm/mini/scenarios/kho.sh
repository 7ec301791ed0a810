# SPDX-License-Identifier: LGPL-2.1-or-later
# Kexec handover (KHO) and live update beside PKRAM: both preserve files in the same kexec, and neither takes one that
# the other has. What lies in the scratch memory of KHO, where the next kernel starts, is copied. Nodes get through
# kexecs with KHO, into a kernel without it, and into one that switches it on.
# suite: campaign
# config: guest@7.3
# stages: 5
# memory: 1G
# timeout: 400
# append: kho=on liveupdate=on kho_scratch=32M,160M,16M
# expect: 2 KHO: found kexec handover data
# expect: 3 KHO: found kexec handover data
# refuse: 1 KHO: found kexec handover data
# refuse: 5 KHO: found kexec handover data

# So large that some of it has to be in scratch memory.
BIG="file:size=600M,seed=501,light"
HUGE="file:size=32M,seed=502,thp"
KEPT="file:size=24M,seed=503,hole=4"
BYTES="bytes:size=3000000,seed=504"
THEIRS="file:size=16M,seed=505"
THEIRS_TOO="file:size=100000,seed=506"

# scratch_free, scratch_all: pages of scratch memory
scratch_free() { awk '$1 == "nr_free_cma" { n += $2 } END { print n + 0 }' /proc/zoneinfo; }
scratch_all() { awk '$1 == "cma" { n += $2 } END { print n + 0 }' /proc/zoneinfo; }

# save NAME: one node of all kinds
save_all() { check "saved $1" pkt save "$1" "$BIG" "$HUGE" "$BYTES"; }
verify_all() { check "$1 is the same" pkt verify --generation=1 "$1" "$BIG" "$HUGE" "$BYTES"; }

stage1() {
        check "huge pages for shmem" huge_on
        check "one owner a file" pkt luo exclude
        nodes 0
        free=$(scratch_free)
        mount -o remount,size=90% /tmp
        dd if=/dev/zero of=/tmp/big bs=1M count=600 2>/dev/null
        within "pages of a large file in scratch memory" $((free - $(scratch_free))) 1000 "$free"
        rm /tmp/big
        check "saved kept" pkt save kept "$KEPT" "$BYTES"
        save_all first
        check "live update has two files" pkt luo keep theirs "$THEIRS" "$THEIRS_TOO"
        next_stage
}

stage2() {
        boot_result RESTORED
        nodes 2
        check "huge pages for shmem" huge_on
        check "live update gives back what it had" pkt luo verify theirs "$THEIRS" "$THEIRS_TOO"
        verify_all first
        save_all second
        check "live update has two files" pkt luo keep again "$THEIRS" "$THEIRS_TOO"
        next_stage
}

stage3() {
        boot_result RESTORED
        nodes 2
        check "huge pages for shmem" huge_on
        verify_all second
        check "live update gives back what it had" pkt luo verify again "$THEIRS" "$THEIRS_TOO"
        save_all third
        next_stage kho=off
}

stage4() {
        boot_result RESTORED
        nodes 2
        check "huge pages for shmem" huge_on
        verify_all third
        save_all fourth
        # What is preserved leaves no room for larger scratch memory in one piece.
        next_stage "kho=on kho_scratch=8M,16M,4M"
}

stage5() {
        boot_result RESTORED
        nodes 2
        within "scratch memory" "$(scratch_all)" 6000 9000
        verify_all fourth
        check "kept is the same" pkt verify --generation=4 kept "$KEPT" "$BYTES"
        nodes 0
        equal "pages left" "$(pkt info data_pages)" 0
}
