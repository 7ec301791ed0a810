# SPDX-License-Identifier: LGPL-2.1-or-later
"""A FUSE file system that any user can mount: it has one file, "f", which can be opened. The server answers nothing
else, so that a process that closes the file waits until the server ends."""

import contextlib
import ctypes
import os
import signal
import struct
import tempfile

# Numbers of linux/fuse.h and linux/mount.h.
LOOKUP, OPEN, INIT = 1, 14, 26
MAJOR, MINOR = 7, 31
NOSUID_NODEV = 2 | 4
DETACH = 2
NODE = 2
REGULAR_FILE = 0o100666

IN_HEADER = struct.Struct("<IIQ")
OUT_HEADER = struct.Struct("<IiQ")
LIBC = ctypes.CDLL(None, use_errno=True)


def _answer(device, unique, data):
    os.write(device, OUT_HEADER.pack(OUT_HEADER.size + len(data), 0, unique) + data)


def _serve(device):
    # node, generation, times; then the attributes: node, size, blocks, times, mode, links, owner and the rest
    entry = struct.pack("<QQQQII", NODE, 0, 0, 0, 0, 0) + struct.pack(
        "<QQQQQQIIIIIIIIII", NODE, 4096, 8, 0, 0, 0, 0, 0, 0, REGULAR_FILE, 1, 0, 0, 0, 4096, 0)
    answers = {
        INIT: struct.pack("<IIIIHHIIHHI28x", MAJOR, MINOR, 0, 0, 0, 0, 4096, 1, 0, 0, 0),
        LOOKUP: entry,
        OPEN: struct.pack("<QII", 1, 0, 0),
    }
    while True:
        request = os.read(device, 1 << 17)
        _, opcode, unique = IN_HEADER.unpack_from(request)
        if opcode in answers:
            _answer(device, unique, answers[opcode])


class HangingFile:
    """The file, opened in a mount namespace of this process alone. On exit the server ends, and with it every wait."""

    def __init__(self):
        uid, gid = os.getuid(), os.getgid()
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as f:
                f.write(text)
        self.path = tempfile.mkdtemp()
        device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
        if LIBC.mount(b"fuse", os.fsencode(self.path), b"fuse", NOSUID_NODEV, options.encode()) < 0:
            raise OSError(ctypes.get_errno(), "cannot mount FUSE")
        self.server = os.fork()
        if self.server == 0:
            try:
                _serve(device)
            finally:
                os._exit(1)
        # The server alone has it, so that everything ends with the server.
        os.close(device)

    def __enter__(self):
        self.fd = os.open(self.path + "/f", os.O_RDWR)
        return self.fd

    def __exit__(self, *_):
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        # It reports that there is no server any more.
        with contextlib.suppress(OSError):
            os.close(self.fd)
        LIBC.umount2(os.fsencode(self.path), DETACH)
        os.rmdir(self.path)
