#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A complete service that preserves its memory across kexec, with the varlink module for Python (python3-varlink).

It counts how often it was started, in a memfd that it retrieves from pkramd when it starts and stores when it is
stopped. The module cannot pass descriptors, but takes any connection object: the one below passes them.
"""

import mmap
import os
import signal
import socket
import struct
import sys

import varlink

ADDRESS = "/run/pkram/io.pkram.Store"
NODE = "pkram-client-varlink"
SIZE = 1024 * 1024
LAYOUT = 1  # of the memory: another number for each change of it
HEADER = struct.Struct("=QQ")  # layout, number of starts


class Connection:
    """The part of a socket that the varlink module uses. Descriptors in send are sent with the next message, and
    received collects those that arrive."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(ADDRESS)
        self.send, self.received = [], []

    def sendall(self, data):
        sent = socket.send_fds(self.socket, [data], self.send) if self.send else 0
        self.send = []
        self.socket.sendall(data[sent:])

    def recv(self, size):
        data, fds, _, _ = socket.recv_fds(self.socket, size, 16)
        self.received += fds
        return data

    def close(self):
        self.socket.close()


def is_ours(store, node, fds):
    """Checks that a retrieved node was stored by this service, with the size and the layout that it expects."""
    return (node["owner"] == store.GetStatus()["owner"] and len(fds) == 1 and os.fstat(fds[0]).st_size == SIZE
            and HEADER.unpack(os.pread(fds[0], HEADER.size, 0))[0] == LAYOUT)


def open_memory(store, connection):
    """Returns the memfd of an earlier run, or a new one."""
    try:
        reply = store.Retrieve(NODE)
        if is_ours(store, reply["node"], connection.received):
            # The memfd is frozen until the node is released. After a crash before that, it is retrieved again.
            store.Release(NODE)
            return connection.received.pop()
        # The node remains stored until Store replaces it.
        print(f"Ignoring node {NODE}, which this version cannot use.", file=sys.stderr)
    except varlink.VarlinkError as e:
        if e.error() != "io.pkram.Store.NoSuchNode":
            raise

    fd = os.memfd_create(NODE)
    os.ftruncate(fd, SIZE)
    return fd


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    connection = Connection()
    with varlink.Client(f"unix:{ADDRESS}").open("io.pkram.Store", connection=connection) as store:
        fd = open_memory(store, connection)

    with mmap.mmap(fd, SIZE) as memory:
        starts = HEADER.unpack(memory[:HEADER.size])[1] + 1
        memory[:HEADER.size] = HEADER.pack(LAYOUT, starts)
        print(f"Start number {starts}.", flush=True)
        signal.sigwait({signal.SIGTERM})

    # A file that is mapped for writing cannot be frozen: the mapping is gone here. The daemon may have been restarted
    # since then, so this is a new connection.
    connection = Connection()
    with varlink.Client(f"unix:{ADDRESS}").open("io.pkram.Store", connection=connection) as store:
        connection.send = [fd]
        store.Store(name=NODE, objects=[{"name": "state", "fileDescriptor": 0}], replace=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
