#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later

# Every option that a program's --help names is in its manual page, and the other way round; likewise the verbs of
# pkramctl, and the settings of pkramd.conf in the source, in the file of defaults and in its page. Help texts have at
# most 80 columns.
# $1: man source directory, $2: build directory of the programs.
set -euo pipefail

src=$1 build=$2
fail=0

# compare WHAT FIRST SECOND: two lists, one item a line.
compare() {
        local only
        only=$(comm -3 <(sort -u <<<"$2") <(sort -u <<<"$3"))
        [ -z "$only" ] && return
        echo "$1:"
        echo "$only"
        fail=1
}

# The options of a page: all <option> in a <term>, without their arguments.
page_options() {
        sed -n 's|.*<term>.*<option>\(--[a-z-]*\).*</option>.*</term>.*|\1|p' "$1"
}

# The options in --help, of the program and of each verb given.
help_options() {
        local program=$1
        shift
        {
                "$program" --help
                for verb in "$@"; do
                        "$program" "$verb" --help
                done
        } | grep -o -e '--[a-z][a-z-]*'
}

page_verbs() {
        sed -n 's|.*<term><command>\([a-z]*\)</command>.*|\1|p' "$1"
}

ran=0
program=$build/pkramctl
if [ -x "$program" ]; then
        # Verbs are the words that begin an indented line of --help and are not options.
        verbs=$("$program" --help | sed -n 's/^  \([a-z]\{3,\}\)\( .*\)\?$/\1/p' | sort -u)
        [ "$(wc -l <<<"$verbs")" -ge 8 ] || { echo "found no verbs in pkramctl --help"; exit 1; }
        compare "verbs only in pkramctl --help (left) or pkramctl(1) (right)" "$verbs" \
                "$(page_verbs "$src/pkramctl.xml")"
        # shellcheck disable=SC2086
        compare "options only in pkramctl --help (left) or pkramctl(1) (right)" \
                "$(help_options "$program" $verbs)" "$(page_options "$src/pkramctl.xml")"
        ran=$((ran + 1))
fi

program=$build/pkram-restore
if [ -x "$program" ]; then
        compare "options only in pkram-restore --help (left) or pkram-restore.service(8) (right)" \
                "$(help_options "$program")" "$(page_options "$src/pkram-restore.service.xml")"
        ran=$((ran + 1))
fi

# PROGRAM SOURCE: a program whose options are settings of a file, too
compare_settings() {
        program=$build/$1
        [ -x "$program" ] || return 0
        compare "options only in $1 --help (left) or $1(8) (right)" \
                "$(help_options "$program")" "$(page_options "$src/$1.xml")"
        compare "settings only in ${2##*/} (left) or $1(8) (right)" \
                "$(sed -n 's/.*streq(key, "\([A-Z][A-Za-z]*\)").*/\1/p' "$src/../daemon/$2")" \
                "$(sed -n 's|.*<term><varname>\(.*\)=</varname></term>.*|\1|p' "$src/$1.xml")"
        ran=$((ran + 1))
}
compare_settings pkram-qemu qemu/guest-config.c
compare_settings pkram-criu criu/process-config.c

program=$build/pkram-shm
if [ -x "$program" ]; then
        compare "options only in pkram-shm --help (left) or pkram-shm.service(8) (right)" \
                "$(help_options "$program")" "$(page_options "$src/pkram-shm.service.xml")"
        ran=$((ran + 1))
fi

program=$build/mount.pkram
if [ -x "$program" ]; then
        compare "options only in mount.pkram --help (left) or mount.pkram(8) (right)" \
                "$("$program" --help | grep -o 'pkram\.[a-z][a-z]*')" \
                "$(sed -n 's|.*<term><option>\(pkram\.[a-z][a-z]*\).*|\1|p' "$src/mount.pkram.xml")"
        ran=$((ran + 1))
fi

# Help fits a terminal of 80 columns.
for program in "$build"/{pkramctl,pkramd,pkram-restore,pkram-tree-worker,pkram-qemu,pkram-criu,pkram-shm} \
        "$build"/pkram-fdstore "$build"/{mount,umount}.pkram; do
        [ -x "$program" ] || continue
        wide=$("$program" --help | awk 'length > 80')
        [ -z "$wide" ] || { echo "wider than 80 columns in ${program##*/} --help:"; echo "$wide"; fail=1; }
done

if [ "$ran" -eq 0 ]; then
        echo "no program was built"
        exit 77
fi

# Settings: the table in the source, the file of defaults, the page.
config=$src/../daemon/store/config.c
source=$(sed -n -e 's/.*{ "\([A-Z][A-Za-z]*\)", *LIMIT_KIND_.*/\1/p' \
                -e 's/.*\[SHARED_MEMORY_[A-Z_]*\] *= "\([A-Za-z]*\)",/\1/p' \
                -e 's/.*streq(key, "\([A-Z][A-Za-z]*\)").*/\1/p' "$config")
[ "$(wc -l <<<"$source")" -ge 5 ] || { echo "found no settings in config.c"; exit 1; }
defaults=$(sed -n 's/^#\([A-Z][A-Za-z]*\)=.*/\1/p' "$src/../units/pkramd.conf")
page=$(sed -n 's|.*<term><varname>\(.*\)=</varname></term>.*|\1|p' "$src/pkramd.conf.xml")
compare "settings only in config.c (left) or units/pkramd.conf (right)" "$source" "$defaults"
compare "settings only in config.c (left) or pkramd.conf(5) (right)" "$source" "$page"

exit "$fail"
