#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kills pkramd with SIGKILL at random moments while clients store, replace, retrieve, release and remove.

    kill-daemon.py KILLS [SEED]

Each client keeps account of what was acknowledged. A call that got no answer was either done or not: the node has to
be what it was before, or what it should have become, never anything else and never busy for ever. In the end every
node is compared bit for bit, and the kernel's count of pages with what they take. The last line of the output is "ok".
"""

import base64
import os
import random
import signal
import sys
import threading
import time

from storeclient import PAGE, Connection, StoreError, call, content, memfd, read_all

CGROUP = "/sys/fs/cgroup/system.slice/pkramd.service/cgroup.procs"
CLIENTS = 2
NAMES = 4  # of each client


class Wrong(Exception):
    """What must not be."""


class Node:
    """What was stored: a file of some pages, with a hole before them, and some bytes. None stands for no node."""

    def __init__(self, rng):
        self.seed = rng.randrange(1 << 30)
        self.size = rng.choice((1, PAGE, rng.randrange(1, 40 * PAGE), rng.randrange(1, 300 * PAGE)))
        self.hole = rng.choice((0, 0, 3, 600))
        self.data = content(self.seed + 1, rng.randrange(0, 2000))
        self.verify = rng.random() < 0.3

    def file(self):
        return content(self.seed, self.size)

    def file_pages(self):
        """Pages of the file that are there: none for the hole."""
        return (self.size + PAGE - 1) // PAGE


def insist(method, parameters):
    """A call that may be repeated, until the daemon lived long enough to answer."""
    until = time.monotonic() + 60
    while True:
        try:
            return call(method, parameters)
        except OSError as e:
            if time.monotonic() > until:
                raise Wrong(f"no answer to {method} for 60 s: {e}") from e
            time.sleep(0.01)


def is_node(name, node, ask=insist):
    """Is this, bit for bit, what is stored under the name? With ask=call an answer that does not come is an OSError."""
    try:
        reply, fds = ask("Retrieve", {"name": name})
    except StoreError as e:
        if e.name == "NoSuchNode":
            return node is None
        raise Wrong(f"{name}: {e}") from e
    try:
        if node is None:
            return False
        file, data = reply["objects"]
        is_file = read_all(fds[file["fileDescriptor"]]) if "fileDescriptor" in file else None
        return (is_file == bytes(node.hole * PAGE) + node.file()
                and base64.b64decode(data.get("data", "")) == node.data
                and reply["verified"] == node.verify)
    finally:
        for fd in fds:
            os.close(fd)


class Client(threading.Thread):
    """One client: random calls on names of its own."""

    def __init__(self, number, seed, stop):
        super().__init__()
        self.rng = random.Random(f"{seed}/{number}")
        self.nodes = {f"client{number}-{n}": None for n in range(NAMES)}
        self.stop, self.error = stop, None
        self.done, self.lost = {}, {}
        self.in_flight = False

    def call(self, method, parameters, fds=()):
        """A call that the daemon may be killed in the middle of."""
        self.in_flight = True
        try:
            return call(method, parameters, fds)
        finally:
            self.in_flight = False

    def store(self, name, node):
        fd = memfd(node.file(), node.hole)
        try:
            self.call("Store", {"name": name, "replace": self.nodes[name] is not None, "verify": node.verify,
                                "objects": [{"name": "file", "fileDescriptor": 0},
                                            {"name": "data", "data": base64.b64encode(node.data).decode()}]}, [fd])
        finally:
            os.close(fd)

    def give_up(self, method, name):
        self.call(method, {"name": name})

    def step(self):
        name = self.rng.choice(list(self.nodes))
        old = new = self.nodes[name]
        kind = self.rng.choice(("store", "store", "retrieve", "Release", "Remove"))
        try:
            if kind == "store":
                kind = "replace" if old else "store"
                new = Node(self.rng)
                self.store(name, new)
            elif kind == "retrieve" or old is None:
                kind = "retrieve"
                if not is_node(name, old, self.call):
                    raise Wrong(f"{name} is not what was stored")
            else:
                new = None
                self.give_up(kind, name)
            self.nodes[name] = new
            self.done[kind] = self.done.get(kind, 0) + 1
        except OSError:
            # No answer. It was done or it was not.
            self.lost[kind] = self.lost.get(kind, 0) + 1
            if is_node(name, new):
                self.nodes[name] = new
            elif not is_node(name, old):
                raise Wrong(f"{name} is neither what it was nor what {kind} should have made of it") from None
        except StoreError as e:
            raise Wrong(f"{kind} of {name}: {e}") from e

    def run(self):
        try:
            while not self.stop.is_set():
                self.step()
        except Exception as e:  # whatever it is, the test has failed
            self.error = e


def daemon():
    """Its process, or None while there is none."""
    try:
        with open(CGROUP, encoding="ascii") as f:
            return int(f.read().split()[0])
    except (OSError, IndexError, ValueError):
        return None


def answered(clients):
    """Calls that have been answered so far."""
    return sum(sum(c.done.values()) for c in clients)


def kill(rng, last, clients):
    """Wait for a process that is not the last one, let it live for a moment, and kill it."""
    until = time.monotonic() + 60
    while (pid := daemon()) in (None, last):
        if time.monotonic() > until:
            raise Wrong("the daemon did not come back for 60 s")
        time.sleep(0.005)
    # One in five dies while it starts. The others have answered a call or two and are at work on the next one: what a
    # client does between its calls takes longer than the calls.
    if rng.randrange(5) == 0:
        time.sleep(rng.uniform(0, 0.5))
    else:
        wanted = answered(clients) + rng.randrange(1, 4)
        while answered(clients) < wanted and not any(c.error for c in clients):
            if time.monotonic() > until:
                raise Wrong("the clients get no answers for 60 s")
            time.sleep(0.002)
        while not any(c.in_flight or c.error for c in clients) and time.monotonic() < until:
            time.sleep(0)
        time.sleep(rng.uniform(0, 0.02))
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return pid


def tell(text):
    """A line on the console: a guest that is silent for long is taken for dead."""
    with open("/dev/kmsg", "w", encoding="utf-8") as f:
        f.write(f"kill-daemon: {text}\n")


def check_everything(clients):
    wanted = {name: node for c in clients for name, node in c.nodes.items() if node}
    with Connection() as c:
        listed = {n["name"]: n for n in c.list()}
        status, _ = c.call("GetStatus")
    if set(listed) != set(wanted):
        raise Wrong(f"stored are {sorted(listed)}, acknowledged were {sorted(wanted)}")
    for name, node in wanted.items():
        if listed[name]["busy"] or not is_node(name, node):
            raise Wrong(f"{name} is not what was acknowledged")
        described, _ = insist("Describe", {"name": name})
        if described["objects"][0]["dataBytes"] != node.file_pages() * PAGE:
            raise Wrong(f"{name} has {described['objects'][0]['dataBytes']} bytes of pages, not {node.file_pages() * PAGE}")
    total = sum(n["dataBytes"] for n in listed.values())
    if status["bytes"] != total or status["nodes"] != len(wanted):
        raise Wrong(f"the kernel counts {status['bytes']} bytes in {status['nodes']} nodes, they have {total} in {len(wanted)}")
    print(f"{len(wanted)} nodes with {total} bytes compared")
    for name in wanted:
        insist("Remove", {"name": name})
    status, _ = insist("GetStatus", {})
    if status["bytes"] != 0 or status["nodes"] != 0:
        raise Wrong(f"with nothing stored the kernel counts {status['bytes']} bytes in {status['nodes']} nodes")


def main(argv):
    kills = int(argv[1])
    seed = int(argv[2]) if len(argv) > 2 else int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}, {kills} kills", flush=True)
    rng, stop = random.Random(seed), threading.Event()
    clients = [Client(n, seed, stop) for n in range(CLIENTS)]
    pid = None
    try:
        for c in clients:
            c.start()
        for n in range(kills):
            if n % 25 == 0:
                tell(f"{n} of {kills}")
            pid = kill(rng, pid, clients)
            if any(c.error for c in clients):
                break
    finally:
        stop.set()
        for c in clients:
            c.join()
    for c in clients:
        if c.error:
            raise c.error
    for what in ("done", "lost"):
        count = {}
        for c in clients:
            for k, n in getattr(c, what).items():
                count[k] = count.get(k, 0) + n
        print(f"calls {'that were answered' if what == 'done' else 'that got no answer'}: {count}")
        if what == "lost" and sum(count.values()) < kills // 5:
            raise Wrong("hardly a call was hit: this says nothing")
    check_everything(clients)
    print("ok")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except (Wrong, StoreError, OSError) as error:
        print(f"kill-daemon: {error}", file=sys.stderr)
        sys.exit(1)
