# SPDX-License-Identifier: LGPL-2.1-or-later
# What a byte stream costs when an image of 256 MiB is loaded, compared with none, and what packing costs for each page
# that is packed.
# suite: bench
# stages: 1
# memory: 1536M
# config: minimal
# icount: yes
# cpus: 1
# append: nolapic_timer
# timeout: 600
# silence: 300

BYTES="bytes:size=64M,seed=511"

bench_one() {
        if ! pkt bench "$1" "$2" "$3" >/tmp/bench.out 2>&1; then
                fail "$1 $2" "$(cat /tmp/bench.out)"
                finish
        fi
        read -r cost pages </tmp/bench.out
        pass "$1 $2"
}

stage1() {
        bench_one save bytes "$BYTES"
        without=$cost
        check "removed" pkt remove bytes
        boot_files
        # What the next kernel would unpack is of no interest here.
        check "an image of 256 MiB" sh -c \
                'cp /boot/initrd /tmp/initrd && dd if=/dev/zero of=/tmp/initrd bs=1M count=256 seek=20 2>/dev/null'
        check "loaded" pkt kexec --load-only /boot/bzImage /tmp/initrd "$(base_line)"
        rm /tmp/initrd
        bench_one save bytes "$BYTES"
        mark DATA "save_after_image $(ratio "$cost" "$without") x"
        check "removed" pkt remove bytes
        check "unloaded" pkt kexec --unload

        # Every third page: as far as that touches more than half of the blocks, they are packed.
        bench_one pack packed "file:size=1200M,seed=513,light,keep=3"
        [ "$pages" -gt 10000 ] || fail "pages are packed" "only $pages"
        mark DATA "save_packed $(ratio "$cost" "$pages") insn/page"
}
