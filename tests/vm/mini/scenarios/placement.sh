# SPDX-License-Identifier: LGPL-2.1-or-later
# Where memory is and who pays for it: the NUMA node stays, the control group of the loader is charged, and a load over
# its limit fails without killing a process.
# stages: 2
# memory: 1024M
# qemu: -object memory-backend-ram,id=m0,size=512M -object memory-backend-ram,id=m1,size=512M
# qemu: -smp 2,sockets=2 -numa node,nodeid=0,memdev=m0,cpus=0 -numa node,nodeid=1,memdev=m1,cpus=1
# timeout: 120

FILE="file:size=48M,seed=461,node=1"

# Pages of shmem files on a node, in KiB.
shmem_of() { sed -n "s/^Node $1 Shmem: *\([0-9]*\) kB/\1/p" "/sys/devices/system/node/node$1/meminfo"; }

stage1() {
        check "saved from node 1" pkt save numa "$FILE"
        within "KiB of shmem on node 1" "$(shmem_of 1)" 48000 70000
        next_stage
}

stage2() {
        boot_result RESTORED
        mkdir -p /cgroup
        check "control groups" sh -c \
                'mount -t cgroup2 none /cgroup && mkdir /cgroup/loader && echo +memory >/cgroup/cgroup.subtree_control'
        within "KiB of shmem on node 1 before the load" "$(shmem_of 1)" 0 20000
        # A limit that is too low for the file: the load fails, and no process is killed for it.
        echo 16M >/cgroup/loader/memory.max
        check_not "nothing is loaded over memory.max" sh -c \
                "echo 0 >/cgroup/loader/cgroup.procs; exec pkt verify --keep numa '$FILE'"
        check "because there is not enough memory" grep 'Cannot allocate memory' /tmp/check.out
        equal "processes killed for it" "$(sed -n 's/^oom_kill //p' /cgroup/loader/memory.events)" 0
        within "bytes charged after it" "$(cat /cgroup/loader/memory.current)" 0 5000000
        echo max >/cgroup/loader/memory.max
        before=$(cat /cgroup/loader/memory.current)
        sh -c "echo 0 >/cgroup/loader/cgroup.procs; exec pkt verify --hold numa '$FILE'" >/tmp/hold.out 2>&1 &
        for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
                ! grep -q held /tmp/hold.out || break
                sleep 1
        done
        check "loaded in a control group" grep held /tmp/hold.out
        within "bytes charged to the loader" $(($(cat /cgroup/loader/memory.current) - before)) 50331648 60000000
        within "KiB of shmem on node 1" "$(shmem_of 1)" 48000 70000
        kill $!
        wait $!
        check "removed" pkt remove numa
        within "bytes charged when it is gone" $(($(cat /cgroup/loader/memory.current) - before)) -1000000 5000000
}
