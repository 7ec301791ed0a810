# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# On Debian 13's own kernel, memcached and redis, unmodified and wired up by drop-ins alone, keep their data on trees
# over a reboot. memcached answers 200,000 keys, redis has the same digest and its own tools find nothing wrong with
# its files.
# suite: campaign
# stages: 2
# memory: 3G
# timeout: 1200
# config: stock
# qemu: -action reboot=reset

. "$DIR/memcached-redis.sh"

stage1() {
        fill_both
        remember_boot
        systemctl reboot
        next_boot
}

stage2() {
        another_kernel
        equal "boot result" "$(status_field bootResult)" restored
        check_both
        clean_boot
}
