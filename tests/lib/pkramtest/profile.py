# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the time of a run goes. Anything may report how long a phase took; the sums are printed at the end of the run.

Phases overlap: guests run beside each other, and a guest waits while another one builds. The sums say what is worth
making faster, not how long the run took."""

import contextlib
import threading
import time

# What a run spends its time on, in the order in which it is printed.
PHASES = {
    "compile": "kernels, images, programs",
    "check": "linters and unit tests",
    "boot": "guests, from the start or the kexec to the first words of the scenario",
    "work": "guests, the scenarios themselves",
}

_sums = {}
_lock = threading.Lock()


def add(phase, seconds):
    """Add to a phase of PHASES."""
    assert phase in PHASES
    with _lock:
        _sums[phase] = _sums.get(phase, 0.0) + seconds


@contextlib.contextmanager
def measured(phase):
    """Add the time that the block takes to a phase."""
    start = time.monotonic()
    try:
        yield
    finally:
        add(phase, time.monotonic() - start)


def lines(results, slowest=8):
    """The profile of a run, for the reader: the phases, and the tests that took longest."""
    text = [f"{'phase':<12}{'seconds':>9}"]
    text += [f"{phase:<12}{_sums[phase]:>9.0f}  {about}" for phase, about in PHASES.items() if phase in _sums]
    longest = sorted((r for r in results if r.seconds >= 1), key=lambda r: -r.seconds)[:slowest]
    if longest:
        text += ["", f"{'slowest':<36}{'seconds':>9}"]
        text += [f"{r.suite + '/' + r.name:<36}{r.seconds:>9.0f}" for r in longest]
    return text
