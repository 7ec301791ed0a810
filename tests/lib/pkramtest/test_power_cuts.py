# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether what a power cut may leave is told from what it may not."""

import unittest

from . import power_cuts


class PowerCuts(unittest.TestCase):
    def power(self, *lines: str) -> power_cuts.Power:
        power = power_cuts.Power()
        for line in ("start", "found a=none b=none t=none aside=0 nodes=0", *lines):
            if line == "boot":
                power.boot()
            else:
                power.line(f"  1.00 [    2.000000] @@power {line}")
        return power

    def wrong(self, found: str, *lines: str) -> bool:
        return bool(self.power(*lines, "boot", "start", f"found {found}").wrong)

    def test_acknowledged(self) -> None:
        lines = ("begin 1", "done 1", "begin 2", "done 2")
        self.assertFalse(self.wrong("a=1 b=2 t=none aside=0 nodes=2", *lines))
        # The next one releases "a". It may have been done before the line about it.
        self.assertFalse(self.wrong("a=none b=2 t=none aside=0 nodes=1", *lines))
        self.assertTrue(self.wrong("a=1 b=none t=none aside=0 nodes=1", *lines))
        self.assertTrue(self.wrong("a=1 b=broken t=none aside=0 nodes=2", *lines))
        self.assertTrue(self.wrong("a=1 b=2 t=none aside=1 nodes=2", *lines))
        self.assertTrue(self.wrong("a=1 b=2 t=none aside=0 nodes=3", *lines))

    def test_cut_off(self) -> None:
        lines = ("begin 1", "done 1", "begin 2", "done 2", "begin 3", "done 3", "begin 4")
        self.assertFalse(self.wrong("a=4 b=2 t=none aside=0 nodes=2", *lines))
        self.assertFalse(self.wrong("a=none b=2 t=none aside=0 nodes=1", *lines))
        # It was released.
        self.assertTrue(self.wrong("a=1 b=2 t=none aside=0 nodes=2", *lines))

    def test_next_boot(self) -> None:
        power = self.power("begin 1", "done 1", "begin 2")
        # Version 2 may be there, so the next one to be stored is another one.
        self.assertEqual(power.boot(), 3)
        power = self.power("begin 1", "done 1", "begin 2", "boot", "start", "found a=1 b=2 t=none aside=0 nodes=2")
        self.assertEqual(power.state, {"a": 1, "b": 2, "t": None})
        self.assertEqual(power.wrong, [])

    def test_failed(self) -> None:
        self.assertEqual(self.power("failed the disk is not mounted").wrong, ["the disk is not mounted"])


if __name__ == "__main__":
    unittest.main()
