# SPDX-License-Identifier: LGPL-2.1-or-later
"""Results of tests: shown as they come, as a table at the end, as one last line for machines, and as a JUnit file."""

import contextlib
import io
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from . import profile, programs


@dataclass
class Result:
    suite: str
    name: str
    state: str  # "passed", "failed" or "skipped"
    seconds: float
    why: str = ""


class Results:
    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.all: list[Result] = []
        self.out = out
        self.lock = threading.Lock()
        self.start = time.monotonic()
        self.color = out.isatty()

    def say(self, text: str) -> None:
        with self.lock:
            print(text, file=self.out, flush=True)

    @contextlib.contextmanager
    def together(self) -> Iterator["Results"]:
        """Results for a thread of its own, which are shown, and count, all together in the end."""
        text = io.StringIO()
        apart = Results(text)
        apart.color = self.color
        try:
            yield apart
        finally:
            self.all += apart.all
            self.say(text.getvalue().rstrip("\n"))

    def _paint(self, state: str) -> str:
        if not self.color:
            return state
        return {"passed": "\033[32m", "failed": "\033[31m", "skipped": "\033[33m"}[state] + state + "\033[0m"

    def add(self, suite: str, name: str, state: str, seconds: float = 0.0, why: str = "", quiet: bool = False) -> None:
        self.all.append(Result(suite, name, state, seconds, why))
        if not quiet or state != "passed":
            reason = f"\n           {why}" if why else ""
            self.say(f"  {self._paint(state):7}  {suite}/{name}  ({seconds:.1f} s){reason}")

    def passed(self, suite: str, name: str, seconds: float = 0.0, quiet: bool = False) -> None:
        self.add(suite, name, "passed", seconds, quiet=quiet)

    def failed(self, suite: str, name: str, why: str, seconds: float = 0.0, output: str = "") -> None:
        """output: all that the test printed. A program that was missing is named first, with its package."""
        absent = programs.missing(f"{why}\n{output}")
        self.add(suite, name, "failed", seconds, f"{absent}: {why}" if absent else why)

    def skipped(self, suite: str, name: str, why: str) -> None:
        self.add(suite, name, "skipped", 0.0, why)

    def count(self, state: str, suite: str | None = None) -> int:
        return sum(r.state == state and (suite is None or r.suite == suite) for r in self.all)

    def write_junit(self, path: str) -> None:
        """Write all results to a file in JUnit's XML format, one testsuite element for each suite."""
        root = ElementTree.Element("testsuites")
        for suite in dict.fromkeys(r.suite for r in self.all):
            mine = [r for r in self.all if r.suite == suite]
            element = ElementTree.SubElement(root, "testsuite", name=suite, tests=str(len(mine)),
                                             failures=str(self.count("failed", suite)),
                                             skipped=str(self.count("skipped", suite)),
                                             time=f"{sum(r.seconds for r in mine):.3f}")
            for r in mine:
                case = ElementTree.SubElement(element, "testcase", classname=suite, name=r.name,
                                              time=f"{r.seconds:.3f}")
                if r.state != "passed":
                    # XML has no way to write most control characters.
                    why = "".join(c for c in r.why if c in "\t\n" or c >= " ")
                    kind = {"failed": "failure", "skipped": "skipped"}[r.state]
                    ElementTree.SubElement(case, kind, message=why.splitlines()[0] if why else "").text = why
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)

    def finish(self) -> int:
        """Print the table and the last line; returns the exit status."""
        suites = list(dict.fromkeys(r.suite for r in self.all))
        self.say("")
        self.say(f"{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
        for s in suites:
            seconds = sum(r.seconds for r in self.all if r.suite == s)
            self.say(f"{s:<12}{self.count('passed', s):>8}{self.count('failed', s):>8}{self.count('skipped', s):>9}{seconds:>9.0f}")
        bad = [r for r in self.all if r.state == "failed"]
        if bad:
            self.say("\nfailed:")
            for r in bad:
                self.say(f"  {r.suite}/{r.name}: {r.why.splitlines()[0] if r.why else ''}")
        self.say("")
        for line in profile.lines((f"{r.suite}/{r.name}", r.seconds) for r in self.all):
            self.say(line)
        self.say(f"\n{time.monotonic() - self.start:.0f} s in all")
        if not self.all:
            self.say("nothing was run")
        self.say(f"{self.count('passed')} passed, {len(bad)} failed, {self.count('skipped')} skipped")
        return 1 if bad or not self.all else 0
