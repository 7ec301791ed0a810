# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# A private apt: package lists and downloads of another Debian suite, without touching the host's apt set-up and
# without root. Needs common.sh.
#
# The mirror is the host's own: apt itself is asked which sources it has, so one-line .list files and deb822
# .sources files are both understood. Proxy and authentication settings of the host stay in force.

# debian_mirror [SUITE]: print the URI of the archive that has this suite of Debian (default: the main archive), as the
# host's own sources name it, without a slash at its end. PKRAM_DEBIAN_MIRROR and, for suites that end in -security,
# PKRAM_DEBIAN_SECURITY_MIRROR override it, for hosts that are not Debian or have no network source of their own.
debian_mirror() {
        local uri name=PKRAM_DEBIAN_MIRROR wanted='(-updates|-backports)?'

        if [[ ${1:-} == *-security ]]; then
                name=PKRAM_DEBIAN_SECURITY_MIRROR
                wanted=-security
        fi
        if [ -n "${!name:-}" ]; then
                printf '%s\n' "${!name%/}"
                return 0
        fi

        # Suites of the main archive have plain names; "-security" lives in another archive, and vendors' archives
        # have no component main together with a suite named like a Debian release.
        uri=$(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
                awk -F'|' -v \
                wanted="^(stable|oldstable|testing|unstable|sid|bullseye|bookworm|trixie|forky)$wanted\$" '
                        $3 == "main" && $2 ~ wanted { sub("/+$", "", $1); print $1; exit }')
        [ -n "$uri" ] ||
                die "cannot tell the Debian mirror${1:+ of $1} from this host's apt sources; set $name to its URI"
        printf '%s\n' "$uri"
}

# debian_keyring: print the file with Debian's archive keys, or nothing where apt's default has to do.
debian_keyring() {
        local f
        for f in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
                [ -e "$f" ] && { printf '%s\n' "$f"; return 0; }
        done
        return 0
}

# debian_sources SUITE...: print a deb822 source for these suites, which are all in the archive of the first.
debian_sources() {
        local mirror keyring
        mirror=$(debian_mirror "$1") || return 1
        keyring=$(debian_keyring)
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$mirror" "$*"
        [ -z "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
}

# private_apt SUITE apt-get|apt-cache ARGUMENT...: run an apt program that knows this suite and nothing else.
private_apt() {
        local suite=$1 program=$2 dir
        shift 2
        dir=$(cache_dir "apt/$suite") || return 1
        mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/sources"
        [ -e "$dir/status" ] || : >"$dir/status"
        debian_sources "$suite" >"$dir/sources/debian.sources" || return 1
        "$program" \
                -o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" -o Dir::State::status="$dir/status" \
                -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir/sources" \
                -o Dir::Etc::PreferencesParts=/dev/null -o Dir::Etc::Preferences=/dev/null \
                -o APT::Update::Post-Invoke-Success= -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
                -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -o Acquire::Languages=none \
                -o Acquire::Retries=3 -qq "$@"
}

# private_apt_update SUITE [DAYS]: fetch its package lists unless they are younger than DAYS (default 3). One process
# does, others wait.
private_apt_update() { with_lock "apt-$1" private_apt_refresh "$@"; }
private_apt_refresh() {
        local suite=$1 days=${2:-3} dir stamp
        dir=$(cache_dir "apt/$suite") || return 1
        stamp=$dir/updated
        if [ -e "$stamp" ] && [ -n "$(find "$stamp" -mmin "-$((days * 1440 + 1))")" ] && [ "$days" != 0 ]; then
                return 0
        fi
        say "reading the package lists of Debian $suite from $(debian_mirror "$suite")"
        private_apt "$suite" apt-get update >&2 || return 1
        : >"$stamp"
}

# private_apt_version SUITE PACKAGE: print the newest version in that suite.
private_apt_version() {
        private_apt "$1" apt-cache --no-all-versions show "$2" 2>/dev/null | awk '/^Version:/ { print $2; exit }'
}

# private_apt_download SUITE PACKAGE DIRECTORY: download the .deb (checked by apt) and print its path. A copy that
# is there already is used again.
private_apt_download() {
        local suite=$1 package=$2 dir=$3 version file
        private_apt_update "$suite" || return 1
        version=$(private_apt_version "$suite" "$package")
        [ -n "$version" ] || { say "Debian $suite has no package '$package'"; return 1; }
        mkdir -p "$dir"
        file=$(find "$dir" -maxdepth 1 -name "${package}_${version//:/%3a}_*.deb" -print -quit)
        if [ -z "$file" ]; then
                say "downloading $package $version from Debian $suite"
                # The lists may have aged since they were read: read them again once before giving up.
                (cd "$dir" && private_apt "$suite" apt-get download "$package=$version" >&2) || {
                        private_apt_update "$suite" 0 || return 1
                        (cd "$dir" && private_apt "$suite" apt-get download "$package" >&2) || return 1
                }
                version=$(private_apt_version "$suite" "$package")
                file=$(find "$dir" -maxdepth 1 -name "${package}_${version//:/%3a}_*.deb" -print -quit)
        fi
        [ -n "$file" ] || { say "apt downloaded no $package"; return 1; }
        printf '%s\n' "$file"
}
