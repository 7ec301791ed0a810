# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a guest that powers off does no harm to the run if QEMU's monitor cannot be reached."""

import socket
import unittest
from unittest import mock

from . import power


class Power(unittest.TestCase):
    def test_no_monitor(self) -> None:
        lines: list[str] = []
        with mock.patch.object(power, "_connect", lambda path: None), power.again(True, lines.append) as (_, watch):
            assert watch
            watch("reboot: System halted")
        self.assertEqual(lines, ["reboot: System halted"])

    def test_monitor_has_gone(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.close()
        machine = power._Machine()
        machine._monitor = ours
        machine.start_again()
        ours.close()
        machine.start_again()
