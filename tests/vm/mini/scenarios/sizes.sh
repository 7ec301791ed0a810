# SPDX-License-Identifier: LGPL-2.1-or-later
# Limits and hash tables that are sized at boot are what they were before the kexec, with two thirds of memory
# preserved. So is memory that the command line sets aside: for a crash kernel, for CMA, and for huge pages.
# stages: 2
# memory: 960M
# append: crashkernel=64M cma=16M hugepages=8
# timeout: 120

limits() { echo "$(cat /proc/sys/kernel/threads-max) $(cat /proc/sys/fs/file-max) $(ulimit -u)"; }

# Entries of the large hash tables, which are powers of two.
tables() { dmesg | sed -n 's/.*\(Dentry cache\|Inode-cache\) hash table entries: \([0-9]*\) .*/\2/p' | tr '\n' ' '; }

# near NAME VALUE WANTED: the kernel, its initrd and tables are not in the same place
near() { within "$1" "$2" $(($3 * 95 / 100)) $(($3 * 105 / 100)); }

# aside: MiB for a crash kernel, KiB of CMA, huge pages
aside() {
        echo "$(($(cat /sys/kernel/kexec_crash_size) >> 20)) $(awk '/^CmaTotal:|^HugePages_Total:/ { print $2 }' \
                /proc/meminfo | sort -rn | tr '\n' ' ')"
}

stage1() {
        local l
        equal "memory set aside" "$(aside)" "64 16384 8 "
        check "saved" pkt save n "file:size=600M,seed=1,light"
        l=$(limits)
        next_stage "pkramtest.limits=${l// /,} pkramtest.tables=$(tables | tr ' ' ',')"
}

stage2() {
        local old new names=threads-max,file-max,RLIMIT_NPROC i
        boot_result RESTORED
        old=$(word pkramtest.limits)
        new=$(limits | tr ' ' ',')
        mark DATA "limits before $old after $new"
        for i in 1 2 3; do
                near "$(echo $names | cut -d, -f$i)" "$(echo "$new" | cut -d, -f$i)" "$(echo "$old" | cut -d, -f$i)"
        done
        equal "memory set aside" "$(aside)" "64 16384 8 "
        equal "hash tables" "$(tables | tr ' ' ',')" "$(word pkramtest.tables)"
        check "the same" pkt verify n "file:size=600M,seed=1,light"
}
