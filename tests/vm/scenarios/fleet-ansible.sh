# SPDX-License-Identifier: LGPL-2.1-or-later
# The playbook of pkram-fleet(7), as it is printed there, run by Ansible on the host against the guest: it fails with
# the reason when the kexec is refused, and otherwise sees the next kernel and that nothing was lost.
# tests/vm/control/ansible is the other side.
# stages: 2
# timeout: 1500
# silence: 300
# kernels: nopkram
# packages: openssh-server
# control: ansible
# suite: campaign

# Ansible's connections come through a port, one after the other, and each gets an sshd of its own.
listen() {
        cat >/usr/local/sbin/port-sshd <<'END'
#!/usr/bin/python3
import os, select, subprocess, time
while True:
    fd = os.open("/dev/virtio-ports/pkram.control", os.O_RDWR)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while not any(event & select.POLLIN for _, event in poll.poll()):
        time.sleep(0.2)
    subprocess.run(["/usr/sbin/sshd", "-i", "-o", "UsePAM=no", "-o", "PermitRootLogin=yes", "-o", "PermitEmptyPasswords=yes"],
                   stdin=fd, stdout=fd, check=False)
    os.close(fd)
END
        chmod 755 /usr/local/sbin/port-sshd
        mkdir -p /run/sshd
        check "Ansible can connect" systemd-run --quiet --unit=port-sshd --property=KillMode=process \
            /usr/local/sbin/port-sshd
}

# told FILE: wait until the other side has put a file there, and print it
told() {
        for _ in $(seq 400); do
                [ -e "$1" ] && break
                sleep 1
        done
        cat "$1"
}

stage1() {
        rm -rf /etc/apt/sources.list /etc/apt/sources.list.d
        check "packages are installed" env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes \
            --no-install-recommends "$DIR"/packages/*.deb
        systemctl disable --now ssh.service ssh.socket
        passwd -d root
        check "stored" bash -c 'head -c 3000000 /dev/urandom | tee /run/data | pkramctl store kept -'
        sha kept </run/data >/dev/null
        example_text pkram-fleet '- name: Start the installed kernel and keep' >/run/playbook.yml
        ln -sfn boot/vmlinuz-nopkram /vmlinuz
        touch /run/reboot-required
        listen

        out=$(told /run/refused)
        matches "refused: the task fails" "$out" "failed=1"
        matches "refused: with pkramctl's message" "$out" \
            "Reboot command failed. Error was: .*pkramctl: .*has no PKRAM"
        equal "refused: nothing is loaded" "$(cat /sys/kernel/kexec_loaded)" 0

        # What a tool sees that does not use pkramctl: the guard refuses after the command has succeeded.
        check "guard: the wrong kernel is loaded" kexec -s -l /boot/vmlinuz-nopkram --reuse-cmdline
        touch /run/guard
        matches "guard: Ansible waits in vain" "$(told /run/guarded)" 'Timed out waiting for last boot time check'
        equal "guard: the kexec was refused" "$(refused_entries)" 1
        kexec -u

        ln -sfn boot/vmlinuz-pkram /vmlinuz
        remember_boot
        touch /run/ready
        sleep 400
        fail "stage 1" "Ansible started no kexec"
}

stage2() {
        another_kernel
        listen
        out=$(told /run/finished)
        matches "Ansible saw the kexec" "$out" 'changed: \[guest\]'
        matches "and that nothing was lost" "$out" 'failed=0'
        matches "by its last task" "$out" 'All assertions passed'
        pkramctl retrieve --keep kept - | same kept
}
