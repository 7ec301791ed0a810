# SPDX-License-Identifier: LGPL-2.1-or-later
# The same with folios of 2 MiB; metadata in bytes per 2 MiB.
# suite: bench
# stages: 2
# memory: 1G
# config: minimal
# icount: yes
# cpus: 1
# append: nolapic_timer
# timeout: 600

SPEC="file:size=256M,seed=202,thp"

stage1() {
        check "huge pages for shmem" huge_on
        bench_save 2m "$SPEC" meta_2m "B/2MiB" 512 2m-again
}
stage2() {
        check "huge pages for shmem" huge_on
        bench_load 2m "$SPEC" 2m-again
}
