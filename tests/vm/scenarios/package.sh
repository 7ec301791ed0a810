# SPDX-License-Identifier: LGPL-2.1-or-later
# The Debian packages: an upgrade loses nothing that is stored and leaves the guard on duty; purging leaves no file and
# changes none of other packages; an installation works at once. Then the first kexec as README.md has it, into the
# kernel of the kernel's package with the initial RAM disk that Debian's tools make for it.
# stages: 2
# timeout: 900
# silence: 300
# debs: guest

PACKAGES=/usr/share/pkram-test

# listing: one line for every file of the system: kind, mode, owner, size, time, name, target; /etc by its content. What
# changes by itself, and what dpkg keeps about packages, is left out.
listing() {
        find / -xdev \( -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path \
                /var/lib/pkram-test \
                -o -path /tmp -o -path /var/tmp -o -path /boot -o -path /var/lib/systemd/catalog -o -path \
                /var/lib/systemd/random-seed \
                -o -path /var/lib/systemd/timers -o -path /etc/ld.so.cache \) -prune -o \
                \( -type d -printf '%y %m %u %g %p\n' \) -o -printf '%y %m %u %g %s %T@ %p %l\n' | LC_ALL=C sort
        find /etc -xdev -type f ! -name ld.so.cache -exec sha256sum {} + | LC_ALL=C sort
}

# newer PACKAGE: the same package with a higher version
newer() {
        rm -rf /run/newer
        dpkg-deb -R "$PACKAGES/$1"_*.deb /run/newer &&
                sed -i -e 's/^\(Version: .*\)$/\1+upgrade/' -e 's/^\(Depends: pkram (= [^)]*\))/\1+upgrade)/' \
                /run/newer/DEBIAN/control &&
                dpkg-deb -b -Znone /run/newer "/run/$1_newer.deb" >/dev/null
}

apt() { apt-get -q "$@"; }

# Names that other units order themselves by do not count.
units_of_ours() {
        systemctl list-unit-files --no-legend --plain 'pkram*' | grep -v '^pkram-test'
        systemctl list-units --no-legend --plain 'pkram*' | grep -v '^pkram-test'
}

stage1() {
        # There is no user to ask, and the disk is gone afterwards.
        echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/90test
        echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/90test
        export DEBIAN_FRONTEND=noninteractive

        equal "installed by apt" "$(dpkg-query -W -f '${db:Status-Status} ' pkram pkram-tests)" "installed installed "
        # The image is made without documentation.
        equal "no file is missing or changed" \
                "$(dpkg --verify pkram pkram-tests | grep -vE ' /usr/share/(doc|man)/')" ""
        for unit in pkramd.socket pkram-restore.service pkram-shutdown.service pkram-kexec-guard.service; do
                equal "$unit is on" "$(systemctl is-enabled $unit) $(systemctl is-active $unit)" "enabled active"
        done

        head -c 5000000 /dev/urandom >/run/kept
        sha kept </run/kept >/dev/null
        check "stored" pkramctl store kept /run/kept
        pid=$(systemctl show -P MainPID pkramd.service)
        reported=$(systemctl show -P ExecMainStartTimestampMonotonic pkram-restore.service)
        check "a newer package" newer pkram
        check "a newer package of tests" newer pkram-tests
        check "upgrade" apt install /run/pkram_newer.deb /run/pkram-tests_newer.deb
        matches "the new version is there" "$(dpkg-query -W -f '${Version}' pkram)" '\+upgrade$'
        if [ "$(systemctl show -P MainPID pkramd.service)" \
                != "$pid" ]; then pass "the new daemon runs"; else fail "the new daemon runs" "it is still $pid"; fi
        pkramctl retrieve --keep kept - | same kept
        equal "the report was not made again" \
                "$(systemctl show -P ExecMainStartTimestampMonotonic pkram-restore.service)" "$reported"
        equal "the guard is on duty" "$(systemctl is-active pkram-kexec-guard.service)" active

        # Nothing that would be lost, and nothing that keeps the next boot from coming up.
        mkdir /srv/pkg
        echo 'pkg /srv/pkg pkram size=1M 0 0' >>/etc/fstab
        systemctl daemon-reload
        check "a tree" systemctl start srv-pkg.mount
        refused "it is not removed with a mounted tree" "Trees are mounted" apt remove pkram pkram-tests
        matches "which is named" "$OUT" '^  /srv/pkg\s*$'
        umount -i /srv/pkg
        # What dpkg runs first; the rest of apt takes most of a minute.
        refused "nor with a line in fstab" "could end in emergency mode" /var/lib/dpkg/info/pkram.prerm remove
        sed -i '/^pkg /d' /etc/fstab
        rmdir /srv/pkg
        systemctl daemon-reload
        equal "it is still there" "$(dpkg-query -W -f '${db:Status-Status}' pkram) $(systemctl is-active \
                pkramd.socket)" "installed active"

        check "purge" apt purge pkram pkram-tests
        matches "removing it reports what stays" "$OUT" 'nodes are still stored'
        listing >/run/without
        equal "files with its name" "$(find / -xdev -name '*pkram*' ! -path '*pkram-test*' ! -path '/boot/*' \
                ! -path '/tmp/*' 2>/dev/null)" ""
        equal "its directory in /run" "$(ls -d /run/pkram 2>/dev/null)" ""
        equal "its units" "$(units_of_ours)" ""
        clean_boot

        # By dpkg: apt adds most of a minute, and no more is tested.
        check "installed again" dpkg --install "$PACKAGES"/pkram_*.deb
        equal "nothing is stored after a purge" "$(status_field nodes)" 0
        check "it works at once" bash -c 'printf x | pkramctl store x - && [ "$(pkramctl retrieve x -)" = x ]'
        equal "the guard is on duty again" "$(systemctl is-active pkram-kexec-guard.service)" active
        check "removed" dpkg --remove pkram
        equal "its configuration stays" "$(ls /etc/pkram/pkramd.conf)" /etc/pkram/pkramd.conf
        check "purged" dpkg --purge pkram
        listing >/run/without-again
        equal "files left or changed" "$(diff /run/without /run/without-again)" ""
        first_kexec
}

first_kexec() {
        cd "$DIR" || return
        cp -r "$PACKAGES"/pkram_*.deb pkram-deb/
        example README 'sudo apt install ./pkram-deb/pkram'
        example README 'sudo apt install ./pkram-deb/linux'
        # As on a machine that boots it already.
        rm /boot/vmlinuz-pkram
        check "Debian's tools made an initial RAM disk" test -s "/boot/initrd.img-$(uname -r)"
        remember_boot
        example README 'echo "still here"'
        matches "pkramctl status says what a kexec would do" "$OUT" 'kexec'
        next_boot
}

stage2() {
        another_kernel
        one_param
        matches "an initial RAM disk was there" "$(journalctl -q -b -k -o cat)" \
                'Unpacking initramfs|Freeing initrd memory'
        equal "it is the kernel of the package" "$(dpkg-query -W -f '${db:Status-Status}' "linux-image-$(uname -r)")" \
                installed
        example README 'echo "still here"' 2
        matches "what came back" "$OUT" '^still here$'
        matches "the journal says so" "$OUT" "Node greeting came back|'greeting'"
        equal "it is gone from the store" "$(status_field nodes)" 0
        clean_boot
}
