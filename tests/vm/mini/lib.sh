# SPDX-License-Identifier: LGPL-2.1-or-later
# Words for the scenarios of the small guest (busybox sh). A scenario defines stage1, stage2 ..., or stage_any for all
# that are not named; what a stage does not leave by next_stage ends the scenario.

# Marker lines go through the kernel log, so that no kernel message can tear them apart.
mark() { printf '<1>@@pkram %s\n' "$*" >/dev/kmsg; }

pass() { mark PASS "$1"; }
fail() { mark FAIL "$1: $2"; }

# check NAME COMMAND...: the command has to succeed. What it says last is the reason if it does not; all of it is in
# /tmp/check.out until the next check, which may look at it.
check() {
        local name=$1
        shift
        if "$@" >/tmp/check.new 2>&1; then
                pass "$name"
        else
                fail "$name" "$(tail -n 8 /tmp/check.new | tr '\n' '|')"
        fi
        mv /tmp/check.new /tmp/check.out
        cat /tmp/check.out
}

# check_not NAME COMMAND...: the command has to fail (and not by a signal).
check_not() {
        local name=$1 r=0
        shift
        "$@" >/tmp/check.new 2>&1 || r=$?
        if [ "$r" = 0 ] || [ "$r" -ge 126 ]; then
                fail "$name" "exit status $r: $(tail -n 1 /tmp/check.new)"
        else
                pass "$name"
        fi
        mv /tmp/check.new /tmp/check.out
        cat /tmp/check.out
}

# equal NAME IS WANTED
equal() {
        if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "is '$2', not '$3'"; fi
}

# within NAME IS LOWEST HIGHEST
within() {
        # Nothing at all is not a number and must not pass.
        if [ "${2:-x}" -ge "$3" ] 2>/dev/null &&
                [ "$2" -le "$4" ]; then pass "$1"; else fail "$1" "is $2, not between $3 and $4"; fi
}

# nodes N: the listing has that many
nodes() {
        if pkt list >/tmp/list.out; then
                equal "$1 nodes are listed" "$(wc -l </tmp/list.out)" "$1"
        else
                fail "$1 nodes are listed" "the listing failed"
        fi
}

# all_adopted: wait until no node of the previous kernel is pending
all_adopted() {
        local i=0
        while [ "$(cat /sys/kernel/mm/pkram/pending_pages)" != 0 ] && [ $i -lt 600 ]; do
                i=$((i + 1))
                usleep 100000
        done
        equal "pages pending" "$(cat /sys/kernel/mm/pkram/pending_pages)" 0
}

# boot_result NAME-OF-ENUM: what the kernel found when it started; PARTIAL waits until it has checked all nodes
boot_result() {
        local n
        [ "$1" != PARTIAL ] || pkt list --dropped >/dev/null
        case $1 in
        NONE) n=0 ;; RESTORED) n=1 ;; PARTIAL) n=2 ;; NOTHING) n=3 ;; STALE) n=4 ;; DAMAGED) n=5 ;; VERSION) n=6 \
                ;; OFF) n=7 ;;
        esac
        equal "boot result $1" "$(pkt info boot_result)" "$n"
}

boot_files() { [ -e /boot/initrd ] || tar -x -f /dev/vda -C /boot; }

# base_line: the command line without what belongs to one boot only.
base_line() {
        sed -e 's/\bpkram=[^ ]* \?//g' -e 's/\bpkramtest\.scenario=/SCENARIO=/' -e 's/\bpkramtest\.[^ ]* \?//g' \
                -e 's/SCENARIO=/pkramtest.scenario=/' /proc/cmdline
}

# load_stage [WORDS]: load the kernel for the next stage. KERNEL=NAME takes another one of /boot.
load_stage() {
        boot_files
        pkt kexec --load-only "/boot/${KERNEL:-bzImage}" /boot/initrd "$(base_line) pkramtest.stage=$((STAGE + 1)) $*"
}

# next_stage [WORDS]: kexec into the next stage. Comes back only if that fails.
next_stage() {
        load_stage "$@" && pkt kexec --exec-only
        fail "kexec into stage $((STAGE + 1))" "it did not happen"
        finish
}

finish() {
        mark DONE
        poweroff -f
        sleep 100
}

# free_pages: free memory in pages, with nothing cached; those on per-cpu lists are free too
free_pages() {
        while [ "$(cat /sys/kernel/mm/pkram/pending_pages 2>/dev/null || echo 0)" != 0 ]; do usleep 100000; done
        sync
        echo 3 >/proc/sys/vm/drop_caches
        # KASAN keeps what was freed for a while, up to a thirtieth of memory.
        if grep -q page_owner=on /proc/cmdline; then
                for cache in /sys/kernel/slab/*/shrink; do echo 1 >"$cache"; done 2>/dev/null
        fi
        awk '$1 == "nr_free_pages" || $1 == "count:" { n += $2 } END { print n }' /proc/zoneinfo
}

huge_on() { echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled; }

# word NAME: the value of NAME= on the kernel command line (defined in init)

# bench_least WHAT SPEC NODE...: save or load the nodes, all by one SPEC, and leave the least cost and the number
# of pages in /tmp/bench.out.
# Now and then the timer, and what waited for it, take longer than large folios do.
bench_least() {
        local what=$1 spec=$2 node cost least='' pages
        shift 2
        for node in "$@"; do
                if ! pkt bench "$what" "$node" "$spec" >/tmp/bench.new 2>&1; then
                        fail "$what $node" "$(cat /tmp/bench.new)"
                        finish
                fi
                read -r cost pages </tmp/bench.new
                [ -n "$least" ] && [ "$least" -le "$cost" ] || least=$cost
                pass "$what $node"
        done
        echo "$least $pages" >/tmp/bench.out
}

# bench_save NAME SPEC META UNIT PAGES [OTHER]...: save, and carry the figures over the kexec: a figure is printed only
# when the data has been found right. The metadata is called META and given per PAGES pages. OTHER is saved by the same
# SPEC.
bench_save() {
        local name=$1 spec=$2 words cost pages meta
        words="pkramtest.metaname=$3 pkramtest.unit=$4 pkramtest.per=$5"
        shift 5
        bench_least save "$spec" "$name" "$@"
        read -r cost pages </tmp/bench.out
        meta=$(pkt list | sed -n "s/^$name .*meta_pages=\([0-9]*\).*/\1/p")
        next_stage "pkramtest.cost=$cost pkramtest.pages=$pages pkramtest.meta=$meta $words"
}

# bench_load NAME SPEC [OTHER]...: load what was saved, and print the figures.
bench_load() {
        local name=$1 spec=$2 cost pages
        shift 2
        bench_least load "$spec" "$name" "$@"
        read -r cost pages </tmp/bench.out
        mark DATA "save_$name $(ratio "$(word pkramtest.cost)" "$pages") insn/4KiB"
        mark DATA "load_$name $(ratio "$cost" "$pages") insn/4KiB"
        mark DATA "$(word pkramtest.metaname) $(ratio "$(($(word pkramtest.meta) * 4096 * $(word pkramtest.per)))" \
                "$pages") $(word pkramtest.unit)"
}

ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

# damage_store ROUND SEED: store many nodes and have what the round says spoilt after the seal.
damage_store() {
        if ! pkt damage store "$1" "$2" >/tmp/flip 2>/tmp/check.out; then
                fail "stored nodes for $1" "$(cat /tmp/check.out)"
                finish
        fi
        cat /tmp/flip >/sys/module/pkram_damage/parameters/flip
        equal "the kernel knows what to spoil for $1" "$(cat /sys/module/pkram_damage/parameters/flip)" \
                "$(cat /tmp/flip)"
}

# damage_check ROUND SEED: what became of it; all nodes are gone afterwards.
damage_check() {
        local n
        check "damage $1, seed $2" pkt damage check "$1" "$2"
        n=$(sed -n 's/^damaged \([0-9]*\).*/\1/p' /tmp/check.out)
        DAMAGED=$((${DAMAGED:-0} + ${n:-0}))
        check "what is left can be removed" sh -c 'echo 0 >/sys/kernel/pkram'
        nodes 0
}

# damage_stages SEED ROUND...: stage N stores for the Nth round, and checks the one before. More stages than rounds
# end the scenario.
damage_stages() {
        local seed=$1 n=$STAGE
        shift
        DAMAGED=$(word pkramtest.damaged)
        if [ "$n" -gt 1 ]; then
                eval "damage_check \"\${$((n - 1))}\" $seed"
        else
                nodes 0
        fi
        if [ "$n" -le $# ]; then
                eval "damage_store \"\${$n}\" $seed"
                next_stage "pkramtest.damaged=${DAMAGED:-0} pkramtest.seed=$seed"
        fi
        mark DATA "damaged $DAMAGED places-in-$#-boots"
}
