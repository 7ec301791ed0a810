# SPDX-License-Identifier: LGPL-2.1-or-later
# Kernel lockdown, as on machines with Secure Boot: nodes of a kernel without it, and of one with it, can be listed,
# loaded and removed, and new ones stored; metadata is not damaged on purpose.
# stages: 3
# memory: 384M
# timeout: 120

A="file:size=8M,seed=471,hole=5"
B="bytes:size=70000,seed=472"
LOCKDOWN=/sys/kernel/security/lockdown

locked() { # MODE
        mount -t securityfs none /sys/kernel/security
        equal "lockdown" "$(sed 's/.*\[\(.*\)\].*/\1/' $LOCKDOWN)" "$1"
}

stage1() {
        check "saved" pkt save a "$A"
        check "saved" pkt save b "$B"
        next_stage "lockdown=integrity"
}

stage2() {
        locked integrity
        boot_result RESTORED
        nodes 2
        check "loaded under lockdown" pkt verify --keep a "$A"
        check "removed under lockdown" pkt remove b
        check "saved under lockdown" pkt save c "$B"
        echo "2 0 100 1" >/sys/module/pkram_damage/parameters/flip
        next_stage "lockdown=confidentiality"
}

stage3() {
        locked confidentiality
        boot_result RESTORED
        nodes 2
        equal "nothing was dropped" "$(pkt info nr_dropped)" 0
        check "loaded under lockdown" pkt verify --keep a "$A"
        check "loaded under lockdown" pkt verify --keep c "$B"
        check "removed under lockdown" pkt remove a
        check "saved under lockdown" pkt save d "$B"
        check "freed under lockdown" sh -c 'echo 0 >/sys/kernel/pkram'
        nodes 0
}
