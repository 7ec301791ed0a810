# SPDX-License-Identifier: LGPL-2.1-or-later
# A kernel that crashes jumps to its kdump kernel, which ignores PKRAM and leaves preserved memory whole.
# stages: 2
# memory: 768M
# append: crashkernel=160M
# timeout: 150
# allow: sysrq: Trigger a crash|Kernel panic - not syncing: sysrq triggered crash|Call Trace:
# expect: 2 pkram: this is a kdump kernel: pkram= is ignored, preserved memory left alone

FILE="file:size=32M,seed=451,scatter"

stage1() {
        check "saved" pkt save here "$FILE" "bytes:size=5000,seed=452"
        pages=$(pkt pfns here 0 1 2 100 1000 4095 5000 8000 8191 | tr ' ' ',')
        boot_files
        check "loaded a kernel for the crash" pkt kexec --crash /boot/bzImage /boot/initrd \
                "$(base_line | sed 's/crashkernel=[^ ]*//') pkramtest.stage=2 pkram=$(cat \
                /sys/kernel/pkram) pkramtest.pages=$pages"
        equal "no image is loaded for a reboot" "$(pkt info image_state)" 0
        check "saved with a crash kernel in place" pkt save there "file:size=4M,seed=453"
        sleep 1
        echo c >/proc/sysrq-trigger
        fail "crash" "the kernel goes on"
}

stage2() {
        boot_result OFF
        check_not "nothing can be stored" pkt save new "bytes:size=1,seed=454"
        # shellcheck disable=SC2046
        check "the crashed kernel's pages are whole" pkt vmcore "$FILE" $(word pkramtest.pages | tr ',' ' ')
}
