# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel part without and with a kernel: the format code in user space, fuzzing, KUnit."""

import os
import re
import subprocess
import time

from . import mini
from .common import CACHE, TOP, output_dir, shown
from .fuzz import RUNS

DIRECTORY = os.path.join(TOP, "kernel", "src", "tools", "testing", "pkram")


def tests():
    return [
        ("check", "unit tests of the format code in user space, under ASan and UBSan"),
        ("runs-table", "what many runs of memory cost early boot: the kernel's memblock has at most 65,536 regions"),
        ("fuzz", "a minute of fuzzing the reader of what an old kernel left behind"),
        ("kunit", "the KUnit suites in a small guest"),
    ]


def campaign_tests():
    return [("fuzz-format", f"{RUNS} executions of each fuzzer of the reader of what an old kernel left behind")]


def _make(suite, name, target, *variables):
    """Run make; returns (exit status, output, seconds, log of the test)."""
    start = time.monotonic()
    out = os.path.join(CACHE, "kernel-userspace")
    os.makedirs(out, exist_ok=True)
    r = subprocess.run(["nice", "make", "-s", "-C", DIRECTORY, f"O={out}", target, *variables], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    log = os.path.join(output_dir(suite, name), "log")
    with open(log, "w", encoding="utf-8") as f:
        f.write(r.stdout)
    return r.returncode, r.stdout, time.monotonic() - start, log


def check(results):
    status, text, seconds, log = _make("kernel", "check", "check")
    cases = re.findall(r"^(ok|not ok) +\d+ *-? *(.*?)(?: # .*)?$", text, re.MULTILINE)
    for state, name in cases:
        if state == "ok":
            results.passed("kernel", f"format/{name}", quiet=True)
        else:
            results.failed("kernel", f"format/{name}", f"see {shown(log)}")
    if status != 0 or not cases:
        results.failed("kernel", "check", f"make check failed ({status}) after {len(cases)} cases\n{text[-1200:]}\n           see {shown(log)}", seconds,
                       text)
    else:
        results.passed("kernel", "check", seconds)
        results.say(f"           {len(cases)} cases")


def runs_table(results):
    """The only user space test that needs a kernel tree, for the kernel's own memblock."""
    tree = subprocess.run([os.path.join(TOP, "kernel", "tree"), "apply"], stdout=subprocess.PIPE, text=True,
                          check=False)
    if tree.returncode != 0:
        results.failed("kernel", "runs-table", f"kernel/tree apply failed ({tree.returncode})")
        return
    status, text, seconds, log = _make("kernel", "runs-table", "runs-table", f"KERNEL={tree.stdout.strip()}")
    if status != 0 or "4 TiB" not in text:
        results.failed("kernel", "runs-table", f"status {status}\n{text[-1200:]}\n           see {shown(log)}",
                       seconds, text)
        return
    results.passed("kernel", "runs-table", seconds)
    for line in text.splitlines():
        results.say(f"           {line}")


def fuzz(results, suite, name, *limits):
    status, text, seconds, log = _make(suite, name, "fuzz", *limits)
    counts = [int(n) for n in re.findall(r": (\d+) executions", text)]
    count = sum(counts)
    if status != 0 or not counts or min(counts) < 1000:
        results.failed(suite, name, f"status {status}, {count} executions\n{text[-1200:]}\n           see {shown(log)}", seconds,
                       text)
    else:
        results.passed(suite, name, seconds)
        results.say(f"           {count} executions")


def run(results, names):
    if not names or "check" in names:
        check(results)
    if not names or "runs-table" in names:
        runs_table(results)
    if not names or "fuzz" in names:
        # There are two fuzzers: half a minute each.
        fuzz(results, "kernel", "fuzz", "FUZZ_TIME=30")
    if not names or "kunit" in names:
        mini.run(results, "kernel", [s for s in mini.scenarios("kunit")])


def campaign(results, names):
    if not names or "fuzz-format" in names:
        fuzz(results, "campaign", "fuzz-format", "FUZZ_TIME=0", f"FUZZ_RUNS={RUNS}")
