# SPDX-License-Identifier: LGPL-2.1-or-later
# Every misuse of /dev/pkram is refused with the errno the interface names, and leaves nothing behind.
# stages: 1
# memory: 384M
# timeout: 90

stage1() {
        check "misuse" pkt refusals
        check_not "a device for root only" sh -c '[ "$(stat -c %a /dev/pkram)" != 600 ]'
        check_not "the pfn for root only" sh -c '[ "$(stat -c %a /sys/kernel/pkram)" != 600 ]'
        nodes 0
}
