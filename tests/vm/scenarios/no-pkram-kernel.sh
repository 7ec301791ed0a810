# SPDX-License-Identifier: LGPL-2.1-or-later
# On a kernel without PKRAM the daemon and the tool say exactly that; nothing hangs and no unit fails.
# stages: 1
# timeout: 240
# config: nopkram

stage1() {
        equal "no device" "$(ls /dev/pkram 2>/dev/null)" ""
        reply=$(call GetStatus)
        equal "supported" "$(field supported "$reply")" False
        matches "the reason" "$(field reason "$reply")" 'PKRAM'
        matches "pkramctl status" "$(pkramctl status 2>&1)" 'kernel.*PKRAM|PKRAM.*kernel'
        refused "pkramctl store" 'PKRAM' bash -c 'printf x | pkramctl store x -'
        refused "Store" 'NotSupported' call Store '{"name":"x","objects":[{"data":"eA=="}]}'
        clean_boot
}
