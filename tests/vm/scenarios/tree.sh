# SPDX-License-Identifier: LGPL-2.1-or-later
# Directory trees: a line in fstab with type pkram, filled with everything a tmpfs can hold, stored when the shutdown
# unmounts it and there again before sysinit.target; a user's own tree; and unmounting that must not lose anything.
# stages: 2
# memory: 3G
# timeout: 700

CACHE=/srv/cache
MINE=/dev/shm/mine

as_user() { setpriv --reuid=1000 --regid=1000 --clear-groups -- "$@"; }

# What umask, sparse files and strange names make of a tree, and 20,000 small files.
fill_tree() { python3 - "$1" <<'END'
import os, socket, stat, sys
os.umask(0o022)
os.chdir(sys.argv[1])

def put(name, data, mode=0o644, owner=None):
    with open(name, "wb") as f:
        f.write(data)
    os.chmod(name, mode)
    if owner:
        os.chown(name, *owner)
        os.chmod(name, mode)

rnd = open("/dev/urandom", "rb")
os.mkdir("d"); os.mkdir("d/e"); os.mkdir("sticky"); os.chmod("sticky", 0o1777); os.mkdir("setgid"); os.chmod("setgid", 0o2750)
put("empty", b""); put("small", b"small"); put("edge", rnd.read(65536)); put("large", rnd.read(65537))
put("huge", rnd.read(24 << 20), 0o640, (12, 34)); put("d/suid", rnd.read(100000), 0o4755, (5, 6)); put("d/none", b"x", 0)
for name, size, data in (("sparse", 1 << 40, (0, 4096, 999999999, (1 << 40) - 3)), ("holes", 60000, (20000,)), ("hole", 1 << 20, ())):
    with open(name, "wb") as f:
        f.truncate(size)
        for offset in data:
            f.seek(offset); f.write(b"end")
os.symlink("../../nowhere", "link"); os.lchown("link", 7, 8); os.symlink("x" * 4000, "d/long")
os.mkfifo("fifo", 0o620); os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3)); os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(259, 70000))
socket.socket(socket.AF_UNIX).bind("socket")
for old, new in (("small", "d/e/small"), ("huge", "d/huge"), ("fifo", "d/fifo"), ("link", "d/link"), ("null", "d/null")):
    os.link(old, new, follow_symlinks=False)
put(b"new\nline", b"n"); put(b"\xff\xfe\x80", b"b"); put("l" * 255, b"l"); put(" ", b"s"); put("-rf", b"r")
os.setxattr("large", "user.one", b"1\0002"); os.setxattr("small", "user.empty", b""); os.setxattr("d", "trusted.t", b"t")
os.setxattr("link", "trusted.link", b"l", follow_symlinks=False)
os.setxattr("edge", "security.capability", bytes.fromhex("0100000200002000000000000000000000000000"))
os.utime("edge", ns=(1, 999999999)); os.utime("empty", ns=(-10**18, -10**18 + 5)); os.utime("link", ns=(5, 5), follow_symlinks=False)

fd = os.open(".", os.O_RDONLY)
for depth in range(1000):
    os.mkdir("deep", dir_fd=fd)
    old, fd = fd, os.open("deep", os.O_RDONLY, dir_fd=fd)
    os.close(old)
os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd)); os.close(fd)

for i in range(200):
    os.mkdir(f"many{i}")
    fd = os.open(f"many{i}", os.O_RDONLY)
    for j in range(100):
        f = os.open(f"{j}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd)
        os.write(f, b"%d.%d" % (i, j)); os.close(f)
    os.close(fd)
os.utime("d/e", ns=(7, 8)); os.utime("d", ns=(9, 10)); os.utime(".", ns=(11, 12))
END
setfacl -m u:77:r,g:88:rwx "$1/small" && setfacl -d -m u:99:rwx "$1/d/e"
}

# Everything that can be asked about a tree, one line an entry, without what cannot be preserved (ctime, inode numbers)
# and without what asking changes (access times of links).
manifest() { python3 - "$1" <<'END'
import hashlib, os, stat, sys
groups = {}

def contents(fd, size):
    """A hash of all data, with where it is, so that holes count."""
    h, at = hashlib.sha256(), 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(fd, at, os.SEEK_HOLE)
        while at < end:
            data = os.pread(fd, min(end - at, 1 << 20), at)
            if data.strip(b"\0"):
                h.update(b"%d:" % at + data)
            at += len(data)
    return h.hexdigest()

def attributes(fd):
    path = f"/proc/self/fd/{fd}"
    return [(n, os.getxattr(path, n).hex()) for n in sorted(os.listxattr(path))]

def entry(name, shown, dir_fd):
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=dir_fd)
    st = os.fstat(fd)
    line = [shown, oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, st.st_nlink, st.st_rdev, attributes(fd)]
    if not stat.S_ISLNK(st.st_mode):
        line.append(st.st_atime_ns)
    if not stat.S_ISDIR(st.st_mode):
        line += [st.st_size, st.st_blocks]
        if st.st_nlink > 1:
            line.append("same as " + groups.setdefault(st.st_ino, shown))
    if stat.S_ISLNK(st.st_mode):
        line.append(os.readlink("", dir_fd=fd))
    if stat.S_ISREG(st.st_mode):
        f = os.open(name, os.O_RDONLY | os.O_NOATIME, dir_fd=dir_fd)
        line.append(contents(f, st.st_size))
        os.close(f)
    print(line)
    if stat.S_ISDIR(st.st_mode):
        d = os.open(name, os.O_RDONLY | os.O_NOATIME, dir_fd=dir_fd)
        for n in sorted(os.listdir(d)):
            entry(n, f"{len(shown)}…/{n}" if len(shown) > 200 else f"{shown}/{n}", d)
        os.close(d)
    os.close(fd)

import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
sys.setrecursionlimit(10000)
sys.stdout.reconfigure(errors="backslashreplace")
entry(".", sys.argv[1], os.open(sys.argv[1], os.O_RDONLY))
END
        # And as the tools see it.
        (cd "$1" && getfacl -p small d/e edge && getcap edge && find . -maxdepth 2 ! -type l -printf '%f|%m|%t\0' |
            sort -z | sha256sum) 2>&1
}

compare_manifest() {
        diff "$STATE/manifest" <(manifest "$1") >/tmp/diff 2>&1
        head -n 10 /tmp/diff | cut -c 1-300
        [ ! -s /tmp/diff ]
}

mount_says() { journalctl --sync >/dev/null 2>&1; journalctl -q -b -u srv-cache.mount -o cat; }

stage1() {
        mkdir -p $CACHE
        echo "cache $CACHE pkram size=1g,mode=755,nosuid,x-systemd.requires=pkramd.socket 0 0" >>/etc/fstab
        systemctl daemon-reload
        check "an fstab line without a stored tree is mounted" systemctl start srv-cache.mount
        equal "as a tmpfs" "$(findmnt -no FSTYPE,SOURCE $CACHE | xargs)" "tmpfs cache"
        matches "and the journal says that it is empty" "$(mount_says)" \
            "Tree 'cache' is not stored, mounting an empty file system"

        SECONDS=0
        check "a tree is made" fill_tree $CACHE
        show stored "a tree of $(find $CACHE | wc -l) files, made in $SECONDS s"
        manifest $CACHE >"$STATE/manifest"
        equal "with a line for everything in it" "$(grep -c '^\[' "$STATE/manifest")" \
            "$(find $CACHE -printf '\n' | wc -l)"

        # As an unprivileged user: their own files, and nothing else.
        install -d -o 1000 -g 1000 $MINE
        as_user sh -c \
            "mkdir $MINE/d && head -c 100000 /dev/urandom >$MINE/d/large && echo small >$MINE/small && chmod 4700 $MINE/small"
        check "a user stores a tree" as_user pkramctl store mine $MINE
        (cd $MINE && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$STATE/mine"
        refused "but not root's" "is owned by another user" as_user pkramctl store --tree other $CACHE
        check "pkramctl has root store a tree, with checksums" pkramctl store --tree --verify twice $CACHE
        pkramctl list
        check "and remove it" pkramctl remove twice
        kexec_now
}

stage2() {
        equal "the tree is mounted" "$(findmnt -no FSTYPE,SOURCE $CACHE | xargs)" "tmpfs cache"
        matches "by fstab, from the store" "$(mount_says)" "Restored tree 'cache'"
        local mounted sysinit
        mounted=$(systemctl show -P ActiveEnterTimestampMonotonic srv-cache.mount)
        sysinit=$(systemctl show -P ActiveEnterTimestampMonotonic sysinit.target)
        if [ "$mounted" -gt 0 ] && [ "$mounted" -le \
            "$sysinit" ]; then pass "before sysinit.target"; else fail "before sysinit.target" "$mounted, $sysinit"; fi
        check "everything is as it was" compare_manifest $CACHE
        refused "its node is released" "'cache' not found" pkramctl --owner=root show cache

        install -d -o 1000 -g 1000 $MINE
        mkdir /dev/shm/of-root
        refused "a user gets no tree into root's directory" "only the owner of the node" as_user pkramctl retrieve \
            --tree mine /dev/shm/of-root
        check "a user takes a tree back" as_user pkramctl retrieve --release --tree mine $MINE
        (cd $MINE && find . -type f -print0 | sort -z | xargs -0 sha256sum) >/tmp/mine
        check "bit for bit" cmp /tmp/mine "$STATE/mine"
        equal "with its set-user-ID bit" "$(stat -c %a:%u $MINE/small)" 4700:1000

        unmounting
        # A setting that is changed counts after a reload, without a restart.
        local pid
        pid=$(systemctl show -P MainPID pkramd.service)
        mkdir -p /etc/pkram/pkramd.conf.d
        printf '[Store]\nNodesMax=7\n' >/etc/pkram/pkramd.conf.d/50-test.conf
        check "systemctl reload pkramd" systemctl reload pkramd.service
        matches "reads the configuration again" "$(pkramctl --json=short status)" '"name":"NodesMax","maximum":7[,}]'
        equal "without a restart" "$(systemctl show -P MainPID pkramd.service)" "$pid"

        # Nothing crashed or was refused on the way.
        equal "workers that failed" "$(systemctl list-units --failed --no-legend 'pkram*' | wc -l)" 0
}

unmounting() {
        exec 7>>$CACHE/open
        refused "a tree in use is not unmounted" "in use by bash .*\. Stop the processes that have files open" umount \
            $CACHE
        check "and still there" test -s $CACHE/small
        exec 7>&-
        rm $CACHE/open
        python3 -c 'import os, sys; os.utime(sys.argv[1], ns=(os.stat(sys.argv[1]).st_atime_ns, 12))' $CACHE
        check "umount stores it" umount $CACHE
        check "in a node of its name" pkramctl --owner=root show cache
        equal "and forgets the mount" "$(grep -c "$CACHE" /run/mount/utab)" 0
        check "mount -t pkram brings it back" mount -t pkram -o pkram.verify cache $CACHE
        check "as it was" compare_manifest $CACHE
        check "umount -i drops it" umount -i $CACHE
        refused "which stores nothing" "'cache' not found" pkramctl --owner=root show cache
        refused "pkram.required wants a tree" "not stored, not mounting because of pkram.required" mount -t pkram -o \
            pkram.required cache $CACHE
        check "without it, it begins empty" mount -t pkram cache $CACHE
        equal "and is empty" "$(find $CACHE | wc -l)" 1
        touch $CACHE/new
        mv $SOCKET $SOCKET.away
        refused "no daemon: it stays mounted" "Failed to connect" umount $CACHE
        check "with what is in it" test -e $CACHE/new
        mv $SOCKET.away $SOCKET
        check "systemctl stop stores it" systemctl stop srv-cache.mount
        check "as umount does" pkramctl --owner=root show cache
}
