# SPDX-License-Identifier: LGPL-2.1-or-later
# Folios of 2 MiB stay what they are, and cost next to nothing to describe. So do folios of each smaller size.
# stages: 2
# memory: 768M
# timeout: 150

HUGE="file:size=128M,seed=31,thp"

# Folios of 8 KiB to 1 MiB. The kernel takes the largest size that it may.
ORDERS="1 2 3 4 5 6 7 8"
spec_of() { echo "file:size=4M,seed=4$1,order=$1"; }
size_may() { echo "$2" >/sys/kernel/mm/transparent_hugepage/hugepages-$((4 << $1))kB/shmem_enabled; }

# Linux 6.12 lets khugepaged join the pages of a file that may have large folios of any size. Whether it comes while
# the file is made is a matter of time. It does not run if anonymous memory may not have huge pages.
khugepaged_off() { echo never >/sys/kernel/mm/transparent_hugepage/enabled; }

shmem_huge_kib() { awk '/^ShmemHugePages:/ { print $2 }' /proc/meminfo; }

stage1() {
        local order
        khugepaged_off
        for order in $ORDERS; do
                size_may "$order" advise
                check "saved, order $order" pkt save "order $order" "$(spec_of "$order")"
                size_may "$order" never
        done
        check "huge pages for shmem" huge_on
        check "saved" pkt save huge "$HUGE"
        within "pages of metadata for 64 folios" "$(pkt list | sed -n 's/^huge .*meta_pages=\([0-9]*\).*/\1/p')" 1 4
        next_stage "pkramtest.pfns=$(pkt pfns huge 0 512 32256 | sed 's/[0-9]*=//g' | tr ' ' ',')"
}

stage2() {
        local order
        boot_result RESTORED
        all_adopted
        # shellcheck disable=SC2046
        check "adopted folios are left out of crash dumps" pkt hidden $(word pkramtest.pfns | tr ',' ' ')
        check "huge pages for shmem" huge_on
        check "the same" pkt verify --keep huge "$HUGE"
        within "KiB of huge pages after the load" "$(shmem_huge_kib)" 131072 131072
        check "the same again" pkt verify huge "$HUGE"
        within "KiB of huge pages after the removal" "$(shmem_huge_kib)" 0 0
        for order in $ORDERS; do
                check "the same, order $order" pkt verify "order $order" "$(spec_of "$order")"
        done
}
