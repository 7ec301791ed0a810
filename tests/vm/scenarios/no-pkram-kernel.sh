# SPDX-License-Identifier: LGPL-2.1-or-later
# On a kernel without PKRAM the daemon and the tool say exactly that; nothing hangs and no unit fails.
# stages: 1
# timeout: 240
# config: nopkram

stage1() {
        equal "no device" "$(ls /dev/pkram 2>/dev/null)" ""
        reply=$(varlinkctl --json=short call "$SOCKET" io.pkram.Store.GetStatus '{}')
        equal "supported" "$(field supported "$reply")" False
        matches "the reason" "$(field reason "$reply")" 'PKRAM'
        matches "pkramctl status" "$(pkramctl status 2>&1)" 'kernel.*PKRAM|PKRAM.*kernel'
        refused "pkramctl store" 'PKRAM' bash -c 'printf x | pkramctl store x -'
        refused "Store" 'NotSupported' varlinkctl call "$SOCKET" io.pkram.Store.Store '{"name":"x","objects":[{"data":"eA=="}]}'
        check "no unit failed" bash -c 'f=$(systemctl --failed --no-legend --plain); echo "$f"; [ -z "$f" ]'
}
