# SPDX-License-Identifier: LGPL-2.1-or-later
"""The meson tests, built twice: as they are, and under ASan and UBSan."""

import collections
import json
import math
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable
from typing import IO

from . import profile, qemu
from .common import TESTS, TOP, contents, output_dir, shown
from .results import Results

BUILDS: dict[str, list[str]] = {
    "plain": [],
    "sanitized": ["-Db_sanitize=address,undefined", "-Db_lundef=false"],
}


# One for each build directory, held while something is built there, and as long as its programs must not change.
_in_use: dict[str, threading.Lock] = collections.defaultdict(threading.Lock)


def in_use(name: str) -> threading.Lock:
    """A context manager: the build directory of that name is not used by another suite."""
    return _in_use[name]


# What test_skip() of daemon/basic/test.h prints.
SKIPPED = re.compile(r"^# SKIP (\w+): (.*)$", re.MULTILINE)


def tests() -> list[tuple[str, str]]:
    return [("plain", "meson test"), ("sanitized", "meson test under ASan and UBSan, every report fatal")]


def build(name: str, options: Iterable[str], log: IO[str], environment: dict[str, str] | None = None,
          targets: Iterable[str] = ()) -> str:
    """Configure and compile everything, or some targets; returns the build directory or raises CalledProcessError.
    The directory is in the checkout, so that names of sources, relative to it, are the same in every checkout: what
    ccache has is found again in the next one."""
    directory = os.path.join(TESTS, "build", name)
    os.makedirs(os.path.dirname(directory), exist_ok=True)

    def do(*command: str) -> None:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True, cwd=TOP,
                       env=dict(os.environ, **(environment or {})))

    setup = ["meson", "setup", directory, TOP, "-Dtests=true", "--werror", *options]
    if os.path.exists(os.path.join(directory, "build.ninja")):
        setup.insert(2, "--reconfigure")
    try:
        do(*setup)
    except subprocess.CalledProcessError:
        # Another version of meson: begin afresh once.
        subprocess.run(["rm", "-rf", directory], check=True)
        do(*[s for s in setup if s != "--reconfigure"])
    with profile.measured("compile"):
        do("nice", "ninja", "-C", directory, *targets)
    return directory


def as_root(environment: dict[str, str]) -> list[str]:
    """What runs a command as root, in this environment: owners, mounts and file systems are tested with real ones.
    What tests leave in the checkout or in the compilers' cache would be root's, so they leave nothing."""
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment["CCACHE_DISABLE"] = "1"
    if os.geteuid() == 0:
        return []
    kept = [f"{name}={value}" for name, value in environment.items()
            if re.match(r"(PATH|HOME|LANG|LC_\w+|TERM|TMPDIR|XDG_CACHE_HOME|\w+SAN_OPTIONS|PYTHONDONTWRITEBYTECODE|CCACHE_DISABLE)$", name)]
    return ["sudo", "--", "env", *kept]


def run(results: Results, names: list[str]) -> None:
    for name, options in BUILDS.items():
        if not names or name in names:
            with in_use(name):
                _run_build(results, name, options)


def _run_build(results: Results, name: str, options: list[str]) -> None:
    start = time.monotonic()
    path = os.path.join(output_dir("unit", name), "log")
    with open(path, "w", encoding="utf-8") as log:
        try:
            directory = build(name, options, log)
        except (subprocess.CalledProcessError, OSError) as e:
            results.failed("unit", f"{name}/build", f"{e}; see {shown(path)}", time.monotonic() - start,
                           contents(path))
            return
        environment = dict(
            os.environ,
            ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=1",
            UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
        )
        report = os.path.join(directory, "meson-logs", "testlog.json")
        if os.path.exists(report):
            os.unlink(report)
        with profile.measured("check"):
            # One more at once than there are processors, since the longest tests wait most of the time.
            subprocess.run([*as_root(environment), "nice", "meson", "test", "-C", directory, "--no-rebuild",
                            "--num-processes", str((os.cpu_count() or 1) + 1),
                            "--print-errorlogs", "--timeout-multiplier", str(math.ceil(qemu.patience()))],
                           stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
    _report(results, name, report, path)


def _report(results: Results, name: str, report: str, path: str) -> None:
    """One result for each meson test. Cases that a test reports by TAP count one by one."""
    try:
        with open(report, encoding="utf-8") as f:
            entries = [json.loads(line) for line in f]
    except OSError as e:
        results.failed("unit", name, f"meson wrote no report: {e}; see {shown(path)}", output=contents(path))
        return
    for entry in entries:
        test = f"{name}/{entry['name'].split(' / ')[-1]}"
        out, err = entry.get("stdout") or "", entry.get("stderr") or ""
        cases = [l.strip() for l in out.splitlines() if l.strip().startswith(("ok ", "not ok "))]
        seconds = float(entry.get("duration", 0))
        for case, why in SKIPPED.findall(out):
            results.skipped("unit", f"{test}/{case}", why)
            cases = [c for c in cases if _case(c) != case]
        if entry["result"] in ("OK", "EXPECTEDFAIL"):
            for case in cases[1:]:
                results.passed("unit", f"{test}/{_case(case)}", quiet=True)
            results.passed("unit", f"{test}/{_case(cases[0])}" if cases else test, seconds, quiet=True)
        elif entry["result"] == "SKIP":
            results.skipped("unit", test, _skip_reason(f"{out}\n{err}"))
        else:
            bad = [c for c in cases if c.startswith("not ok")]
            tail = (err or out).strip()[-800:]
            why = f"{entry['result']}: {'; '.join(bad) or tail}\n           see {shown(path)}"
            results.failed("unit", test, why, seconds, f"{out}\n{err}")
    results.say(f"  {name}: {len(entries)} test programs")


def _skip_reason(text: str) -> str:
    """Why a program skipped all of its tests: what follows "# SKIP", or the last thing that it said."""
    words = [l.strip() for l in text.splitlines() if l.strip()]
    skips = [w.partition("# SKIP")[2].strip() for w in words if "# SKIP" in w]
    return (skips or words[-1:] or ["it did not say why"])[0]


def _case(line: str) -> str:
    return line.partition("- ")[2].split(" # ")[0].strip() or line
