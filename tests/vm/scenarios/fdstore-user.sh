# SPDX-License-Identifier: LGPL-2.1-or-later
# File descriptor stores of services of a user, through two kexecs, one that is cancelled and a logout.
# suite: campaign
# stages: 3
# timeout: 600

KEEPER=$TESTS/fdkeeper
U=1500

# as_user COMMAND...: with the user's service manager
as_user() { setpriv --reuid $U --regid $U --clear-groups env XDG_RUNTIME_DIR=/run/user/$U HOME=/home/bob "$@"; }

# user_unit NAME LINE...: a service of the user, enabled
user_unit() {
        printf '%s\n' '[Unit]' 'Description=Service with State in Memory' '[Service]' Type=notify \
                FileDescriptorStoreMax=4 \
                FileDescriptorStorePreserve=yes "ExecStart=$KEEPER $2" '[Install]' WantedBy=default.target \
                >"/etc/systemd/user/$1.service"
        as_user systemctl --user daemon-reload
}

# user_said NAME: the last line that a service of the user wrote in this boot
user_said() { journalctl -q -b -o cat "_SYSTEMD_USER_UNIT=$1.service" | grep '^start ' | tail -n 1; }

# goes_on START: all services are at that start, with all of their memory
goes_on() {
        local s i
        for s in one 'two@a\x2db'; do
                for ((i = 0; i < 20; i++)); do
                        [[ $(user_said "$s") == "start $1,"* ]] && break
                        sleep 1
                        journalctl --sync
                done
                equal "$s, start $1" "$(user_said "$s")" "start $1, 0 words wrong"
        done
        equal "nothing is stored any more" "$(pkramctl --owner=uid:$U list -q | wc -l)" 0
}

stage1() {
        check "a user" useradd --uid $U --create-home bob
        mkdir -p /etc/systemd/system/user@.service.d
        # What pam_systemd would set.
        printf '[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n' \
                >/etc/systemd/system/user@.service.d/50-test.conf
        systemctl daemon-reload
        check "that lingers" loginctl enable-linger bob
        check "has a service manager" systemctl start user@$U.service
        equal "with a unit of ours" "$(as_user systemctl --user is-active pkram-fdstore.service)" active
        user_unit one 8192
        user_unit two@ 65536
        check "two services" as_user systemctl --user enable --now one.service 'two@a\x2db.service'
        goes_on 1
        as_user systemctl --user restart one.service 'two@a\x2db.service'
        goes_on 2

        # Nothing is stored if the user manager stops for another reason; its stores end with it.
        check "the user manager stops" systemctl stop user@$U.service
        equal "without a kexec, nothing is stored" "$(pkramctl list -q | wc -l)" 0
        # The unit touches no other nodes of the user, whatever they are called.
        check "the user stores something" as_user pkramctl store fdstore:one.service /etc/hostname
        refused "not under a reserved name" "are reserved" as_user pkramctl store io.pkram.fdstore /etc/hostname
        check "and starts" systemctl start user@$U.service
        check "it is still there" as_user pkramctl remove fdstore:one.service
        goes_on 1
        remember_boot
        kexec_now
}

stage2() {
        another_kernel
        goes_on 2
        matches "the journal of the user says so" "$(journalctl -q -b -o cat -t pkram-fdstore)" \
                'Restored [0-9]+ file descriptors? of one.service'
        as_user systemctl --user restart one.service 'two@a\x2db.service'
        goes_on 3
        equal "the unit of the user is active" "$(as_user systemctl --user is-active pkram-fdstore.service)" active
        remember_boot
        kexec_now
}

stage3() {
        another_kernel
        goes_on 4
        equal "the nodes were the user's" "$(journalctl -q -b -o json -t pkramd -t pkram-restore |
                grep -c "\"PKRAM_OWNER\":\"uid:$U\"")" 2
}
