# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What has to be clean before it leaves the house.

# kernel_check [PART...]: all parts, or these. Every part runs, unless it was clean before and nothing has changed, and
# the result is that of the worst.
kernel_check() {
        local part hash passed worst=0
        [ $# -gt 0 ] || set -- patches kernel-doc warnings floors off
        for part; do
                case $part in
                patches|kernel-doc|warnings|floors|off|series|debian) ;;
                *) die "there is no check '$part': patches, kernel-doc, warnings, floors, off, series, debian" ;;
                esac
        done
        hash=$(checked_hash) || return 1
        for part; do
                passed=$(kernel_cache)/passed/$SERIES-$part-$hash
                if [ -e "$passed" ]; then
                        touch "$passed"
                        step "check $part: clean, as it was before"
                elif (set -e; "check_${part//-/_}"); then
                        step "check $part: clean"
                        mkdir -p "${passed%/*}" && : >"$passed"
                else
                        step "check $part: NOT clean"
                        worst=1
                fi
        done
        find "$(kernel_cache)/passed" -type f -mtime +30 -delete 2>/dev/null || true
        return "$worst"
}

# checked_hash: print the hash of everything that decides whether a part is clean.
checked_hash() {
        {
                content_hash kernel
                source_version
                gcc --version | head -1
                sparse --version
        } | sha256sum | cut -c1-16
}

# our_sources: the C files of src/ that are built into the kernel
our_sources() { src_files | grep '\.c$' | grep -v -E '^(tools|Documentation|samples|scripts)/'; }

# Remarks of checkpatch that do not fit, and why:
#   MISSING_SIGN_OFF    the sender of the series signs it off ("git am -s"), which a script cannot do for them
#   FILE_PATH_CHANGES   the entry in MAINTAINERS is a patch of its own
#   BIT_MACRO           the uAPI header and the format header are for user space too, which has no BIT()
#   CAMELCASE           names of page flag functions are the kernel's own
#   ARCH_INCLUDE_LINUX  the header is of one architecture and uses what only that has
#   MACRO_ARG_REUSE     the table of calls names types in its macro, which have no side effects
#   ALLOC_WITH_SIZEOF   Linux 6.12 has no kmalloc_obj()
CHECKPATCH_IGNORE=MISSING_SIGN_OFF,FILE_PATH_CHANGES,BIT_MACRO,CAMELCASE,ARCH_INCLUDE_LINUX,MACRO_ARG_REUSE,ALLOC_WITH_SIZEOF

check_patches() {
        local dir tree r=0 out
        tree=$(source_pristine)
        dir=$(mktemp -d)
        series_export "$dir" >/dev/null || return 1
        # Without a repository it does not start its licence checker, which wants the kernel's own.
        out=$(GIT_DIR=/nonexistent "$tree/scripts/checkpatch.pl" --root="$tree" --strict --no-summary --terse --showfile --show-types --color=never \
                --ignore "$CHECKPATCH_IGNORE" "$dir"/*.patch 2>&1) || true
        # Its exit status does not tell everything: any remark counts, and so does not running at all.
        # TRACE_EVENT() is laid out in a way of its own in all of include/trace. The headers below shim-early and shim-adopt stand in for the
        # kernel's own, whose macros and types they have to repeat.
        out=$(grep -v -e 'No codespell typos will be found' -e 'include/trace/events/' -e 'tools/testing/pkram/shim-early/' -e 'tools/testing/pkram/shim-adopt/' <<<"$out" || true)
        if [ -n "$out" ]; then r=1; fi
        [ -z "$out" ] || say "${out//$dir\//}"
        rm -rf -- "$dir"
        return "$r"
}

check_kernel_doc() {
        local tree file out
        tree=$(source_pristine)
        out=$(src_files | grep -E '\.[ch]$' | grep -v '^tools/' | while read -r file; do
                (cd "$KERNEL_DIR/src" && "$tree/scripts/kernel-doc" -none -Werror "$file" 2>&1)
        done) || { say "$out"; return 1; }
        [ -z "$out" ] || { say "$out"; return 1; }
}

# check_objects: a build directory of its own for looking at single files, so that the flags of the checks do not
# make the next build begin from scratch. Prints its path.
check_objects() {
        local tree obj
        tree=$(tree_apply guest) || exit 1
        obj=${tree%/src}/obj-check
        config_make "$tree" "$obj" guest
        # The vDSO's generated headers and the like.
        run_make "${tree%/src}/check-prepare.log" -s -C "$tree" O="$obj" prepare || exit 1
        printf '%s\n' "$obj"
}

# our_objects OBJ LOG MAKE-ARGUMENT...: compile our files in OBJ with all warnings, as far as that is not done.
our_objects() {
        local obj=$1 log=$2 file targets=()
        shift 2
        while read -r file; do
                case $file in
                arch/x86/boot/*) ;; # of another make
                *) targets+=("${file%.c}.o") ;;
                esac
        done < <(our_sources)
        nice make -s -C "${obj%/obj-check}/src" O="$obj" -j"$(nproc)" W=1 "$@" "${targets[@]}" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

# sparse_command: print how sparse is called. sparse 0.6.4 does not know an operator that headers of Linux 7.3 use: kbuild
# finds that out, and goes on without sparse.
sparse_command() {
        if printf 'static inline int v(const int *q) { __typeof_unqual__(*q) r = *q; return r; }\n' | sparse - 2>&1 |
                        grep error >/dev/null; then
                printf 'sparse -D__typeof_unqual__=__typeof__\n'
        else
                printf 'sparse\n'
        fi
}

# Neither the compiler with W=1 nor sparse complains of a file of src/. Existing files have complaints of their own, so
# those that patches touch are left to the kernel's CI.
check_warnings() {
        local obj log out
        command -v sparse >/dev/null || die "sparse is not installed"
        obj=$(with_lock "kernel-$SERIES-guest" check_objects) || return 1
        log=${obj%/obj-check}/check-warnings.log
        # Objects that are newer than their source would not be looked at again.
        our_sources | sed 's/c$/o/' | (cd "$obj" && xargs rm -f --)
        our_objects "$obj" "$log" C=1 CHECK="$(sparse_command)" || return 1
        ! grep 'C=1 specified, but' "$log" >&2 || { say "no file was looked at by sparse"; return 1; }
        # sparse does not see that guard() unlocks when its scope ends; lockdep watches the locks when the tests run. And it
        # does not work out __builtin_strlen(), which MODULE_PARM_DESC() asserts something about since Linux 7.3.
        out=$(grep -E 'warning:|error:' "$log" | grep -v -e ': warning: context imbalance in ' \
                -e ': error: bad constant expression$' | grep -F -f <(src_files | grep -v '^tools/') || true)
        [ -z "$out" ] || { say "$out"; return 1; }
}

# No file of mm/pkram/ uses one of its own floor or above: the picture in pkram.h, checked against the objects. The
# tests below it stand beside the floors.
check_floors() {
        local obj out
        obj=$(with_lock "kernel-$SERIES-guest" check_objects) || return 1
        our_objects "$obj" "${obj%/obj-check}/check-floors.log" || return 1
        out=$(our_sources | sed -n 's|^mm/pkram/\([^/]*\)\.c$|\1.o|p' | while read -r file; do
                nm "$obj/mm/pkram/$file" | sed "s|^|$file |" || exit 1
        done | awk -v picture="$KERNEL_DIR/src/mm/pkram/pkram.h" '
                BEGIN {
                        while ((getline line <picture) > 0) {
                                if (line ~ /Floors, each using/) { inside = 1; continue }
                                if (!inside) continue
                                if (line ~ /Lock order/) break
                                if (line !~ /\.c /) continue
                                level++
                                n = split(line, word, " ")
                                for (i = 1; i <= n; i++)
                                        if (word[i] ~ /\.c$/) { file = word[i]; sub(/\.c$/, ".o", file); floor[file] = level }
                        }
                        if (!level) print "there is no picture of the floors in " picture
                }
                { file = $1; kind = $(NF - 1); name = $NF; seen[file] = 1 }
                kind == "U" { uses[file " " name] = 1; next }
                kind ~ /[TDBRV]/ { home[name] = file }
                END {
                        for (file in seen) if (!(file in floor)) print file " has no floor in the picture"
                        for (pair in uses) {
                                split(pair, p, " ")
                                if ((p[2] in home) && floor[p[1]] >= floor[home[p[2]]])
                                        print p[1] " uses " p[2] " of " home[p[2]] ", which is not below it"
                        }
                }') || return 1
        [ -z "$out" ] || { say "$out"; return 1; }
}

# series_initrd FILE: what the kernels of the series are booted with: it says that it runs, and powers off.
series_initrd() {
        local dir
        dir=$(mktemp -d)
        mkdir "$dir/bin" "$dir/dev"
        cp /bin/busybox "$dir/bin/"
        printf '#!/bin/busybox sh\necho series: user space runs\nexec /bin/busybox poweroff -f\n' >"$dir/init"
        chmod +x "$dir/init"
        (cd "$dir" && find . | cpio -o -H newc --quiet) >"$1"
        rm -rf -- "$dir"
}

# series_boots IMAGE INITRD LOG: does it come to user space, without a complaint?
series_boots() {
        timeout 300 qemu-system-x86_64 -nodefaults -display none -monitor none -no-reboot -serial stdio -accel tcg \
                -machine q35 -cpu max -smp 2 -m 384M -kernel "$1" -initrd "$2" -append "console=ttyS0 panic=-1" \
                </dev/null >"$3" 2>&1 || return 1
        grep -q '^series: user space runs' "$3" && ! grep -E 'WARNING: |BUG: |Oops|Call Trace:|Kernel panic' "$3" >&2
}

# Every patch of the series builds and boots on top of those before it. Takes half an hour and more.
check_series() {
        local pristine base tree obj name commit
        pristine=$(source_pristine)
        base=${pristine%/pristine}/series
        rm -rf -- "$base/git"
        mkdir -p "$base"
        series_git "$base/git"
        series_initrd "$base/initrd"
        tree=$base/src
        obj=$base/obj
        [ -e "$tree/.complete" ] || { rm -rf -- "$tree"; cp -al "$pristine" "$tree"; }
        git -C "$base/git" rev-list --reverse pristine..HEAD | while read -r commit; do
                git -C "$base/git" checkout -q "$commit"
                rsync -rl --checksum --exclude=.git "$base/git/" "$tree/" >&2
                name=$(git -C "$base/git" log -1 --format=%s)
                step "series: $name"
                mkdir -p "$obj"
                config_merged "$tree" guest | grep -v '^# CONFIG' >"$obj/.allconfig" || true
                make -s -C "$tree" O="$obj" KCONFIG_ALLCONFIG="$obj/.allconfig" allnoconfig >&2 || return 1
                run_make "$base/build.log" -C "$tree" O="$obj" bzImage || { say "does not build: $name"; return 1; }
                series_boots "$obj/arch/x86/boot/bzImage" "$base/initrd" "$base/boot.log" ||
                        { say "does not boot: $name; what the guest said is in $base/boot.log"; return 1; }
        done
}

# With Debian's own configuration.
check_debian() { with_lock "kernel-$SERIES-deb" deb_check_config; }

# Without PKRAM: it builds, and nothing of it is left in the image.
check_off() {
        local image
        image=$(kernel_image nopkram) || return 1
        if grep -i pkram "${image%/*}/System.map" >&2; then
                say "the kernel without CONFIG_PKRAM still has these symbols"
                return 1
        fi
}
