#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A complete service that preserves its memory across kexec.

It counts how often it was started, in a memfd that it retrieves from pkramd when it starts and stores when it is
stopped. Needs Python 3.9 and nothing else.
"""

import array
import json
import mmap
import os
import signal
import socket
import struct
import sys

SOCKET = "/run/pkram/io.pkram.Store"
NODE = "pkram-client-py"
SIZE = 1024 * 1024
LAYOUT = 1  # of the memory: another number for each change of it
HEADER = struct.Struct("=QQ")  # layout, number of starts


class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__(f"{name} {json.dumps(parameters)}")
        self.name = name


def call(method, parameters, fds=()):
    """Calls a method of io.pkram.Store with descriptors. Returns its reply and the descriptors in it."""
    message = {"method": f"io.pkram.Store.{method}", "parameters": parameters}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(SOCKET)
        # A varlink message is a JSON object and a NUL byte. The descriptors travel with its first byte.
        data = json.dumps(message).encode() + b"\0"
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        s.sendall(data[s.sendmsg([data], control):])

        reply, received = b"", []
        while not reply.endswith(b"\0"):
            data, got, _, _ = socket.recv_fds(s, 65536, 16)
            if not data:
                raise ConnectionError("pkramd closed the connection")
            reply += data
            received += got

    reply = json.loads(reply[:-1])
    if "error" in reply:
        raise VarlinkError(reply["error"], reply.get("parameters", {}))
    return reply.get("parameters", {}), received


def is_ours(node, fds):
    """Checks that a retrieved node was stored by this service, with the size and the layout that it expects."""
    status, _ = call("GetStatus", {})
    return (node["owner"] == status["owner"] and len(fds) == 1 and os.fstat(fds[0]).st_size == SIZE
            and HEADER.unpack(os.pread(fds[0], HEADER.size, 0))[0] == LAYOUT)


def open_memory():
    """Returns the memfd of an earlier run, or a new one."""
    try:
        reply, fds = call("Retrieve", {"name": NODE})
        if is_ours(reply["node"], fds):
            # The memfd is frozen until the node is released. After a crash before that, it is retrieved again.
            call("Release", {"name": NODE})
            return fds[0]
        # The node remains stored until Store replaces it.
        print(f"Ignoring node {NODE}, which this version cannot use.", file=sys.stderr)
    except VarlinkError as e:
        if e.name != "io.pkram.Store.NoSuchNode":
            raise

    fd = os.memfd_create(NODE)
    os.ftruncate(fd, SIZE)
    return fd


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    fd = open_memory()

    with mmap.mmap(fd, SIZE) as memory:
        starts = HEADER.unpack(memory[:HEADER.size])[1] + 1
        memory[:HEADER.size] = HEADER.pack(LAYOUT, starts)
        print(f"Start number {starts}.", flush=True)
        signal.sigwait({signal.SIGTERM})

    # A file that is mapped for writing cannot be frozen: the mapping is gone here.
    call("Store", {"name": NODE, "replace": True, "objects": [{"name": "state", "fileDescriptor": 0}]}, [fd])
    return 0


if __name__ == "__main__":
    sys.exit(main())
