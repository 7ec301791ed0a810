# SPDX-License-Identifier: LGPL-2.1-or-later
# crashkernel= finds its memory in every boot of a chain, although preserved pages are in every other place of
# that size: neither segments of the image, nor the kernel's random place, nor early allocations break it up.
# stages: 5
# memory: 768M
# append: crashkernel=192M
# suite: campaign
# debug: no
# timeout: 300
# refuse: * cannot allocate crashkernel

SPEC="file:size=400M,seed=431,light,keep=1024"

stage_any() {
        equal "memory of the crash kernel" "$(cat /sys/kernel/kexec_crash_size)" $((192 << 20))
        if [ "$STAGE" = 1 ]; then
                check "saved" pkt save sparse "$SPEC"
                pages=$(pkt info data_pages)
                within "pages, each in a block of its own" "$pages" 60 160
        else
                boot_result RESTORED
                pages=$(word pkramtest.pages)
                check "they are the same" pkt verify --keep sparse "$SPEC,pages=$pages"
        fi
        boot_files
        check "a kernel for the crash is loaded" pkt kexec --crash /boot/bzImage /boot/initrd \
                "$(base_line | sed 's/crashkernel=[^ ]*//')"
        [ "$STAGE" = 5 ] || next_stage "pkramtest.pages=$pages"
}
