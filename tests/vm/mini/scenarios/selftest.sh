# SPDX-License-Identifier: LGPL-2.1-or-later
# tools/testing/selftests/pkram, in a kernel that was started by the boot loader and in one that was started by kexec.
# stages: 2
# memory: 256M
# timeout: 60

selftest() {
        check "selftests" pkram_test
        equal "results" "$(grep -c '^ok ' /tmp/check.out)" 20
        nodes 0
}

stage1() {
        selftest
        next_stage
}

stage2() { selftest; }
