# SPDX-License-Identifier: LGPL-2.1-or-later
"""A recorded console stands for a guest only as long as nothing about that guest has changed."""

import os
import tempfile
import time
import unittest
from collections.abc import Iterable
from unittest import mock

from . import common, recordings
from .qemu import Machine, Outcome


class Recordings(unittest.TestCase):
    def setUp(self) -> None:
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        self.log, self.copy = os.path.join(top.name, "console.log"), os.path.join(top.name, "copy.log")
        patch = mock.patch.object(recordings, "DIRECTORY", os.path.join(top.name, "recordings"))
        patch.start()
        self.addCleanup(patch.stop)
        self.machine = Machine(kernel=self.file(top.name, "kernel"), append="a", icount=True,
                               drives=[(self.file(top.name, "disk"), "ro")])
        with open(self.log, "w", encoding="utf-8") as f:
            f.write("    0.00 [    0.000000] Linux version 1\n   12.34 [    1.0] @@pkram STAGE 1\n"
                    "   12.35 [    1.0] WARNING: x\n  100.36 [    1.0] @@pkram DONE\n")

    @staticmethod
    def file(directory: str, name: str, text: str = "") -> str:
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text or name)
        return path

    def outcome(self, allow: Iterable[str] = ()) -> Outcome | None:
        return recordings.Recording(self.machine).outcome(allow, self.copy)

    def test_nothing_was_kept(self) -> None:
        self.assertIsNone(self.outcome())

    def test_console_is_read_again(self) -> None:
        recordings.Recording(self.machine).keep(self.log)
        outcome, allowing = self.outcome(), self.outcome(["WARNING: x"])
        assert outcome and allowing
        self.assertEqual((outcome.console.stages, outcome.console.done, len(outcome.console.complaints)),
                         ([1], True, 1))
        self.assertEqual(outcome.recorded, time.strftime("%Y-%m-%d"))
        self.assertEqual(allowing.console.complaints, [])
        with open(self.log, encoding="utf-8") as log, open(self.copy, encoding="utf-8") as copy:
            self.assertEqual(log.read(), copy.read())

    def test_same_files_elsewhere(self) -> None:
        recordings.Recording(self.machine).keep(self.log)
        directory = os.path.dirname(self.log)
        self.machine.kernel = self.file(directory, "other", "kernel")
        self.machine.drives = [(self.file(directory, "another", "disk"), "ro")]
        self.assertIsNotNone(self.outcome())

    def test_another_file(self) -> None:
        recordings.Recording(self.machine).keep(self.log)
        for path in (self.machine.kernel, self.machine.drives[0][0]):
            name = os.path.basename(path)
            self.file(os.path.dirname(path), name, "changed")
            self.assertIsNone(self.outcome())
            self.file(os.path.dirname(path), name)
        self.assertIsNotNone(self.outcome())

    def test_another_argument(self) -> None:
        recordings.Recording(self.machine).keep(self.log)
        self.machine.append = "b"
        self.assertIsNone(self.outcome())

    def test_too_old(self) -> None:
        recording = recordings.Recording(self.machine)
        recording.keep(self.log)
        old = time.time() - common.DAYS * 86400 - 1
        os.utime(recording.path, (old, old))
        self.assertIsNone(self.outcome())
        self.assertFalse(os.path.exists(recording.path))
