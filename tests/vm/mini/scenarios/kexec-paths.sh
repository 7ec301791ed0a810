# SPDX-License-Identifier: LGPL-2.1-or-later
# Every way to load the next kernel: kexec_file_load with old pkram= words on the command line, kexec_load with and
# without pkram=, unloading, and loading while others store.
# stages: 4
# memory: 512M
# timeout: 240
# expect: 3 pkram: losing [0-9]+ nodes: the kexec image does not preserve them

A="file:size=24M,seed=401,scatter"
R="file:size=5M,seed=402,scatter"

pkram_words() { tr ' ' '\n' | grep -c '^"\?pkram='; }

# The command line as it came, which the log shows, and as users may see it.
given_line() { dmesg | sed -n 's/.*\] Command line: //p'; }

TIGHT=

# segments WORDS: load the kernel for the next stage with kexec_load
# shellcheck disable=SC2086
segments() { boot_files && pkt kexec-segments $TIGHT /boot/bzImage /boot/initrd \
        "$(base_line) pkramtest.stage=$((STAGE + 1)) $*"; }

# load_at PFN: kexec_load, with the kernel segment on that page
load_at() { pkt kexec-segments --at $((($1 * 4096 / 2097152 - 1) * 2097152)) /boot/bzImage /boot/initrd x; }

# A destination on a stored page, which is moved. Where the super block is nearby is tried again elsewhere.
on_stored_page() {
        local pfn page
        for page in 0 1500 3000 4500 6000; do
                pfn=$(pkt pfns a $page) || return 1
                load_at "${pfn#*=}" && return 0
        done
        return 1
}

# The super block is never moved.
on_super_block() {
        load_at $((0x$(cat /sys/kernel/pkram))) 2>&1 | grep 'Cannot assign requested address' &&
                dmesg | grep 'pkram: kexec_load: segment .* would overwrite preserved memory'
}

store_some() { for i in 1 2 3 4 5 6 7 8; do pkt save "r$i" "$R" || return 1; done; }

stage1() {
        check "saved" pkt save a "$A"
        check "loaded with kexec_file_load" load_stage
        equal "it keeps the store" "$(pkt info image_state)" 1
        check "unloaded" pkt kexec --unload
        equal "no image is loaded" "$(pkt info image_state)" 0
        check "kexec_load on the super block is refused with EADDRNOTAVAIL" on_super_block
        equal "still no image is loaded" "$(pkt info image_state)" 0
        check "kexec_load on a stored page moves it" on_stored_page
        check "the stored pages are the same" pkt verify --keep a "$A"
        check "unloaded" pkt kexec --unload

        store_some >/tmp/store.out 2>&1 &
        for i in 1 2 3 4 5; do
                load_stage || fail "load $i, racing with a store" "it failed"
                [ $((i % 2)) = 0 ] || pkt kexec --unload
        done
        check "stored, racing with loads" wait $!
        cat /tmp/store.out
        nodes 9
        next_stage 'pkram=dead "pkram=1" quoted="pkram=2 x" pkram='
}

carried() {
        check "the stored pages are the same" pkt verify --keep a "$A"
        for i in 1 2 3 4 5 6 7 8; do
                check "stored while loading, $i" pkt verify --keep "r$i" "$R"
        done
}

stage2() {
        boot_result RESTORED
        equal "words with pkram= on the command line" "$(given_line | pkram_words)" 1
        equal "words with pkram= in /proc/cmdline" "$(pkram_words </proc/cmdline)" 0
        equal "the rest of the line is as it was given" "$(cat /proc/cmdline)" \
                "$(given_line | sed 's/^pkram=[^ ]* //')"
        equal "size of /proc/cmdline" "$(stat -c %s /proc/cmdline)" "$(wc -c </proc/cmdline)"
        check_not "the pfn is not in it" grep "$(cat /sys/kernel/pkram)" /proc/cmdline
        check "what was quoted stays" grep -q 'quoted="pkram=2 x"' /proc/cmdline
        nodes 9
        carried
        check "loaded with kexec_load, without pkram=" segments
        equal "the parameter is missing" "$(pkt info image_state)" 3
        check "loaded with kexec_load, with a wrong pkram=" segments "pkram=1234"
        equal "the parameter is missing" "$(pkt info image_state)" 3
        # As the 32 bit loader of kexec-tools does: the kernel would unpack itself over what lies behind it.
        TIGHT=--tight
        check "loaded with kexec_load, with too little room" segments "pkram=$(cat /sys/kernel/pkram)"
        equal "it is not for the store" "$(pkt info image_state)" 2
        TIGHT=
        check "loaded with kexec_load, with pkram=" segments "pkram=$(cat /sys/kernel/pkram)"
        equal "it keeps the store" "$(pkt info image_state)" 1
        check "saved after the load" pkt save b "file:size=150M,seed=403,light"
        check "kexec" pkt kexec --exec-only
}

stage3() {
        boot_result RESTORED
        equal "what the caller of kexec_load gave stays" "$(cat /proc/cmdline)" "$(given_line)"
        equal "words with pkram= in /proc/cmdline" "$(pkram_words </proc/cmdline)" 1
        nodes 10
        carried
        check "saved after kexec_load" pkt verify b "file:size=150M,seed=403,light"
        check "loaded with kexec_load, without pkram=" segments
        check "kexec" pkt kexec --exec-only
}

# Memory that it was not told about is ordinary memory.
stage4() {
        boot_result NONE
        nodes 0
        check "saves" pkt save new "$R"
        check "loads" pkt verify new "$R"
}
