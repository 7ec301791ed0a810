# SPDX-License-Identifier: LGPL-2.1-or-later
# A machine gets memory above the end of the map that was made for it: the next kernel has a longer map, and what is
# stored on both sides of the border between its pages is there after a further kexec. The guest has 80 GiB, of which
# nearly nothing is ever touched: its kernels are told of 1 GiB at the bottom, and then of 1 GiB at 64 GiB as well.
# suite: campaign
# stages: 3
# memory: 2560M
# debug: no
# qemu: -m 80G -object memory-backend-ram,id=ram,size=80G,reserve=off -machine memory-backend=ram
# append: memmap=exactmap memmap=640K@0 memmap=1023M@1M
# timeout: 300
# expect: 2 pkram: the map has 2 pages now, it had 1
# refuse: 3 pkram: the map has

BORDER=$((63 << 18))
LOW="file:size=200M,seed=521,light"
BOTH="file:size=1100M,seed=522,light"

# Pages of a node that lie below the border, and above it, of every thousandth.
below_and_above() {
        # shellcheck disable=SC2046
        pkt pfns "$1" $(seq 0 1000 281000) | tr ' ' '\n' |
                awk -F= -v border=$BORDER \
                '$2 < border { low++ } $2 >= border { high++ } END { print low + 0, high + 0 }'
}

stage1() {
        check "saved" pkt save low "$LOW"
        next_stage memmap=1G@64G
}

stage2() {
        boot_result RESTORED
        check "the same" pkt verify --keep low "$LOW"
        check "saved" pkt save both "$BOTH"
        below_and_above both >/tmp/where
        read -r low high </tmp/where
        within "pages below the border" "$low" 1 281
        within "pages above the border" "$high" 1 281
        next_stage
}

stage3() {
        boot_result RESTORED
        check "the same" pkt verify --generation=2 low "$LOW"
        check "the same on both sides of the border" pkt verify --generation=1 both "$BOTH"
        equal "pages left" "$(pkt info data_pages)" 0
}
