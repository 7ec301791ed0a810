# SPDX-License-Identifier: LGPL-2.1-or-later
"""Preserve memory across kexec with pkramd.

    with pkram.Memory("cache", 1024 * 1024) as memory:
        memory[0] += 1

retrieves the node "cache" on entry, or begins with zeroes if there is none, and stores it on exit. Client has the
calls one by one. The varlink module of Debian cannot pass descriptors and is not in Debian 12, so this speaks varlink
itself.
"""

import array
import base64
import errno
import json
import logging
import mmap
import os
import socket

__all__ = ["Client", "Error", "Memory", "SOCKET"]

SOCKET = "/run/pkram/io.pkram.Store"
_FDS_MAX = 253  # the kernel passes no more in one message
_MEMFD_NAME_MAX = 249  # bytes


def _copy_file(fd, size):
    """Copy the first size bytes of a file to a new memfd, and return that."""
    copy = os.memfd_create("copy")
    try:
        os.ftruncate(copy, size)
        at = 0
        while at < size:
            # Holes need no copy.
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError as e:
                if e.errno == errno.ENXIO:
                    break
                raise
            at += os.pwrite(copy, os.pread(fd, min(1 << 20, size - at), at), at)
    except BaseException:
        os.close(copy)
        raise
    return copy


class Error(Exception):
    """An error that pkramd returned. name is that of the varlink error, parameters is a dict."""

    def __init__(self, name, parameters):
        super().__init__(f"{name}: {parameters.get('reason') or parameters.get('name') or 'failed'}")
        self.name, self.parameters = name, parameters


class Client:
    """A connection to pkramd. Raises OSError if it does not answer, Error if it refuses a call."""

    def __init__(self, path=SOCKET, owner=None):
        self.owner = owner
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._input, self._fds, self._monitors = bytearray(), [], False
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def close(self):
        """Close the connection and the descriptors that were received and not returned."""
        self._socket.close()
        self._drop_fds()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fileno(self):
        """The descriptor of the connection, to wait for input with select or poll after monitor() began."""
        return self._socket.fileno()

    def _drop_fds(self):
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def _send(self, method, parameters, fds=(), more=False):
        if self._monitors:
            raise RuntimeError("the connection monitors events")
        if len(fds) > _FDS_MAX:
            raise ValueError(f"at most {_FDS_MAX} descriptors")
        self._drop_fds()
        message = {"method": f"io.pkram.Store.{method}", "parameters": parameters, "more": more}
        data = json.dumps(message).encode() + b"\0"
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._socket.sendall(data[self._socket.sendmsg([data], control, socket.MSG_NOSIGNAL):])

    def _receive(self):
        while b"\0" not in self._input:
            data, fds, _, _ = socket.recv_fds(self._socket, 1 << 16, _FDS_MAX, socket.MSG_CMSG_CLOEXEC)
            self._fds += fds
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "pkramd closed the connection")
            self._input += data
        text, _, rest = bytes(self._input).partition(b"\0")
        self._input = bytearray(rest)
        reply = json.loads(text)
        if reply.get("error"):
            raise Error(reply["error"], reply.get("parameters") or {})
        return reply.get("parameters") or {}, reply.get("continues", False)

    def _call(self, method, parameters, fds=()):
        self._send(method, parameters, fds)
        return self._receive()[0]

    def _node(self, name, **more):
        parameters = {"name": name, **{key: value for key, value in more.items() if value is not None}}
        if self.owner is not None:
            parameters["owner"] = self.owner
        return parameters

    def status(self):
        """The reply of GetStatus as a dict."""
        return self._call("GetStatus", {})

    def store(self, name, objects, replace=False, verify=False, persist=None):
        """Store a dict of object names and contents: descriptors (or objects with fileno()), or bytes of at most 1
        MiB. Returns the ID of the node. Files are frozen until the node is released or removed. persist is the
        importance, from 1 to 100, if the node is to be written to disk at a shutdown that does not preserve memory,
        or 0 if it must not be."""
        fds, described = [], []
        for key, value in objects.items():
            if isinstance(value, (bytes, bytearray, memoryview)):
                described.append({"name": key, "data": base64.b64encode(value).decode()})
            else:
                described.append({"name": key, "fileDescriptor": len(fds)})
                fds.append(value if isinstance(value, int) else value.fileno())
        return self._call("Store", self._node(name, objects=described, replace=replace, verify=verify,
                                              persist=persist), fds)["id"]

    def retrieve(self, name):
        """Returns the description of a node and a dict of its objects: descriptors, which the caller closes, or bytes.
        Objects without a name have their position as the key. The node remains stored until it is released."""
        reply = self._call("Retrieve", self._node(name))
        fds, objects, taken = self._fds, {}, set()
        for position, o in enumerate(reply["objects"]):
            if o.get("fileDescriptor") is not None:
                value = fds[o["fileDescriptor"]]
                taken.add(value)
            else:
                value = base64.b64decode(o.get("data") or "")
            objects[position if o.get("name") is None else o["name"]] = value
        self._fds = [fd for fd in fds if fd not in taken]
        return reply["node"], objects

    def release(self, name, node_id=None):
        """Remove a node after its contents were retrieved."""
        self._call("Release", self._node(name, id=node_id))

    def remove(self, name, node_id=None):
        """Remove a node and free its memory."""
        self._call("Remove", self._node(name, id=node_id))

    def list(self):
        """The descriptions of the nodes that the caller may see."""
        self._send("List", {} if self.owner is None else {"owner": self.owner}, more=True)
        nodes, more = [], True
        while more:
            reply, more = self._receive()
            if reply.get("node"):
                nodes.append(reply["node"])
        return nodes

    def monitor(self):
        """Yield events as dicts, beginning with {"event": "ready"}. The connection cannot be used for anything else."""
        self._send("Monitor", {}, more=True)
        self._monitors = True
        while True:
            yield self._receive()[0]


class Memory:
    """Memory of a fixed size that is preserved across kexec: a context manager that returns an mmap.

    On entry the node is retrieved and released if it has this size and layout, a number that the caller changes
    whenever it changes the meaning of the bytes. Otherwise the memory is zero, and created is true. On exit the node
    is stored, also if the block raised an exception."""

    def __init__(self, name, size, layout=1, path=SOCKET, verify=False):
        self.name, self.size, self.layout, self.path, self.verify = name, size, layout, path, verify
        self.created = True
        self._fd, self._map = -1, None

    def _retrieve(self, client):
        """The descriptor of the memory that was stored, or -1."""
        try:
            node, objects = client.retrieve(self.name)
        except Error as e:
            if e.name == "io.pkram.Store.NoSuchNode":
                return -1
            raise
        fd, layout = objects.get("memory"), objects.get("layout")
        try:
            if isinstance(fd, int) and os.fstat(fd).st_size == self.size and layout == str(self.layout).encode():
                # Frozen until it is released; after a crash before that, it is retrieved again.
                client.release(self.name, node["id"])
                return objects.pop("memory")
        finally:
            for value in objects.values():
                if isinstance(value, int):
                    os.close(value)
        logging.getLogger("pkram").warning("Ignoring node %s, which has another size or layout.", self.name)
        return -1

    def _store(self, fd):
        with Client(self.path) as client:
            client.store(self.name, {"memory": fd, "layout": str(self.layout).encode()}, replace=True,
                         verify=self.verify)

    def __enter__(self):
        with Client(self.path) as client:
            fd = self._retrieve(client)
        self.created = fd < 0
        try:
            if self.created:
                fd = os.memfd_create(os.fsencode(self.name)[:_MEMFD_NAME_MAX])
                os.ftruncate(fd, self.size)
            self._map = mmap.mmap(fd, self.size)
        except BaseException:
            try:
                # It was released above.
                if not self.created:
                    self._store(fd)
            finally:
                if fd >= 0:
                    os.close(fd)
            raise
        self._fd = fd
        return self._map

    def __exit__(self, *_):
        fds, self._fd = [self._fd], -1
        try:
            try:
                # A file that is mapped for writing cannot be frozen.
                self._map.close()
            except BufferError:
                logging.getLogger("pkram").warning("Storing a copy of node %s, because a view of its memory is still "
                                                   "in use.", self.name)
                fds.append(_copy_file(fds[0], self.size))
            self._store(fds[-1])
        finally:
            for fd in fds:
                os.close(fd)
