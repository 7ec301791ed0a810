# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bench: what the guests measured, beside the rival's figures, and what of it is not good enough."""

import re
from dataclasses import dataclass

from . import mini
from .qemu import Outcome
from .recordings import Recording
from .results import Results
from .scenario import Scenario

# Linux 7.3 with KHO and LUO, measured the same way on the same kind of guest (memfd of 256 MiB, no MEMCG).
RIVAL = "LUO 7.3"


@dataclass
class Figure:
    """rival: its figure; must, aim: highest value that is acceptable, and the one we want; None where there is none."""

    name: str
    about: str
    unit: str
    scenario: str
    rival: float | None = None
    must: float | None = None
    aim: float | None = None


FIGURES = [
    Figure("save_base", "save, base pages", "insn/4KiB", "bench-base", 563, 45, 40),
    Figure("load_base", "load, base pages", "insn/4KiB", "bench-base", 1384, 255, 160),
    Figure("save_2m", "save, 2 MiB folios", "insn/4KiB", "bench-2m", 134, 1.1, 0.7),
    Figure("load_2m", "load, 2 MiB folios", "insn/4KiB", "bench-2m", 21, 2, 1),
    Figure("save_after_image", "bytes, with an image of 256 MiB loaded", "x", "bench-save", None, 1.2, 1.05),
    Figure("save_packed", "packing, each page that is packed", "insn/page", "bench-save"),
    Figure("meta_contiguous", "metadata, pages as they come", "B/page", "bench-base"),
    Figure("meta_base", "metadata, scattered pages (worst)", "B/page", "bench-scattered", None, 8),
    Figure("meta_2m", "metadata, 2 MiB folios", "B/2MiB", "bench-2m", None, 64),
    Figure("boot_scattered", "early boot, 1 GiB of scattered pages", "insn/page", "bench-scattered", None, 12, 2),
    Figure("adopt_scattered", "adopting them, in the background", "insn/page", "bench-scattered"),
    Figure("boot_adopt_scattered", "both: all that they add", "insn/page", "bench-scattered", None, 100, 60),
    Figure("adopt_2m", "adopting 1 GiB of 2 MiB folios", "insn/4KiB", "bench-adopt"),
    Figure("boot_adopt_2m", "that, and early boot", "insn/4KiB", "bench-adopt", None, 12, 4),
    Figure("memblock_regions", "memblock, every second 2 MiB of 2 GiB", "regions/GiB", "bench-regions", None, 530),
    Figure("seal_poison", "sealing after a memory error", "x", "bench-scattered", None, 1.1, 1),
    Figure("blackout_0", "reboot() to init, nothing stored", "insn", "bench-scattered"),
    Figure("blackout_1g", "reboot() to init, 1 GiB scattered", "insn", "bench-scattered"),
    Figure("blackout_ratio", "the one divided by the other", "x", "bench-scattered", None, 1.005, 1.001),
]


def scenarios() -> list[Scenario]:
    return mini.scenarios("bench")


PAGES_OF_1G = 262144


def measured(s: Scenario, outcome: Outcome) -> dict[str, float]:
    """{name: value} of one scenario, from its DATA lines and, for the blackouts and seals, from its console.

    Early boot is everything that 1 GiB adds to the time from reboot() to init. It can be less than nothing: early boot
    does not have to free what is preserved. Nodes are adopted in the background, and the kernel measures the processor
    time that takes. Both are given together, too. Much of that is giving back the holes between the pages, of which the
    guest of bench-scattered has one for every four. What it adopts before init counts twice."""
    values: dict[str, float] = {}
    for line in outcome.console.data:
        name, value, _ = line.split(None, 2)
        values[name] = float(value)
    blackouts = outcome.console.blackouts
    if s.name in ("bench-scattered", "bench-adopt") and len(blackouts) >= 2:
        added = (blackouts[1] - blackouts[0]) / PAGES_OF_1G
        if s.name == "bench-adopt":
            if "adopt_2m" in values:
                values["boot_adopt_2m"] = added + values["adopt_2m"]
        else:
            values["blackout_0"], values["blackout_1g"] = map(float, blackouts[:2])
            values["blackout_ratio"] = blackouts[1] / blackouts[0]
            values["boot_scattered"] = added
            if "adopt_scattered" in values:
                values["boot_adopt_scattered"] = added + values["adopt_scattered"]
    if s.name == "bench-scattered":
        # Of nothing, of the node, and of the node after a memory error.
        seals = [float(ns) for ns in re.findall(r"pkram: sealed .* in (\d+) ns", outcome.console.text())]
        if len(seals) == 3:
            values["seal_poison"] = seals[2] / seals[1]
    return values


def number(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 1000 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3f}" if value < 2 else f"{value:.2f}"


def _recorded(suite_name: str, s: Scenario) -> Outcome:
    """As mini.run_one(), but with the console of an earlier run, if there is one of the same guest."""
    return Recording(mini.machine(s)).outcome(s.allow, mini.console_log(suite_name, s)) or mini.run_one(suite_name, s)


def run(results: Results, suite_name: str, chosen: list[Scenario], *, again: bool) -> None:
    """Run the scenarios, then print one table and the plain lines. Each figure with a "must" is a test of its own.
    again: do not use what an earlier run has measured."""
    values: dict[str, float] = {}
    for s, outcome in mini.each(results, suite_name, chosen, mini.run_one if again else _recorded):
        values.update(measured(s, outcome))
        if outcome.recorded:
            results.say(f"           measured on {outcome.recorded}; nothing has changed since")
        elif s.icount:
            Recording(mini.machine(s)).keep(mini.console_log(suite_name, s))

    wanted = [f for f in FIGURES if f.scenario in {s.name for s in chosen}]
    results.say(f"\n{'':<39}{'measured':>12}{RIVAL:>10}{'must':>8}{'aim':>7}")
    for f in wanted:
        value = number(values[f.name]) if f.name in values else "-"
        results.say(f"{f.about:<39}{value:>12}{number(f.rival):>10}{number(f.must):>8}{number(f.aim):>7}  {f.unit}")
    results.say("")
    for f in wanted:
        if f.name in values:
            results.say(f"{f.name} {number(values[f.name])} {f.unit}")
    results.say("")
    for f in wanted:
        if f.name not in values:
            results.failed(suite_name, f.name, f"was not measured, see {f.scenario}")
        elif f.must is not None and values[f.name] > f.must:
            results.failed(suite_name, f.name, f"{number(values[f.name])} {f.unit} is more than {number(f.must)}")
        elif f.must is not None:
            results.passed(suite_name, f.name, quiet=True)
