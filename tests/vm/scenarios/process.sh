# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Services that know nothing of CRIU, set up as pkram-criu(8) says, one with a configuration file and one with a
# drop-in: memory of each kind, a log, a timer, a thread and a UNIX socket go on after a kexec, and after a second one.
# A service whose restore fails is started again and says why, and so does one that CRIU cannot save: status named it
# before, and the kexec was refused until it was forced.
# suite: campaign
# stages: 3
# packages: criu
# timeout: 1200

# The newest line that a service has to tell, by its socket.
ask() {
        python3 - "$1" <<'END_OF_PYTHON'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
print(s.recv(200).decode().strip())
END_OF_PYTHON
}
word_after() { grep -o "$1 [0-9]*" <<<"$2" | cut -d' ' -f2; }
begins() { grep -c '^counter begins' "$1/log"; }

# Until the service has written three more lines.
rounds() {
        local n
        n=$(wc -l <"$1/log")
        for _ in $(seq 120); do
                [ "$(wc -l <"$1/log")" -ge $((n + 3)) ] && return
                sleep 0.5
        done
        fail "$1 counts" "$(tail -n 3 "$1/log" 2>&1; systemctl status "$2" 2>&1 | tail -n 5)"
}

healthy() { # NAME DIRECTORY
        equal "$1: its memory is right" "$(grep -m 1 ' bad [^0]' "$2/log")" ""
}

# What it was like before the kexec is noted when the service has been stopped.
note_end() { # UNIT DIRECTORY
        mkdir -p "/etc/systemd/system/$1.d"
        cat >"/etc/systemd/system/$1.d/test.conf" <<END_OF_UNIT
[Service]
ExecStopPost=/bin/sh -c 'tail -n 1 $2/log >$STATE/last-${2##*/}'
END_OF_UNIT
}

continues() { # NAME DIRECTORY UNIT BEGINS
        local before line first
        rounds "$2" "$3"
        before=$(cat "$STATE/last-${2##*/}")
        equal "$1: it did not begin again" "$(begins "$2")" "$4"
        first=$(grep -A 1 -xF "$before" "$2/log" | tail -n 1)
        equal "$1: it counts on" "$(word_after tick "$first")" "$(($(word_after tick "$before") + 1))"
        equal "$1: with its process ID" "$(word_after pid "$first")" "$(word_after pid "$before")"
        [ "$(word_after mono "$first")" -ge "$(word_after mono "$before")" ] && pass "$1: its clock did not go back" ||
                fail "$1: its clock did not go back" "$before, then $first"
        healthy "$1" "$2"
        line=$(ask "$2/socket")
        [ "$(word_after tick "$line")" -ge "$(word_after tick "$first")" ] && pass "$1: its socket" ||
                fail "$1: its socket" "$line"
        matches "$1: its output is in the journal" "$(journalctl -q -b -o cat -u "$3")" \
                "^counter tick $(($(word_after tick "$first") + 1)) "
        show kexec "$1: $(journalctl -q -b -o cat -t pkram-criu -u "$3" | grep 'stood still' | tail -n 1)"
}

stage1() {
        check "CRIU is installed" env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends \
                "$DIR"/packages/*.deb
        mkdir -p /srv/counter /srv/legacy /srv/client
        chown daemon: /srv/counter
        cp "$TESTS/counter" /usr/local/bin/counter

        example pkram-criu 'mkdir -p'
        example_text pkram-criu '[Process]' >/etc/pkram/criu/counter.conf
        # A service that has a unit already.
        cat >/etc/systemd/system/legacy.service <<END_OF_UNIT
[Service]
ExecStart=/usr/local/bin/counter /srv/legacy/log /srv/legacy/socket
[Install]
WantedBy=multi-user.target
END_OF_UNIT
        mkdir -p /etc/systemd/system/legacy.service.d
        example_text pkram-criu '[Unit]' >/etc/systemd/system/legacy.service.d/pkram.conf
        printf '[Process]\nCommand=/usr/local/bin/counter /srv/client/log /srv/client/socket connection\n' \
                >/etc/pkram/criu/client.conf
        note_end pkram-criu@counter.service /srv/counter
        note_end legacy.service /srv/legacy
        example pkram-criu 'systemctl daemon-reload'
        check "further services" systemctl enable --now legacy.service pkram-criu@client.service
        rounds /srv/counter pkram-criu@counter.service
        rounds /srv/legacy legacy.service
        rounds /srv/client pkram-criu@client.service
        equal "the user of the program" "$(stat -c %U /srv/counter/log)" daemon
        sleep 5
        matches "status" "$(pkramctl status)" 'Process: counter, [0-9.]+M in /var/lib/pkram-criu/counter$'
        matches "status names what cannot be saved" "$(pkramctl status)" \
                'Process: client, .*; cannot be saved: counter \([0-9]+\): descriptor [0-9]+ is a TCP connection'
        matches "check" "$(pkramctl check)" '2 processes will be saved on the way: counter and legacy'
        matches "check names what cannot be saved" "$(pkramctl check)" '1 process cannot be saved, .*: client'
        refused "no PID namespace" 'PrivatePIDs=yes' pkram-criu run other -- /bin/true

        # By hand, within one kernel.
        ticks=$(grep -c tick /srv/legacy/log)
        systemctl kill -s USR1 --kill-whom=main legacy.service
        for _ in $(seq 60); do
                [ "$(systemctl is-active legacy.service)" = inactive ] && break
                sleep 1
        done
        matches "by hand: it is saved" "$(journalctl -q -b -o cat -u legacy.service)" "Saved process 'legacy' in"
        check "by hand: it starts" systemctl start legacy.service
        [ "$ticks" -gt 0 ] && continues "by hand" /srv/legacy legacy.service 1
        refused "what cannot be saved: the kexec is refused" \
                'would lose guests or processes that cannot be saved: client \(counter \([0-9]+\): .* TCP connection' \
                pkramctl kexec --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
        remember_boot
        kexec_now --force
}

stage2() {
        another_kernel
        continues "first kexec" /srv/counter pkram-criu@counter.service 1
        continues "first kexec, with a drop-in" /srv/legacy legacy.service 1
        matches "first kexec: the journal" "$(journalctl -q -b -o cat -u pkram-criu@counter.service)" \
                "Process 'counter' continues; it stood still for"
        matches "first kexec: status" "$(pkramctl status)" 'Process: counter, .*, went on after [0-9]'
        equal "first kexec: images are used once" "$(ls -A /var/lib/pkram-criu/counter)" ""
        rounds /srv/client pkram-criu@client.service
        equal "not saved: it is started again" "$(begins /srv/client)" 2
        matches "not saved: and says why" "$(journalctl -q -b -o cat -u pkram-criu@client.service)" \
                "Process 'client' is started again and does not continue: it could not be saved: .* is a TCP connection"
        matches "not saved: status" "$(pkramctl status)" 'Process: client, .*, started again: it could not be saved'
        wait_for_report
        matches "the report names them" "$(entries UP)" \
                'Processes: client was started again .it could not be saved: .*, counter continues, legacy continues'
        check "not saved: it is stopped" systemctl disable --now pkram-criu@client.service
        # Its log will not be there when it is restored.
        cat >>/etc/systemd/system/legacy.service.d/test.conf <<'END_OF_UNIT'
ExecStartPre=/bin/mv /srv/legacy/log /srv/legacy/log.before
END_OF_UNIT
        systemctl daemon-reload
        remember_boot
        kexec_now
}

stage3() {
        another_kernel
        continues "second kexec" /srv/counter pkram-criu@counter.service 1
        rounds /srv/legacy legacy.service
        equal "restore fails: it is started again" "$(begins /srv/legacy)" 1
        equal "restore fails: from the beginning" "$(grep -m 1 -o 'tick [0-9]*' /srv/legacy/log)" "tick 1"
        matches "restore fails: and says why" "$(journalctl -q -b -o cat -u legacy.service)" \
                "Process 'legacy' is started again and does not continue: CRIU cannot restore it: .*srv/legacy/log"
        matches "restore fails: status" "$(pkramctl status)" \
                'Process: legacy, .*, started again: CRIU cannot restore it'
        healthy "restore fails" /srv/legacy

        check "an ordinary stop" systemctl stop pkram-criu@counter.service
        equal "stopped: nothing is left" "$(ls -A /var/lib/pkram-criu/counter)" ""
        clean_boot
}
