# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What a bare Debian 12 or 13 needs, and why. Needs common.sh.

# needed_packages [deb|browser]: lines PACKAGE: WHY. "a|b" takes the first one the host's Debian has. "deb" adds what
# only the packaging of the kernel needs, "browser" what only 'campaign plot-in-browser' needs.
needed_packages() {
        case ${1:-} in
        deb) printf 'debhelper: Debian packages of the kernel\n' ;;
        browser) printf '%s\n' 'chromium: checks of the plot' 'fonts-dejavu-core: checks of the plot' \
                'systemd-journal-remote: checks of the plot (a journal of many units)' ;;
        esac
        cat <<'END'
build-essential: compiler and make, for everything
ccache: compilers need not compile the same text twice
flex: kernel build
bison: kernel build
bc: kernel build
libelf-dev: kernel build
libssl-dev: kernel build
liburcu-dev: the kernel's tests of memblock
lz4: kernel build (image compression)
zstd: kernel build and packages
xz-utils: unpacking the kernel source
kmod: kernel build
cpio: initramfs of the small guest
rsync: kernel build
perl: kernel build and checkpatch
git: exporting the kernel series
sparse: kernel checks
patch: applying the kernel patches
python3: the test runner
meson: build of the project
ninja-build: build of the project
pkgconf|pkg-config: build of the project
libsystemd-dev: event loop and journal of the daemon
libjson-c-dev: JSON of the daemon
libxxhash-dev: checksums of the daemon
libmount-dev: mount helper
libcmocka-dev: unit tests
libcap-dev: build of the project
libacl1-dev: build of the project
attr: unit tests (setfattr, getfattr)
clang: fuzzing and checks of the source
clang-tidy: checks of the source
cppcheck: checks of the source
libclang-rt-dev|libclang-rt-19-dev|libclang-rt-14-dev: fuzzing
shellcheck: checks of the scripts
shfmt: checks of the scripts (which programs they call)
mypy: checks of the test runner (types)
pyflakes3: checks of the Python files
zsh: checks of the shell completion
locales: unit tests (a German locale)
systemd: checks of the units (systemd-analyze, systemd-escape), and sockets for tests of pkramd (systemd-socket-activate)
xsltproc: manual pages
docbook-xsl: manual pages
docbook-xml: manual pages
libxml2-utils: checks of the manual pages
mandoc: checks of the manual pages
man-db: checks of the manual pages
bsdextrautils: checks of the manual pages (col)
python3-docutils: kernel documentation
qemu-system-x86: the guests
ovmf: UEFI guests
busybox-static: the small guest
e2fsprogs: disk image of the full guest
mount: building the full guest, tests of the mount helper
debian-archive-keyring: downloading the kernel source and the packages of the guest
systemd-container: building the full guest
reprepro: the packages in the full guest
lintian: checks of the packages
END
}

# packages_missing [deb|browser]: print the needed packages that are not installed, one a line.
packages_missing() {
        local line choices p found installed
        installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
        while IFS= read -r line; do
                choices=${line%%:*}
                found=
                for p in ${choices//|/ }; do
                        if grep -qxF -- "$p" <<<"$installed"; then
                                found=yes
                                break
                        fi
                done
                [ -n "$found" ] || printf '%s\n' "$line"
        done < <(needed_packages "$@")
}

# packages_ensure [deb|browser]: install what is missing, after saying what and why. Reads the package lists first,
# since a bare machine may have none.
packages_ensure() {
        local missing line p names=()
        command -v dpkg-query >/dev/null || die "this needs a Debian 12 or 13 system"
        missing=$(packages_missing "$@")
        [ -n "$missing" ] || return 0
        say "installing what this machine lacks:"
        while IFS= read -r line; do
                say "    ${line%%:*} -${line#*:}"
        done <<<"$missing"
        with_lock packages as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 ||
                die "apt-get update failed: see above"
        while IFS= read -r line; do
                line=${line%%:*}
                for p in ${line//|/ }; do
                        if [ -n "$(apt-cache --quiet=0 policy "$p" 2>/dev/null | grep 'Candidate: [^(]')" ]; then
                                names+=("$p")
                                break
                        fi
                done
        done <<<"$missing"
        with_lock packages as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes \
                --no-install-recommends "${names[@]}" >&2 || die "apt-get install failed: see above"
        missing=$(packages_missing "$@")
        [ -z "$missing" ] || die "still missing after the installation: $missing"
}
