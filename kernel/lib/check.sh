# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What has to be clean before it leaves the house.

# kernel_check [PART...]: all parts, or these. Every part runs, and the result is that of the worst.
kernel_check() {
        local part worst=0
        [ $# -gt 0 ] || set -- patches kernel-doc warnings sparse off
        for part; do
                case $part in
                patches|kernel-doc|warnings|sparse|off) ;;
                *) die "there is no check '$part': patches, kernel-doc, warnings, sparse, off" ;;
                esac
                if (set -e; "check_${part//-/_}"); then
                        step "check $part: clean"
                else
                        step "check $part: NOT clean"
                        worst=1
                fi
        done
        return "$worst"
}

# our_sources: the C files of src/ that are built into the kernel
our_sources() { src_files | grep '\.c$' | grep -v -E '^(tools|Documentation|samples|scripts)/'; }

# Remarks of checkpatch that do not fit, and why:
#   MISSING_SIGN_OFF    whoever sends the series signs it off ("git am -s"): a script cannot vouch for anybody
#   FILE_PATH_CHANGES   the entry in MAINTAINERS is a patch of its own
#   BIT_MACRO           the uAPI header and the format header are for user space too, which has no BIT()
#   CAMELCASE           names of page flag functions are the kernel's own
#   MACRO_ARG_REUSE     the table of calls names types in its macro, which have no side effects
CHECKPATCH_IGNORE=MISSING_SIGN_OFF,FILE_PATH_CHANGES,BIT_MACRO,CAMELCASE,MACRO_ARG_REUSE

check_patches() {
        local dir tree r=0 out
        tree=$(source_pristine)
        dir=$(mktemp -d)
        series_export "$dir" >/dev/null || return 1
        # Without a repository it does not start its licence checker, which wants the kernel's own.
        out=$(GIT_DIR=/nonexistent "$tree/scripts/checkpatch.pl" --root="$tree" --strict --no-summary --terse --show-types --color=never \
                --ignore "$CHECKPATCH_IGNORE" "$dir"/*.patch 2>&1) || true
        # Its exit status does not tell everything: any remark counts, and so does not running at all.
        out=$(grep -v 'No codespell typos will be found' <<<"$out" || true)
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

# check_build NAME COMPLAINT-REGEX MAKE-ARGUMENT...: compile our files and those we touch; complaints about files of
# src/ fail. Existing files have complaints of their own, so those that patches touch are left to the kernel's CI.
check_build() {
        local name=$1 regex=$2 obj tree log targets=() file ours=() out
        shift 2
        obj=$(with_lock kernel-guest check_objects) || return 1
        tree=${obj%/obj-check}/src
        log=${obj%/obj-check}/check-$name.log
        mapfile -t ours < <(our_sources)
        for file in "${ours[@]}"; do
                case $file in
                arch/x86/boot/*) continue ;; # of another make, below
                esac
                targets+=("${file%.c}.o")
        done
        # Objects that are newer than their source would not be looked at again.
        (cd "$obj" && rm -f -- "${targets[@]}")
        if ! nice make -s -C "$tree" O="$obj" -j"$(nproc)" "$@" "${targets[@]}" >"$log" 2>&1; then
                cat "$log" >&2
                return 1
        fi
        out=$(grep -E "$regex" "$log" | grep -F -f <(src_files | grep -v '^tools/') || true)
        [ -z "$out" ] || { say "$out"; return 1; }
}

check_warnings() { check_build warnings 'warning:|error:' W=1; }

check_sparse() {
        command -v sparse >/dev/null || die "sparse is not installed"
        check_build sparse 'warning:|error:' C=2
}

# Without PKRAM: it builds, and nothing of it is left in the image.
check_off() {
        local image
        image=$(kernel_image nopkram) || return 1
        if grep -i pkram "${image%/*}/System.map" >&2; then
                say "the kernel without CONFIG_PKRAM still has these symbols"
                return 1
        fi
}
