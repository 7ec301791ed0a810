#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hostile clients, and an ordinary one that is to notice nothing of them.

    hostile.py KIND SECONDS     be one of them for so long; print what became of it
    hostile.py victim SECONDS   store, retrieve, compare and release all the time; fail if a call takes 15 s
    hostile.py watch SECONDS    print the peaks of the daemon's memory, descriptors and helpers meanwhile, and of the
    time
                                that GetStatus takes, as NAME=VALUE
"""

import base64
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

from hanging_fs import HangingFile
from storeclient import INTERFACE, SOCKET, Connection, StoreError, content, memfd, read_all

# The slowest answer the victim takes: an emulated processor that others use, too, is slow by itself.
PATIENCE = 15
CALL = b'{"method":"' + INTERFACE.encode() + b'GetStatus"}\0'


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(SOCKET)
    return s


def remove(name):
    """Removes a node. Calls of connections that were just closed may have it in use for a moment."""
    for _ in range(100):
        with Connection() as c:
            try:
                c.call("Remove", {"name": name})
                return
            except StoreError as e:
                if e.name == "NoSuchNode":
                    return
                if e.name != "NodeBusy":
                    raise
        time.sleep(0.2)
    sys.exit(f"{name} remains in use")


def is_closed(s):
    """Has the daemon hung up? What it wrote before does not matter."""
    s.settimeout(0)
    try:
        while s.recv(1 << 16):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def flood(until):
    """Calls without end, one behind the other, every answer read."""
    calls, s = 0, connect()
    s.settimeout(PATIENCE)
    while time.monotonic() < until:
        s.sendall(CALL * 50)
        answers = 0
        while answers < 50:
            data = s.recv(1 << 16)
            if not data:
                sys.exit("the daemon hung up")
            answers += data.count(b"\0")
        calls += answers
    return f"{calls} calls answered"


def never_read(until):
    """Calls whose answers are not read, and monitors that are not read, until the daemon takes no more."""
    links = [connect() for _ in range(10)]
    for s in links[5:]:
        s.sendall(b'{"method":"' + INTERFACE.encode() + b'Monitor","more":true}\0')
    sent = 0
    while time.monotonic() < until:
        for s in links[:5]:
            s.settimeout(0)
            try:
                sent += s.send(CALL * 100)
            except OSError:
                pass
        time.sleep(0.01)
    return f"{sent} bytes sent, nothing read"


def stall(until):
    """Half a message on each of 100 connections, and not a byte more."""
    links = [connect() for _ in range(100)]
    for s in links:
        s.sendall(b'{"method":"' + INTERFACE.encode() +
                          b'Store","parameters":{"name":"half","objects":[{"data":"' + b"A" * 1000)
    time.sleep(max(0, until - time.monotonic()))
    return f"{sum(not is_closed(s) for s in links)} of 100 still wait"


def connections(until):
    """A thousand connections at once. Those over the limit are told so and closed."""
    links, refused = [], 0
    for _ in range(1000):
        s = connect()
        links.append(s)
        if len(links) % 50 == 0:
            refused = sum(is_closed(l) for l in links)
    while refused < 800 and time.monotonic() < until + 30:
        time.sleep(0.5)
        refused = sum(is_closed(s) for s in links)
    time.sleep(max(0, until - time.monotonic()))
    if not 800 <= refused < 1000:
        sys.exit(f"{refused} of 1000 connections were refused")
    return f"{refused} of 1000 refused"


def descriptors(_):
    """Ten thousand descriptors in one message: it is refused, they are closed, and the connection goes on."""
    null = os.open("/dev/null", os.O_RDONLY)
    with Connection() as c:
        text = b'{"method":"' + INTERFACE.encode() + b'GetStatus","parameters":{}}\0'
        for n in range(40):
            # 253 is the most the kernel takes at once; each piece of the message brings as many.
            socket.send_fds(c.socket, [text[n:n + 1]], [null] * 253)
        c.socket.sendall(text[40:])
        reply, _ = c.receive()
        if reply.get("error") != INTERFACE + "QuotaExceeded" or \
            reply["parameters"]["limit"] != "MessageDescriptorsMax":
            sys.exit(f"10,120 descriptors: {reply}")
        reply, _ = c.call("GetStatus")
    return "refused by its limit, and the connection goes on"


def large(_):
    """A message of 100 MiB."""
    s = connect()
    s.settimeout(60)
    try:
        s.sendall(b'{"method":"' + INTERFACE.encode() + b'Store","parameters":{"name":"big","objects":[{"data":"')
        for _ in range(100):
            s.sendall(b"A" * (1 << 20))
        s.sendall(b'"}]}}\0')
        reply = s.recv(1 << 16)
        if reply and b"QuotaExceeded" not in reply:
            sys.exit(f"100 MiB: {reply[:200]}")
    except (BrokenPipeError, ConnectionResetError):
        return "the connection was closed"
    return "refused by its limit"


def linger(until):
    """Sockets whose close waits for a peer that does not read, in calls that have no use for them."""
    listener = socket.create_server(("127.0.0.1", 0))
    calls = 0
    while time.monotonic() < until:
        peers, s = [], connect()
        s.settimeout(PATIENCE)
        for n in range(4):
            c = socket.create_connection(listener.getsockname())
            peers.append(listener.accept()[0])
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
            c.setblocking(False)
            try:
                while True:
                    c.send(b"x" * 65536)
            except BlockingIOError:
                pass
            # The last one stays in the queue of a connection that is closed.
            socket.send_fds(s, [CALL if n < 3 else CALL[:5]], [c.fileno()])
            c.close()
            if n < 3 and b"\0" not in s.recv(1 << 16):
                sys.exit("no answer")
            calls += 1
        s.close()
        for peer in peers:
            peer.close()
    return f"{calls} lingering sockets"


def hanging(until):
    """A file of a FUSE server that never answers, in calls that have no use for it or cannot store it, and in half a call."""
    calls = 0
    with HangingFile() as fd:
        while time.monotonic() < until:
            s = connect()
            s.settimeout(PATIENCE)
            for method, parameters in (("GetStatus", {}),
                                       ("Store", {"name": "hangs", "objects": [{"fileDescriptor": 0}]}),
                                       ("StoreTree", {"name": "hangs", "directory": 0})):
                text = json.dumps({"method": INTERFACE + method, "parameters": parameters}).encode() + b"\0"
                socket.send_fds(s, [text], [fd])
                answer = s.recv(1 << 16)
                if (b"NotPreservable" in answer) != (method != "GetStatus"):
                    sys.exit(f"{method}: {answer}")
                calls += 1
            # This one stays in the queue of a connection that is closed.
            socket.send_fds(s, [CALL[:5]], [fd])
            s.close()
            time.sleep(0.1)
    return f"{calls} calls answered"


def unread(until, name, objects, fds, links):
    """Retrieve on several connections, again and again, and no answer is read."""
    with Connection() as c:
        text = json.dumps({"method": INTERFACE + "Store",
                           "parameters": {"name": name, "objects": objects}}).encode() + b"\0"
        # 253 is the most the kernel takes at once; each piece goes with a byte of the message.
        pieces = [fds[n:n + 253] for n in range(0, len(fds), 253)]
        for n, piece in enumerate(pieces):
            socket.send_fds(c.socket, [text[n:n + 1]], piece)
        c.socket.sendall(text[len(pieces):])
        reply, _ = c.receive()
        if "error" in reply:
            sys.exit(f"{reply}")
    for fd in fds:
        os.close(fd)
    call = b'{"method":"' + INTERFACE.encode() + b'Retrieve","parameters":{"name":"' + name.encode() + b'"}}\0'
    connections, sent = [connect() for _ in range(links)], 0
    while time.monotonic() < until:
        for s in connections:
            s.settimeout(0)
            try:
                sent += s.send(call)
            except OSError:
                pass
        time.sleep(0.05)
    for s in connections:
        s.close()
    remove(name)
    return f"{sent // len(call)} calls sent, nothing read"


def unread_descriptors(until):
    """Nodes of 500 files."""
    fds = [memfd(b"x") for _ in range(500)]
    return unread(until, "files", [{"fileDescriptor": n} for n in range(500)], fds, 30)


def unread_bytes(until):
    """Nodes of a megabyte, inline."""
    return unread(until, "bytes", [{"data": base64.b64encode(content(1, 1 << 20)).decode()}], [], 60)


def deep(until):
    """Messages whose values would take hundreds of times their length."""
    text = b'{"method":"' + INTERFACE.encode() + b'Store","parameters":{"x":[' + b"{}," * 1_300_000 + b"{}]}}\0"
    calls = 0
    with Connection(60) as c:
        while time.monotonic() < until:
            c.socket.sendall(text)
            reply, _ = c.receive()
            if "error" not in reply:
                sys.exit(f"{reply}")
            calls += 1
    return f"{calls} messages refused"


def verify(until):
    """Checksums of 32 MiB on 100 connections."""
    fd = memfd(content(2, 1 << 20) * 32)
    with Connection(120) as c:
        c.call("Store", {"name": "sums", "verify": True, "objects": [{"fileDescriptor": 0}]}, [fd])
    call = b'{"method":"' + INTERFACE.encode() + b'Retrieve","parameters":{"name":"sums"}}\0'
    links = [connect() for _ in range(100)]
    for s in links:
        s.sendall(call)
    time.sleep(max(0, until - time.monotonic()))
    done = 0
    for s in links:
        s.settimeout(0)
        try:
            _, fds, _, _ = socket.recv_fds(s, 1 << 16, 8)
            done += 1
            for fd in fds:
                os.close(fd)
        except OSError:
            pass
        s.close()
    remove("sums")
    return f"{done} of 100 done"


def remove_all(patience):
    """Removes all nodes of the caller, also those that calls of closed connections store meanwhile. Such calls still
    wait for their turn, and their connections count: until then new ones may be refused."""
    end, empty = time.monotonic() + patience, 0
    while empty < 3:
        if time.monotonic() > end:
            sys.exit("calls of closed connections have not ended")
        try:
            with Connection() as c:
                nodes = c.list()
            for node in nodes:
                remove(node["name"])
            empty = 0 if nodes else empty + 1
        except StoreError as e:
            if e.name != "QuotaExceeded" or e.parameters["limit"] != "OwnerConnectionsMax":
                raise
            empty = 0
        except (BrokenPipeError, ConnectionResetError):
            empty = 0
        time.sleep(1)


def trees(until):
    """StoreTree of an own directory and of others, without waiting for the answer. While the same unit has as many
    connections as it may, the daemon hangs up first."""
    calls = refused = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        open(path + "/file", "w", encoding="utf-8").close()
        directories = [os.open(d, os.O_RDONLY | os.O_DIRECTORY) for d in (path, "/", "/dev/shm")]
        while time.monotonic() < until:
            s = connect()
            text = b'{"method":"%sStoreTree","parameters":{"name":"tree-%d","directory":0}}\0' % (INTERFACE.encode(), calls)
            try:
                socket.send_fds(s, [text], [directories[calls % 3]])
                calls += 1
            except (BrokenPipeError, ConnectionResetError):
                refused += 1
            s.close()
            time.sleep(0.002)
    remove_all(120)
    if calls == 0:
        sys.exit("no call got through")
    return f"{calls} trees, {refused} connections refused"


def watch(until):
    """What the daemon takes at most, and how long it takes to answer."""
    pid = subprocess.run(["systemctl", "show", "-P", "MainPID", "pkramd.service"], check=True, capture_output=True,
                         text=True).stdout.strip()
    descriptors, processes, waits = 0, 0, []
    with Connection(60) as c:
        while time.monotonic() < until:
            begin = time.monotonic()
            c.call("GetStatus")
            waits.append(time.monotonic() - begin)
            descriptors = max(descriptors, len(os.listdir(f"/proc/{pid}/fd")))
            with open("/sys/fs/cgroup/system.slice/pkramd.service/cgroup.procs", encoding="ascii") as f:
                processes = max(processes, len(f.read().split()))
            time.sleep(0.02)
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        memory = next(line.split()[1] for line in f if line.startswith("VmHWM:"))
    waits.sort()
    return (f"memory={memory} descriptors={descriptors} processes={processes} calls={len(waits)} "
            f"median={waits[len(waits) // 2] * 1000:.0f} late={waits[len(waits) * 95 // 100] * 1000:.0f} "
            f"slowest={waits[-1] * 1000:.0f}")


def crowd(_):
    """As many nodes as one is allowed."""
    stored = 0
    with Connection() as c:
        try:
            while stored < 1000:
                c.call("Store", {"name": f"crowd-{stored}", "objects": [{"data": "eA=="}]})
                stored += 1
        except StoreError as e:
            if e.name != "QuotaExceeded":
                raise
            for n in range(stored):
                c.call("Remove", {"name": f"crowd-{n}"})
            return f"{stored} nodes, then {e.parameters['limit']}"
    sys.exit("nothing stopped 1000 nodes")


def victim(until):
    """A client that only wants to work."""
    rounds, slowest = 0, 0.0
    while time.monotonic() < until or rounds < 3:
        data, begin = content(rounds, 100_000), time.monotonic()
        with Connection(PATIENCE) as c:
            fd = memfd(data)
            c.call("Store", {"name": "victim", "verify": True, "objects": [
                {"fileDescriptor": 0}, {"data": base64.b64encode(data[:1000]).decode()}]}, [fd])
            os.close(fd)
            _, fds = c.call("Retrieve", {"name": "victim"})
            if read_all(fds[0]) != data:
                sys.exit("the victim's data is not what it was")
            os.close(fds[0])
            c.call("Release", {"name": "victim"})
        slowest = max(slowest, time.monotonic() - begin)
        rounds += 1
    return f"{rounds} rounds, the slowest took {slowest:.2f} s"


KINDS = {f.__name__: f for f in (flood, never_read, stall, connections, descriptors, large, linger, hanging,
                                    unread_descriptors, unread_bytes, deep, verify, trees, watch, crowd, victim)}

if __name__ == "__main__":
    print(KINDS[sys.argv[1]](time.monotonic() + float(sys.argv[2])))
