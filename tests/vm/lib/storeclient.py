# SPDX-License-Identifier: LGPL-2.1-or-later
"""The store, for the tests in the guest that are written in Python: one connection, calls with descriptors, errors as
exceptions, and objects whose bytes can be made a second time from a seed."""

import json
import os
import random
import socket

SOCKET = os.environ.get("PKRAM_SOCKET", "/run/pkram/io.pkram.Store")
INTERFACE = "io.pkram.Store."
PAGE = 4096


class StoreError(Exception):
    """An error reply; name is without the interface."""

    def __init__(self, error, parameters):
        super().__init__(f"{error} {json.dumps(parameters)}")
        self.name = error.rpartition(".")[2]
        self.parameters = parameters


class Connection:
    """A connection; calls may raise OSError and StoreError. Descriptors that came back belong to the caller."""

    def __init__(self, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A socket with a time limit would not wait while others wait in line, but fail.
            self.socket.connect(SOCKET)
            self.socket.settimeout(timeout)
        except OSError:
            self.socket.close()
            raise
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, method, parameters, fds=(), **envelope):
        text = json.dumps({"method": INTERFACE + method, "parameters": parameters, **envelope}).encode() + b"\0"
        sent = socket.send_fds(self.socket, [text], list(fds)) if fds else 0
        self.socket.sendall(text[sent:])

    def receive(self):
        """One message and the descriptors that came with it."""
        received = []
        while b"\0" not in self.buffer:
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 16, 253)
            received += fds
            if not data:
                for fd in received:
                    os.close(fd)
                raise ConnectionResetError("the store hung up")
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text), received

    def call(self, method, parameters=None, fds=()):
        self.send(method, parameters or {}, fds)
        reply, received = self.receive()
        if "error" in reply:
            raise StoreError(reply["error"], reply.get("parameters", {}))
        return reply.get("parameters", {}), received

    def list(self):
        self.send("List", {}, more=True)
        nodes = []
        while True:
            reply, _ = self.receive()
            if "error" in reply:
                raise StoreError(reply["error"], reply.get("parameters", {}))
            if not reply.get("continues"):
                return nodes
            nodes.append(reply["parameters"]["node"])


def call(method, parameters=None, fds=()):
    with Connection() as c:
        return c.call(method, parameters, fds)


def content(seed, size):
    """Bytes that another process can make again."""
    return random.Random(seed).randbytes(size)


def memfd(data, hole=0):
    """A memfd with hole pages of nothing, then the bytes."""
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, hole * PAGE + len(data))
    view, offset = memoryview(data), hole * PAGE
    while view:
        n = os.pwrite(fd, view, offset)
        view, offset = view[n:], offset + n
    return fd


def read_all(fd):
    size = os.fstat(fd).st_size
    data, offset = bytearray(size), 0
    while offset < size:
        n = os.preadv(fd, [memoryview(data)[offset:]], offset)
        if n == 0:
            break
        offset += n
    return bytes(data[:offset])
