# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the time of a run goes. Anything may report how long a phase took; the sums are printed at the end of the run.

Phases overlap: guests run beside each other, and a guest waits while another one builds. The sums say what is worth
making faster, not how long the run took."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator

# What a run spends its time on, in the order in which it is printed.
PHASES = {
    "compile": "kernels, images, programs",
    "check": "linters and unit tests",
    "boot": "guests, from the start or the kexec to the first words of the scenario",
    "work": "guests, the scenarios themselves",
}

_sums: dict[str, float] = {}
_lock = threading.Lock()


def add(phase: str, seconds: float) -> None:
    """Add to a phase of PHASES."""
    assert phase in PHASES
    with _lock:
        _sums[phase] = _sums.get(phase, 0.0) + seconds


@contextlib.contextmanager
def measured(phase: str) -> Iterator[None]:
    """Add the time that the block takes to a phase."""
    start = time.monotonic()
    try:
        yield
    finally:
        add(phase, time.monotonic() - start)


def lines(tests: Iterable[tuple[str, float]], slowest: int = 8) -> list[str]:
    """The profile of a run, for the reader: the phases, and those of the tests, pairs of name and seconds, that took
    longest."""
    text = [f"{'phase':<12}{'seconds':>9}"]
    text += [f"{phase:<12}{_sums[phase]:>9.0f}  {about}" for phase, about in PHASES.items() if phase in _sums]
    longest = sorted((t for t in tests if t[1] >= 1), key=lambda t: -t[1])[:slowest]
    if longest:
        text += ["", f"{'slowest':<36}{'seconds':>9}"]
        text += [f"{name:<36}{seconds:>9.0f}" for name, seconds in longest]
    return text
