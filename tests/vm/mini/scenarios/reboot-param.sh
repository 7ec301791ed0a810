# SPDX-License-Identifier: LGPL-2.1-or-later
# pkram= from a boot loader, with values that should not be given: the machine boots and PKRAM works.
# stages: 1
# memory: 384M
# append: pkram=0 pkram=zzz pkram= pkram=fffffffffffffffff pkram=1
# timeout: 60
# expect: 1 pkram: .*

stage1() {
        boot_result NOTHING
        nodes 0
        check "saves" pkt save new "file:size=1M,seed=91"
        check "loads" pkt verify new "file:size=1M,seed=91"
}
