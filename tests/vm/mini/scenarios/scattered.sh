# SPDX-License-Identifier: LGPL-2.1-or-later
# Pages that are scattered over memory, no two of one file side by side: reserved, found and given back one by one.
# stages: 3
# memory: 640M
# timeout: 240

SCATTERED="file:size=96M,seed=41,scatter"

stage1() {
        check "saved" pkt save scattered "$SCATTERED"
        within "metadata pages (8 bytes a page at worst)" "$(pkt list | sed 's/.*meta_pages=\([0-9]*\).*/\1/')" 1 60
        next_stage
}

stage2() {
        boot_result RESTORED
        check "the same" pkt verify --keep scattered "$SCATTERED"
        check "a second one" pkt save again "$SCATTERED"
        next_stage
}

stage3() {
        nodes 2
        before=$(free_pages)
        check "the same after two kexecs" pkt verify --generation=2 scattered "$SCATTERED"
        check "the second one too" pkt verify --generation=1 again "$SCATTERED"
        # 2 x 24576 pages and their metadata are ordinary free memory now.
        within "pages that became free" $(($(free_pages) - before)) 49000 60000
        check "and can be used" sh -c 'dd if=/dev/zero of=/tmp/fill bs=1M count=180 2>/dev/null && rm /tmp/fill'
}
