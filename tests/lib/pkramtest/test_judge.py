# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of what judges a guest: a bad one must not pass."""

import re
import unittest
from collections.abc import Iterable

from .console import KERNEL_COMPLAINTS, Console, ktap_results
from .qemu import Outcome
from .scenario import Line, Scenario, verdict

GOOD = [
    "[    0.000000] Linux version 6.12",
    "@@pkram STAGE 1",
    "@@pkram PASS stored",
    "[    0.000000] Linux version 6.12",
    "@@pkram STAGE 2",
    "@@pkram PASS the same",
    "@@pkram DONE",
]

# A line that each pattern of KERNEL_COMPLAINTS is there for.
BAD = [
    "WARNING: CPU: 0 PID: 1 at mm/pkram/node.c:1 pkram_node_put+0x1/0x2",
    "BUG: unable to handle page fault for address: ffff888000000000",
    "kernel BUG at mm/pkram/node.c:1!",
    "Oops: 0000 [#1] PREEMPT SMP",
    "BUG: KASAN: use-after-free in pkram_node_put+0x1/0x2",
    "UBSAN: shift-out-of-bounds in mm/pkram/format.c:1:2",
    "INFO: task pkt:12 blocked for more than 120 seconds.",
    "INFO: rcu_preempt self-detected stall on CPU",
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "WARNING: possible circular locking dependency detected",
    "WARNING: inconsistent lock state",
    "WARNING: suspicious RCU usage",
    "WARNING: held lock freed!",
    "WARNING: lock held when returning to user space!",
    "BUG: scheduling while atomic: pkt/12/0x00000002",
    "BUG: sleeping function called from invalid context at mm/pkram/node.c:1",
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000100",
    "BUG: Bad page state in process pkt  pfn:12345",
    "page dumped because: nonzero _refcount",
    "list_add corruption. prev->next should be next",
    "refcount_t: underflow; use-after-free.",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
    "Call Trace:",
    "Kernel panic - not syncing: Attempted to kill init!",
    "Out of memory: Killed process 12 (pkt)",
    "pkramd[12]: segfault at 0 ip 0000000000000000",
    "systemd[1]: Freezing execution.",
]


def judged(lines: Iterable[str], *, timed_out: str = "", allow: Iterable[str] = (), expect: Iterable[Line] = (),
           refuse: Iterable[Line] = ()) -> list[str]:
    console = Console(allow=[re.compile(a) for a in allow])
    for line in lines:
        console.feed(line + "\r\n")
    s = Scenario(name="x", path="x.sh", stages=2, expect=list(expect), refuse=list(refuse))
    return verdict(s, Outcome(console, 0.0, timed_out))


class Judge(unittest.TestCase):
    def test_good(self) -> None:
        self.assertEqual(judged(GOOD), [])

    def test_complaints(self) -> None:
        for text in BAD:
            line = f"[   12.345678] {text}"
            with self.subTest(line=line):
                self.assertTrue(judged([*GOOD[:3], line, *GOOD[3:]]))
                self.assertTrue(judged([*GOOD[:3], f"[   12.345678][  T123] {text}", *GOOD[3:]]))
                self.assertEqual(judged([*GOOD[:3], line, *GOOD[3:]], allow=[re.escape(text)]), [])

    def test_every_pattern(self) -> None:
        for pattern in KERNEL_COMPLAINTS:
            self.assertTrue(any(pattern.search(text) for text in BAD),
                            f"no line shows what '{pattern.pattern}' is for")

    def test_programs_may_warn(self) -> None:
        self.assertEqual(judged([*GOOD[:3], "WARNING: this is a program", *GOOD[3:]]), [])

    def test_halted_in_the_decompressor(self) -> None:
        self.assertTrue(judged([*GOOD[:4], "Destination physical address outside of RAM", " -- System halted"]))

    def test_check_failed(self) -> None:
        self.assertTrue(judged([*GOOD[:5], "@@pkram FAIL the same: it is not", *GOOD[6:]]))

    def test_a_stage_that_checks_nothing(self) -> None:
        self.assertTrue(judged([line for line in GOOD if "the same" not in line]))

    def test_a_stage_that_did_not_begin(self) -> None:
        self.assertTrue(judged([*GOOD[:3], GOOD[-1]]))

    def test_a_stage_too_many(self) -> None:
        self.assertTrue(judged([*GOOD[:6], "@@pkram STAGE 1", *GOOD[5:]]))

    def test_not_done(self) -> None:
        self.assertTrue(judged(GOOD[:-1]))

    def test_timed_out(self) -> None:
        self.assertTrue(judged(GOOD, timed_out="silent for 120 s"))

    def test_expected_and_refused_lines(self) -> None:
        self.assertTrue(judged(GOOD, expect=[(2, "restored 1 node")]))
        self.assertTrue(judged(GOOD, refuse=[(None, "the same")]))


class Ktap(unittest.TestCase):
    LINES = [
        "[    1.000000]     KTAP version 1",
        "[    1.000000]     # Subtest: pkram-node",
        "[    1.000000]     ok 1 node_names",
        "[    1.000000]     not ok 2 node_sizes",
        "[    1.000000]     ok 3 node_times # SKIP no clock",
        "[    1.000000] not ok 1 pkram-node",
    ]

    def test_results(self) -> None:
        found = {case: ok for suite, case, ok, _ in ktap_results(self.LINES) if suite == "pkram-node"}
        self.assertEqual(found, {"node_names": True, "node_sizes": False, "node_times": False})
