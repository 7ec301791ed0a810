# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Debian's memcached and redis, unmodified and wired up by drop-ins alone, keep their data on trees over systemctl
# kexec. memcached answers 200,000 keys, redis has the same digest and its own tools find nothing wrong with its files.
# suite: campaign
# stages: 2
# memory: 3G
# timeout: 700

. "$DIR/memcached-redis.sh"

stage1() {
        fill_both
        remember_boot
        kexec_now
}

stage2() {
        another_kernel
        check_both
}
