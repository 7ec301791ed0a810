# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel part without and with a kernel: the format code in user space, fuzzing, KUnit."""

import functools
import os
import re
import subprocess
import tempfile
import time

from . import mini
from .common import CACHE, TOP, output_dir, shown
from .fuzz import CAMPAIGN_RUNS
from .results import Results

DIRECTORY = os.path.join(TOP, "kernel", "src", "tools", "testing", "pkram")
# What tools/testing/memblock needs of a kernel tree.
MEMBLOCK = ["mm/memblock.c", "include/linux", "include/vdso", "tools/arch/x86/include", "tools/include",
            "tools/lib", "tools/testing/memblock", "tools/testing/selftests/kselftest.h"]

# Exit status, output, seconds, and the log of the test.
Done = tuple[int, str, float, str]


def tests() -> list[tuple[str, str]]:
    return [
        ("check", "unit tests of the format code in user space, under ASan and UBSan"),
        ("runs-table", "what many runs of memory cost early boot: the kernel's memblock has at most 65,536 regions"),
        ("memblock", "the kernel's own tests of memblock, with ours of what the series adds to it"),
        ("fuzz", "half a minute of fuzzing the reader of what an old kernel left behind"),
        ("kunit", "the KUnit suites in a small guest"),
    ]


def campaign_tests() -> list[tuple[str, str]]:
    return [("fuzz-format", f"{CAMPAIGN_RUNS} executions of each fuzzer of the reader of what an old kernel left behind")]


def _logged(suite: str, name: str, command: list[str]) -> Done:
    """Run a command of a test."""
    start = time.monotonic()
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                       check=False)
    log = os.path.join(output_dir(suite, name), "log")
    with open(log, "w", encoding="utf-8") as f:
        f.write(r.stdout)
    return r.returncode, r.stdout, time.monotonic() - start, log


def _make(suite: str, name: str, target: str, *variables: str) -> Done:
    out = os.path.join(CACHE, "kernel-userspace")
    os.makedirs(out, exist_ok=True)
    return _logged(suite, name, ["nice", "make", "-s", f"-j{os.cpu_count() or 1}", "-C", DIRECTORY, f"O={out}", target,
                                *variables])


@functools.cache
def _applied() -> subprocess.CompletedProcess[str]:
    return subprocess.run([os.path.join(TOP, "kernel", "tree"), "apply"], stdout=subprocess.PIPE, text=True,
                          check=False)


def _tree(results: Results, name: str) -> str | None:
    """The kernel tree with the series, or None after a failure of the test."""
    tree = _applied()
    if tree.returncode == 0:
        return tree.stdout.strip()
    results.failed("kernel", name, f"kernel/tree apply failed ({tree.returncode})")
    return None


def check(results: Results) -> None:
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


def runs_table(results: Results) -> None:
    """Needs a kernel tree, for the kernel's own memblock."""
    tree = _tree(results, "runs-table")
    if not tree:
        return
    status, text, seconds, log = _make("kernel", "runs-table", "runs-table", f"KERNEL={tree}")
    if status != 0 or "4 TiB" not in text:
        results.failed("kernel", "runs-table", f"status {status}\n{text[-1200:]}\n           see {shown(log)}",
                       seconds, text)
        return
    results.passed("kernel", "runs-table", seconds)
    for line in text.splitlines():
        results.say(f"           {line}")


def memblock(results: Results) -> None:
    """tools/testing/memblock, in a copy of what it needs, since its Makefile writes into the tree."""
    tree = _tree(results, "memblock")
    if not tree:
        return
    with tempfile.TemporaryDirectory() as copy:
        status, text, seconds, log = _logged("kernel", "memblock", ["bash", "-ec", f"""
                (cd "{tree}" && cp -r --parents --target-directory="{copy}" {" ".join(MEMBLOCK)})
                cd "{copy}/tools/testing/memblock"
                nice make -s -j"$(nproc)" NUMA=1
                ./main --verbose"""])
    cases = re.findall(r"^ok \d+ : (.*): passed$", text, re.MULTILINE)
    if status != 0 or not any("memblock_reserve_sorted" in c for c in cases):
        results.failed("kernel", "memblock", f"status {status} after {len(cases)} cases\n{text[-1200:]}\n           see {shown(log)}",
                       seconds, text)
    else:
        results.passed("kernel", "memblock", seconds)
        results.say(f"           {len(cases)} cases")


def fuzz(results: Results, suite: str, name: str, *limits: str) -> None:
    status, text, seconds, log = _make(suite, name, "fuzz", *limits)
    counts = [int(n) for n in re.findall(r": (\d+) executions", text)]
    count = sum(counts)
    if status != 0 or not counts or min(counts) < 1000:
        results.failed(suite, name, f"status {status}, {count} executions\n{text[-1200:]}\n           see {shown(log)}", seconds,
                       text)
    else:
        results.passed(suite, name, seconds)
        results.say(f"           {count} executions")


def run(results: Results, names: list[str]) -> None:
    if not names or "check" in names:
        check(results)
    if not names or "runs-table" in names:
        runs_table(results)
    if not names or "memblock" in names:
        memblock(results)
    if not names or "fuzz" in names:
        # There are two fuzzers, beside each other: half a minute each.
        fuzz(results, "kernel", "fuzz", "FUZZ_TIME=30")
    if not names or "kunit" in names:
        mini.run(results, "kernel", mini.scenarios("kunit"))


def campaign(results: Results, names: list[str]) -> None:
    if not names or "fuzz-format" in names:
        fuzz(results, "campaign", "fuzz-format", "FUZZ_TIME=0", f"FUZZ_RUNS={CAMPAIGN_RUNS}")
