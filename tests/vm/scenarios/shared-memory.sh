# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# System V segments that a service uses as a database does, and files of /dev/shm, come back after a kexec by
# configuration alone, with key, size, mode, owner and contents. A segment that is still attached is named with its
# process.
# suite: campaign
# stages: 3
# timeout: 900

SEGMENTS=$TESTS/segments

stage1() {
        example README 'sudo mkdir -p /etc/pkram/pkramd.conf.d'
        example_text pkram-shm.service '[SharedMemory]' >/etc/pkram/pkramd.conf.d/50-database.conf
        check "configured" systemctl reload-or-restart pkramd.service
        # It finds its segment, or makes it, before it is ready, and has it attached until it is stopped.
        cat >/etc/systemd/system/database.service <<END
[Service]
Type=simple
User=daemon
ExecStartPre=/bin/sh -c '$SEGMENTS check 0x0052e2c1 8388608 640 || $SEGMENTS create 0x0052e2c1 8388608 640'
ExecStart=$SEGMENTS hold 0x0052e2c1
[Install]
WantedBy=multi-user.target
END
        check "the service" systemctl enable --now database.service
        check "a segment of root" "$SEGMENTS" create 0xae001000 4194304 600
        check "one that is not configured" "$SEGMENTS" create 77 8192 600
        check "a file" bash -c \
                'head -c 3000000 /dev/urandom >/dev/shm/database.1 && chmod 604 /dev/shm/database.1 && chown daemon: /dev/shm/database.1'
        sha posix </dev/shm/database.1
        check "a kernel is loaded" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
        matches "pkramctl check names what would be stored" "$(pkramctl check)" \
                'keeps shared memory \(0x[0-9a-f]+, 0x[0-9a-f]+, /dev/shm/database.1\)'
        remember_boot
        kexec_now
}

came_back_whole() {
        equal "pkram-shm.service" "$(systemctl is-active pkram-shm.service)" active
        matches "$1: the segment of the service" "$("$SEGMENTS" check 0x0052e2c1 8388608 640 2>&1)" \
                "uid $(id -u daemon) "
        equal "$1: which found it" "$(systemctl is-active database.service) $(journalctl -q -b -u database.service -o \
                cat | grep -c '^uid')" "active 1"
        check "$1: the segment of root" "$SEGMENTS" check 0xae001000 4194304 600
        check "$1: it can be written" "$SEGMENTS" change 0xae001000
        refused "$1: no other" 'No such file' "$SEGMENTS" check 77 8192 600
        same posix </dev/shm/database.1
        equal "$1: its mode" "$(stat -c %U:%a /dev/shm/database.1)" daemon:604
        equal "$1: nothing is left in the store" "$(status_field nodes)" 0
}

stage2() {
        another_kernel
        came_back_whole "first"
        # A program that is not stopped before pkram-shm.service.
        systemd-run -q --unit=holder -p DefaultDependencies=no "$SEGMENTS" hold 0xae001000
        sleep 1
        remember_boot
        kexec_now
}

stage3() {
        another_kernel
        matches "in use: the last boot names the process" "$(journalctl -q -b -1 -o cat -u pkram-shm.service)" \
                'segment 0xae001000 .*attached for writing by segments \([0-9]+\)'
        matches "in use: the others come back" "$("$SEGMENTS" check 0x0052e2c1 8388608 640 2>&1)" \
                "uid $(id -u daemon) "
        refused "in use: it does not" 'No such file' "$SEGMENTS" check 0xae001000 4194304 600
        same posix </dev/shm/database.1
}
