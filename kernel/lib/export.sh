# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The series as "git am" wants it.

# patch_of FILE: which patch brings this file of src/, by series-files. Fails if none does.
patch_of() {
        awk -v file="$1" '
                { sub(/#.*/, "") }
                NF == 0 { next }
                NF != 2 { printf "series-files: a line is PATH PATCH, not \"%s\"\n", $0 >"/dev/stderr"; exit 2 }
                $1 == file || (substr($1, length($1)) == "/" && index(file, $1) == 1) {
                        if (length($1) > best) { best = length($1); patch = $2 }
                }
                END { if (best) print patch; else exit 1 }
        ' "$KERNEL_DIR/series-files"
}

# series_git DIRECTORY: make a git repository with the untouched originals of every file the series touches, and the
# series as commits on top. The tag "pristine" is where it begins.
series_git() {
        local repo=$1 pristine name patch path author subject info
        pristine=$(source_pristine)
        [ -n "$(series_patches)" ] || die "kernel/patches/$SERIES/series is empty: there is nothing to export"
        [ -e "$KERNEL_DIR/series-files" ] || die "kernel/series-files is missing: it says which patch brings which file of src/"

        info=$(mktemp -d)
        while read -r path; do
                name=$(patch_of "$path") || die "series-files does not say which patch brings src/$path"
                series_patches | grep -qxF -- "$name" || die "series-files names '$name' for src/$path, but series does not"
                printf '%s\t%s\n' "$name" "$path"
        done < <(src_files) >"$info/files"

        git -c init.defaultBranch=main init -q "$repo"
        git -C "$repo" config user.name "kernel/tree"
        git -C "$repo" config user.email "kernel-tree@localhost"
        git -C "$repo" config commit.gpgSign false
        while read -r name; do
                patch_paths "$PATCHES_DIR/$name"
        done < <(series_patches) | LC_ALL=C sort -u | while read -r path; do
                [ -e "$pristine/$path" ] || continue
                mkdir -p "$repo/$(dirname "$path")"
                cp -p "$pristine/$path" "$repo/$path"
        done
        # Debian's tree ignores everything at its top.
        git -C "$repo" add -f -A
        git -C "$repo" commit -q --allow-empty -m "$SOURCE_PACKAGE $(source_version)"
        git -C "$repo" tag pristine

        while read -r name; do
                patch=$PATCHES_DIR/$name
                awk -F'\t' -v n="$name" '$1 == n { print $2 }' "$info/files" | while read -r path; do
                        mkdir -p "$repo/$(dirname "$path")"
                        src_copy "$path" "$repo/$path"
                done
                if patch_has_diff "$patch"; then
                        patch -d "$repo" -p1 -s -N --no-backup-if-mismatch -r - <"$patch" >&2 || die "patches/$SERIES/$name does not apply"
                fi
                # mailinfo wants a mail: the diff goes nowhere, the message is what counts.
                { printf 'From 0 Mon Sep 17 00:00:00 2001\n'; cat "$patch"; } |
                        git mailinfo "$info/message" /dev/null >"$info/head" || die "patches/$SERIES/$name has no proper header"
                subject=$(sed -n 's/^Subject: //p' "$info/head")
                author="$(sed -n 's/^Author: //p' "$info/head") <$(sed -n 's/^Email: //p' "$info/head")>"
                [ -n "$subject" ] || die "patches/$SERIES/$name has no Subject: line"
                case $author in ?*' <'?*'>') ;; *) die "patches/$SERIES/$name has no From: line" ;; esac
                git -C "$repo" add -f -A
                ! git -C "$repo" diff --cached --quiet || die "patches/$SERIES/$name changes nothing: it has no diff and brings no file"
                { printf '%s\n\n' "$subject"; cat "$info/message"; } |
                        git -C "$repo" commit -q --author="$author" --date='2026-01-01T00:00:00Z' -F -
        done < <(series_patches)
        rm -rf -- "$info"
}

# series_export DIRECTORY: write 0001-*.patch ... and prove that "git am" takes them and makes the tree we build.
series_export() {
        local target=$1 work stage file
        mkdir -p "$target"
        target=$(cd "$target" && pwd)
        work=$(mktemp -d)
        # shellcheck disable=SC2064
        trap "rm -rf -- '$work'" EXIT
        series_git "$work/series"
        find "$target" -maxdepth 1 -name '[0-9][0-9][0-9][0-9]-*.patch' -delete
        git -C "$work/series" format-patch -q -o "$target" --no-signature --zero-commit pristine >&2

        git clone -q --no-local --branch pristine -c advice.detachedHead=false "$work/series" "$work/am" 2>/dev/null ||
                git clone -q "$work/series" "$work/am"
        git -C "$work/am" checkout -q pristine
        git -C "$work/am" -c user.name=kernel/tree -c user.email=kernel-tree@localhost am -q "$target"/[0-9]*.patch >&2 ||
                die "git am does not take the exported series"
        stage=$work/stage
        mkdir "$stage"
        stage_sources "$stage"
        while read -r file; do
                cmp -s "$stage/$file" "$work/am/$file" || die "$file is not the same after git am as after apply"
        done < <(cd "$stage" && find . -type f -printf '%P\n')
        say "$(find "$target" -maxdepth 1 -name '[0-9]*.patch' | wc -l) patches in $target; git am takes them on $SOURCE_PACKAGE $(source_version)"
        printf '%s\n' "$target"
        rm -rf -- "$work"
        trap - EXIT
}
