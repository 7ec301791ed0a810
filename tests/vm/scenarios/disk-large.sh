# SPDX-License-Identifier: LGPL-2.1-or-later
# On Debian 13's own kernel: a memfd of 1 GiB, a tree of 100,000 small files, a sparse file of 1 TiB in it, and a
# writer that is killed at 50 random moments. All of it is there after a reboot, every byte as it was.
# suite: campaign
# stages: 2
# memory: 4G
# timeout: 2400
# silence: 300
# append: systemd.default_timeout_start_sec=900 systemd.default_timeout_stop_sec=900
# config: stock
# qemu: -action reboot=reset

FILES=100000

# No block of it is like another one.
gibibyte() {
        python3 - <<'END'
import random, sys
block = bytearray(random.Random(15).randbytes(1 << 20))
for i in range(1024):
    for j in range(0, 1 << 20, 4096):
        block[j:j + 4] = i.to_bytes(4, "little")
    sys.stdout.buffer.write(block)
END
}

make_gibibyte() {
        mkdir -p /run/big && mount -t tmpfs -o size=1100M none /run/big
        gibibyte >/run/big/gibibyte
        sha big </run/big/gibibyte
}

# All small files of the tree, one after the other.
small_files() { (cd /srv/many && find . -type f ! -name sparse -print0 | sort -z | xargs -0 cat); }
sum_small_files() { small_files | sha files; }

# kill_writers N: SIGKILL pkramd at random moments while it stores a node over an older one. Each time the node is the
# new one if its client was told so, and otherwise one of the two; nothing is left over.
kill_writers() {
        local i stored wrong=0 seed=$RANDOM
        show stored "seed of the random moments: $seed"
        echo "seed $seed"
        RANDOM=$seed
        head -c 8000000 /dev/urandom >/run/new
        echo old >/run/old
        pkramctl store --replace killed /run/old >/dev/null
        for ((i = 0; i < $1; i++)); do
                pkramctl store --replace killed /run/new >/dev/null 2>&1 &
                sleep "0.$(printf %03d $((RANDOM % 600)))"
                kill -KILL "$(systemctl show -P MainPID pkramd.service)"
                stored=0
                wait $! || stored=$?
                pkramctl retrieve --keep killed - >/run/is
                if ! cmp -s /run/is /run/new && { [ $stored = 0 ] || ! cmp -s /run/is /run/old; }; then
                        wrong=$((wrong + 1))
                fi
                if compgen -G '/var/lib/pkram/disk/nodes.*/tmp-*'; then
                        wrong=$((wrong + 1))
                fi
                pkramctl store --replace killed /run/old >/dev/null || wrong=$((wrong + 1))
        done
        echo "$wrong wrong"
        [ $wrong = 0 ]
}

stage1() {
        check "the writer is killed at 50 random moments" kill_writers 50
        show stored "$OUT"

        mkdir -p /srv/many
        check "a tree" mount -t pkram -o size=3G,nr_inodes=300k many /srv/many
        check "with $FILES files" make_files /srv/many $FILES 1000
        check "and a sparse one" bash -c 'truncate -s 1T /srv/many/sparse && printf x | dd of=/srv/many/sparse bs=1 \
                seek=$(((1 << 40) - 1)) conv=notrunc status=none'
        check "whose checksum is kept" sum_small_files

        check "1 GiB is written" make_gibibyte
        check "1 GiB is stored" pkramctl store --verify big /run/big/gibibyte
        umount /run/big
        remember_boot
        systemctl reboot
        next_boot
}

stage2() {
        another_kernel
        mkdir -p /run/big && mount -t tmpfs -o size=1100M none /run/big
        check "1 GiB is retrieved" pkramctl retrieve --release big /run/big
        cat /run/big/* | same big
        umount /run/big
        check "the tree is mounted" mount -t pkram -o size=3G,nr_inodes=300k many /srv/many
        equal "with all files" "$(find /srv/many -type f | wc -l)" $((FILES + 1))
        small_files | same files
        equal "the sparse file is sparse" "$(stat -c '%s %b' /srv/many/sparse)" "$((1 << 40)) 8"
        equal "and has its byte" "$(tail -c 1 /srv/many/sparse)" x
        matches "the journal has how long it took" "$(journalctl -q -b -u pkramd.service -o cat)" \
                "^Restored node 'many' .* from disk: .* in [0-9a-z. ]+\.$"
        clean_boot
}
