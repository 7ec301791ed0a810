# SPDX-License-Identifier: LGPL-2.1-or-later
# pkram= that points at nothing, at ordinary memory, outside of memory, or at an old super block: the kernel boots,
# one line says so, and what was stored is gone rather than wrong.
# stages: 8
# memory: 384M
# timeout: 300
#
# The kernel itself corrects a pkram= on a command line, so a wrong one has to come over a kernel that has no PKRAM.
# kernels: nopkram

via_nopkram() { KERNEL=nopkram next_stage "pkramtest.next=$1"; }

# In a kernel without PKRAM: go on into one that has it, with the wrong value.
wrong_value() {
        check_not "no device without PKRAM" test -e /dev/pkram
        next_stage "pkram=$1 pkramtest.given=$1"
}

named() { check "one line says so" sh -c "dmesg | grep 'pkram: .*super block at pfn 0x$(word pkramtest.given)\>'"; }

usable() {
        nodes 0
        check "saves" pkt save new "file:size=1M,seed=81"
        check "loads" pkt verify new "file:size=1M,seed=81"
}

stage1() {
        check "saved" pkt save lost "file:size=4M,seed=82"
        pkt info super_pfn >/tmp/pfn
        printf 'the old super block is at pfn %x\n' "$(cat /tmp/pfn)"
        via_nopkram "$(printf %x "$(cat /tmp/pfn)")"
}

# The old super block, after a kernel that knew nothing of it.
stage2() { wrong_value "$(sed -n 's/.*pkramtest.next=\([^ ]*\).*/\1/p' /proc/cmdline)"; }

stage3() {
        case $(pkt info boot_result) in
        3|4|5) pass "the old super block is not believed" ;;
        *) fail "the old super block is not believed" "boot result $(pkt info boot_result)" ;;
        esac
        named
        usable
        via_nopkram deadbeef
}

stage4() { wrong_value deadbeef; }

# Far outside of memory.
stage5() {
        boot_result NOTHING
        named
        usable
        via_nopkram 12345
}

# Ordinary memory.
stage6() { wrong_value 12345; }

stage7() {
        boot_result NOTHING
        named
        usable
        next_stage
}

# And after all that an ordinary kexec works.
stage8() {
        nodes 0
        usable
}
