# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios of the small guest: busybox in an initramfs, seconds a kexec."""

import dataclasses
import functools
import hashlib
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator

from . import guests, qemu, scenario
from .common import CACHE, TESTS, TOP, kernel, make, shown
from .console import ktap_results
from .qemu import Outcome
from .results import Results
from .scenario import Scenario

DIRECTORY = os.path.join(TESTS, "vm", "mini", "scenarios")
MEMORY = "512M"
SERIES = ["7.3"]  # further ones than the default
# The scenarios of the suite series, beside KUnit: they save, freeze and load, and reach the
# patches to other parts of the kernel.
ON_EACH_SERIES = ["frozen", "kexec-paths", "store-load"]
# No quiet: every kernel line counts. The reports of a panic end the guest at once. A busy host makes processors of an
# emulated guest stand still for long, which is no fault of the kernel's. The check of the timer would panic because of
# it.
COMMAND_LINE = "console=ttyS0 no_timer_check panic=-1 oops=panic printk.devkmsg=on rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60"


def scenarios(suite: str = "") -> list[Scenario]:
    return [s for s in scenario.load_all(DIRECTORY) if s.suite == suite]


def _on_series(s: Scenario, series: str) -> Scenario:
    """The same scenario on the kernels of another series."""
    return dataclasses.replace(s, name=f"{series}-{s.name}", script=s.script or s.name, config=f"{s.config}@{series}",
                               kernels=[f"{k}@{series}" for k in s.kernels])


def other_series() -> list[Scenario]:
    """KUnit and a few scenarios on the kernels of the other series, with the configuration that is built quickest. The
    guests count instructions, since they run beside others; the check of the local timer would fail in them, and take
    a minute."""
    few = scenarios("kunit") + [s for s in scenarios() if s.name in ON_EACH_SERIES]
    return [dataclasses.replace(_on_series(s, series), config=f"minimal@{series}", icount=True, cpus=1,
                                append=f"{s.append} nolapic_timer".strip(), timeout=(s.timeout or 120) * 4)
            for series in SERIES for s in few]


def campaign() -> list[Scenario]:
    """The long ones, and the ordinary ones once more on the debug kernel and on the kernels of the other series. The
    debug kernel needs more memory and time. Poisoning free pages switches init_on_alloc off: they take turns."""
    slow = []
    ordinary = scenarios() + scenarios("kunit")
    for n, s in enumerate(s for s in ordinary if s.debug):
        mib = int((s.memory or MEMORY).removesuffix("M"))
        if "-numa" not in s.qemu:
            mib += min(mib, 768) + 256
        slow.append(dataclasses.replace(s, name=f"debug-{s.name}", script=s.name, config="debug", memory=f"{mib}M",
                                        append=f"{s.append} page_owner=on page_poison={n % 2}".strip(),
                                        timeout=(s.timeout or 120) * 8, silence=s.silence * 4, kernels=s.kernels))
    other = [_on_series(s, series) for series in SERIES for s in ordinary + slow]
    return scenarios("campaign") + slow + other


def console_log(suite_name: str, s: Scenario) -> str:
    return os.path.join(guests.log_dir(suite_name, s), "console.log")


@functools.cache
def boot_archive(config: str, further: tuple[str, ...]) -> tuple[str, str, str]:
    """The kernel, the initrd, and a disk for the guest: a tar archive with both and further kernels. Raises Broken."""
    initrd = make(os.path.join(TESTS, "vm", "mini", "build"))
    # A scenario knows the further kernels by their configuration, on whatever series it runs.
    series = "@" + config.partition("@")[2]
    files = [("bzImage", kernel(config)), ("initrd", initrd)] + [(c.removesuffix(series), kernel(c)) for c in further]
    key = hashlib.sha256("|".join(p for _, p in files).encode()).hexdigest()[:16]
    path = os.path.join(CACHE, "mini", f"boot-{key}.tar")
    if not os.path.exists(path):
        with tarfile.open(path + ".new", "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, source in files:
                tar.add(source, name)
        os.rename(path + ".new", path)
    return files[0][1], initrd, path


def kunit_suites() -> set[str]:
    """The suites the source defines: what has to run is not left to what happens to run."""
    suites: set[str] = set()
    for root, _, names in os.walk(os.path.join(TOP, "kernel", "src")):
        for name in names:
            if not name.endswith(".c"):
                continue
            with open(os.path.join(root, name), encoding="utf-8") as f:
                text = f.read()
            suites.update(re.findall(r"static struct kunit_suite \w+ = \{[^}]*?\.name\s*=\s*\"([^\"]+)\"", text,
                                     re.DOTALL))
    return suites


def machine(s: Scenario) -> qemu.Machine:
    """The guest of a scenario. Raises Broken."""
    image, initrd, archive = boot_archive(s.config, tuple(s.kernels))
    return qemu.Machine(
        kernel=image,
        initrd=initrd,
        append=f"{COMMAND_LINE} pkramtest.scenario={s.script or s.name} pkramtest.stage=1 {s.append}".strip(),
        memory=s.memory or MEMORY,
        cpus=s.cpus,
        cpu=s.cpu,
        icount=s.icount,
        drives=[(archive, "ro")],
        extra=s.qemu,
    )


def run_one(suite_name: str, s: Scenario) -> Outcome:
    """Run a scenario, its console going to a log. Returns the outcome. Raises Broken."""
    return qemu.run(machine(s), console_log(suite_name, s), timeout=s.timeout or 120, silence=s.silence,
                    allow=s.allow)


def judge(results: Results, suite_name: str, s: Scenario, outcome: Outcome) -> bool:
    """The results of one scenario. False if it failed: what a guest measured while something was wrong is not to be
    shown."""
    wrong = scenario.verdict(s, outcome)
    if s.kunit:
        wrong += add_kunit(results, suite_name, outcome)
    if wrong:
        wrong.append(f"console: {shown(console_log(suite_name, s))}")
        results.failed(suite_name, s.name, "\n           ".join(wrong), outcome.seconds, outcome.console.text())
    else:
        results.passed(suite_name, s.name, outcome.seconds)
    return not wrong


def each(results: Results, suite_name: str, chosen: Iterable[Scenario],
         run_one: Callable[[str, Scenario], Outcome] = run_one) -> Iterator[tuple[Scenario, Outcome]]:
    """Run the scenarios, each by run_one(); yields (s, outcome) of those that passed."""
    for s, outcome in guests.outcomes(results, suite_name, chosen, lambda s: boot_archive(s.config, tuple(s.kernels)),
                                      lambda s: run_one(suite_name, s), memory=MEMORY, busy=1):
        if judge(results, suite_name, s, outcome):
            yield s, outcome


def run(results: Results, suite_name: str, chosen: Iterable[Scenario]) -> None:
    """Run the scenarios; one result each, and one for each KUnit case."""
    for s, outcome in each(results, suite_name, chosen):
        for line in outcome.console.data:
            results.say(f"           {line}")
        if s.icount and outcome.console.blackouts:
            results.say(f"           reboot() to init {' '.join(map(str, outcome.console.blackouts))} insn")


def add_kunit(results: Results, suite_name: str, outcome: Outcome) -> list[str]:
    """One result for each case; returns what is wrong with the run as a whole."""
    cases = ktap_results([l for _, l in outcome.console.lines])
    seen = {suite for suite, _, _, _ in cases}
    wanted = kunit_suites()
    for suite, case, ok, why in cases:
        if ok:
            results.passed(suite_name, f"kunit/{suite}/{case}", quiet=True)
        else:
            results.failed(suite_name, f"kunit/{suite}/{case}", why)
    results.say(f"           {len(cases)} KUnit cases in {len(seen)} suites")
    wrong = [f"KUnit suite '{m}' did not run" for m in sorted(wanted - seen)]
    if not wanted:
        wrong.append("the source defines no KUnit suite")
    return wrong
