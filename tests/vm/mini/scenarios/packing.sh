# SPDX-License-Identifier: LGPL-2.1-or-later
# A file with 30 % of memory, a page of it here and there, and 1 page in 64 of memory free, at random: too many blocks
# for the next kernel to boot, so its pages are packed when it is stored.
# stages: 2
# memory: 512M
# timeout: 240
# refuse: * Out of memory|oom-kill

SPEC="seed=501,light,keep=3"

stage1() {
        # Large reserves, which depend on the configuration, would keep memory from being as full as that.
        echo 2048 >/proc/sys/vm/min_free_kbytes
        # Nor may each processor keep megabytes of free pages to itself.
        echo 100000 >/proc/sys/vm/percpu_pagelist_high_fraction
        size=$(awk '/^MemAvailable:/ { print int($2 / 1024) - 24 }' /proc/meminfo)
        total=$(awk '/^MemTotal:/ { print int($2 / 4) }' /proc/meminfo)
        check "saved" pkt save scattered "file:size=${size}M,$SPEC,hog"
        pages=$(sed -n 's/^pages=//p' /tmp/check.out)
        within "percent of memory" "$((pages * 100 / total))" 28 35
        next_stage "pkramtest.pages=$pages pkramtest.size=$size"
}

stage2() {
        boot_result RESTORED
        check "the same" pkt verify scattered "file:size=$(word pkramtest.size)M,$SPEC,pages=$(word pkramtest.pages)"
}
