# SPDX-License-Identifier: LGPL-2.1-or-later
"""initrd.py FILE: write the smallest initial RAM disk, which mounts the root file system and goes there. The mark
/run/came-by-initrd tells afterwards that it was used."""

import gzip
import os
import re
import subprocess
import sys

INIT = b"""#!/bin/sh
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 tmpfs /run
: >/run/came-by-initrd
mount -o rw,noatime /dev/vda /root
for d in dev proc run; do mount --move /$d /root/$d; done
exec switch_root /root /sbin/init
"""


def contents():
    """Path to data of all files."""
    files = {"/init": INIT}
    for program in ("/bin/sh", "/bin/mount", "/sbin/switch_root"):
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for path in [program] + re.findall(r"(/\S+) \(0x", libraries):
            with open(path, "rb") as f:
                files[path] = f.read()
    return files


def archive(files):
    """A cpio archive of the files and the directories they are in."""
    directories = {"/dev", "/proc", "/run", "/root"}
    for path in files:
        while (path := os.path.dirname(path)) != "/":
            directories.add(path)
    out, number = b"", 0
    for path, mode, data in ([(d, 0o040755, b"") for d in sorted(directories)] +
                             [(p, 0o100755, d) for p, d in files.items()] +
                             [("TRAILER!!!", 0, b"")]):
        number += 1
        name = path.lstrip("/").encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        out += b"070701" + b"".join(b"%08x" % f for f in fields) + name
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return out


with open(sys.argv[1], "wb") as target:
    target.write(gzip.compress(archive(contents()), 1))
