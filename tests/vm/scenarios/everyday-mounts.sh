# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Trees as ordinary file systems: names that exist in /, dashes and links; fstab, the kernel command line,
# pkram-tree@.service, an automount point and mount by hand; reload, remount, a second mount of a tree, a mount
# namespace that does not see the unmount, a removed file that is still read; inode flags, attributes and names of
# single files. All of it is there after a kexec.
# stages: 2
# timeout: 600
# append: systemd.mount-extra=extra:/srv/extra:pkram:size=16M,nofail

DIRS="/srv/web /run/pkram/trees/tmp /run/pkram/trees/my-cache /srv/real/data /srv/extra /srv/hand /srv/lazy"

ordered() { # UNIT
        matches "$1 requires the store" "$(systemctl show -P Requires "$1")" 'pkramd\.socket'
        matches "$1 is stored before what is lost is counted" "$(systemctl show -P After "$1")" \
            'pkram-shutdown\.service.*pkram-trees\.service|pkram-trees\.service.*pkram-shutdown\.service'
        matches "$1 is there before services are" "$(systemctl show -P Before "$1")" 'sysinit\.target'
        matches "$1 is stopped after the guard" "$(systemctl show -P Before "$1")" 'pkram-kexec-guard\.service'
}

wait_for_state() { # UNIT STATE
        for _ in $(seq 60); do
                [ "$(systemctl is-active "$1")" != "$2" ] || break
                sleep 1
        done
        equal "$1 is $2" "$(systemctl is-active "$1")" "$2"
}

size_of() { findmnt -no OPTIONS "$1" | tr ',' '\n' | sed -n 's/^size=//p'; }
mounts_at() { grep -c " $1 " /proc/self/mountinfo; }

# chattr(1) and lsattr(1) are in no package of the guest.
immutable() { python3 - "$@" <<'END'
import array, fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
flags = array.array("i", [0])
fcntl.ioctl(fd, 0x80086601, flags)
if sys.argv[2:] == ["set"]:
    flags[0] |= 0x10
    fcntl.ioctl(fd, 0x40086602, flags)
print("immutable" if flags[0] & 0x10 else "not immutable")
END
}

client() { PYTHONPATH=$DIR python3 - "$1" <<'END'
import os, sys
import storeclient as s

FILES = ("memfd", "file")

def describe(name, fd):
    link = os.readlink(f"/proc/self/fd/{fd}") if name == "memfd" else ""
    print(name, link, {n: os.getxattr(fd, n).hex() for n in sorted(os.listxattr(fd))})

if sys.argv[1] == "store":
    fds = [os.memfd_create("an example", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), os.open("/dev/shm/with-acl", os.O_RDWR)]
    os.write(fds[0], s.content(1, 100000))
    os.setxattr(fds[0], "user.generation", b"17\0\1")
    os.setxattr(fds[0], "trusted.origin", b"\xff" * 3000)
    os.setxattr(fds[1], "user.mime", b"")
    for name, fd in zip(FILES, fds):
        s.call("Store", {"name": name, "objects": [{"fileDescriptor": 0}]}, [fd])
        describe(name, fd)
else:
    for name in FILES:
        _, fds = s.call("Retrieve", {"name": name})
        s.call("Release", {"name": name})
        describe(name, fds[0])
END
}

stage1() {
        mkdir -p /srv/web /srv/hand /srv/other /srv/lazy /srv/real/data
        ln -s real /srv/link
        printf '%s\n' 'srv /srv/web pkram size=16M,mode=755 0 0' 'bin /srv/link/data pkram size=16M,mode=755 0 0' \
                'srv /srv/other pkram noauto 0 0' \
                'lazy /srv/lazy pkram size=16M,mode=755,x-systemd.automount,x-systemd.idle-timeout=5s 0 0' >>/etc/fstab
        systemctl daemon-reload
        check "the automount point" systemctl start srv-lazy.automount
        check "it is mounted by a look at it" timeout 60 sh -c 'echo "in /srv/lazy" >/srv/lazy/file'
        check "a name that exists in /, and one of a link there" systemctl start srv-web.mount srv-real-data.mount
        equal "they are mounted" "$(findmnt -no SOURCE /srv/web) $(findmnt -no SOURCE /srv/real/data)" "srv bin"
        check "another one as an instance" systemctl enable --now pkram-tree@tmp.service
        example pkram-tree@.service 'systemctl start "$(systemd-escape'
        check "by hand, called as something that is there" sh -c 'cd /var && mount -t pkram -o size=8M cache /srv/hand'
        check "mount -a has nothing to do" mount -a
        equal "nor does it" "$(mounts_at /srv/web)" 1
        for unit in srv-real-data.mount srv-extra.mount; do ordered $unit; done

        for dir in $DIRS; do
                mountpoint -q "$dir" && echo "in $dir" >"$dir/file"
        done
        wait_for_state srv-lazy.mount inactive
        check "then it is stored" pkramctl --owner=root show lazy

        sed -i '/^srv.*web/s/size=16M/size=64M/' /etc/fstab
        systemctl daemon-reload
        check "systemctl reload" systemctl reload srv-web.mount
        equal "it is larger" "$(size_of /srv/web)" 65536k
        check "mount -o remount" mount -o remount,size=32M /srv/web
        equal "it is smaller, and mounted once" "$(size_of /srv/web) $(mounts_at /srv/web)" "32768k 1"
        refused "a second place for it" "failed" systemctl start srv-other.mount
        matches "which the journal explains" "$(journalctl -q -b -u srv-other.mount -o cat)" \
            "'srv' is already mounted at '/srv/web'"

        exec 7>>/run/pkram/trees/tmp/file
        systemctl restart pkram-tree@tmp.service
        equal "restarted while it is in use: one mount" \
            "$(systemctl is-active pkram-tree@tmp.service) $(mounts_at /run/pkram/trees/tmp)" "active 1"
        exec 7>&-

        systemd-run --quiet --unit=container unshare --mount --propagation private sleep infinity
        sleep 2
        refused "a tree in a mount namespace that does not see it" "mounted elsewhere.*sleep .*container.service" \
            umount /srv/hand
        systemctl stop container.service

        check "inode flags" immutable /srv/web/file set
        head -c 5000 /dev/urandom >/dev/shm/with-acl
        check "an ACL" setfacl -m u:77:r,g:88:rw /dev/shm/with-acl
        check "attributes of single files" client store
        printf '%s\n' "$OUT" >"$STATE/attributes"

        # It is read by a process that lives as long as the mount.
        echo log >/srv/extra/log
        systemd-run --quiet --unit=reader --property=DefaultDependencies=no sh -c \
            'exec 5</srv/extra/log; exec sleep infinity'
        sleep 1
        rm /srv/extra/log
        # Nothing but pkram-trees.service knows of /srv/hand.
        kexec_now
}

stage2() {
        another_kernel
        check "by hand, once more" sh -c 'cd /var && mount -t pkram -o size=8M,pkram.required cache /srv/hand'
        check "and the instance that was not enabled" systemctl start 'pkram-tree@my\x2dcache.service'
        for dir in $DIRS; do
                equal "$dir came back" "$(timeout 60 cat "$dir/file")" "in $dir"
        done
        equal "with inode flags" "$(immutable /srv/web/file)" immutable
        check "attributes of single files" client retrieve
        equal "are what they were" "$OUT" "$(cat "$STATE/attributes")"
        equal "nothing is reported as lost" "$(python3 -c \
            'import json, sys; print([n.get("name") for n in json.loads(sys.argv[1])["lastKexec"]["lost"]])' \
            "$(call GetStatus)")" "[]"
        clean_boot
}
