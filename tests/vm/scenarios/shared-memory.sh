# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# System V segments that a service uses as a database does, and files of /dev/shm, come back after a kexec by
# configuration alone, with key, size, mode, owner, contents and lock. A segment of huge pages, and one that stays
# attached, are refused before the kexec. One whose key is taken at boot stays stored, and comes back when the key is
# free.
# suite: campaign
# stages: 3
# timeout: 900

SEGMENTS=$TESTS/segments

stage1() {
        example README 'sudo mkdir -p /etc/pkram/pkramd.conf.d'
        {
                example_text pkram-shm.service '[SharedMemory]'
                echo 'SysVKeys=0x10c 0xc1a5 0x4b1d'
        } >/etc/pkram/pkramd.conf.d/50-database.conf
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
        check "one that is to be locked" "$SEGMENTS" create 0x10c 65536 600
        check "it is locked" "$SEGMENTS" lock 0x10c
        check "one whose key will be taken" "$SEGMENTS" create 0xc1a5 65536 600
        # By a program that starts too early.
        cat >/etc/systemd/system/clash.service <<END
[Unit]
DefaultDependencies=no
Before=pkram-shm.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$SEGMENTS create 0xc1a5 8192 600
[Install]
WantedBy=sysinit.target
END
        check "of another program" systemctl enable clash.service
        check "a file" bash -c \
                'head -c 3000000 /dev/urandom >/dev/shm/database.1 && chmod 604 /dev/shm/database.1 && chown daemon: /dev/shm/database.1'
        sha posix </dev/shm/database.1
        echo setid >/dev/shm/database.2
        check "one with a set-user-ID bit" bash -c \
                'chown daemon: /dev/shm/database.2 && chmod 4604 /dev/shm/database.2'
        check "one of an ordinary user" bash -c 'echo x >/dev/shm/database.3 && chown 12345 /dev/shm/database.3'
        check "a kernel is loaded" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
        matches "pkramctl check names what would be stored" "$(pkramctl check)" \
                'keeps shared memory \((0x[0-9a-f]+, ){4}/dev/shm/database.[12] and 1 other\)'
        huge_pages_are_refused
        check "pkram-shm.service is stopped" systemctl stop pkram-shm.service
        refused "nothing would store it" 'pkram-shm.service, which stores it, is not active' pkramctl check
        check "it is started again" systemctl start pkram-shm.service
        check "all of it would be kept" pkramctl check
        remember_boot
        kexec_now
}

refusals() { journalctl -q -b -o cat -t pkramd | grep -c '^Refused to kexec: .*SHM_HUGETLB'; }

# A segment of another user, which the guard finds as well as pkramctl does.
huge_pages_are_refused() {
        id -g daemon >/proc/sys/vm/hugetlb_shm_group
        echo 4 >/proc/sys/vm/nr_hugepages
        equal "there are huge pages" "$(cat /proc/sys/vm/nr_hugepages)" 4
        check "a segment of huge pages" setpriv --reuid=daemon --regid=daemon --clear-groups "$SEGMENTS" huge 0x4b1d \
                2097152
        refused "pkramctl check says that it would be lost" '0x00004b1d cannot be stored: .*SHM_HUGETLB' pkramctl check
        systemctl kexec
        for _ in $(seq 60); do
                [ "$(refusals)" -gt 0 ] && break
                sleep 1
        done
        equal "and the guard refuses the kexec" "$(refusals)" 1
        check "it is removed" ipcrm -M 0x4b1d
        echo 0 >/proc/sys/vm/nr_hugepages
}

# The key of a segment is taken when it is to be restored.
clash_is_resolved() {
        equal "clash: pkram-shm.service is active" "$(systemctl is-active pkram-shm.service)" active
        matches "clash: its status says so" "$(systemctl show -P StatusText pkram-shm.service)" \
                '^Not restored: 1 of 6 pieces of shared memory'
        matches "clash: the journal has the reason" "$(journalctl -q -b -o cat -u pkram-shm.service)" \
                'segment 0x0000c1a5: another segment with this key exists already, from uid 0 with 8192 bytes'
        check "a kernel is loaded" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
        refused "clash: the node is not replaced" \
                "0x0000c1a5 cannot be stored: node 'sysv:0x0000c1a5' holds contents" pkramctl check
        check "clash: the key is free" "$SEGMENTS" remove 0xc1a5
        check "clash: restored" systemctl restart pkram-shm.service
        check "clash: with its contents" "$SEGMENTS" check 0xc1a5 65536 600
        check "clash: not again" systemctl disable clash.service
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
        equal "$1: the other one, without the set-user-ID bit" \
                "$(stat -c %U:%a /dev/shm/database.2) $(cat /dev/shm/database.2)" "daemon:604 setid"
        equal "$1: none of an ordinary user" "$(ls /dev/shm/database.3 2>/dev/null)" ""
        matches "$1: the locked one is locked" "$("$SEGMENTS" check 0x10c 65536 600 2>&1)" '^uid 0 gid 0 locked$'
        equal "$1: nothing is left in the store" "$(status_field nodes)" 0
}

stage2() {
        another_kernel
        clash_is_resolved
        came_back_whole "first"
        matches "first: the file of an ordinary user was named" "$(journalctl -q -b -1 -o cat -u pkram-shm.service)" \
                "Ignoring shared memory 'database.3' of user 12345"
        # A program that is not stopped before pkram-shm.service.
        systemd-run -q --unit=holder -p DefaultDependencies=no "$SEGMENTS" hold 0xae001000
        sleep 1
        refused "in use: pkramctl check names the process" \
                '0xae001000 cannot be stored: it is in use for writing by segments \([0-9]+, holder.service\)' \
                pkramctl check
        printf '[Store]\nKexecPolicy=warn\n' >/etc/pkram/pkramd.conf.d/60-test.conf
        systemctl reload pkramd.service
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
        check "in use: the one whose key was taken comes back" "$SEGMENTS" check 0xc1a5 65536 600
        matches "in use: the locked one is locked again" "$("$SEGMENTS" check 0x10c 65536 600 2>&1)" \
                '^uid 0 gid 0 locked$'
}
