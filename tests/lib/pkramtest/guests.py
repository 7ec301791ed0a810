# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several guests at once, as many as the processors and the memory are enough for."""

import concurrent.futures
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

from . import qemu
from .common import OUTPUT, Broken, output_dir
from .qemu import Outcome
from .results import Results
from .scenario import Scenario

# What is left to the host when guests are counted against its memory.
HOST_MIB = 2048

# How many suites start guests at the same time.
_suites = 1


@contextlib.contextmanager
def beside_each_other(suites: int) -> Iterator[None]:
    """While the block runs, so many suites share the processors and the memory that there are for guests."""
    global _suites
    _suites = suites
    try:
        yield
    finally:
        _suites = 1


def mib(size: str) -> int:
    """Memory of a guest, "768M" or "2G", in MiB."""
    return int(size[:-1]) * {"M": 1, "G": 1024}[size[-1]]


def available_mib() -> int:
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) >> 10 for line in f if line.startswith("MemAvailable:"))


def how_many(largest: str, busy: int) -> int:
    """Guests at once of one suite, if each keeps busy processors busy, and the largest wants so much memory."""
    most = min((os.cpu_count() or 1) // busy, (available_mib() - HOST_MIB) // mib(largest))
    return max(1, most // _suites)


def log_dir(suite_name: str, s: Scenario) -> str:
    """Where the logs of a scenario are."""
    return os.path.join(OUTPUT, suite_name, s.name)


def prepared(results: Results, suite_name: str, chosen: Iterable[Scenario],
             prepare: Callable[[Scenario], object]) -> list[Scenario]:
    """Empty the directory of each scenario's logs and have prepare(s) make what it needs. Returns those for which that
    went well; the others have failed."""
    ready = []
    for s in chosen:
        output_dir(suite_name, s.name)
        try:
            prepare(s)
            ready.append(s)
        except Broken as e:
            results.failed(suite_name, s.name, str(e))
    return ready


def outcomes(results: Results, suite_name: str, chosen: Iterable[Scenario], prepare: Callable[[Scenario], object],
             run_one: Callable[[Scenario], Outcome], *, memory: str, busy: int) -> Iterator[tuple[Scenario, Outcome]]:
    """Prepare the scenarios one after the other, and run run_one(s) for each, those that may take longest first, so
    that none is left alone in the end. memory: of guests whose scenario does not say; busy: processors that one keeps
    busy. Yields (s, what it returned) as they end. An exception of run_one comes out here."""
    chosen = sorted(prepared(results, suite_name, chosen, prepare), key=lambda s: -s.timeout)
    if not chosen:
        return
    largest = max((s.memory or memory for s in chosen), key=mib)
    with concurrent.futures.ThreadPoolExecutor(how_many(largest, busy)) as pool:
        running = {pool.submit(run_one, s): s for s in chosen}
        try:
            for future in concurrent.futures.as_completed(running):
                yield running[future], future.result()
        except BaseException:
            # A process that is stopped, or fails, leaves no guest behind.
            for future in running:
                future.cancel()
            qemu.stop()
            raise
