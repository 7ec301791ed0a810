# SPDX-License-Identifier: LGPL-2.1-or-later
# A stored page in every second block of 2 MiB: there is no place for a large initrd until some of them are moved.
# stages: 3
# memory: 512M
# debug: no
# timeout: 180

SPEC="file:size=400M,seed=421,light,keep=1024"

stage1() {
        check "saved" pkt save sparse "$SPEC"
        pages=$(pkt info data_pages)
        within "pages, each in a block of its own" "$pages" 60 160
        boot_files
        # Zeroes after the archive are skipped.
        dd if=/dev/zero bs=1M count=96 2>/dev/null >>/boot/initrd
        check "loaded with kexec_file_load" load_stage "pkramtest.pages=$pages"
        check "pages were moved" sh -c \
                "dmesg | grep 'pkram: no room for a kexec segment .*: moving [1-9][0-9]* preserved pages'"
        check "they are the same" pkt verify --keep sparse "$SPEC,pages=$pages"
        pkt kexec --exec-only
        fail "kexec into stage 2" "it did not happen"
        finish
}

stage2() {
        boot_result RESTORED
        pages=$(word pkramtest.pages)
        check "they are the same" pkt verify --keep sparse "$SPEC,pages=$pages"
        # Those that were moved are close together now.
        within "runs of blocks" "$(dmesg | sed -n 's/.*pkram: \([0-9]*\) runs of 2 MiB blocks.*/\1/p')" 1 \
                $((pages - 5))
        next_stage "pkramtest.pages=$pages"
}

stage3() {
        boot_result RESTORED
        check "they are the same" pkt verify sparse "$SPEC,pages=$(word pkramtest.pages)"
        nodes 0
}
