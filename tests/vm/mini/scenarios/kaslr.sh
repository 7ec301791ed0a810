# SPDX-License-Identifier: LGPL-2.1-or-later
# The kernel's place is random at every kexec and never on preserved memory, which is spread over all of it. A stale
# pkram= in the configuration of a boot loader changes nothing of that.
# stages: 8
# memory: 1024M
# append: pkram=12345
# refuse: 1 <3>.*pkram|pkram: nothing restored
# timeout: 240

SPREAD="file:size=640M,seed=441,light,keep=24,keeprun=512"

kernel_base() { sed -n 's/^ *\([0-9a-f]*\)-.*: Kernel code/\1/p' /proc/iomem; }

different() { echo "$1" | tr ',' '\n' | grep . | sort -u | wc -l; }

stage_any() {
        bases="$(word pkramtest.bases),$(kernel_base)"
        virtual="$(word pkramtest.virtual),$(sed -n 's/ T _text$//p' /proc/kallsyms)"
        if [ "$STAGE" = 1 ]; then
                boot_result NOTHING
                # where the boot loader put it; once in 240 boots that is random, too
                check_not "the place of the first kernel is random" [ "$(kernel_base)" = 01000000 ]
                check "saved" pkt save spread "$SPREAD"
                pages=$(sed -n 's/^pages=//p' /tmp/check.out)
        else
                pages=$(word pkramtest.pages)
                nodes 1
                check "the same after $((STAGE - 1)) kexecs" \
                        pkt verify --keep --generation=$((STAGE - 1)) spread "$SPREAD,pages=$pages"
        fi
        within "preserved pages" "$pages" 4000 16000
        [ "$STAGE" = 8 ] || next_stage "pkramtest.pages=$pages pkramtest.bases=$bases pkramtest.virtual=$virtual"
        echo "places: $bases, virtual: $virtual"
        within "different places of the kernel in 8 boots" "$(different "$bases")" 4 8
        within "different virtual addresses" "$(different "$virtual")" 4 8
}
