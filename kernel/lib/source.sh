# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Debian's kernel source in the cache, and our files and patches on top of a copy of it.

# The kernels there is a series for. One run works on one of them.
SERIES=6.12
SOURCE_PACKAGE=linux-source-$SERIES
PATCHES_DIR=$KERNEL_DIR/patches/$SERIES

# series_choose NAME: work on that series from now on. Fails for an unknown name.
series_choose() {
        case $1 in
        6.12|7.3) ;;
        *) return 1 ;;
        esac
        SERIES=$1
        SOURCE_PACKAGE=linux-source-$SERIES
        PATCHES_DIR=$KERNEL_DIR/patches/$SERIES
}

kernel_cache() { cache_dir kernel; }

# series_state NAME: print the file in the cache that remembers something about the source of this series.
series_state() {
        case $SERIES in
        6.12) printf '%s/%s\n' "$(kernel_cache)" "$1" ;;
        *) printf '%s/%s-%s\n' "$(kernel_cache)" "$1" "$SERIES" ;;
        esac
}

# source_suite_default: print the suite of Debian that has the source of this series.
source_suite_default() {
        case $SERIES in
        6.12) echo trixie ;;
        7.3) echo trixie-backports ;;
        esac
}

# source_suite: print the suite of Debian that the source comes from.
source_suite() { cat "$(series_state suite)" 2>/dev/null || source_suite_default; }

# source_refresh [SUITE]: have the next source_fetch look for a newer version, from now on in that suite.
source_refresh() {
        local suite
        suite=${1:-$(source_suite)}
        private_apt_update "$suite" 0 || die "cannot read the package lists of Debian $suite"
        [ -n "$(private_apt_version "$suite" "$SOURCE_PACKAGE")" ] || die "Debian $suite has no package '$SOURCE_PACKAGE'"
        printf '%s\n' "$suite" >"$(series_state suite)"
        rm -f -- "$(series_state current)"
}

# source_version: print the version in use. It is chosen once and kept until "fetch --update", so that a new
# upload to Debian does not rebuild everything in the middle of a day's work.
source_version() {
        local current
        current=$(series_state current)
        [ -s "$current" ] || with_lock kernel-source source_fetch
        cat "$current"
}

source_fetch() {
        local dir suite deb version current
        dir=$(kernel_cache)
        current=$(series_state current)
        suite=$(source_suite)
        deb=$(private_apt_download "$suite" "$SOURCE_PACKAGE" "$dir/download") ||
                die "cannot get $SOURCE_PACKAGE from Debian $suite"
        version=$(dpkg-deb -f "$deb" Version)
        if [ ! -e "$dir/$version/pristine/.complete" ]; then
                step "unpacking $SOURCE_PACKAGE $version"
                rm -rf -- "${dir:?}/$version"
                mkdir -p "$dir/$version/unpack"
                dpkg-deb --fsys-tarfile "$deb" | tar -x -O "./usr/src/$SOURCE_PACKAGE.tar.xz" |
                        tar -x -J -C "$dir/$version/unpack" || die "cannot unpack $deb"
                mv "$dir/$version/unpack/$SOURCE_PACKAGE" "$dir/$version/pristine"
                rmdir "$dir/$version/unpack"
                : >"$dir/$version/pristine/.complete"
        fi
        printf '%s\n' "$version" >"$current.new"
        mv "$current.new" "$current"
}

# source_pristine: print the path of the unpacked, untouched source. It must not be written to.
source_pristine() {
        local dir
        dir=$(kernel_cache)/$(source_version)/pristine
        [ -e "$dir/.complete" ] || with_lock kernel-source source_fetch
        printf '%s\n' "$dir"
}

# series_patches: print the names of the patches in order.
series_patches() {
        [ -e "$PATCHES_DIR/series" ] || return 0
        sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e 's/^[[:space:]]*//' -e '/^$/d' "$PATCHES_DIR/series"
}

# patch_paths FILE: print the existing files a patch touches.
patch_paths() {
        sed -n -e 's|^--- a/\([^[:space:]]*\).*|\1|p' -e 's|^+++ b/\([^[:space:]]*\).*|\1|p' "$1" | LC_ALL=C sort -u
}

# patch_has_diff FILE
patch_has_diff() { grep -q '^--- \(a/\|/dev/null\)' "$1"; }

# src_files: print the files of src/, relative to it. Files that git ignores were built there and are left out.
src_files() {
        [ -d "$KERNEL_DIR/src" ] || return 0
        if git -C "$KERNEL_DIR/src" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
                git -C "$KERNEL_DIR/src" ls-files --cached --others --exclude-standard | while read -r file; do
                        [ ! -e "$KERNEL_DIR/src/$file" ] || printf '%s\n' "$file"
                done
        else
                (cd "$KERNEL_DIR/src" && find . \( -type f -o -type l \) ! -path '*/build/*' -printf '%P\n')
        fi | LC_ALL=C sort -u
}

# src_copy PATH TARGET: copy a file of src/, keeping of its conditions on LINUX_VERSION_CODE what is for this series. They
# are "#if LINUX_VERSION_CODE < KERNEL_VERSION(X, Y, 0)", with or without #else.
src_copy() {
        local file=$KERNEL_DIR/src/$1
        if [ -L "$file" ] || ! grep -q LINUX_VERSION_CODE "$file"; then
                cp -P "$file" "$2"
                return
        fi
        awk -v series="$SERIES" '
                BEGIN { split(series, v, "."); ours = v[1] * 1000 + v[2]; keep = 1 }
                /^#include <linux\/version.h>$/ { next }
                /^#[ \t]*if/ { depth++ }
                /^#if LINUX_VERSION_CODE < KERNEL_VERSION\([0-9]+, [0-9]+, 0\)$/ && !at {
                        split($0, v, /[(,)]/)
                        at = depth; keep = ours < v[2] * 1000 + v[3]; next
                }
                /^#else/ && depth == at { keep = !keep; next }
                /^#endif/ { if (depth-- == at) { at = 0; keep = 1; next } }
                /LINUX_VERSION_CODE|KERNEL_VERSION/ { bad = 1 }
                keep
                END { exit bad || at }
        ' "$file" >"$2" || die "src/$1 has a condition on LINUX_VERSION_CODE that cannot be resolved"
        chmod --reference="$file" "$2"
}

# stage_sources DIRECTORY: make a directory that holds every file we bring or change, in its final form.
stage_sources() {
        local stage=$1 pristine name patch path
        pristine=$(source_pristine)
        while read -r name; do
                patch=$PATCHES_DIR/$name
                [ -e "$patch" ] || die "series names '$name', but patches/$SERIES/$name does not exist"
                while read -r path; do
                        [ -e "$pristine/$path" ] && [ ! -e "$stage/$path" ] || continue
                        mkdir -p "$stage/$(dirname "$path")"
                        cp "$pristine/$path" "$stage/$path"
                done < <(patch_paths "$patch")
        done < <(series_patches)
        while read -r path; do
                [ ! -e "$pristine/$path" ] ||
                        die "src/$path exists in $SOURCE_PACKAGE already: change it with a patch instead"
                mkdir -p "$stage/$(dirname "$path")"
                src_copy "$path" "$stage/$path"
        done < <(src_files)
        while read -r name; do
                patch=$PATCHES_DIR/$name
                patch_has_diff "$patch" || continue
                patch -d "$stage" -p1 -s -N --no-backup-if-mismatch -r - <"$patch" >&2 ||
                        die "patches/$SERIES/$name does not apply to $SOURCE_PACKAGE $(source_version)"
        done < <(series_patches)
}

# tree_apply CONFIG: bring the tree of that configuration up to date and print its path. Only files whose content
# changed are written, so that the next build is an incremental one. The caller holds the lock of the configuration.
tree_apply() {
        local config=$1 pristine base tree stage path
        pristine=$(source_pristine)
        base=${pristine%/pristine}/$(config_tree "$config")
        tree=$base/src

        if [ ! -e "$tree/.complete" ]; then
                step "making the source tree for $(config_tree "$config")"
                rm -rf -- "$base"
                mkdir -p "$base"
                # Hard links: files are only ever replaced here, never written in place.
                cp -al "$pristine" "$tree"
        fi

        stage=$(mktemp -d "$base/stage.XXXXXX")
        # shellcheck disable=SC2064
        trap "rm -rf -- '$stage'" EXIT
        stage_sources "$stage"

        (cd "$stage" && find . \( -type f -o -type l \) -printf '%P\n' | LC_ALL=C sort) >"$base/applied.new"
        if [ -e "$base/applied" ]; then
                LC_ALL=C comm -23 "$base/applied" "$base/applied.new" | while read -r path; do
                        rm -f -- "${tree:?}/$path"
                        [ ! -e "$pristine/$path" ] || cp -p "$pristine/$path" "$tree/$path"
                done
        fi
        touch "$base/applied"
        # Record before copying: after an interruption the next run must know what may have been touched.
        sort -u "$base/applied.new" "$base/applied" >"$base/applied.both"
        mv "$base/applied.both" "$base/applied"
        rsync -rl --checksum "$stage/" "$tree/" >&2
        mv "$base/applied.new" "$base/applied"
        rm -rf -- "$stage"
        trap - EXIT
        printf '%s\n' "$tree"
}
