# SPDX-License-Identifier: LGPL-2.1-or-later
# A node with files of many shapes and byte streams comes back after a kexec, bit for bit, with all attributes.
# stages: 2
# memory: 512M
# timeout: 120
# expect: 2 pkram: .*

SMALL="file:size=5000,seed=1,mode=0640,uid=12,gid=34,mtime=1600000000123456789"
EMPTY="file:size=0,seed=2"
HOLES="file:size=8M,seed=3,hole=3,seals=shrink+grow"
ALLHOLES="file:size=64M,seed=4,hole=1"
RUNS="file:size=20M,seed=5,hole=2,run=100,mode=0600"
TAIL="file:size=4097,seed=6,bytes=100000"
ALLOC="file:size=1M,seed=7,hole=2,fallocate"
TMPFS="file:size=3M,seed=8,tmpfs"
BYTES="bytes:size=3000000,seed=9"
# As memfd_create(MFD_NOEXEC_SEAL) makes it.
NOEXEC="file:size=1M,seed=10,mode=0666,seals=exec+future+shrink"

stage1() {
        check "saved shapes" pkt save shapes "$SMALL" "$EMPTY" "$HOLES" "$ALLHOLES" "$RUNS" "$TAIL" "$ALLOC" "$TMPFS" \
                "$BYTES" "$NOEXEC"
        check "saved one byte" pkt save "a name with spaces, ümläut and ~" "bytes:size=1,seed=11"
        check "saved 64 MiB" pkt save big "file:size=64M,seed=12"
        nodes 3
        next_stage "pkramtest.pfns=$(pkt pfns big 0 1 100 16383 | sed 's/[0-9]*=//g' | tr ' ' ',')"
}

stage2() {
        boot_result RESTORED
        all_adopted
        nodes 3
        equal "generation of the store" "$(pkt info generation)" 1
        # shellcheck disable=SC2046
        check "adopted pages are left out of crash dumps" pkt hidden $(word pkramtest.pfns | tr ',' ' ')
        check "shapes are the same" pkt verify --generation=1 shapes "$SMALL" "$EMPTY" "$HOLES" "$ALLHOLES" "$RUNS" \
                "$TAIL" "$ALLOC" "$TMPFS" "$BYTES" "$NOEXEC"
        check "one byte is the same" pkt verify "a name with spaces, ümläut and ~" "bytes:size=1,seed=11"
        check "64 MiB are the same, twice" pkt verify --keep big "file:size=64M,seed=12"
        # shellcheck disable=SC2046
        check_not "pages that were loaded are not offline" pkt hidden $(word pkramtest.pfns | tr ',' ' ')
        check "64 MiB are the same, twice" pkt verify big "file:size=64M,seed=12"
        nodes 0
        equal "pages left" "$(pkt info data_pages)" 0
}
