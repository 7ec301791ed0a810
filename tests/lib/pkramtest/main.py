# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/run: all suites, or some, or some tests of some."""

import argparse
import fnmatch
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from . import (bench, bench_daemon, bench_disk, browser, fuzz, guests, lint, mini, power_cuts, qemu, unit, userspace,
               vm)
from .common import OUTPUT
from .results import Results
from .scenario import Scenario


@dataclass
class Suite:
    """A name, what it is for, its tests (name and what it is for, too), and how to run chosen ones of them:
    run(results, names), where no name stands for all of them. aside: its results do not depend on how long anything
    takes (its guests count instructions), so that it can use what other suites leave of the processors. paired: it
    runs at the same time as the suite after it."""

    name: str
    about: str
    tests: Callable[[], list[tuple[str, str]]]
    run: Callable[[Results, list[str]], None]
    default: bool = True
    aside: bool = False
    paired: bool = False


class Part(Protocol):
    """A module that is one test of a suite."""

    NAME: str
    ABOUT: str

    def run(self, results: Results) -> None: ...


# Suites to run, and the tests of each, none for all of them.
Plan = list[tuple[Suite, list[str]]]
# Runs scenarios: run(results, name of the suite, scenarios).
RunScenarios = Callable[[Results, str, list[Scenario]], None]
BENCH_PARTS: tuple[Part, ...] = (bench_daemon, bench_disk)
CAMPAIGN_PARTS: tuple[Part, ...] = (power_cuts, browser)


def scenario_suite(name: str, about: str, run: RunScenarios, scenarios: Callable[[], list[Scenario]],
                   **how: bool) -> Suite:
    return Suite(name, about, lambda: [(s.name, s.about) for s in scenarios()],
                 lambda results, names: run(results, name, [s for s in scenarios() if not names or s.name in names]),
                 **how)


def bench_suite(again: bool) -> Suite:
    """The kernel's cost in instructions, beside the rival's; the daemon's in time and memory. again: measure, even if
    an earlier run has measured the same kernel."""
    def run(results: Results, names: list[str]) -> None:
        chosen = [s for s in bench.scenarios() if not names or s.name in names]
        if chosen:
            bench.run(results, "bench", chosen, again=again)
        # Both run programs of this build.
        with unit.in_use("plain"):
            for part in BENCH_PARTS:
                if not names or part.NAME in names:
                    part.run(results)

    return Suite("bench", "cost of the kernel in instructions, beside the rival's; of the daemon in time and memory",
                 lambda: [(s.name, s.about) for s in bench.scenarios()] +
                         [(p.NAME, p.ABOUT) for p in BENCH_PARTS],
                 run, aside=True)


def campaign_suite() -> Suite:
    """Everything that is long, of all kinds."""
    parts = [(mini.run, mini.campaign), (vm.run, vm.campaign)]

    def run(results: Results, names: list[str]) -> None:
        for run_scenarios, scenarios in parts:
            run_scenarios(results, "campaign", [s for s in scenarios() if not names or s.name in names])
        userspace.campaign(results, names)
        for part in CAMPAIGN_PARTS:
            if not names or part.NAME in names:
                part.run(results)
        if not names or any(n in names for n, _ in fuzz.campaign_tests()):
            fuzz.campaign(results, names)

    return Suite("campaign", "long runs, and debug kernels; not run by default",
                 lambda: [(s.name, s.about) for _, scenarios in parts
                          for s in scenarios()] + userspace.campaign_tests() + fuzz.campaign_tests() +
                         [(p.NAME, p.ABOUT) for p in CAMPAIGN_PARTS],
                 run, default=False)


def suites(again: bool) -> list[Suite]:
    """All suites. again: they use nothing that an earlier run has measured."""
    return [
        Suite("lint", "scripts, kernel style, sparse, kernel-doc", lint.tests, lint.run, aside=True),
        Suite("unit", "the meson tests, plain and under ASan and UBSan", unit.tests, unit.run),
        Suite("fuzz", "100,000 executions of each libFuzzer target", fuzz.tests, fuzz.run, aside=True),
        Suite("kernel", "the format code in user space, half a minute of fuzzing, KUnit in a guest", userspace.tests,
              userspace.run),
        # A guest with systemd leaves almost half of two processors idle: enough for a small one.
        scenario_suite("mini", "kernel scenarios in a small guest", mini.run, mini.scenarios, paired=True),
        scenario_suite("vm", "the whole thing on Debian 13 with systemd", vm.run, vm.scenarios),
        bench_suite(again),
        scenario_suite("series", "a few kernel scenarios, and KUnit, on Linux 7.3", mini.run, mini.other_series,
                       aside=True),
        campaign_suite(),
    ]


# What "tests/run quick" runs: of each kind of test what finds most, in less than five minutes from the cache.
QUICK = [
    ("lint", ["shell", "python", "judge", "harness", "words", "width", "programs", "licences", "places",
              "examples"]),
    ("unit", ["plain"]),
    ("kernel", ["check", "kunit"]),
    ("mini", ["store-load", "chain", "frozen"]),
    ("vm", ["store-retrieve"]),
]

USAGE = """Usage: tests/run [OPTION...] [SUITE [TEST...]]
       tests/run [OPTION...] quick
       tests/run list

  -k PATTERN     only tests whose name contains PATTERN, or matches it if it has * or ?
  --junit FILE   write the results to FILE in JUnit's format

Without arguments everything but the suites marked * runs. quick runs a choice of
all suites in a few minutes. The exit status is 0 if nothing failed."""


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the options and the other words. Raises SystemExit for an unknown option."""
    parser = argparse.ArgumentParser(prog="tests/run", usage=USAGE.removeprefix("Usage: "), add_help=False)
    parser.add_argument("-k", dest="pattern")
    parser.add_argument("--junit")
    options, words = parser.parse_known_args(argv)
    unknown = [w for w in words if w.startswith("-")]
    if unknown:
        print(f"tests/run: unknown option '{unknown[0]}', see tests/run --help", file=sys.stderr)
        sys.exit(2)
    return options, words


def matching(suite: Suite, pattern: str) -> list[str]:
    """The names of the suite's tests that the pattern of -k fits."""
    names = [name for name, _ in suite.tests()]
    return fnmatch.filter(names, pattern) if any(c in pattern for c in "*?[") else [n for n in names if pattern in n]


def run_suite(results: Results, suite: Suite, names: list[str]) -> None:
    """Run a suite, or some of its tests. Adds at least one result."""
    results.say(f"\n== {suite.name}: {suite.about}")
    before = len(results.all)
    try:
        suite.run(results, names)
    except FileNotFoundError as e:
        # A program that subprocess did not find; the suites after this one still run.
        results.failed(suite.name, "anything", str(e))
    if len(results.all) == before:
        results.failed(suite.name, "anything", "the suite ran no test")


class Lane(threading.Thread):
    """Runs suites beside those of the main thread. The results of a suite are shown when it ends. priority: of this
    thread, and of the threads and processes that it starts."""

    def __init__(self, results: Results, plan: Plan, priority: int = 0) -> None:
        super().__init__(daemon=True)
        self.results, self.plan, self.priority = results, plan, priority
        self.broken: BaseException | None = None
        self.start()

    def run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, 0, max(self.priority, os.getpriority(os.PRIO_PROCESS, 0)))
        try:
            for suite, names in self.plan:
                with self.results.together() as apart:
                    run_suite(apart, suite, names)
        except BaseException as e:  # for the main thread
            self.broken = e

    def wait(self) -> None:
        """Wait until its suites have ended. Raises what went wrong."""
        self.join()
        if self.broken:
            raise self.broken


def run_plan(results: Results, plan: Plan) -> None:
    """Run the suites of the plan. A guest with systemd leaves almost half of two processors idle: a suite that is
    paired with it, and the suites that can stand aside, use that."""
    aside = [(s, names) for s, names in plan if s.aside]
    ahead = [(s, names) for s, names in plan if not s.aside]
    if not ahead:
        ahead, aside = aside, []
    try:
        lowest = Lane(results, aside, qemu.LOWEST)
        while ahead:
            pair = ahead[:2] if ahead[0][0].paired else ahead[:1]
            ahead = ahead[len(pair):]
            with guests.beside_each_other(len(pair)):
                beside = Lane(results, pair[:-1])
                run_suite(results, *pair[-1])
                beside.wait()
        lowest.wait()
    finally:
        qemu.stop()


def main(argv: list[str]) -> int:
    if argv[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    options, argv = parse(argv)
    # What is asked for by name is measured.
    table = {s.name: s for s in suites(again=bool(argv or options.pattern))}
    if argv[:1] == ["list"]:
        # Its reader may be head or a pager that was left.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for s in table.values():
            print(f"{s.name}{'' if s.default else ' *'}: {s.about}")
            for name, about in s.tests():
                print(f"    {name:<24} {about[:110]}")
        return 0

    # tests/run SUITE TEST..., or several suites.
    plan: Plan = []
    if not argv:
        plan = [(s, []) for s in table.values() if s.default]
    elif argv == ["quick"]:
        plan = [(table[suite], names) for suite, names in QUICK]
    elif argv[0] in table and all(a in table for a in argv):
        plan = [(table[a], []) for a in argv]
    elif argv[0] in table:
        known = [n for n, _ in table[argv[0]].tests()]
        for a in argv[1:]:
            if a not in known:
                print(f"tests/run: suite '{argv[0]}' has no test '{a}'; see tests/run list", file=sys.stderr)
                return 2
        plan = [(table[argv[0]], argv[1:])]
    else:
        print(f"tests/run: unknown suite '{argv[0]}', see tests/run list", file=sys.stderr)
        return 2
    if options.pattern:
        plan = [(s, [n for n in matching(s, options.pattern) if not names or n in names]) for s, names in plan]
        plan = [(s, names) for s, names in plan if names]
        if not plan:
            print(f"tests/run: no test matches '{options.pattern}', see tests/run list", file=sys.stderr)
            return 2

    if not argv and not options.pattern:
        shutil.rmtree(OUTPUT, ignore_errors=True)
    os.makedirs(OUTPUT, exist_ok=True)
    results = Results()
    try:
        run_plan(results, plan)
    except KeyboardInterrupt:
        results.failed("run", "interrupted", "stopped by hand")
    if options.junit:
        results.write_junit(options.junit)
    return results.finish()


if __name__ == "__main__":
    # The guests end with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
