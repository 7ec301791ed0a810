# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Building images, cached by content.

# Raised when a change of these scripts makes images of the same content differ.
BUILD_REVISION=1

# image_hash CONFIG: print the hash of everything the image is made from. Documentation and user space tests in
# src/ are no part of it.
image_hash() {
        local fragments parts=() path
        mapfile -t fragments < <(config_fragments "$1")
        for path in "$KERNEL_DIR"/src/*; do
                case $path in
                */Documentation|*/tools|*/MAINTAINERS*) ;;
                *) parts+=("${path#"$PKRAM_TOP/"}") ;;
                esac
        done
        {
                content_hash "${PATCHES_DIR#"$PKRAM_TOP/"}" "${parts[@]}" "${fragments[@]#"$PKRAM_TOP/"}"
                source_version
                gcc --version | head -1
                echo "$BUILD_REVISION $1"
        } | sha256sum | cut -c1-16
}

# kernel_image CONFIG: print the path of the bzImage, building it if the cache has none.
kernel_image() {
        local hash image
        hash=$(image_hash "$1")
        image=$(kernel_cache)/images/$1-$hash/bzImage
        # nopkram is built in guest's directories, where nearly all objects stay as they are: they share a lock.
        [ -e "$image" ] || with_lock "kernel-$SERIES-$(config_tree "$1")" kernel_build "$1" "$image" || exit 1
        printf '%s\n' "$image"
}

# run_make LOG ARGUMENT...: run make with its chatter in LOG and its complaints on stderr, and a sign of life.
run_make() {
        local log=$1 beat r=0
        shift
        : >"$log"
        (
                trap 'exit 0' TERM
                while sleep 30 & wait $!; do
                        step "  ... $(grep -c '^  [A-Z]' "$log" || true) files"
                done
        ) &
        beat=$!
        # One fixed date and place: the same content makes the same image on every machine.
        KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026' KBUILD_BUILD_USER=pkram KBUILD_BUILD_HOST=pkram \
                nice make -j"$(nproc)" "$@" >>"$log" 2> >(tee -a "$log" >&2) || r=$?
        kill "$beat" 2>/dev/null || true
        wait "$beat" 2>/dev/null || true
        [ "$r" = 0 ] || { say "make failed; the whole output is in $log"; return 1; }
}

kernel_build() {
        local config=$1 image=$2 tree obj base dir
        [ ! -e "$image" ] || return 0 # another process built it while we waited for the lock
        tree=$(tree_apply "$config") || exit 1
        base=${tree%/src}
        obj=$base/obj
        config_make "$tree" "$obj" "$config"
        step "building Linux $SERIES, configuration $config (cold: about 7 minutes on 2 processors)"
        run_make "$base/build.log" -C "$tree" O="$obj" bzImage || exit 1
        dir=${image%/*}
        rm -rf -- "$dir.new"
        mkdir -p "$dir.new"
        cp "$obj/arch/x86/boot/bzImage" "$dir.new/bzImage"
        cp "$obj/.config" "$dir.new/config"
        cp "$obj/System.map" "$dir.new/System.map"
        cp "$obj/include/config/kernel.release" "$dir.new/release"
        rm -rf -- "$dir"
        mv "$dir.new" "$dir"
        step "built $(cat "$dir/release") ($config)"
        # Old images of this configuration go after a while; anything in use now is younger.
        find "$(kernel_cache)/images" -mindepth 1 -maxdepth 1 -name "$config-*" -mtime +14 -exec rm -rf -- {} + || true
}
