# SPDX-License-Identifier: LGPL-2.1-or-later
# PKRAM and live update (LUO) in the same kernel, side by side: what saving and loading the same files costs, the
# memory that it takes, and how long it takes from reboot() to init with nothing, with a file of PKRAM, and with one of
# LUO.
# suite: campaign
# config: guest@7.3
# stages: 8
# memory: 768M
# icount: yes
# cpus: 1
# append: nolapic_timer kho=on liveupdate=on
# timeout: 1800

# specs NAME: the files that both preserve
specs() {
        case $1 in
        base) echo "file:size=64M,seed=601" ;;
        2m) echo "file:size=64M,seed=602,thp" ;;
        scattered) echo "file:size=64M,seed=603,shuffle,mix=4" ;;
        sparse) echo "file:size=64M,seed=604,hole=2,run=16$HOLES" ;;
        100files) for i in $(seq 100); do echo "file:size=640K,seed=$((610 + i))"; done ;;
        esac
}

# Live update fills all holes, which is no error here.
luo_specs() { HOLES=${1:+,fallocate} specs "$2"; }

# figure NAME PKRAM LUO UNIT: a line of the table
figure() { mark DATA "$1 $2 $4 (LUO: $3)"; }

# carried WORD: what the stage before measured, on the command line
carried() { word "pkramtest.$1"; }

# of N: field N of what the last check printed
of() { sed -n '$p' /tmp/check.out | cut -d ' ' -f "$1"; }

pkram_save() {
        # shellcheck disable=SC2046
        check "PKRAM saves $1" pkt bench save "$1" $(specs "$1")
        meta=$(pkt list | sed -n "s/^$1 .*meta_pages=\([0-9]*\).*/\1/p")
        words="$words pkramtest.pcost=$(of 1) pkramtest.pmeta=$meta"
}

luo_save() {
        # shellcheck disable=SC2046
        check "LUO preserves $1" pkt luo keep "$1" $(specs "$1")
        words="$words pkramtest.lcost=$(of 1) pkramtest.lmeta=$(of 3)"
}

pkram_load() {
        # shellcheck disable=SC2046
        check "PKRAM loads $1" pkt bench load "$1" $(specs "$1")
        pload=$(of 1) pages=$(of 2)
        check "removed" pkt remove "$1"
}

luo_load() {
        # shellcheck disable=SC2046
        check "LUO retrieves $1" pkt luo verify "$1" $(luo_specs fill "$1")
        lload=$(of 1) pages=$(of 2)
}

# table NAME PKRAM-SAVE PKRAM-META PKRAM-LOAD
table() {
        figure "save_$1" "$(ratio "$2" "$pages")" "$(ratio "$(carried lcost)" "$pages")" insn/4KiB
        figure "load_$1" "$(ratio "$4" "$pages")" "$(ratio "$lload" "$pages")" insn/4KiB
        figure "meta_$1" "$(ratio "$(($3 * 4096))" "$pages")" "$(ratio "$(($(carried lmeta) * 4096))" "$pages")" B/page
}

both_save() { pkram_save "$1"; luo_save "$1"; }
both_load() {
        pkram_load "$1"
        luo_load "$1"
        table "$1" "$(carried pcost)" "$(carried pmeta)" "$pload"
}

stage1() {
        nodes 0
        figure set_aside 0 "$(awk '$1 == "cma" { n += $2 } END { print n / 256 }' /proc/zoneinfo)" MiB
        next_stage
}

stage2() {
        pkram_save base
        # shellcheck disable=SC2086
        next_stage $words
}

stage3() {
        pkram_load base
        luo_save base
        # shellcheck disable=SC2086
        next_stage $words "pkramtest.before=$(carried pcost),$(carried pmeta),$pload"
}

stage4() {
        luo_load base
        # shellcheck disable=SC2046
        table base $(carried before | tr , ' ')
        check "huge pages for shmem" huge_on
        both_save 2m
        # shellcheck disable=SC2086
        next_stage $words
}

stage5() {
        check "huge pages for shmem" huge_on
        both_load 2m
        both_save scattered
        # shellcheck disable=SC2086
        next_stage $words
}

stage6() {
        both_load scattered
        both_save sparse
        # shellcheck disable=SC2086
        next_stage $words
}

stage7() {
        both_load sparse
        both_save 100files
        # shellcheck disable=SC2086
        next_stage $words
}

stage8() { both_load 100files; }
