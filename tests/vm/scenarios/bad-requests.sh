# SPDX-License-Identifier: LGPL-2.1-or-later
# Requests that should not be made: each gets a named varlink error and one clear sentence, and the daemon keeps
# serving.
# stages: 1
# timeout: 400

# Another user, as the user of a unit of its own, as one for which a unit of root runs something (as cron does), and as
# a dynamic user.
as_nobody() { timeout 90 systemd-run --quiet --wait --pipe --collect --unit=nobody-test --uid=nobody "$@"; }

as_cron_job() { timeout 90 systemd-run --quiet --wait --pipe --collect --unit=cron-test -- setpriv --reuid=nobody \
    --regid=nogroup --clear-groups -- "$@"; }
as_dynamic() { timeout 90 systemd-run --quiet --wait --pipe --collect --unit=dynamic-test -p DynamicUser=yes "$@"; }
owner_as() { field owner "$("$@" varlinkctl --json=short call "$SOCKET" io.pkram.Store.GetStatus '{}')"; }

long() { head -c "$1" /dev/zero | tr '\0' n; }

# Prints the reply to a message, or "closed".
send() {
        python3 - "$1" <<'END'
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect("/run/pkram/io.pkram.Store")
s.sendall(os.fsencode(sys.argv[1]) + b"\0")
try:
    reply = s.recv(65536)
    print("closed" if not reply else reply.rstrip(b"\0").decode())
except ConnectionResetError:
    print("closed")
except TimeoutError:
    print("no answer")
END
}

still_serving() { matches "still serving after $1" "$(status_field supported)" '^True$'; }

data='"objects":[{"data":"eA=="}]'

# Names belong to owners, and owners are told apart.
check_owners() {
        equal "root in a service" "$(owner_as command)" pkram-test.service
        equal "a unit's user" "$(owner_as as_nobody)" nobody-test.service
        equal "another user in a unit of root" "$(owner_as as_cron_job)" uid:65534
        equal "a dynamic user" "$(owner_as as_dynamic)" dynamic-test.service
        equal "a user in a session" "$(owner_as systemd-run --quiet --scope --collect --slice=user-65534.slice \
            --uid=nobody)" uid:65534
        equal "root in a session" "$(owner_as systemd-run --quiet --scope --collect --slice=user-1000.slice)" root
        matches "root in a scope" "$(owner_as systemd-run --quiet --scope --collect --unit=container-1)" \
            '^container-1.scope$'
        equal "root in a scope of a slice of its own" \
            "$(owner_as systemd-run --quiet --scope --collect --slice=db.slice)" db.slice

        for method in Retrieve Describe Release Remove; do
                refused "$method of another owner's node" 'NoSuchNode' as_nobody varlinkctl call "$SOCKET" \
                    "io.pkram.Store.$method" '{"name":"there"}'
                refused "$method with another owner" 'PermissionDenied' as_nobody varlinkctl call "$SOCKET" \
                    "io.pkram.Store.$method" '{"name":"there","owner":"pkram-test.service"}'
                refused "$method by root in another unit" 'NoSuchNode' systemd-run --quiet --wait --pipe --collect \
                        varlinkctl call "$SOCKET" "io.pkram.Store.$method" '{"name":"there"}'
        done
        check "the same name in another unit" as_nobody varlinkctl call "$SOCKET" io.pkram.Store.Store \
            "{\"name\":\"there\",$data}"
        check "and of the same user outside of it" as_cron_job varlinkctl call "$SOCKET" io.pkram.Store.Store \
            "{\"name\":\"there\",\"replace\":true,$data}"
        equal "each is there" "$(pkramctl --json=short list | grep -o '"name":"there"' | wc -l)" 3
        equal "what another owner sees" "$(as_nobody pkramctl --json=short list | grep -o '"name"' | wc -l)" 1
        equal "the node is what it was" "$(pkramctl retrieve --keep there -)" data
        equal "root gets it by its owner" "$(pkramctl --owner=nobody-test.service retrieve --keep there -)" x
        check "root stores for an owner" bash -c 'printf mine | pkramctl --owner=uid:65534 store given'
        equal "which has it" "$(as_cron_job pkramctl retrieve --keep given -)" mine
        refused "an owner that cannot be one" 'owner' pkramctl --owner=nonsense show there
        for owner in nobody-test.service uid:65534; do
                check "removed by root" pkramctl --owner=$owner remove there
        done
}

# A user stores trees under names that root will mount.
check_squatting() {
        install -d -o nobody -m 0777 /dev/shm/evil
        as_cron_job sh -c 'echo evil >/dev/shm/evil/index.html'
        check "a user stores a tree with the name of a mount" as_cron_job pkramctl store --tree web /dev/shm/evil
        mkdir -p /srv/web
        check "root mounts it" mount -t pkram -o mode=0755,size=1M web /srv/web
        equal "with what root asks for" "$(stat -c '%U %a' /srv/web)" "root 755"
        equal "and nothing of the user's in it" "$(ls -A /srv/web)" ""
        echo good >/srv/web/index.html
        check "it is stored" umount /srv/web
        check "and restored" mount -t pkram -o mode=0755,size=1M web /srv/web
        equal "as root left it" "$(cat /srv/web/index.html)" good
        umount -i /srv/web
        check "the user's is still there" as_cron_job pkramctl remove web
        check "a user stores under a name that a service has" as_cron_job sh -c 'echo y | pkramctl store cached'
        check "the service stores under it, too" as_nobody sh -c 'echo z | pkramctl store --replace cached'
}

stage1() {
        daemon=$(systemctl show -P MainPID pkramd.service)
        status_field supported >/dev/null
        daemon=$(systemctl show -P MainPID pkramd.service)

        refused "an empty name" 'InvalidName' call Store "{\"name\":\"\",$data}"
        refused "a name of 256 bytes" 'InvalidName' call Store "{\"name\":\"$(long 256)\",$data}"
        refused "a name with a slash" 'InvalidName' call Store "{\"name\":\"a/b\",$data}"
        refused "a name with a control character" 'InvalidName' call Store "{\"name\":\"a\\u0001b\",$data}"
        check "a name of 255 bytes" call Store "{\"name\":\"$(long 255)\",$data}"
        check "and it goes" call Remove "{\"name\":\"$(long 255)\"}"
        still_serving "bad names"

        refused "an unknown method" 'MethodNotFound' call Nonsense '{}'
        refused "an unknown interface" 'InterfaceNotFound' varlinkctl call "$SOCKET" org.example.Nothing.Do '{}'
        refused "an unknown field" 'InvalidParameter' call Store "{\"name\":\"n\",\"colour\":1,$data}"
        refused "a wrong type" 'InvalidParameter' call Store "{\"name\":5,$data}"
        refused "a missing field" 'InvalidParameter' call Store '{"name":"n"}'
        refused "both a descriptor and data" 'InvalidParameter' call Store \
            '{"name":"n","objects":[{"fileDescriptor":0,"data":"eA=="}]}'
        refused "data that is not base64" 'InvalidParameter' call Store '{"name":"n","objects":[{"data":"@@@"}]}'
        refused "a descriptor that was not sent" 'InvalidParameter|NotPreservable' call Store \
            '{"name":"n","objects":[{"fileDescriptor":7}]}'
        still_serving "bad messages"

        for bad in 'garbage' '[]' '"text"' '{"method":"org.varlink.service.GetInfo",}' '{"parameters":{}}' \
            $'{"method":"\xff"}' '{} {}'; do
                equal "no call: '$bad'" "$(send "$bad")" closed
        done
        matches "a vendor's member" "$(send \
            '{"method":"org.varlink.service.GetInfo","org.example.trace":{"id":"17"}}')" '"product":"pkramd"'
        for empty in '' ',"parameters":null' ',"parameters":{}'; do
                matches "no parameters, written as '$empty'" \
                    "$(send "{\"method\":\"io.pkram.Store.CheckKexec\"$empty}")" '"reason":'
        done
        still_serving "malformed messages"

        # 100 MiB in one message, straight to the socket: the connection is cut, nothing else happens.
        python3 - <<'END'
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/pkram/io.pkram.Store")
try:
    s.sendall(b'{"method":"io.pkram.Store.Store","parameters":{"name":"big","objects":[{"data":"')
    for _ in range(100):
        s.sendall(b"A" * (1 << 20))
    s.sendall(b'"}]}}\0')
    reply = s.recv(65536)
    raise SystemExit(1 if b'"error"' not in reply and reply else 0)
except (BrokenPipeError, ConnectionResetError):
    pass
END
        equal "a message of 100 MiB" "$?" 0
        still_serving "a message of 100 MiB"

        # Not a memfd: the service's own log file, /dev/null, a pipe, a socket.
        cat >/run/fd.py <<'END'
import json, os, socket, sys
kind = sys.argv[1]
fd = {"device": lambda: os.open("/dev/null", os.O_RDWR), "pipe": lambda: os.pipe()[0],
      "socket": lambda: socket.socketpair()[0].detach(), "disk": lambda: os.open("/etc/hostname", os.O_RDONLY),
      "directory": lambda: os.open("/", os.O_RDONLY)}[kind]()
s = socket.socket(socket.AF_UNIX)
s.connect("/run/pkram/io.pkram.Store")
m = json.dumps({"method": "io.pkram.Store.Store", "parameters": {"name": "fd", "objects": [{"fileDescriptor": 0}]}})
socket.send_fds(s, [m.encode() + b"\0"], [fd])
reply = json.loads(s.recv(65536).rstrip(b"\0"))
print(json.dumps(reply))
sys.exit(1 if "error" in reply else 0)
END
        for kind in device pipe socket disk directory; do
                refused "a descriptor that is a $kind" 'io.pkram.Store.NotPreservable' python3 /run/fd.py "$kind"
        done
        still_serving "bad descriptors"

        check "a node" bash -c 'printf data | pkramctl store there -'
        refused "a node that exists" 'NodeExists' call Store "{\"name\":\"there\",$data}"
        refused "retrieving a node that does not exist" 'NoSuchNode' call Retrieve '{"name":"absent"}'
        refused "removing a node that does not exist" 'NoSuchNode' call Remove '{"name":"absent"}'
        refused "describing a node that does not exist" 'NoSuchNode' call Describe '{"name":"absent"}'

        # The same by the tool: one sentence, and the exit status says it.
        for bad in '' "$(long 256)" a/b; do
                refused "pkramctl with the name '${bad:0:5}'" '[Nn]ame' pkramctl store "$bad" /etc/hostname
                equal "one line" "$(wc -l <<<"$OUT")" 1
        done
        refused "pkramctl, a node that exists" "Node 'there' already exists" pkramctl store there /etc/hostname
        refused "pkramctl, a node that does not exist" 'absent' pkramctl retrieve absent /run/x
        refused "pkramctl, a file that does not exist" 'No such file' pkramctl store n /does/not/exist
        refused "pkramctl, an unknown verb" 'nonsense' pkramctl nonsense
        equal "the node is untouched" "$(pkramctl retrieve --keep there -)" data

        check_owners
        check_squatting

        equal "the daemon is the same process" "$(systemctl show -P MainPID pkramd.service)" "$daemon"
        mkdir -p /etc/pkram/pkramd.conf.d
        example_text pkramd.conf '# /etc/pkram/pkramd.conf.d' >/etc/pkram/pkramd.conf.d/50-local.conf
        check "reload" systemctl reload pkramd.service
        refused "an ordinary user, where pkramd.conf allows none" 'QuotaExceeded|UserBytesMax' systemd-run --quiet \
            --scope --collect \
                --slice=user-65534.slice --uid=nobody varlinkctl call "$SOCKET" io.pkram.Store.Store \
            "{\"name\":\"none\",$data}"
        check "root, where it does" call Store "{\"name\":\"allowed\",$data}"

        matches "varlinkctl info" "$(varlinkctl info "$SOCKET")" 'io\.pkram\.Store'
        check "varlinkctl introspect" varlinkctl introspect "$SOCKET" io.pkram.Store
        check "varlinkctl validates what it got" bash -c \
            "varlinkctl introspect '$SOCKET' io.pkram.Store >/run/idl && varlinkctl validate-idl /run/idl"
}
