# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Words for scenarios about Debian's memcached and redis, wired up by drop-ins alone so that their data is on trees.
# Of the values in memcached, 199,900 have 1 to 300 bytes, evenly spread, and 100 have 1 KiB to 512 KiB, each 6.5 %
# larger than the last.

MEMORY_MIB=192

keys() {
        python3 - "$1" <<'END_OF_PYTHON'
import random, socket, sys
N = 200000
blob = random.Random(20).randbytes(2 << 20)

def value(i):
    large = i % 2000 == 0
    size = int(1024 * 512 ** (i // 2000 / 99)) if large else 1 + (i * 2654435761 >> 7) % 300
    start = i * 4099 % (len(blob) - (512 << 10))
    return blob[start:start + size]

s = socket.create_connection(("127.0.0.1", 11211))
r = s.makefile("rb", 1 << 16)
total, largest = 0, 0
for first in range(0, N, 500):
    if sys.argv[1] == "fill":
        out = []
        for i in range(first, first + 500):
            v = value(i)
            total, largest = total + len(v), max(largest, len(v))
            out += [b"set key-%d 0 0 %d noreply\r\n" % (i, len(v)), v, b"\r\n"]
        s.sendall(b"".join(out))
        continue
    for ten in range(first, first + 500, 50):
        s.sendall(b"get " + b" ".join(b"key-%d" % i for i in range(ten, ten + 50)) + b"\r\n")
        for i in range(ten, ten + 50):
            head = r.readline().split()
            if head[:2] != [b"VALUE", b"key-%d" % i]:
                sys.exit(f"key-{i}: {head}")
            v = r.read(int(head[3]) + 2)[:-2]
            if v != value(i):
                sys.exit(f"key-{i} is not what was set")
            total, largest = total + len(v), max(largest, len(v))
        if r.readline() != b"END\r\n":
            sys.exit("no end")
s.sendall(b"stats\r\n")
stats = dict(l.split()[1:3] for l in iter(r.readline, b"END\r\n"))
if int(stats[b"curr_items"]) != N or int(stats[b"evictions"]) != 0:
    sys.exit(f"{stats[b'curr_items']} items, {stats[b'evictions']} evicted")
print(f"{N} keys, {total} bytes, the largest {largest}")
END_OF_PYTHON
}

digest() { redis-cli debug digest; }

wire_up() {
        mkdir -p /etc/systemd/system/{memcached,redis-server,pkram-tree@redis}.service.d
        cat >/etc/systemd/system/memcached.service.d/pkram.conf <<END
[Unit]
Requires=pkram-tree@memcached.service
After=pkram-tree@memcached.service
[Service]
User=memcache
ExecStartPre=+/bin/chown memcache: /run/pkram/trees/memcached
ExecStart=
ExecStart=/usr/bin/memcached -l 127.0.0.1 -m $MEMORY_MIB -e /run/pkram/trees/memcached/memory
# With this memcached leaves its memory file in a state it can start from.
KillSignal=SIGUSR1
END
        cat >/etc/systemd/system/redis-server.service.d/pkram.conf <<END
[Unit]
Requires=pkram-tree@redis.service
After=pkram-tree@redis.service
[Service]
ExecStartPre=+/bin/chown redis:redis /var/lib/redis
ExecStart=
ExecStart=/usr/bin/redis-server /etc/redis/redis.conf --supervised systemd --daemonize no --appendonly yes --enable-debug-command local
END
        printf '[Service]\nEnvironment=PKRAM_WHERE=/var/lib/redis\n' \
            >/etc/systemd/system/pkram-tree@redis.service.d/place.conf
        systemctl daemon-reload
        systemctl enable pkram-tree@memcached.service pkram-tree@redis.service memcached.service redis-server.service
}

wait_for_memcached() {
        for ((i = 0; i < 150; i++)); do
                ! (: </dev/tcp/127.0.0.1/11211) 2>/dev/null || return 0
                sleep 0.2
        done
        return 1
}

# fill_both: start both, and put in what check_both wants to see again
fill_both() {
        check "wired up" wire_up
        check "both start" systemctl start memcached.service redis-server.service
        check "memcached listens" wait_for_memcached
        equal "their data is on trees" "$(stat -f -c %T /run/pkram/trees/memcached /var/lib/redis | tr '\n' ' ')" \
                'tmpfs tmpfs '
        check "memcached takes 200,000 keys" keys fill
        matches "small and large ones" "$OUT" 'the largest 524288$'
        printf '%s\n' "$OUT" >"$STATE/keys"
        check "redis takes data" redis-cli eval \
            "for i = 1, 20000 do redis.call('set', 'key' .. i, string.rep('v' .. i, 1 + i % 50)) end
                for i = 1, 500 do redis.call('zadd', 'scores', i, 'member' .. i) end return redis.call('dbsize')" 0
        digest >"$STATE/digest"
        matches "its digest" "$(cat "$STATE/digest")" '^[0-9a-f]{40}$'
}

check_both() {
        check "memcached listens" wait_for_memcached
        check "memcached answers every key" keys check
        equal "with all the bytes" "$OUT" "$(cat "$STATE/keys")"
        for ((i = 0; i < 100; i++)); do [ "$(redis-cli ping 2>/dev/null)" != PONG ] || break; sleep 0.2; done
        equal "redis has the same digest" "$(digest)" "$(cat "$STATE/digest")"
        check "redis-check-aof" redis-check-aof /var/lib/redis/appendonlydir/appendonly.aof.manifest
        matches "finds nothing wrong" "$OUT" 'valid'
        check "redis-check-rdb" bash -c 'redis-cli save && redis-check-rdb /var/lib/redis/dump.rdb'
        matches "finds nothing wrong" "$OUT" 'RDB looks OK'
        check "redis writes on" redis-cli set after kexec
        matches "memcached writes on" "$(exec 3<>/dev/tcp/127.0.0.1/11211 &&
            printf 'set after 0 0 5\r\nkexec\r\nquit\r\n' >&3 && cat <&3)" STORED
}
