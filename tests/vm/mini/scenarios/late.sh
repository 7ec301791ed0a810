# SPDX-License-Identifier: LGPL-2.1-or-later
# Nodes are not adopted in the background here, so they stay pending until something needs them. Lists, counters,
# loads, saves, removals, kexecs and a lack of memory have to do without, or to adopt what they need, and no more.
# suite: campaign
# stages: 5
# memory: 512M
# timeout: 300
# append: pkram_adopt.hold=1
# expect: 3 pkram: restored [0-9]* nodes, .* 0 nodes dropped
# expect: 4 pkram: node 'first' .*dropped: bad checksum
# expect: 4 pkram: restored 3 nodes, .* 1 nodes dropped
# refuse: 2 pkram: restored
# refuse: * Out of memory|oom-kill|page allocation failure

A="file:size=8M,seed=801"
B="bytes:size=3000000,seed=802"
HUGE="file:size=16M,seed=803,thp"
# Three of four pages in its blocks are left for others.
LOOSE="file:size=100M,seed=804,light,keep=4"
OBJECTS="file:size=1M,seed=805 bytes:size=5000,seed=806 file:size=2M,seed=807,hole=3"

pending() { cat /sys/kernel/mm/pkram/pending_pages; }
counter() { cat "/sys/kernel/mm/pkram/$1"; }
total() { awk '/^MemTotal:/ { print $2 }' /proc/meminfo; }
hold() { echo "$1" >/sys/module/pkram_adopt/parameters/hold; }

# unchecked NODE: has the list a flag that it was not checked?
unchecked() { pkt list | sed -n "s/^$1 .*flags=\([0-9]*\).*/\1/p" | awk '{ exit !(int($1 / 8) % 2) }'; }

stage1() {
        equal "pages pending" "$(pending)" 0
        check "huge pages for shmem" huge_on
        check "saved a" pkt save a "$A"
        check "saved b" pkt save b "$B"
        check "saved huge" pkt save huge "$HUGE"
        check "saved loose" pkt save loose "$LOOSE"
        loose=$(sed -n 's/^pages=//p' /tmp/check.out)
        # shellcheck disable=SC2086
        check "saved objects" pkt save objects $OBJECTS
        check "saved gone" pkt save gone "$B"
        equal "pages pending, nodes of this kernel" "$(pending)" 0
        next_stage "pkramtest.loose=$loose pkramtest.data=$(counter data_pages) pkramtest.total=$(total)"
}

stage2() {
        local before
        before=$(pending)
        within "pages pending" "$before" 28000 48000
        boot_result RESTORED
        nodes 6
        equal "nodes counted" "$(counter nodes)" 6
        equal "pages of data counted" "$(counter data_pages)" "$(word pkramtest.data)"
        equal "sizes listed" "$(pkt list | grep -c 'file_bytes=3145728 data_bytes=5000 objects=3')" 1
        within "MemTotal" "$(total)" $(($(word pkramtest.total) * 99 / 100)) $(($(word pkramtest.total) * 101 / 100))
        for n in a b huge loose objects gone; do check "$n was not checked so far" unchecked $n; done
        within "pages pending, listing adopts nothing" "$(pending)" $((before - 100)) "$before"

        check "a is the same" pkt verify --keep a "$A"
        check_not "a was checked" unchecked a
        within "pages that this took" $((before - $(pending))) 2048 2200
        check "removed before it was adopted" pkt remove gone
        nodes 5
        check "huge pages for shmem" huge_on
        check "huge is the same" pkt verify --keep huge "$HUGE"
        check "loose was not checked so far" unchecked loose

        check "saved while others are pending" pkt save new "file:size=12M,seed=808"
        check_not "a name of a pending node is taken" pkt save b "$A"
        check "b was not lost by that" pkt verify --keep b "$B"
        within "pages pending" "$(pending)" 24000 40000
        check_not "hibernation is not possible" grep disk /sys/power/state
        # objects and loose are handed on as they are
        check "objects were not checked so far" unchecked objects
        next_stage "pkramtest.loose=$(word pkramtest.loose)"
}

stage3() {
        local before size
        before=$(pending)
        within "pages pending" "$before" 28000 48000
        nodes 6
        equal "kexecs that loose survived" "$(pkt list | sed -n 's/^loose generation=\([0-9]*\).*/\1/p')" 2
        check "new is the same" pkt verify --keep new "file:size=12M,seed=808"
        check "removed" pkt remove new
        # shellcheck disable=SC2086
        check "objects are the same" pkt verify --keep objects $OBJECTS

        # More than is free as long as the pages that no node has are missing.
        size=$(($(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo) + 50))
        mkdir /tmp/full
        mount -t tmpfs -o size=90% none /tmp/full
        check "a file of $size MiB, more than was free" dd if=/dev/zero of=/tmp/full/file bs=1M count="$size"
        within "pages pending after that" "$(pending)" 0 20000
        umount /tmp/full
        check "loose is the same" pkt verify --keep loose "$LOOSE,pages=$(word pkramtest.loose)"
        hold 0
        all_adopted
        check_not "loose was checked" unchecked loose
        check "b is the same" pkt verify --keep b "$B"
        check "removed" pkt remove b huge a objects
        nodes 1
        check "saved" pkt save first "$A"
        check "saved" pkt save second "$B"
        # a page of metadata of the first node, which only a look at all of it finds
        echo "link 0 100 3" >/sys/module/pkram_damage/parameters/flip
        next_stage
}

stage4() {
        nodes 3
        boot_result RESTORED
        check_not "a damaged node cannot be loaded" pkt verify --keep first "$A"
        nodes 2
        equal "nodes dropped" "$(pkt info nr_dropped)" 1
        check "others are not checked by that" unchecked second
        check "the name can be used again" pkt save first "$B"
        boot_result PARTIAL
        all_adopted
        check "second is the same" pkt verify --keep second "$B"
        check "first is the new one" pkt verify --keep first "$B"
        next_stage
}

stage5() {
        nodes 3
        within "pages pending" "$(pending)" 24000 48000
        check "everything is removed, adopted or not" sh -c 'echo 0 >/sys/kernel/pkram'
        nodes 0
        equal "pages pending" "$(pending)" 0
        within "MiB available" "$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)" 300 512
}
