# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Programs that others wrote, as Debian ships them, call every method: varlinkctl, python-varlink, varlink-go. So do
# the examples of pkram(7), as services that a kexec does not make begin again.
# stages: 2
# timeout: 480

more() { timeout 60 varlinkctl --json=short --more call "$SOCKET" "io.pkram.Store.$1" "$2"; }
EXAMPLES="pkram-client pkram-client-py pkram-client-varlink"

# Each method as varlinkctl reaches it. It passes no descriptors in Debian 13.
with_varlinkctl() {
        matches "varlinkctl info" "$(varlinkctl info "$SOCKET")" 'pkramd'
        matches "varlinkctl list-interfaces" "$(varlinkctl list-interfaces "$SOCKET")" '^io\.pkram\.Store$'
        check "varlinkctl introspect" bash -c \
                "varlinkctl introspect '$SOCKET' io.pkram.Store >/run/idl && varlinkctl validate-idl /run/idl"
        matches "it describes all methods" "$(grep -c '^method ' /run/idl)" '^1[1-9]$'
        timeout 100 stdbuf -oL varlinkctl --json=short --more call "$SOCKET" io.pkram.Store.Monitor '{}' >/run/events &
        monitor=$!
        for ((i = 0; i < 100; i++)); do grep -q ready /run/events && break; sleep 0.1; done

        matches "GetStatus" "$(call GetStatus '{}')" '"supported":true'
        check "Store" call Store '{"name":"ctl","objects":[{"name":"o","data":"dmFybGlua2N0bA=="}],"verify":true}'
        refused "Store of a descriptor it has not sent" InvalidParameter call Store \
                '{"name":"n","objects":[{"fileDescriptor":0}]}'
        refused "StoreTree without a descriptor" InvalidParameter call StoreTree '{"name":"n","directory":0}'
        refused "RestoreTree without a descriptor" InvalidParameter call RestoreTree '{"name":"ctl","directory":0}'
        matches "Describe" "$(call Describe '{"name":"ctl"}')" '"checksum":"'
        matches "List --more" "$(more List '{}')" '"name":"ctl"'
        refused "List without --more" 'ExpectedMore|more' call List '{}'
        matches "Retrieve" "$(call Retrieve '{"name":"ctl","inline":true}')" 'dmFybGlua2N0bA=='
        matches "CheckKexec" "$(call CheckKexec '{}')" '"reason":"'
        check "Release" call Release '{"name":"ctl"}'
        check "Store again" call Store '{"name":"ctl","objects":[{"data":"eA=="}]}'
        check "Remove" call Remove '{"name":"ctl"}'
        sleep 1
        kill "$monitor"
        equal "Monitor --more saw it all" "$(grep -o '"event":"[a-z]*"' /run/events | cut -d'"' -f4 | tr '\n' ' ')" \
                'ready stored retrieved released stored removed '
}

start_number() { journalctl -q -b -u "$1.service" -o cat | grep 'Start number'; }

stage1() {
        with_varlinkctl
        example io.pkram.Store 'varlinkctl call /run'
        matches "its answer" "$OUT" 'MTkyLjAuMi43'
        check "stored" call Store '{"name":"listed","objects":[{"data":"eA=="}]}'
        example io.pkram.Store 'varlinkctl call --more'
        matches "its answer" "$OUT" 'listed'
        check "removed" call Remove '{"name":"listed"}'
        check "python-varlink calls every method" timeout 120 python3 "$DIR/python-varlink.py"
        matches "to its end" "$OUT" '^done$'
        check "varlink-go calls every method" timeout 120 "$TESTS/varlink-go-client"
        matches "to its end" "$OUT" '^done$'

        # shellcheck disable=SC2086
        check "the examples start" systemctl start $EXAMPLES
        sleep 2
        # One is stopped and started within this boot, too.
        check "one is stopped and started" systemctl restart pkram-client-varlink
        # shellcheck disable=SC2086
        systemctl enable $EXAMPLES
        for ((i = 0; i < 100; i++)); do [ "$(start_number pkram-client-varlink | wc -l)" = 2 ] &&
                break; sleep 0.2; done
        for example in $EXAMPLES; do
                matches "$example begins" "$(start_number "$example" | head -n 1)" '^Start number 1\.$'
        done
        matches "the one that was restarted" "$(start_number pkram-client-varlink | tail -n 1)" '^Start number 2\.$'
        kexec_now
}

stage2() {
        for example in $EXAMPLES; do
                for ((i = 0; i < 100; i++)); do [ -n "$(start_number "$example")" ] && break; sleep 0.2; done
                wanted=2
                [ "$example" != pkram-client-varlink ] || wanted=3
                matches "$example goes on after the kexec" "$(start_number "$example")" "^Start number $wanted\\.$"
        done
}
