# SPDX-License-Identifier: LGPL-2.1-or-later
# debug
# stages: 1
# memory: 768M
# timeout: 90
stage1() {
        huge_on
        cat /sys/kernel/mm/transparent_hugepage/*enabled /sys/kernel/mm/transparent_hugepage/defrag
        grep -i huge /proc/meminfo
        pkt save huge "file:size=128M,seed=31,thp"
        grep -i thp /proc/vmstat
        cat /proc/buddyinfo
}
