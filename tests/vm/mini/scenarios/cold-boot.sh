# SPDX-License-Identifier: LGPL-2.1-or-later
# With nothing stored the cost is a page or two, and a kexec with nothing stored is an ordinary one.
# stages: 2
# memory: 256M
# timeout: 90
# refuse: * pkram: .*(damaged|error|fail)

stage1() {
        boot_result NONE
        nodes 0
        within "pages of metadata" "$(pkt info meta_pages)" 0 2
        next_stage
}

stage2() {
        nodes 0
        within "pages of metadata" "$(pkt info meta_pages)" 0 2
        equal "nothing was dropped" "$(pkt info nr_dropped)" 0
}
