# SPDX-License-Identifier: LGPL-2.1-or-later
# With nothing stored the cost is a page or two, and a kexec with nothing stored is an ordinary one. A boot differs in
# nothing from one of the same kernel without PKRAM: command line, limits, hash tables, free memory.
# stages: 3
# memory: 256M
# timeout: 120
# kernels: nopkram
# refuse: * pkram: .*(damaged|error|fail)

# What must be the same with and without PKRAM.
looks() {
        sed -e 's/ pkramtest\..*//' /proc/cmdline
        dmesg | sed -n 's/.*\(\(Dentry\|Inode\)-cache hash table entries: [0-9]*\).*/\1/p'
}

same_cmdline() { equal "size of /proc/cmdline" "$(stat -c %s /proc/cmdline)" "$(wc -c </proc/cmdline)"; }

stage1() {
        boot_result NONE
        nodes 0
        within "pages of metadata" "$(pkt info meta_pages)" 0 4
        same_cmdline
        next_stage
}

stage2() {
        nodes 0
        within "pages of metadata" "$(pkt info meta_pages)" 0 4
        equal "nothing was dropped" "$(pkt info nr_dropped)" 0
        same_cmdline
        KERNEL=nopkram next_stage "pkramtest.looks=$(looks | tr ' \n' '_|') pkramtest.free=$(free_pages)" \
                "pkramtest.threads=$(cat /proc/sys/kernel/threads-max) pkramtest.files=$(cat /proc/sys/fs/file-max)"
}

# near NAME IS WANTED: at most 3 % apart. The block of the super block is reserved early, and the code of PKRAM and of
# its tests takes some memory, too.
near() { within "$1" "$2" $(($3 * 97 / 100)) $(($3 * 103 / 100)); }

stage3() {
        check_not "no device without PKRAM" test -e /dev/pkram
        equal "what a boot is like" "$(looks | tr ' \n' '_|')" "$(word pkramtest.looks)"
        near "threads-max" "$(word pkramtest.threads)" "$(cat /proc/sys/kernel/threads-max)"
        near "file-max" "$(word pkramtest.files)" "$(cat /proc/sys/fs/file-max)"
        near "free pages" "$(word pkramtest.free)" "$(free_pages)"
}
