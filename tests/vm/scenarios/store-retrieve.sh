# SPDX-License-Identifier: LGPL-2.1-or-later
# Real input through a real kexec: /usr/lib as a stream into pkramctl, a service's memfd, an inline node by varlinkctl.
# Every byte is compared by SHA-256; one node is never retrieved and is there after a second kexec too.
# stages: 3
# memory: 3G
# timeout: 600
# expect: 2 pkram: .*

# More than 512 MiB in all: the tar of /usr/lib is what Debian makes it, the memfd fills up.
KEEPER_MIB=432

keeper_pid() { systemctl show -P MainPID keeper.service; }
# The service's memory without the counter at its beginning. Large blocks: a pipe of small ones takes minutes here.
keeper_memory() { dd if="/proc/$(keeper_pid)/fd/42" bs=1M iflag=skip_bytes skip=8 status=none; }

make_keeper() {
        cat >/etc/systemd/system/keeper.service <<END
[Unit]
Description=Service with State in Memory
After=pkram-restore.service
Requires=pkramd.socket
After=pkramd.socket
[Service]
Type=notify
# Its user is another one in each boot, if chance has it. It stores while it stops, and gets its memory back early.
DynamicUser=yes
ExecStart=$TESTS/keeper service-state $KEEPER_MIB
[Install]
WantedBy=multi-user.target
END
        systemctl daemon-reload && systemctl enable --now keeper.service
}

tar_usr_lib() { tar -c --sort=name -C / usr/lib; }

stage1() {
        matches "supported" "$(status_field supported)" '^True$'
        check "the keeper starts" make_keeper
        # Checksums are what takes time here: two at once, as there are two processors.
        keeper_memory | sha memfd >/dev/null &

        # The same order of files gives the same bytes every time.
        tar_usr_lib | sha stream >/dev/null
        tar_usr_lib | wc -c >"$STATE/stream-bytes"
        tar_usr_lib | pkramctl store usr-lib - >/tmp/store.out 2>&1
        equal "pkramctl store takes the stream" "${PIPESTATUS[1]}" 0
        cat /tmp/store.out
        show stored "usr-lib: a tar of /usr/lib, $(($(cat \
            "$STATE/stream-bytes") >> 20)) MiB, streamed into 'pkramctl store usr-lib -'"
        show stored "service-state: a memfd of $KEEPER_MIB MiB, handed over by keeper.service when systemd stops it"

        printf 'the only copy of a lease' | sha inline >/dev/null
        check "varlinkctl stores an inline node" call Store \
                "{\"name\":\"lease\",\"objects\":[{\"name\":\"lease\",\"data\":\"$(printf 'the only copy of a lease' |
            base64 -w0)\"}]}"
        wait
        show stored "lease: 24 bytes inline, stored by varlinkctl"
        pkramctl list
        equal "nodes before the service stops" "$(status_field nodes)" 2
        show kexec "boot 1: kernel $(uname -r), boot id $(cat /proc/sys/kernel/random/boot_id); now pkramctl kexec"
        remember_boot
        kexec_now
}

# A service that may have less memory than the node takes.
retrieve_limited() {
        systemd-run --quiet --wait --pipe --collect --property=MemoryMax=48M --property=MemorySwapMax=0 \
                --setenv=PYTHONPATH="$DIR" python3 -c '
import sys, storeclient as s
try:
    s.call("Retrieve", {"name": "usr-lib", "owner": sys.argv[1]})
    print("retrieved")
except s.StoreError as e:
    print(e.name)' "$(status_field owner)" 2>&1
}

stage2() {
        other_kernel
        equal "nodes" "$(status_field nodes)" 2
        matches "boot result" "$(status_field bootResult)" '^restored$'
        total=$(($(cat "$STATE/stream-bytes") + KEEPER_MIB * 1048576))
        if [ "$total" -ge $((512 << 20)) ]; then pass "at least 512 MiB stored"; else fail "at least 512 MiB stored" \
            "$total bytes"; fi

        equal "the owner is the service, not its user" \
            "$(field PKRAM_OWNER "$(entries RESTORED PKRAM_NODE=service-state)")" keeper.service
        # The service took its memfd back by itself, before we ran.
        matches "the service got its memfd back" "$(journalctl -q -b -u keeper.service -o cat)" \
            '^got my memfd back, start 2$'
        keeper_memory | sha256sum >/run/memfd.sum &

        # It gets an error each time it is started, and is not killed.
        for n in 1 2; do
                equal "a service with too little memory, time $n" "$(retrieve_limited)" NoMemory
        done
        equal "nothing was killed for it" "$(journalctl -q -b -k -o cat -g 'Memory cgroup out of memory' | wc -l)" 0

        # With --release the node is removed once the files are written.
        check "pkramctl retrieves the stream" pkramctl retrieve --release usr-lib /var/tmp/back
        ls -l /var/tmp/back
        cat /var/tmp/back/* | same stream
        wait
        came_back memfd "$(cat /run/memfd.sum)"

        inline_data "$(call Retrieve '{"name":"lease","inline":true}')" | same inline

        matches "restored entries" "$(entries RESTORED | wc -l)" '^3$'
        while read -r line; do
                show restored "$line"
        done < <(entries RESTORED | python3 -c '
import json, sys
for line in sys.stdin:
    e = json.loads(line)
    print(e["MESSAGE"])
    print("    " + " ".join(f"{k}={e[k]}" for k in ("PKRAM_NODE", "PKRAM_BYTES", "PKRAM_OWNER", "PKRAM_GENERATION", "PKRAM_KERNEL")))')
        equal "nodes after that" "$(status_field nodes)" 1
        # The inline node stays: it is not released, and the next kexec has to carry it.
        remember_boot
        kexec_now
}

other_kernel() {
        show kexec "boot $STAGE: kernel $(uname -r), boot id $(cat /proc/sys/kernel/random/boot_id), $(journalctl -q \
            -b -k -o cat -g '^Command line: ' | grep -o 'pkram=[^ ]*')"
        another_kernel
        one_param
}

stage3() {
        other_kernel
        equal "nodes" "$(status_field nodes)" 1
        matches "generation of the node that was not released" "$(pkramctl --json=short show lease)" '"generation":2'
        inline_data "$(call Retrieve '{"name":"lease","inline":true}')" | same inline
        keeper_memory | sha256sum >/run/memfd.sum &
        matches "the service got its memfd back again" "$(journalctl -q -b -u keeper.service -o cat)" \
            '^got my memfd back, start 3$'
        wait
        came_back memfd "$(cat /run/memfd.sum)"
        check "removed" pkramctl remove lease
        equal "nodes in the end" "$(status_field nodes)" 0
}
