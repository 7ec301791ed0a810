# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Debian packages of the patched kernel: Debian's own configuration plus CONFIG_PKRAM=y.

# debian_config VERSION: print the path of Debian's configuration for that source, from its linux-config package.
debian_config() {
        local dir deb
        dir=$(kernel_cache)/debian-config
        deb=$(private_apt_download "$SOURCE_SUITE" linux-config-6.12 "$dir") || return 1
        # The package names are those of the source's version; a mixture would ask questions.
        [ "$(dpkg-deb -f "$deb" Version)" = "$1" ] ||
                say "linux-config-6.12 is $(dpkg-deb -f "$deb" Version), the source is $1: going on, new options get their defaults"
        dpkg-deb --fsys-tarfile "$deb" | tar -x -O ./usr/src/linux-config-6.12/config.amd64_none_amd64.xz | xz -d >"$dir/config" || return 1
        printf '%s\n' "$dir/config"
}

deb_build() {
        local target=$1 version tree base obj debian release
        version=$(source_version)
        debian=$(debian_config "$version") || die "cannot get Debian's kernel configuration"
        tree=$(tree_apply deb) || exit 1
        base=${tree%/src}
        obj=$base/obj
        mkdir -p "$obj"
        cp "$debian" "$obj/.config"
        # Debian signs with keys nobody else has, and its debug symbols take 10 GiB.
        "$tree/scripts/config" --file "$obj/.config" \
                --enable PKRAM --disable PKRAM_KUNIT_TEST \
                --set-str SYSTEM_TRUSTED_KEYS "" --set-str SYSTEM_REVOCATION_KEYS "" --set-str MODULE_SIG_KEY certs/signing_key.pem \
                --disable DEBUG_INFO_BTF --disable DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT --enable DEBUG_INFO_NONE \
                --set-str LOCALVERSION "-pkram-amd64" --set-str BUILD_SALT ""
        make -s -C "$tree" O="$obj" olddefconfig >&2
        grep -qx CONFIG_PKRAM=y "$obj/.config" || die "Debian's configuration cannot have CONFIG_PKRAM=y: see $obj/.config"
        release=$(make -s -C "$tree" O="$obj" kernelrelease)
        step "building Debian packages of $release (some hours on 2 processors)"
        rm -f -- "$base"/linux-*.deb
        run_make "$base/build.log" -C "$tree" O="$obj" KDEB_PKGVERSION="${version%%-*}-1+pkram1" bindeb-pkg || exit 1
        cp "$base"/linux-image-"$release"_*.deb "$base"/linux-headers-"$release"_*.deb "$target/"
}

# kernel_deb DIRECTORY
kernel_deb() {
        local target=$1
        mkdir -p "$target"
        target=$(cd "$target" && pwd)
        with_lock kernel-deb deb_build "$target" || exit 1
        find "$target" -maxdepth 1 -name 'linux-*.deb'
}
