#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every method of io.pkram.Store, called with python-varlink as Debian ships it; those that need descriptors over a
connection object that carries them.

    python-varlink.py [SOCKET [DIRECTORY-ON-TMPFS]]
"""

import base64
import os
import shutil
import socket
import sys
import tempfile

import varlink

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "/run/pkram/io.pkram.Store"
TMPFS = sys.argv[2] if len(sys.argv) > 2 else "/dev/shm"
STORE = "io.pkram.Store"


def check(what, ok, why=""):
    if not ok:
        sys.exit(f"python-varlink: {what}: {why}")
    print("ok", what)


class Connection:
    """What the module wants of a socket, with descriptors."""

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


def refused(what, error, function, *args, **kwargs):
    try:
        reply = function(*args, **kwargs)
        check(what, False, f"it succeeded: {reply}")
    except varlink.VarlinkError as e:
        check(what, e.error() == error, f"{e.error()} {e.parameters()}")


def inline(store):
    """All that goes without descriptors, on the module's own socket."""
    status = store.GetStatus()
    check("GetStatus", status["supported"] is True and status["owner"], status)
    data = base64.b64encode(b"by the stock module").decode()
    stored = store.Store(name="by-python", objects=[{"name": "o", "data": data}], verify=True)
    check("Store", stored["id"] > 0, stored)
    refused("Store again", f"{STORE}.NodeExists", store.Store, name="by-python", objects=[{"data": data}])
    refused("a descriptor that was not sent", "org.varlink.service.InvalidParameter", store.Store, name="n",
            objects=[{"fileDescriptor": 0}])
    refused("StoreTree without a descriptor", "org.varlink.service.InvalidParameter", store.StoreTree, name="n",
            directory=0)
    refused("RestoreTree without a descriptor", "org.varlink.service.InvalidParameter", store.RestoreTree, name="n",
            directory=0)
    got = store.Retrieve(name="by-python", inline=True)
    check("Retrieve", base64.b64decode(got["objects"][0]["data"]) == b"by the stock module" and got["verified"], got)
    described = store.Describe(name="by-python")
    check("Describe", described["objects"][0]["name"] == "o" and described["verify"], described)
    names = [r["node"]["name"] for r in store.List(_more=True) if r.get("node")]
    check("List", names.count("by-python") == 1, names)
    check("CheckKexec", store.CheckKexec()["nodes"] >= 1)
    store.Release(name="by-python", id=stored["id"])
    check("Release", True)
    refused("Remove of nothing", f"{STORE}.NoSuchNode", store.Remove, name="by-python")


def monitor(client):
    with client.open(STORE) as watcher, client.open(STORE) as store:
        events = watcher.Monitor(_more=True)
        check("Monitor is ready", next(events)["event"] == "ready")
        store.Store(name="watched", objects=[{"data": "eA=="}])
        store.Remove(name="watched")
        for wanted in ("stored", "removed"):
            event = next(events)
            check(f"Monitor saw {wanted}", event["event"] == wanted and event["name"] == "watched", event)


def descriptors(client):
    connection = Connection()
    with client.open(STORE, connection=connection) as store:
        fd = os.memfd_create("by-python")
        os.write(fd, b"in a file" * 1000)
        connection.send = [fd]
        store.Store(name="by-python-fd", objects=[{"name": "f", "fileDescriptor": 0}])
        os.close(fd)
        got = store.Retrieve(name="by-python-fd")
        back = connection.received.pop(got["objects"][0]["fileDescriptor"])
        check("Store and Retrieve of a file", os.pread(back, 1 << 20, 0) == b"in a file" * 1000, got)
        store.Release(name="by-python-fd")
        os.close(back)

    top = tempfile.mkdtemp(dir=TMPFS)
    try:
        os.makedirs(f"{top}/from/sub")
        os.mkdir(f"{top}/to")
        for name, text in (("from/small", "small"), ("from/sub/large", "large" * 50000)):
            with open(f"{top}/{name}", "w", encoding="ascii") as f:
                f.write(text)
        connection = Connection()
        with client.open(STORE, connection=connection) as store:
            for method, place in ((store.StoreTree, "from"), (store.RestoreTree, "to")):
                fd = os.open(f"{top}/{place}", os.O_RDONLY | os.O_DIRECTORY)
                connection.send = [fd]
                method(name="by-python-tree", directory=0)
                os.close(fd)
        with open(f"{top}/to/sub/large", encoding="ascii") as large, \
                open(f"{top}/to/small", encoding="ascii") as small:
            check("StoreTree and RestoreTree", (large.read(), small.read()) == ("large" * 50000, "small"))
    finally:
        shutil.rmtree(top)


with varlink.Client(f"unix:{ADDRESS}") as the_client:
    check("GetInfo", STORE in the_client.get_interfaces() and the_client.info["product"] == "pkramd",
          the_client.get_interfaces())
    check("GetInterfaceDescription", "StoreTree" in the_client.get_interface(STORE).get_description())
    with the_client.open(STORE) as the_store:
        inline(the_store)
    monitor(the_client)
    descriptors(the_client)
print("done")
