# SPDX-License-Identifier: LGPL-2.1-or-later
# Folios of 2 MiB stay what they are, and cost next to nothing to describe.
# stages: 2
# memory: 768M
# timeout: 150

HUGE="file:size=128M,seed=31,thp"

shmem_huge_kib() { awk '/^ShmemHugePages:/ { print $2 }' /proc/meminfo; }

stage1() {
        check "huge pages for shmem" huge_on
        check "saved" pkt save huge "$HUGE"
        within "pages of metadata for 64 folios" "$(pkt list | sed 's/.*meta_pages=\([0-9]*\).*/\1/')" 1 4
        next_stage "pkramtest.pfns=$(pkt pfns huge 0 512 32256 | sed 's/[0-9]*=//g' | tr ' ' ',')"
}

stage2() {
        boot_result RESTORED
        all_adopted
        # shellcheck disable=SC2046
        check "adopted folios are left out of crash dumps" pkt hidden $(word pkramtest.pfns | tr ',' ' ')
        check "huge pages for shmem" huge_on
        check "the same" pkt verify --keep huge "$HUGE"
        within "KiB of huge pages after the load" "$(shmem_huge_kib)" 131072 131072
        check "the same again" pkt verify huge "$HUGE"
        within "KiB of huge pages after the removal" "$(shmem_huge_kib)" 0 0
}
