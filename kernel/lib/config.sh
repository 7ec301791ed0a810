# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Configurations: named lists of fragments in config/, merged over the kernel's tinyconfig.
#
#   minimal   base + kunit: what the small guest needs, quickest to build, and what the bench measures (no MEMCG)
#   guest     base + guest + kunit: boots Debian 13 with systemd, and the small guest
#   debug     guest + debug: KASAN, lockdep, page poisoning ...
#   nopkram   guest with PKRAM left out, built in guest's directories
#
# A fragment that is named like a series, or like a fragment and a series, has what only that kernel knows.

# config_fragments NAME: print the fragment files in order. Fails for an unknown name.
config_fragments() {
        local names
        case $1 in
        minimal) names="base kunit" ;;
        guest) names="base guest kunit" ;;
        debug) names="base guest kunit debug" ;;
        nopkram) names="base guest kunit nopkram" ;;
        *) return 1 ;;
        esac
        local n
        for n in $names; do
                printf '%s\n' "$KERNEL_DIR/config/$n.config"
                [ ! -e "$KERNEL_DIR/config/$n-$SERIES.config" ] || printf '%s\n' "$KERNEL_DIR/config/$n-$SERIES.config"
        done
        [ ! -e "$KERNEL_DIR/config/$SERIES.config" ] || printf '%s\n' "$KERNEL_DIR/config/$SERIES.config"
}

# config_tree NAME: print the name of the directories a configuration is built in.
config_tree() {
        case $1 in
        nopkram) echo guest ;;
        *) echo "$1" ;;
        esac
}

# config_merged TREE NAME: print the wanted settings, the last word on each symbol winning.
config_merged() {
        local tree=$1 fragments
        mapfile -t fragments < <(config_fragments "$2")
        awk '
                /^CONFIG_[A-Za-z0-9_]+=/ { split($0, p, "="); name = p[1] }
                /^# CONFIG_[A-Za-z0-9_]+ is not set$/ { name = $2 }
                !/^(CONFIG_|# CONFIG_.* is not set$)/ { next }
                { if (!(name in value)) order[n++] = name; value[name] = $0 }
                END { for (i = 0; i < n; i++) print value[order[i]] }
        ' "$tree/kernel/configs/tiny-base.config" "$tree/kernel/configs/tiny.config" \
                "$tree/arch/x86/configs/tiny.config" "${fragments[@]}"
}

# config_make TREE OBJECTS NAME: write OBJECTS/.config if the wanted one differs from that of the last time. PKRAM's own
# symbols are insisted on once there is a series that brings them.
config_make() {
        local tree=$1 obj=$2 name=$3 missing
        mkdir -p "$obj"
        # Asks again whenever a Kconfig file we bring or change differs, since that can change the answer.
        {
                config_merged "$tree" "$name"
                (cd "$tree" && grep '\(^\|/\)Kconfig[^/]*$' "$tree/../applied" | xargs -r sha256sum 2>/dev/null)
                gcc --version | head -1
        } >"$obj/.wanted.new"
        if [ -e "$obj/.config" ] && cmp -s "$obj/.wanted" "$obj/.wanted.new"; then
                return 0
        fi
        config_merged "$tree" "$name" | grep -v '^# CONFIG' >"$obj/.allconfig" || true
        make -s -C "$tree" O="$obj" KCONFIG_ALLCONFIG="$obj/.allconfig" allnoconfig >&2 || die "kconfig failed"

        # allnoconfig disables every option that was not requested; a requested option that is missing lacks a dependency.
        missing=$(config_merged "$tree" "$name" | while read -r line; do
                case $line in
                CONFIG_PKRAM*) [ -n "$(series_patches)" ] || continue ;;
                esac
                case $line in
                '# '*) line=${line#\# }; line=${line% is not set}; ! grep -q "^$line=" "$obj/.config" || echo "# $line is not set" ;;
                *) grep -qxF -- "$line" "$obj/.config" || echo "$line" ;;
                esac
        done | grep -v -E '^(CONFIG_(KERNEL_XZ|SLUB_TINY|LD_DEAD_CODE_DATA_ELIMINATION|CC_OPTIMIZE_FOR_SIZE|OPTIMIZE_INLINING)=|# CONFIG_KERNEL_|CONFIG_NOHIGHMEM|# CONFIG_HIGHMEM|CONFIG_UNWINDER|# CONFIG_UNWINDER)' || true)
        if [ -n "$missing" ]; then
                rm -f "$obj/.wanted"
                say "the final configuration '$name' lacks what its fragments ask for:"
                say "$missing"
                die "add what these settings depend on to kernel/config/"
        fi
        mv "$obj/.wanted.new" "$obj/.wanted"
}
