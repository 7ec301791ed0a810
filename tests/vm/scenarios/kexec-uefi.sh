# SPDX-License-Identifier: LGPL-2.1-or-later
# A UEFI machine with a boot loader entry: systemctl kexec loads the default entry by itself, and what is stored is
# there afterwards, although the entry's command line has a pkram= from some other day.
# stages: 2
# timeout: 400
# firmware: uefi
# scratch: 256M
# append: pkram=dead pkramtest.cmdline=yes

make_esp() {
        printf 'label: gpt\n,,U\n' | sfdisk -q /dev/vdc &&
                udevadm settle &&
                mkfs.vfat -n ESP /dev/vdc1 >/dev/null &&
                mkdir -p /efi &&
                echo '/dev/vdc1 /efi vfat umask=0077 0 0' >>/etc/fstab &&
                systemctl daemon-reload &&
                mount /efi &&
                bootctl --no-variables install
}

# The entry of the running kernel, as its package makes it: the command line is copied from the running one.
make_entry() { kernel-install add "$(uname -r)" /boot/vmlinuz-pkram; }

entry() { sed -n 's/^options *//p' /efi/loader/entries/*.conf; }

stage1() {
        check "a UEFI machine" test -d /sys/firmware/efi
        check "the ESP" make_esp
        check "the boot loader entry" make_entry
        matches "it is the default one" "$(bootctl list 2>&1)" 'default'
        matches "it boots this system" "$(entry)" 'root=/dev/vda.*pkramtest\.cmdline=yes'
        equal "no pkram= gets into it" "$(entry | grep -c 'pkram=')" 0
        # Another program may still have written one.
        sed -i 's/^options.*/& pkram=12345 pkramtest.entry=yes/' /efi/loader/entries/*.conf
        head -c 5000000 /dev/urandom >/run/kept
        sha kept </run/kept >/dev/null
        check "stored" pkramctl store kept /run/kept
        equal "no kernel is loaded" "$(status_field imageState)" none
        remember_boot
        check "systemctl kexec" systemctl kexec
        next_boot
}

# Nothing was loaded by hand, and the guard had nothing to object.
stage2() {
        another_kernel
        matches "the entry was booted" "$(cat /proc/cmdline)" 'pkramtest\.entry=yes'
        one_param
        pkramctl retrieve --keep kept - | same kept
        check "EFI runtime services go on" test -d /sys/firmware/efi/efivars
        check "removed" pkramctl remove kept
        clean_boot
}
