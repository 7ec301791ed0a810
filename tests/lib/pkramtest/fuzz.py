# SPDX-License-Identifier: LGPL-2.1-or-later
"""libFuzzer targets of the daemon and the kexec hook, under ASan and UBSan: a hundred thousand executions of each by
default, ten million in the campaign. They begin with the corpora kept in the source; what is found new stays in the cache."""

import concurrent.futures
import glob
import os
import re
import subprocess
import time

from . import unit
from .common import CACHE, TOP, contents, output_dir, shown
from .results import Results

RUNS = 100_000
CAMPAIGN_RUNS = 10_000_000


def targets() -> dict[str, str]:
    """Name and source of each. Found in the source, so that none can be forgotten in the build."""
    found = glob.glob(os.path.join(TOP, "daemon", "fuzz", "fuzz-*.c"))
    found += glob.glob(os.path.join(TOP, "kexec-hook", "fuzz-*.c"))
    return {os.path.basename(f)[len("fuzz-"):-len(".c")]: f for f in sorted(found, key=os.path.basename)}


def _binary(name: str) -> str:
    """Where meson puts it, in its build directory."""
    folder = os.path.relpath(os.path.dirname(targets()[name]), TOP)
    return os.path.join(folder.removesuffix("/fuzz"), f"fuzz-{name}")


def _about(source: str) -> str:
    with open(source, encoding="utf-8") as f:
        comments = re.findall(r"/\*(.*?)\*/", f.read(), re.DOTALL)
    return " ".join(re.sub(r"^[ *]+", "", c, flags=re.MULTILINE) for c in comments[1:2]).replace("\n", " ").strip()


def tests() -> list[tuple[str, str]]:
    return [(name, _about(source)) for name, source in targets().items()]


def _run(suite: str, name: str, test: str, build: str, runs: int) -> tuple[str, int, int, float, str]:
    """Execute one target so many times. Returns the test, status, executions, seconds and the log."""
    out = output_dir(suite, test)
    path = os.path.join(out, "log")
    source = targets()[name]
    binary = os.path.join(build, _binary(name))
    kept = os.path.join(os.path.dirname(source), "corpus", name)
    work = os.path.join(CACHE, "fuzz", name)
    os.makedirs(work, exist_ok=True)
    start = time.monotonic()
    with open(path, "w", encoding="utf-8") as log:
        r = subprocess.run(
            ["nice", binary, f"-runs={runs}", "-print_final_stats=1", "-timeout=30", "-rss_limit_mb=2048",
             f"-artifact_prefix={out}/", work]
            + ([kept] if os.path.isdir(kept) else []),
            stdout=log, stderr=subprocess.STDOUT, check=False,
            # What was freed long ago need not be remembered; it costs most of the time.
            env=dict(os.environ, ASAN_OPTIONS="malloc_context_size=4:quarantine_size_mb=16:detect_leaks=1:abort_on_error=0",
                     UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"))
    seconds = time.monotonic() - start
    with open(path, encoding="utf-8", errors="replace") as log:
        count = re.search(r"stat::number_of_executed_units: *(\d+)", log.read())
    return test, r.returncode, int(count.group(1)) if count else 0, seconds, path


def _judge(results: Results, suite: str, runs: int, test: str, status: int, executions: int, seconds: float,
           path: str) -> None:
    if status != 0 or executions < runs:
        with open(path, encoding="utf-8", errors="replace") as log:
            text = log.read()
        results.failed(suite, test, f"status {status} after {executions} executions; the input is beside {shown(path)}\n{text[-1500:]}",
                       seconds, text)
    else:
        results.passed(suite, test, seconds)
        results.say(f"           {executions} executions")


def _suite(results: Results, suite: str, names: list[str], runs: int, prefix: str = "") -> None:
    path = os.path.join(output_dir(suite, "fuzz-build"), "log")
    with open(path, "w", encoding="utf-8") as log:
        try:
            # The compiler is chosen when the directory is made, and kept.
            build = unit.build("fuzz", ["-Dfuzz=true"], log, {"CC": "clang"}, [_binary(t) for t in targets()])
        except (subprocess.CalledProcessError, OSError) as e:
            results.failed(suite, f"{prefix}build", f"{e}; see {shown(path)}", output=contents(path))
            return
    chosen = [t for t in targets() if not names or prefix + t in names]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done in pool.map(lambda t: _run(suite, t, prefix + t, build, runs), chosen):
            _judge(results, suite, runs, *done)


def run(results: Results, names: list[str]) -> None:
    _suite(results, "fuzz", names, RUNS)


def campaign_tests() -> list[tuple[str, str]]:
    return [(f"fuzz-{name}", f"{CAMPAIGN_RUNS} executions of {about[0].lower() + about[1:]}")
            for name, about in tests()]


def campaign(results: Results, names: list[str]) -> None:
    _suite(results, "campaign", names, CAMPAIGN_RUNS, prefix="fuzz-")
