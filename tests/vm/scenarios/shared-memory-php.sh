# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# System V segments of programs as Debian ships them. A service in PHP finds its variables and its table after a kexec,
# in segments with the same key, size, mode and owner. PostgreSQL removes its segments when it stops, so that nothing
# of them is stored or refused; those that it leaves when it is killed are stored, and it removes them when it starts.
# suite: campaign
# stages: 3
# timeout: 2400
# silence: 900
# packages: php8.4-cli postgresql-17

PROGRAM=/usr/local/bin/visits.php
LOG=/var/log/postgresql/postgresql-17-main.log

# A counter and a list in a segment of variables, and a table in a segment of bytes, as PHP's extensions sysvshm and
# shmop make them.
make_program() {
        cat >$PROGRAM <<'END_OF_PHP'
<?php
$ends = false;
pcntl_async_signals(true);
pcntl_signal(SIGTERM, function () { global $ends; $ends = true; });

$variables = shm_attach(0x0052e2c1, 131072, 0640);
$table = @shmop_open(0xae001000, 'w', 0, 0);
if ($table === false) {
        $table = shmop_open(0xae001000, 'c', 0600, 3000000);
        shmop_write($table, str_repeat("visits\n", 400000), 0);
}
$count = shm_has_var($variables, 1) ? shm_get_var($variables, 1) : 0;
$list = shm_has_var($variables, 2) ? shm_get_var($variables, 2) : [];
printf("begins with %d, list %s, table %s\n", $count, sha1(serialize($list)),
       sha1(shmop_read($table, 0, shmop_size($table))));
while (!$ends) {
        $count++;
        $list["visit $count"] = ['number' => $count, 'half' => $count / 2];
        $list = array_slice($list, -100);
        shm_put_var($variables, 1, $count);
        shm_put_var($variables, 2, $list);
        shmop_write($table, sprintf("%08d\n", $count), ($count % 1000) * 9);
        usleep(200000);
}
printf("ends with %d, list %s, table %s\n", $count, sha1(serialize($list)),
       sha1(shmop_read($table, 0, shmop_size($table))));
END_OF_PHP
        cat >/etc/systemd/system/visits.service <<END_OF_UNIT
[Service]
User=www-data
ExecStart=/usr/bin/php $PROGRAM
[Install]
WantedBy=multi-user.target
END_OF_UNIT
}

# segments USER: key, mode, size, owner and group of each
segments() { awk -v uid="$(id -u "$1")" '$8 == uid { print $1, $3, $4, $8, $9 }' /proc/sysvipc/shm | sort; }

# said BOOT WORD: what the service said last
said() { journalctl -q -b "$1" -o cat -u visits.service | grep "^$2 with" | tail -n 1 | cut -d' ' -f2-; }

sql() { runuser -u postgres -- psql -X -q -t -A -c "$1" 2>&1; }
database_is_up() {
        for _ in $(seq 60); do
                [ "$(sql 'select 1')" = 1 ] && return
                sleep 1
        done
        fail "$1: the database" "$(systemctl status 'postgresql@*' 2>&1; tail "$LOG")"
}

stage1() {
        mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
        check "PHP and PostgreSQL are installed" env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes \
                --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "$DIR"/packages/*.deb
        check "a database" pg_createcluster --locale=C 17 main
        check "it uses System V segments" pg_conftool 17 main set shared_memory_type sysv
        check "for its workers as well" pg_conftool 17 main set dynamic_shared_memory_type sysv
        mkdir -p /etc/systemd/system/postgresql@.service.d
        printf '[Service]\nRestart=no\n' >/etc/systemd/system/postgresql@.service.d/test.conf

        mkdir -p /etc/pkram/pkramd.conf.d
        {
                example_text pkram-shm.service '[SharedMemory]'
                echo SysVUsers=postgres
        } >/etc/pkram/pkramd.conf.d/50-database.conf
        make_program
        check "configured" systemctl daemon-reload
        check "pkramd reads it" systemctl reload-or-restart pkramd.service
        check "the service" systemctl enable --now visits.service
        check "the database starts" systemctl start postgresql@17-main.service
        database_is_up "first boot"
        sql 'create table visits as select generate_series(1, 1000) as n' >/dev/null
        equal "the database works" "$(sql 'select sum(n) from visits')" 500500
        [ "$(segments postgres | wc -l)" -ge 2 ] && pass "it has segments" ||
                fail "it has segments" "$(segments postgres)"
        segments postgres | wc -l >"$STATE/database-segments"
        # In the order of their keys, which the kernel shows as signed numbers.
        equal "the service has segments" "$(segments www-data | awk '{ print $2, $3 }' | tr '\n' ' ')" \
                "600 3000000 640 131072 "
        segments www-data >"$STATE/segments"
        check "a kernel is loaded" pkramctl kexec --no-reboot --kernel=/boot/vmlinuz-pkram --initrd= --reuse-cmdline
        matches "pkramctl check names its segments" "$(pkramctl check)" \
                'keeps shared memory .*(0x0052e2c1.*0xae001000|0xae001000.*0x0052e2c1)'
        remember_boot
        kexec_now
}

# The service has what it had.
php_continues() {
        equal "$1: the segments of the service" "$(segments www-data)" "$(cat "$STATE/segments")"
        for _ in $(seq 60); do
                [ -n "$(said 0 begins)" ] && break
                sleep 1
        done
        matches "$1: it had counted" "$(said -1 ends)" '^with [1-9][0-9]*, list [0-9a-f]{40}, table [0-9a-f]{40}$'
        equal "$1: it finds its data" "$(said 0 begins)" "$(said -1 ends)"
        equal "$1: nothing was refused" "$(journalctl -q -b -1 -o cat -u pkram-shm.service | grep -ci refus)" 0
        equal "$1: pkram-shm.service" "$(systemctl is-active pkram-shm.service)" active
        equal "$1: nothing is left in the store" "$(status_field nodes)" 0
        show kexec "$1: $(said 0 begins)"
}

# database_log: what it has written since its last start, without its answer to clients that came too early
database_log() {
        sed -n '/starting PostgreSQL/h;/starting PostgreSQL/!H;${x;p}' "$LOG" |
                grep -v 'database system is starting up'
}

stage2() {
        another_kernel
        php_continues "stopped"
        equal "stopped: no segment of the database was stored" \
                "$(journalctl -q -b -1 -o cat -u pkram-shm.service | grep -c '^Stored segment')" 2
        database_is_up "stopped"
        equal "stopped: the database has its table" "$(sql 'select sum(n) from visits')" 500500
        equal "stopped: and no complaint" \
                "$(database_log | grep -E 'FATAL|PANIC|pre-existing|interrupted|recovery')" ""
        matches "stopped: it was shut down" "$(database_log)" 'database system was shut down'

        check "the database is killed" systemctl kill --signal=KILL postgresql@17-main.service
        for _ in $(seq 30); do
                [ "$(systemctl is-active postgresql@17-main.service)" = failed ] && break
                sleep 1
        done
        equal "killed: it leaves its segments" "$(segments postgres | wc -l)" "$(cat "$STATE/database-segments")"
        remember_boot
        kexec_now
}

stage3() {
        another_kernel
        php_continues "killed"
        equal "killed: segments of the database were stored" \
                "$(journalctl -q -b -1 -o cat -u pkram-shm.service | grep -c '^Stored segment')" \
                $((2 + $(cat "$STATE/database-segments")))
        database_is_up "killed"
        equal "killed: the database has its table" "$(sql 'select sum(n) from visits')" 500500
        equal "killed: and no complaint" "$(database_log | grep -E 'FATAL|PANIC|pre-existing')" ""
        equal "killed: it removed those that it had left" "$(segments postgres | wc -l)" \
                "$(cat "$STATE/database-segments")"
        clean_boot
}
