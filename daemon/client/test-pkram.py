#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Python module against pkramd over a model of the kernel. Arguments: pkram.py, pkramd-mock."""

import importlib.util
import os
import select
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

spec = importlib.util.spec_from_file_location("pkram", sys.argv[1])
pkram = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pkram)
MOCK = sys.argv[2]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.directory.name, "socket")
        cls.server = subprocess.Popen([MOCK, cls.path])
        for _ in range(500):
            try:
                pkram.Client(cls.path).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("pkramd-mock does not listen")

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait()
        cls.directory.cleanup()

    def open_fds(self):
        return len(os.listdir("/proc/self/fd"))


class ClientTest(Base):
    def test_round_trip(self):
        before = self.open_fds()
        with pkram.Client(self.path) as c:
            with tempfile.TemporaryFile(dir="/dev/shm") as f:
                f.write(b"contents")
                f.flush()
                node_id = c.store("n", {"file": f, "bytes": b"a\0b"}, verify=True, persist=7)
            self.assertEqual([(n["name"], n["persist"]) for n in c.list()], [("n", 7)])
            with self.assertRaises(pkram.Error) as e:
                c.store("n", {"x": b""})
            self.assertEqual(e.exception.name, "io.pkram.Store.NodeExists")
            node, objects = c.retrieve("n")
            self.assertEqual(node["id"], node_id)
            self.assertEqual(objects["bytes"], b"a\0b")
            self.assertEqual(os.pread(objects["file"], 100, 0), b"contents")
            os.close(objects["file"])
            c.release("n", node_id)
            with self.assertRaises(pkram.Error) as e:
                c.remove("n")
            self.assertEqual(e.exception.name, "io.pkram.Store.NoSuchNode")
        self.assertEqual(self.open_fds(), before)

    def test_not_there(self):
        with self.assertRaises(FileNotFoundError):
            pkram.Client(self.path + ".none")

    def test_monitor(self):
        with pkram.Client(self.path) as watcher, pkram.Client(self.path, owner=None) as c:
            events = watcher.monitor()
            self.assertEqual(next(events)["event"], "ready")
            self.assertEqual(select.select([watcher], [], [], 0)[0], [])
            c.store("watched", {"x": b"1"})
            self.assertEqual(select.select([watcher], [], [], 10)[0], [watcher])
            event = next(events)
            self.assertEqual((event["event"], event["name"]), ("stored", "watched"))
            c.remove("watched")
            with self.assertRaises(RuntimeError):
                watcher.remove("watched")

    def test_list(self):
        """The connection can be used for each node while its list is read."""
        with pkram.Client(self.path) as c:
            for n in range(3):
                c.store(f"listed-{n}", {"x": b"%d" % n})
            for node in c.list():
                self.assertEqual(c.retrieve(node["name"])[1], {"x": node["name"][-1].encode()})
                c.release(node["name"], node["id"])
            self.assertEqual(list(c.list()), [])

    def test_owner(self):
        with pkram.Client(self.path) as c:
            owner = c.status()["owner"]
        with pkram.Client(self.path, owner=owner) as c:
            c.store("mine", {"x": b"1"})
            self.assertEqual([n["owner"] for n in c.list()], [owner])
            c.remove("mine")


class MemoryTest(Base):
    def test_preserved(self):
        before = self.open_fds()
        for n in range(3):
            memory = pkram.Memory("counter", 8192, path=self.path)
            with memory as m:
                self.assertEqual(memory.created, n == 0)
                self.assertEqual(m[0], n)
                m[0] += 1
        # Another size or layout does not get these bytes, and replaces them.
        for size, layout in ((4096, 1), (4096, 2)):
            memory = pkram.Memory("counter", size, layout, path=self.path)
            with memory as m:
                self.assertTrue(memory.created)
                self.assertEqual(m[0], 0)
        self.assertEqual(self.open_fds(), before)

    def test_exception(self):
        with self.assertRaises(KeyError):
            with pkram.Memory("failed", 4096, path=self.path) as m:
                m[0] = 7
                raise KeyError
        with pkram.Memory("failed", 4096, path=self.path) as m:
            self.assertEqual(m[0], 7)

    def test_view_in_use(self):
        """What is still in use is stored as a copy."""
        before = self.open_fds()
        with self.assertLogs("pkram", "WARNING"):
            with pkram.Memory("viewed", 1 << 22, path=self.path) as m:
                view = memoryview(m)
                view[0], view[(1 << 22) - 1] = 1, 2
        view[0] = 3
        view.release()
        m.close()
        self.assertEqual(self.open_fds(), before)
        with pkram.Memory("viewed", 1 << 22, path=self.path) as m:
            self.assertEqual((m[0], m[1], m[(1 << 22) - 1]), (1, 0, 2))

    def test_failures(self):
        """What was stored is there after each failure on entry, and no descriptor is left open."""
        with pkram.Memory("kept", 4096, path=self.path) as m:
            m[0] = 9
        before = self.open_fds()
        for target, name in ((pkram.mmap, "mmap"), (pkram.Client, "release")):
            with unittest.mock.patch.object(target, name, side_effect=OSError("no")), self.assertRaises(OSError):
                with pkram.Memory("kept", 4096, path=self.path):
                    self.fail("it was entered")
            self.assertEqual(self.open_fds(), before)
        with unittest.mock.patch.object(pkram.Memory, "_store", side_effect=OSError("no")), \
                self.assertRaises(OSError):
            with pkram.Memory("new", 4096, path=self.path):
                pass
        self.assertEqual(self.open_fds(), before)
        with pkram.Memory("kept", 4096, path=self.path) as m:
            self.assertEqual(m[0], 9)
        with pkram.Memory("n" * 255, 4096, path=self.path) as m:
            self.assertEqual(m[0], 0)

    def test_in_use(self):
        """What was not stored by this class is not taken, and stays until it is replaced."""
        with pkram.Client(self.path) as c:
            c.store("other", {"x": b"1"})
        memory = pkram.Memory("other", 4096, path=self.path)
        with memory:
            self.assertTrue(memory.created)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
