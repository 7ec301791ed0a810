# SPDX-License-Identifier: LGPL-2.1-or-later
# The configurations of pkram-fleet(7), as they are printed there: unattended-upgrades installs a kernel and reboots
# into it, a timer does, kured's commands do, and the node exporter shows the result. Each of them leaves the machine
# running when the kexec is refused.
# stages: 4
# memory: 2G
# timeout: 1500
# silence: 240
# kernels: nopkram
# packages: prometheus-node-exporter unattended-upgrades
# suite: campaign

RIGHT=boot/vmlinuz-pkram
WRONG=boot/vmlinuz-nopkram

# installed KERNEL: what a kernel package makes of /vmlinuz
installed() { ln -sfn "$1" /vmlinuz; }

# publish VERSION: an archive with a newer package that asks for a reboot, as those of kernels do
publish() {
        local work=/var/tmp/package
        rm -rf $work
        mkdir -p $work/DEBIAN /srv/archive
        printf '%s\n' 'Package: linux-image-test' "Version: $1" 'Architecture: all' \
                'Maintainer: Test <test@localhost>' \
                'Description: asks for a reboot' >$work/DEBIAN/control
        printf '#!/bin/sh\nexec /etc/kernel/postinst.d/unattended-upgrades\n' >$work/DEBIAN/postinst
        chmod 755 $work/DEBIAN/postinst
        dpkg-deb --build --root-owner-group -Znone $work "/srv/archive/linux-image-test_$1_all.deb"
        (
                cd /srv/archive || exit 1
                dpkg-deb --field "linux-image-test_$1_all.deb"
                printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "linux-image-test_$1_all.deb" \
                        "$(stat -c %s "linux-image-test_$1_all.deb")" \
                        "$(sha256sum <"linux-image-test_$1_all.deb" | cut -d' ' -f1)"
        ) >/srv/archive/Packages
        {
                printf '%s\n' 'Origin: pkram-test' 'Label: pkram-test' 'Suite: stable' 'Codename: trixie' \
                        'Architectures: all amd64' \
                        "Date: $(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC')" 'SHA256:'
                printf ' %s %s Packages\n' "$(sha256sum </srv/archive/Packages | cut -d' ' -f1)" \
                        "$(stat -c %s /srv/archive/Packages)"
        } >/srv/archive/Release
        apt-get -q update
}

install_packages() {
        rm -rf /etc/apt/sources.list /etc/apt/sources.list.d
        # Upgrades are started by the scenario alone.
        systemctl mask --now apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service
        check "packages are installed" env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes \
                --no-install-recommends "$DIR"/packages/*.deb
        example_text pkram-fleet 'Unattended-Upgrade::Automatic-Reboot' >/etc/apt/apt.conf.d/60pkram
        echo 'Unattended-Upgrade::Origins-Pattern { "origin=pkram-test"; };' >/etc/apt/apt.conf.d/70test
        echo 'deb [trusted=yes] file:/srv/archive ./' >/etc/apt/sources.list
        check "an archive" publish 1
        check "the first kernel is installed" apt-get -q install --yes linux-image-test
        rm -f /run/reboot-required*
        kexec -u
}

# metric NAME VALUE: what the node exporter says now
metric() {
        local text
        systemctl start pkram-metrics.service || fail "metrics are written" "$(systemctl status pkram-metrics.service)"
        text=$(python3 -c \
                'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:9100/metrics").read().decode())' 2>&1)
        matches "the node exporter: $1 $2" "$(grep -E '^(# TYPE )?(pkram|node_textfile)' <<<"$text"; tail -n 1 \
                <<<"$text")" "^$1 $2\$"
}

set_up_metrics() {
        example_text pkram-fleet '[Unit] Description=Write Metrics' >/etc/systemd/system/pkram-metrics.service
        example_text pkram-fleet '[Unit] Description=Update Metrics' >/etc/systemd/system/pkram-metrics.timer
        systemctl daemon-reload
        check "the timer for metrics" systemctl enable --now pkram-metrics.timer
        systemctl start prometheus-node-exporter.service
        for _ in $(seq 60); do
                (: >/dev/tcp/127.0.0.1/9100) 2>/dev/null && break
                sleep 1
        done
        metric pkram_nodes 1
        metric 'pkram_kexec_info\{reason="noImage"\}' 1
        metric node_textfile_scrape_error 0
        equal "no kexec yet" "$(grep -c last_kexec /var/lib/prometheus/node-exporter/pkram.prom)" 0
}

# still_up NAME
still_up() {
        sleep 5
        # Other jobs, such as those of timers, may be running.
        equal "$1: the machine does not go down" "$(systemctl list-jobs --no-legend |
                grep -E '(shutdown|reboot|kexec|poweroff|halt)\.target'; systemctl is-system-running |
                grep stopping)" ""
}

upgrades_refused() {
        installed $WRONG
        check "refused: a newer kernel package" publish 2
        check "refused: unattended-upgrade" unattended-upgrade --verbose
        equal "refused: it is installed" "$(dpkg-query -W -f '${Version}' linux-image-test)" 2
        still_up "refused"
        equal "refused: nothing is loaded" "$(cat /sys/kernel/kexec_loaded)" 0
        equal "refused: the reboot is held" "$(cd /run && ls -d reboot-required reboot-required.held 2>/dev/null)" \
                reboot-required.held
        matches "refused: the log has the reason" "$(cat /var/log/unattended-upgrades/unattended-upgrades-dpkg.log)" \
                'has no PKRAM'

        # With the wrong kernel loaded by another program, the guard refuses what unattended-upgrades has requested.
        mv /run/reboot-required.held /run/reboot-required
        check "guard: the wrong kernel is loaded" kexec -s -l /$WRONG --reuse-cmdline
        check "guard: unattended-upgrade succeeds" unattended-upgrade --verbose
        for _ in $(seq 60); do
                [ "$(refused_entries)" -gt 0 ] && break
                sleep 1
        done
        equal "guard: it refused" "$(refused_entries)" 1
        still_up "guard"
        matches "guard: unattended-upgrade had requested it" \
                "$(cat /var/log/unattended-upgrades/unattended-upgrades.log)" 'rebooting'
        metric pkram_kexec_refused 1
        kexec -u
}

stage1() {
        install_packages
        check "stored" bash -c 'head -c 3000000 /dev/urandom | tee /run/data | pkramctl store kept -'
        sha kept </run/data >/dev/null
        set_up_metrics
        upgrades_refused

        # A scheduled reboot is a kexec as well if a kernel is loaded.
        check "a reboot is scheduled" shutdown -r +60
        matches "it goes through the firmware" "$(cat /run/systemd/shutdown/scheduled)" '^MODE=reboot$'
        shutdown -c
        check "loaded" kexec -s -l /$RIGHT --reuse-cmdline
        check "a kexec is scheduled" shutdown -r +60
        matches "it is a kexec" "$(cat /run/systemd/shutdown/scheduled)" '^MODE=kexec$'
        shutdown -c
        kexec -u

        installed $RIGHT
        rm -f /run/reboot-required
        check "a newer kernel package" publish 3
        remember_boot
        check "unattended-upgrade" unattended-upgrade --verbose
        next_boot
}

arrived() {
        another_kernel "$1: another kernel runs"
        pkramctl retrieve --keep kept - | same kept
        equal "$1: the mark is gone" "$(ls /run/reboot-required 2>/dev/null)" ""
        equal "$1: nothing was lost" "$(field lostNodes "$(field lastKexec "$(call GetStatus)" | tr "'" '"')")" 0
}

stage2() {
        arrived "unattended-upgrades"
        equal "the newest package is installed" "$(dpkg-query -W -f '${Version}' linux-image-test)" 3
        systemctl start prometheus-node-exporter.service
        wait_for_report
        metric pkram_generation 1
        metric pkram_last_kexec_lost_nodes 0
        metric pkram_last_kexec_restored_nodes '[1-9][0-9]*'
        metric pkram_last_kexec_blackout_seconds '[0-9.e+]+'

        example_text pkram-fleet '[Unit] Description=Start the Installed Kernel With' \
                >/etc/systemd/system/pkram-reboot.service
        example_text pkram-fleet '[Unit] Description=Start the Installed Kernel in' \
                >/etc/systemd/system/pkram-reboot.timer
        check "timer: the units are in order" systemd-analyze verify /etc/systemd/system/pkram-reboot.{service,timer}
        systemctl daemon-reload
        check "timer: enabled" systemctl enable --now pkram-reboot.timer
        matches "timer: it has a time" "$(systemctl show -P NextElapseUSecRealtime pkram-reboot.timer)" '[0-9]'
        check "timer: nothing to do" systemctl start pkram-reboot.service
        equal "timer: no kexec was requested" "$(systemctl show -P ConditionResult pkram-reboot.service)" no
        touch /run/reboot-required
        installed $WRONG
        refused "timer: refused" 'failed' systemctl start pkram-reboot.service
        equal "timer: its exit status" "$(systemctl show -P ExecMainStatus pkram-reboot.service)" 11
        matches "timer: its journal" "$(journalctl -q -b -o cat -u pkram-reboot.service)" 'has no PKRAM'
        still_up "timer"
        installed $RIGHT
        remember_boot
        systemctl start --no-block pkram-reboot.service
        next_boot
}

# in_pod OPTION COMMAND...: run the value of that option of kured as kured does, from a container with the host's
# processes
in_pod() {
        systemd-run --quiet --scope --slice=kubepods.slice unshare --mount --propagation private \
                nsenter -m/proc/1/ns/mnt -- python3 -c '
import os, shlex, sys
option = "- --" + sys.argv[1] + "="
words = shlex.split(next(l for l in open(sys.argv[2]) if l.startswith(option))[len(option):])
os.execvp(words[0], words)' "$1" /var/tmp/kured
}

# status_of OPTION
status_of() { in_pod "$1" >/dev/null 2>&1; echo $?; }

stage3() {
        arrived "timer"
        example_text pkram-fleet '- --reboot-sentinel-command' >/var/tmp/kured
        installed $RIGHT
        equal "kured: no reboot is required" "$(status_of reboot-sentinel-command)" 1
        touch /run/reboot-required
        equal "kured: a reboot is required" "$(status_of reboot-sentinel-command)" 0
        equal "kured: the sentinel loads nothing" "$(cat /sys/kernel/kexec_loaded)" 0
        installed $WRONG
        equal "kured: not into this kernel" "$(status_of reboot-sentinel-command)" 11
        equal "kured: the reboot command's status" "$(status_of reboot-command)" 11
        refused "kured: the reboot command's message" '^pkramctl: .*has no PKRAM' in_pod reboot-command
        still_up "kured"
        installed $RIGHT
        remember_boot
        check "kured: the reboot command" in_pod reboot-command
        next_boot
}

stage4() {
        arrived "kured"
        metric pkram_generation 3
}
