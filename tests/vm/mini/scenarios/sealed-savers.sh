# SPDX-License-Identifier: LGPL-2.1-or-later
# A hundred kexecs while savers run on the other processors: at each stop every node that is there is whole, the one
# that is carried is among them, no memory is lost, and nothing of what was being saved is left.
# suite: campaign
# stages: 101
# memory: 384M
# timeout: 3600
# refuse: * [1-9][0-9]* nodes dropped

CARRIED="file:size=8M,seed=9,hole=3"

# What a saver saves under a number: a file, a byte stream, or both in one node.
object() {
        case $(($1 % 3)) in
        0) echo "file:size=2M,seed=$1,hole=5" ;;
        1) echo "bytes:size=300000,seed=$1" ;;
        2) echo "file:size=600K,seed=$1,bytes=50000" ;;
        esac
}

# saver N: save nodes for ever, and keep the newest three
saver() {
        local i=$((STAGE * 100000 + $1 * 10000))
        while :; do
                pkt save "saver-$i" "$(object $i)" || return
                pkt remove "saver-$((i - 3))"
                i=$((i + 1))
        done >/dev/null 2>&1
}

stage1() {
        check "saved" pkt save carried "$CARRIED"
        savers_and_kexec
}

stage_any() {
        local n whole=0
        boot_result RESTORED
        check "the carried one" pkt verify --keep carried "$CARRIED"
        for n in $(pkt list | sed -n 's/^saver-\([0-9]*\) .*/\1/p'); do
                if pkt verify "saver-$n" "$(object "$n")" >/tmp/check.out 2>&1; then
                        whole=$((whole + 1))
                else
                        fail "saver-$n is whole" "$(tail -n 1 /tmp/check.out)"
                fi
        done
        mark DATA "nodes $whole of savers"
        nodes 1
        free=$(free_pages)
        if [ "$STAGE" = 2 ]; then
                FREE=$free
        else
                FREE=$(word pkramtest.free)
                within "free pages, as in the second kernel" "$free" $((FREE - 700)) $((FREE + 700))
        fi
        [ "$STAGE" = 101 ] || savers_and_kexec "pkramtest.free=$FREE"
}

# At another moment each time.
savers_and_kexec() {
        local i
        load_stage "$@"
        for i in 1 2 3; do saver $i & done
        usleep $((200000 + STAGE * 7919 % 500000))
        pkt kexec --exec-only
        fail "kexec into stage $((STAGE + 1))" "it did not happen"
        finish
}
