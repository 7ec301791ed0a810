# SPDX-License-Identifier: LGPL-2.1-or-later
# File descriptor stores across kexec for all kinds of units: service types, NotifyAccess=, sandboxes, root
# directories, early units, overrides of the administrator, too small stores, renamed, removed and masked units, kinds
# that are not preserved, failed services, a cancelled kexec, daemon-reload and daemon-reexec, a soft-reboot, and
# several kexecs in a row.
# suite: campaign
# stages: 5
# timeout: 1200
# memory: 1536M

KEEPER=$TESTS/fdkeeper
# Units whose memory has to be there after each kexec.
KEPT="simple idle notify exec none main all nexec fork oneshot dbus reload dyn hard pids over fail crash root rootonly image inst@a\\x2db"

# unit NAME LINE...: fx-NAME.service, enabled; lines that begin with [Unit] go there
unit() {
        local name=$1 line
        shift
        {
                printf '[Unit]\nDescription=Service with State in Memory\n'
                for line; do [[ $line != "[Unit]"* ]] || printf '%s\n' "${line#"[Unit]"}"; done
                printf '[Service]\nFileDescriptorStoreMax=4\nFileDescriptorStorePreserve=yes\n'
                [[ $* == *ExecStart=* ]] || printf 'ExecStart=%s 8192\n' "$KEEPER"
                for line; do [[ $line == "[Unit]"* ]] || printf '%s\n' "$line"; done
                printf '[Install]\nWantedBy=multi-user.target\n'
        } >"/etc/systemd/system/fx-$name.service"
        UNITS+=" fx-$name.service"
}

make_units() {
        local hard=(ProtectSystem=strict ProtectHome=yes PrivateTmp=yes PrivateDevices=yes PrivateNetwork=yes \
            ProtectProc=invisible ProcSubset=pid
                RestrictAddressFamilies=AF_UNIX RestrictNamespaces=yes NoNewPrivileges=yes \
                    CapabilityBoundingSet= SystemCallFilter=@system-service
                DevicePolicy=closed MemoryDenyWriteExecute=yes)
        UNITS=
        unit simple Type=simple
        unit idle Type=idle
        unit notify Type=notify
        unit exec Type=exec
        unit none Type=exec NotifyAccess=none
        unit main Type=notify NotifyAccess=main
        # The child is the one that says READY=1.
        unit all Type=notify NotifyAccess=all "ExecStart=/bin/sh -c '$KEEPER 8192 & wait'"
        unit nexec Type=notify NotifyAccess=exec
        unit fork Type=forking NotifyAccess=all "ExecStart=$KEEPER 8192 fork"
        unit oneshot Type=oneshot RemainAfterExit=yes "ExecStart=$KEEPER 8192 oneshot"
        unit dbus Type=dbus BusName=org.pkram.fx "ExecStart=$KEEPER 8192 org.pkram.fx"
        unit reload Type=notify-reload
        unit dyn Type=notify DynamicUser=yes PrivateUsers=yes "${hard[@]}"
        unit hard Type=notify User=nobody "${hard[@]}"
        unit pids Type=notify PrivatePIDs=yes
        unit early Type=notify "[Unit]DefaultDependencies=no" "[Unit]Conflicts=shutdown.target" \
            "[Unit]Before=shutdown.target"
        unit over Type=notify
        unit fail Type=simple "ExecStart=$KEEPER 8192 exit"
        # It crashes while it stops.
        unit crash Type=notify Restart=always "ExecStop=/bin/kill -SEGV \$MAINPID"
        unit root Type=notify RootDirectory=/srv/root "BindReadOnlyPaths=/usr"
        unit rootonly Type=notify RootDirectory=/srv/root "BindReadOnlyPaths=/usr" RootDirectoryStartOnly=yes \
            ExecStop=/bin/true
        unit image Type=notify RootImage=/srv/root.img \
            "BindReadOnlyPaths=/usr /usr/bin:/bin /usr/lib:/lib /usr/lib64:/lib64"
        unit inst@ Type=notify
        UNITS=${UNITS/fx-inst@.service/'fx-inst@a\x2db.service'}
        # These lose something, each for a reason of its own.
        unit small Type=notify
        unit ren Type=notify
        unit mask Type=notify
        unit no Type=notify X-Pkram-FdStore=no
        unit restart Type=notify FileDescriptorStorePreserve=restart
        unit req Type=notify X-Pkram-FdStore=required
        unit late Type=notify
        unit stop Type=notify RootDirectory=/srv/root "BindReadOnlyPaths=/usr" ExecStop=/bin/true
        unit stay Type=notify "[Unit]DefaultDependencies=no"
        unit zoo Type=notify FileDescriptorStoreMax=16 "ExecStart=/usr/bin/python3 /usr/local/bin/fx-zoo"

        mkdir -p /srv/root/{usr,etc,proc,sys,dev,run,tmp,var} /etc/systemd/system/fx-over.service.d
        for d in bin sbin lib lib64; do ln -sfn "usr/$d" "/srv/root/$d"; done
        # In an image, which has no links: the directories are mounted.
        truncate -s 8M /srv/root.img
        mkfs.vfat /srv/root.img >/dev/null
        mount -o loop /srv/root.img /mnt
        mkdir /mnt/{usr,bin,lib,lib64,etc,proc,sys,dev,run,tmp,var}
        umount /mnt
        printf '[Service]\nExecStartPre=\nExecStartPre=/bin/true\nNotifyAccess=main\n' \
            >/etc/systemd/system/fx-over.service.d/override.conf
        cat >/etc/dbus-1/system.d/fx.conf <<'END'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><policy user="root"><allow own="org.pkram.fx"/></policy></busconfig>
END
        cat >/usr/local/bin/fx-zoo <<'END'
import os, select, signal, socket
names = [n for n in os.environ.get("LISTEN_FDNAMES", "").split(":") if n]
def notify(text, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(os.environ["NOTIFY_SOCKET"])
        socket.send_fds(s, [text.encode()], fds)
text = "first"
if names:
    fds = {n: 3 + i for i, n in enumerate(names)}
    text = " ".join(sorted(names))
    if "pipe" in fds:
        os.set_blocking(fds["pipe"], False)
        data = os.read(fds["pipe"], 100)
        os.write(fds["write-end"], data)
        text += " " + data.decode()
    if "file" in fds:
        text += f" {os.pread(fds['file'], 9, 0).decode()} at {os.lseek(fds['file'], 0, os.SEEK_CUR)}"
else:
    epoll = select.epoll()
    r, w = os.pipe()
    os.write(w, b"in-flight")
    f = os.open("/dev/shm/fx-file", os.O_RDWR | os.O_CREAT)
    os.write(f, b"on-tmpfs")
    for name, fd in [("pipe", r), ("write-end", w), ("file", f), ("epoll", epoll.fileno()), ("dir", os.open("/", os.O_RDONLY)),
                     ("socket", socket.socketpair()[0].detach()), ("event", os.eventfd(3)), ("null", os.open("/dev/null", os.O_RDWR))]:
        notify(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", fd)
notify("READY=1\nSTATUS=" + text)
signal.pause()
END
        cat >/etc/systemd/system/fx-cancel.service <<'END'
[Unit]
Description=Cancel a Kexec when Everything is Stored
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target pkram-fdstore.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/bash -c '[ ! -e /run/fx-cancel ] || { rm /run/fx-cancel; pkramctl list -q >/run/fx-stored; systemctl cancel; systemctl start --no-block default.target; }'
[Install]
WantedBy=sysinit.target
END
        systemctl reload dbus
        # shellcheck disable=SC2086 # a list
        systemctl daemon-reload && systemctl enable --now fx-cancel.service $UNITS
}

# The last line that a unit wrote in this boot.
said() { journalctl -q -b -o cat -u "fx-$1.service" | grep '^start ' | tail -n 1; }

# kept START: every unit that is kept is at that start, with all of its memory
kept() {
        local s end=$((SECONDS + 120))
        # The scenario is one of the units that are started at the same time.
        for s in $KEPT; do
                until [[ $(said "$s") == "start $1,"* ]] || ((SECONDS > end)); do
                        sleep 1
                        journalctl --sync
                done
        done
        for s in $KEPT; do
                equal "$s, start $1" "$(said "$s")" "start $1, 0 words wrong"
        done
}

# early_goes_on: the unit that a cancelled kexec may or may not stop has its memory, and was started since
early_goes_on() {
        local before count
        before=$(cat "$STATE/early" 2>/dev/null || echo 0)
        count=$(said early | sed -n 's/^start \([0-9]*\), 0 words wrong$/\1/p')
        if ((${count:-0} > before)); then pass "early, start $count"; else fail "early" \
            "it was at start $before, and says '$(said early)'"; fi
        echo "${count:-0}" >"$STATE/early"
}

why() { journalctl -q -b "$@" -o cat -t pkram-fdstore; }

stage1() {
        make_units || true
        equal "the one that fails, fails" "$(systemctl --failed --no-legend --plain | cut -d' ' -f1)" fx-fail.service
        kept 1
        early_goes_on
        equal "zoo" "$(systemctl show -P StatusText fx-zoo.service)" first
        check "a kernel is loaded" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
        matches "check names what cannot be kept" "$(pkramctl check)" \
            "fx-zoo.service loses 4 file descriptors: .*'null' .devices are not preserved"
        local line
        for line in "fx-stop.service cannot be preserved: the unit has RootDirectory=" \
            "fx-stay.service cannot be preserved: a shutdown does not stop the unit"; do
                matches "check refuses: $line" "$(pkramctl check)" "the file descriptor store of $line"
        done
        equal "check names no other" "$(pkramctl check | grep -o 'cannot be preserved' | wc -l)" 2
        equal "a kexec is refused" "$(pkramctl kexec --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline \
            >/dev/null 2>&1; echo $?)" 11
        # So do without the descriptors of the one.
        mkdir -p /etc/systemd/system/fx-stay.service.d
        printf '[Service]\nX-Pkram-FdStore=no\n' >/etc/systemd/system/fx-stay.service.d/no.conf
        systemctl daemon-reload
        equal "check names one less" "$(pkramctl check | grep -c fx-stay.service)" 0
        systemctl reset-failed fx-fail.service
        # Cancelled when everything is stored: all services start again, and can write. The other loses its own.
        touch /run/fx-cancel
        remember_boot
        pkramctl kexec --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline --force
        next_boot
}

stage2() {
        equal "the same boot" "$(cat /proc/sys/kernel/random/boot_id)" "$(cat "$STATE/boot")"
        matches "everything was stored" "$(sort -u /run/fx-stored)" 'io.pkram.fdstore'
        equal "nothing is stored any more" "$(pkramctl list -q | grep -c fdstore)" 0
        matches "stop: named" "$(why)" "fx-stop.service will not survive the kexec: the unit has RootDirectory="
        sed -i s,^ExecStop=.*,RootDirectoryStartOnly=yes, /etc/systemd/system/fx-stop.service
        systemctl reset-failed fx-fail.service
        kept 2
        check "daemon-reexec" systemctl daemon-reexec
        check "daemon-reload" systemctl daemon-reload
        # While it is away: another name, another limit, a mask.
        sed -i s/StoreMax=4/StoreMax=0/ /etc/systemd/system/fx-small.service /etc/systemd/system/fx-req.service
        # This one starts without its descriptors, and stores others: what hands them over is undone.
        mkdir -p /etc/systemd/system/fx-late.service.d
        printf '[Service]\nExecStartPre=\n' >/etc/systemd/system/fx-late.service.d/zzzz.conf
        kexec_now
}

stage3() {
        another_kernel
        kept 3
        early_goes_on
        matches "zoo: pipes and files" "$(systemctl show -P StatusText fx-zoo.service)" \
            '^file pipe write-end in-flight on-tmpfs at 8$'
        matches "zoo: the others are named" "$(why -b -1)" "'epoll' of fx-zoo.service .*ends with this kernel"
        equal "no: opted out" "$(said no)" "start 1, 0 words wrong"
        equal "restart: not preserved" "$(said restart)" "start 1, 0 words wrong"
        equal "stop: preserved as it is now" "$(said stop)" "start 3, 0 words wrong"
        # Too small: the one starts without, the other does not start, and both wait in the store.
        equal "small: starts without" "$(systemctl is-active fx-small.service)" active
        equal "req: does not start" "$(systemctl is-failed fx-req.service)" failed
        matches "small: the journal says why" "$(why -b 0)" \
            "fx-small.service to the service manager, they remain stored: .*check FileDescriptorStoreMax="
        matches "status says which units they wait for" "$(pkramctl status)" 'Descriptors of: fx-small.service'
        matches "show as well" "$(pkramctl show --owner=fx-req.service io.pkram.fdstore-required)" \
            'Waits for: fx-req.service'
        # The next kexec would lose either the old descriptors of this unit, or the new ones.
        equal "late: begins again" "$(said late)" "start 1, 0 words wrong"
        check "late: a kernel is loaded" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= \
            --reuse-cmdline
        matches "late: check refuses" "$(pkramctl check)" \
            "the file descriptor store of fx-late.service cannot be preserved: node 'io.pkram.fdstore' still holds"
        rm -r /etc/systemd/system/fx-late.service.d
        sed -i s/StoreMax=0/StoreMax=4/ /etc/systemd/system/fx-small.service /etc/systemd/system/fx-req.service
        systemctl stop fx-small.service fx-late.service
        systemctl clean --what=fdstore fx-small.service fx-late.service
        systemctl reset-failed fx-req.service fx-fail.service
        check "all get theirs after all" bash -c \
            'systemctl daemon-reload && systemctl start fx-small.service fx-req.service fx-late.service'
        journalctl --sync
        equal "small: is there again" "$(said small)" "start 3, 0 words wrong"
        equal "req: is there again" "$(said req)" "start 3, 0 words wrong"
        equal "late: is there again" "$(said late)" "start 3, 0 words wrong"
        equal "no node is left" "$(pkramctl list -q | grep -c fdstore)" 0
        wait_for_report
        # A soft-reboot keeps what systemd keeps: nothing is stored for it.
        remember_boot
        systemctl soft-reboot
        next_boot
}

stage4() {
        equal "soft-reboot: the same kernel" "$(cat /proc/sys/kernel/random/boot_id)" "$(cat "$STATE/boot")"
        systemctl reset-failed fx-fail.service
        equal "soft-reboot: nothing was stored" "$(pkramctl list -q | grep -c fdstore)" 0
        kept 4
        early_goes_on
        # In the next boot these units are not there.
        systemctl stop fx-ren.service fx-mask.service
        systemctl start fx-ren.service fx-mask.service
        cp /etc/systemd/system/fx-ren.service /etc/systemd/system/fx-new.service
        printf \
            '#!/bin/sh\nrm -f /etc/systemd/system/multi-user.target.wants/fx-ren.service /etc/systemd/system/fx-ren.service /etc/systemd/system/multi-user.target.wants/fx-mask.service\nmv /etc/systemd/system/fx-mask.service /etc/systemd/system/fx-mask.saved\nln -s /dev/null /etc/systemd/system/fx-mask.service\n' >/usr/local/bin/fx-away
        chmod +x /usr/local/bin/fx-away
        mkdir -p /etc/systemd/system/pkram-fdstore.service.d
        printf '[Service]\nExecStopPost=+/usr/local/bin/fx-away\n' \
            >/etc/systemd/system/pkram-fdstore.service.d/away.conf
        systemctl daemon-reload
        kexec_now
}

stage5() {
        another_kernel
        kept 5
        early_goes_on
        rm -r /etc/systemd/system/pkram-fdstore.service.d
        matches "renamed and masked units wait" "$(pkramctl status)" 'Descriptors of: fx-ren.service'
        matches "the masked one, too" "$(pkramctl status)" 'Descriptors of: fx-mask.service'
        rm /etc/systemd/system/fx-mask.service
        mv /etc/systemd/system/fx-mask.saved /etc/systemd/system/fx-mask.service
        check "no longer masked" bash -c 'systemctl daemon-reload && systemctl start fx-mask.service'
        journalctl --sync
        matches "mask: is there again" "$(said mask)" 'start [0-9]+, 0 words wrong'
        equal "mask: it is not the first start" "$(said mask | grep -c 'start 1,')" 0
}
