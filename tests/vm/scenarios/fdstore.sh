# SPDX-License-Identifier: LGPL-2.1-or-later
# Services that know nothing of pkram keep the memfds in their file descriptor stores over two kexecs: a plain one, one
# in Python, one with DynamicUser=, a socket-activated one and an instance of a template, and two that share a file.
# stages: 3
# timeout: 400

SERVICES="fd-plain.service fd-python.service fd-dynamic.service fd-socket.service fd-inst@a\\x2db.service"

unit() { cat >"/etc/systemd/system/$1"; }

# service NAME LINE...: a service that preserves its descriptors, with further lines
service() {
        local name=$1
        shift
        {
                printf \
                    '[Unit]\nDescription=Service with State in Memory\n[Service]\nType=notify\nFileDescriptorStoreMax=8\n'
                printf 'FileDescriptorStorePreserve=yes\n%s\n' "$@"
                printf '[Install]\nWantedBy=multi-user.target\n'
        } | unit "$name"
}

make_services() {
        service fd-plain.service "ExecStart=$TESTS/fdkeeper 67108864"
        service fd-dynamic.service "ExecStart=$TESTS/fdkeeper 1048576" DynamicUser=yes ProtectSystem=strict \
            PrivateUsers=yes
        service fd-socket.service "ExecStart=$TESTS/fdkeeper 4096" Sockets=fd-socket.socket
        service fd-inst@.service "ExecStart=$TESTS/fdkeeper 8192"
        service fd-python.service "ExecStart=/usr/bin/python3 /usr/local/bin/fd-python"
        service fd-share-a.service "ExecStart=/usr/bin/python3 /usr/local/bin/fd-share" NotifyAccess=all
        service fd-share-b.service "ExecStart=/usr/bin/python3 /usr/local/bin/fd-share"
        sed -i '/^Description/a Requires=fd-share-a.service\nAfter=fd-share-a.service' \
            /etc/systemd/system/fd-share-b.service
        unit fd-socket.socket <<'END'
[Socket]
ListenStream=/run/fd-socket
[Install]
WantedBy=sockets.target
END
        # 1 KiB, by the text of the protocol alone.
        cat >/usr/local/bin/fd-python <<'END'
import os, signal, socket
names = os.environ.get("LISTEN_FDNAMES", "").split(":")
def notify(text, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(os.environ["NOTIFY_SOCKET"])
        socket.send_fds(s, [text.encode()], fds)
if "state" in names:
    fd = 3 + names.index("state")
else:
    fd = os.memfd_create("state")
    os.write(fd, b"0" + b"x" * 1023)
    notify("FDSTORE=1\nFDNAME=state", fd)
count = int(os.pread(fd, 1, 0)) + 1
wrong = os.pread(fd, 2000, 1) != b"x" * 1023
os.pwrite(fd, str(count).encode(), 0)
notify(f"READY=1\nSTATUS=start {count}, {int(wrong)} words wrong")
signal.pause()
END
        # Two services with one file: the first makes it, and passes it on by a socket.
        cat >/usr/local/bin/fd-share <<'END'
import os, signal, socket
names = os.environ.get("LISTEN_FDNAMES", "").split(":")
def notify(text, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(os.environ["NOTIFY_SOCKET"])
        socket.send_fds(s, [text.encode()], fds)
PATH = "/run/fd-share"
first = not os.path.exists(PATH)
server = None
if "shared" in names:
    fd = 3 + names.index("shared")
elif first:
    fd = os.memfd_create("shared")
    os.write(fd, b"shared")
    notify("FDSTORE=1\nFDNAME=shared", fd)
else:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(PATH)
        fd = socket.recv_fds(s, 1, 1)[1][0]
    notify("FDSTORE=1\nFDNAME=shared", fd)
st = os.fstat(fd)
if first:
    server = socket.socket(socket.AF_UNIX)
    server.bind(PATH)
    server.listen()
notify(f"READY=1\nSTATUS=inode {st.st_dev}:{st.st_ino} {os.pread(fd, 6, 0).decode()}")
while server:
    s, _ = server.accept()
    socket.send_fds(s, [b"x"], [fd])
signal.pause()
END
        # The example of pkram(7), with the unit lines of README and of the page.
        {
                example_text README '[Service]'
                printf 'ExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' "$TESTS/fdstore-client"
        } | unit fd-example.service
        {
                printf '[Service]\n'
                example_text pkram 'Type=notify FileDescriptorStoreMax'
                printf 'ExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' "$TESTS/fdstore-client"
        } | unit fd-page.service
        systemctl daemon-reload && systemctl enable --now fd-socket.socket $SERVICES fd-share-a.service \
            fd-example.service fd-page.service &&
                systemctl enable --now fd-share-b.service
}

# Units that pkramctl check counts.
judged() { pkramctl check --json=short | python3 -c \
    'import json, sys; print(*sorted(json.load(sys.stdin)["units"]))'; }

# listen_names UNIT: the names of the descriptors that the running service was started with, in their order
listen_names() { tr '\0' '\n' <"/proc/$(systemctl show -P MainPID "$1")/environ" | sed -n 's/^LISTEN_FDNAMES=//p'; }

# kept START EXAMPLES: each service has its memory and is at that start, and the examples at theirs.
kept() {
        local s
        for s in $SERVICES; do
                equal "$s, start $1" "$(systemctl show -P StatusText "$s")" "start $1, 0 words wrong"
        done
        [ "$1" = 1 ] || equal "its socket comes first, start $1" "$(listen_names fd-socket.service)" \
            "fd-socket.socket:state"
        equal "README's example, start $2" "$(systemctl show -P StatusText fd-example.service)" "Start number $2."
        equal "pkram(7)'s example, start $2" "$(systemctl show -P StatusText fd-page.service)" "Start number $2."
        matches "the shared file, a" "$(systemctl show -P StatusText fd-share-a.service)" 'inode .* shared$'
        equal "the shared file is one file" "$(systemctl show -P StatusText fd-share-a.service)" \
            "$(systemctl show -P StatusText fd-share-b.service)"
}

stage1() {
        check "the services start" make_services
        kept 1 1
        # A restart is what it always was.
        check "restart" systemctl restart fd-plain.service
        equal "after a restart" "$(systemctl show -P StatusText fd-plain.service)" "start 2, 0 words wrong"
        check "restarted once more, to be in step" systemctl restart fd-python.service fd-dynamic.service \
            fd-socket.service "fd-inst@a\\x2db.service"
        kept 2 1
        matches "all of them count" "$(judged)" "fd-dynamic.service.*fd-plain.service"
        mkdir -p /etc/pkram/pkramd.conf.d
        example_text pkramd.conf '[FdStore]' >/etc/pkram/pkramd.conf.d/50-fdstore.conf
        equal "none of them is in the example's list" "$(judged | grep -c fd-)" 0
        rm /etc/pkram/pkramd.conf.d/50-fdstore.conf
        matches "a unit that stores is exposed little" \
            "$(systemd-analyze security --no-pager pkram-fdstore.service | tail -1)" 'OK'
        remember_boot
        kexec_now
}

back() {
        another_kernel
        kept "$1" "$2"
        equal "each restored store is in the journal" \
            "$(journalctl -b -o cat MESSAGE_ID=67ef04ec4c6d45f8a62763ebe4b404c2 | grep -c Restored)" 9
        equal "no node is left" "$(pkramctl list --no-legend | grep -c fdstore)" 0
        equal "no file is left with the helper's unit" \
            "$(systemctl show -P NFileDescriptorStore pkram-fdstore.service)" 0
        equal "NotifyAccess= is the unit's own again" "$(systemctl show -P StatusText fd-plain.service | wc -l)" 1
        clean_boot
}

stage2() {
        back 3 2
        # A kexec that is cancelled when everything was stored leaves nothing frozen.
        check "restarted as usual" systemctl restart fd-plain.service
        equal "after a restart" "$(systemctl show -P StatusText fd-plain.service)" "start 4, 0 words wrong"
        check "the others too" systemctl restart fd-python.service fd-dynamic.service fd-socket.service \
            "fd-inst@a\\x2db.service"
        remember_boot
        kexec_now
}

stage3() { back 5 3; }
