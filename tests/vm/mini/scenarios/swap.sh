# SPDX-License-Identifier: LGPL-2.1-or-later
# Files that were driven out to swap are read back when they are stored; no swap slot is lost.
# stages: 2
# memory: 512M
# timeout: 150

FILE="file:size=32M,seed=411,swap"

swap_used() { awk '/^SwapTotal:/ { t = $2 } /^SwapFree:/ { print t - $2 }' /proc/meminfo; }

# On a loop device over a file that cannot be swapped out itself.
stage1() {
        mkdir -p /swap
        check "a swap device" sh -c \
                'mount -t ramfs ramfs /swap && dd if=/dev/zero of=/swap/file bs=1M count=64 2>/dev/null &&
                losetup /dev/loop0 /swap/file && mkswap /dev/loop0 >/dev/null && swapon /dev/loop0'
        check "saved from swap" pkt save here "$FILE"
        check "the same in this boot" pkt verify here "$FILE"
        # Each processor keeps up to 64 free slots for itself.
        within "KiB of swap used when it is gone" "$(swap_used)" 0 512
        check "saved from swap" pkt save over "$FILE" "file:size=8M,seed=412,swap,hole=3"
        check "swap can be turned off" swapoff /dev/loop0
        next_stage
}

stage2() {
        boot_result RESTORED
        check "the same" pkt verify over "$FILE" "file:size=8M,seed=412,swap,hole=3"
}
