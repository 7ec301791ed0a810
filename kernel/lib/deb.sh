# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Debian packages of the patched kernel: with Debian's own configuration plus CONFIG_PKRAM=y, or with one of ours.
# Debian's flavours are named as in its packages: amd64 and cloud-amd64.

# deb_version: print the version of the packages. It sorts after Debian's own of the same source, and before the next.
deb_version() { printf '%s+pkram1\n' "$(source_version)"; }

# debian_config VERSION FLAVOUR: print the path of Debian's configuration for that source, from its linux-config package.
debian_config() {
        local dir deb flavour=$2
        dir=$(kernel_cache)/debian-config
        deb=$(private_apt_download "$(source_suite)" "linux-config-$SERIES" "$dir") || return 1
        # The package names are those of the source's version; a mixture would ask questions.
        [ "$(dpkg-deb -f "$deb" Version)" = "$1" ] ||
                say "linux-config-$SERIES is $(dpkg-deb -f "$deb" Version), the source is $1: going on, new options get their defaults"
        dpkg-deb --fsys-tarfile "$deb" | tar -x -O "./usr/src/linux-config-$SERIES/config.amd64_none_$flavour.xz" | xz -d >"$dir/$flavour" ||
                return 1
        printf '%s\n' "$dir/$flavour"
}

# deb_config_debian TREE OBJECTS FLAVOUR: write OBJECTS/.config.
deb_config_debian() {
        local tree=$1 obj=$2 flavour=$3 debian
        debian=$(debian_config "$(source_version)" "$flavour") || die "cannot get Debian's kernel configuration"
        mkdir -p "$obj"
        cp "$debian" "$obj/.config"
        # Debian signs with keys of its own, and its debug symbols take 10 GiB.
        "$tree/scripts/config" --file "$obj/.config" \
                --enable PKRAM --disable PKRAM_KUNIT_TEST \
                --set-str SYSTEM_TRUSTED_KEYS "" --set-str SYSTEM_REVOCATION_KEYS "" --set-str MODULE_SIG_KEY certs/signing_key.pem \
                --disable DEBUG_INFO_BTF --disable DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT --enable DEBUG_INFO_NONE \
                --set-str LOCALVERSION "-pkram-$flavour" --set-str BUILD_SALT ""
        make -s -C "$tree" O="$obj" olddefconfig >&2
        grep -qx CONFIG_PKRAM=y "$obj/.config" || die "Debian's configuration cannot have CONFIG_PKRAM=y: see $obj/.config"
}

# deb_packages TREE OBJECTS DIRECTORY: build the packages and copy image and headers to DIRECTORY.
deb_packages() {
        local tree=$1 obj=$2 target=$3 base=${2%/*} release
        release=$(make -s -C "$tree" O="$obj" kernelrelease)
        case $release in
        *-pkram*) ;;
        *) die "the kernel would call itself $release: CONFIG_LOCALVERSION has to contain -pkram" ;;
        esac
        step "building Debian packages of $release"
        rm -f -- "$base"/linux-*.deb
        # What it needs is installed by packages_ensure; -d, because it asks for more than it uses.
        DPKG_FLAGS=-d run_make "$base/deb.log" -C "$tree" O="$obj" KDEB_PKGVERSION="$(deb_version)" bindeb-pkg 2> >(grep -v '^dpkg-' >&2) || exit 1
        mkdir -p "$target"
        cp "$base/linux-image-${release}_$(deb_version)_amd64.deb" "$base/linux-headers-${release}_$(deb_version)_amd64.deb" "$target/" || exit 1
        rm -f -- "$base"/linux-*.deb "$base"/linux-*.buildinfo "$base"/linux-*.changes
        deb_check "$target" "$release"
}

# deb_check DIRECTORY RELEASE: are they what they say? (grep has to read to the end: a program that writes into a closed pipe fails)
deb_check() {
        local dir=$1 release=$2 image headers
        image=$dir/linux-image-${release}_$(deb_version)_amd64.deb
        headers=$dir/linux-headers-${release}_$(deb_version)_amd64.deb
        dpkg --compare-versions "$(dpkg-deb -f "$image" Version)" gt "$(source_version)" || die "$image sorts before Debian's own"
        dpkg-deb --contents "$image" | grep " ./boot/vmlinuz-$release\$" >/dev/null || die "$image has no kernel"
        dpkg-deb --fsys-tarfile "$image" | tar -x -O "./boot/config-$release" | grep -x CONFIG_PKRAM=y >/dev/null || die "$image is without PKRAM"
        dpkg-deb --contents "$headers" | grep "/usr/src/linux-headers-$release/include/uapi/linux/pkram.h\$" >/dev/null || die "$headers has no pkram.h"
}

deb_debian() {
        local target=$1 flavour=$2 tree obj
        tree=$(tree_apply deb) || exit 1
        obj=${tree%/src}/obj-$flavour
        deb_config_debian "$tree" "$obj" "$flavour"
        step "Debian's configuration for $flavour: on 2 processors some hours for amd64, about one for cloud-amd64"
        deb_packages "$tree" "$obj" "$target"
}

deb_named() {
        local config=$1 target=$2 tree obj
        [ ! -e "$target" ] || return 0 # another process built them while we waited for the lock
        tree=$(tree_apply "$config") || exit 1
        obj=${tree%/src}/obj
        config_make "$tree" "$obj" "$config"
        rm -rf -- "$target.new"
        deb_packages "$tree" "$obj" "$target.new"
        mv "$target.new" "$target"
}

# kernel_deb DIRECTORY [CONFIG]: print the paths of the packages in DIRECTORY. Those of a configuration of ours are kept
# in the cache by their content, as images are.
kernel_deb() {
        local target=$1 config=${2:-} cached
        mkdir -p "$target"
        target=$(cd "$target" && pwd)
        case $config in
        '') with_lock "kernel-$SERIES-deb" deb_debian "$target" amd64 || exit 1 ;;
        cloud) with_lock "kernel-$SERIES-deb" deb_debian "$target" cloud-amd64 || exit 1 ;;
        *)
                cached=$(kernel_cache)/images/$config-deb-$(image_hash "$config")
                [ -e "$cached" ] || with_lock "kernel-$SERIES-$(config_tree "$config")" deb_named "$config" "$cached" || exit 1
                cp "$cached"/*.deb "$target/"
                ;;
        esac
        find "$target" -maxdepth 1 -name "linux-*_$(deb_version)_*.deb"
}

# deb_check_config: does the patched kernel build where it differs, with Debian's configuration? Takes minutes, not hours.
deb_check_config() {
        local tree obj base
        tree=$(tree_apply deb) || exit 1
        base=${tree%/src}
        obj=$base/obj-amd64
        deb_config_debian "$tree" "$obj" amd64
        run_make "$base/deb-check.log" -C "$tree" O="$obj" prepare || return 1
        run_make "$base/deb-check.log" -C "$tree" O="$obj" mm/ kernel/kexec.o kernel/kexec_core.o kernel/kexec_file.o \
                arch/x86/kernel/ || return 1
        # kaslr.c includes utsversion.h, which is made for this object, and for no other.
        run_make "$base/deb-check.log" -C "$tree" O="$obj" init/version-timestamp.o || return 1
        run_make "$base/deb-check.log" -C "$tree" O="$obj" arch/x86/boot/compressed/kaslr.o arch/x86/boot/compressed/kernel_info.o
}
