# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts: QEMU is killed at random moments while a guest with Debian's own kernel keeps nodes on a disk, and the
next guest looks at what the disk has.

What the guest had written and not synced is lost with its memory. The guest starts nothing that this does not need:
its first program is tests/vm/lib/power-cuts.sh."""

import os
import random
import re
import subprocess
import time

from . import qemu, vm
from .common import TESTS, Broken, output_dir, shown
from .results import Results

NAME = "disk-power"
ABOUT = "On Debian 13's own kernel: the power is cut at 50 random moments while nodes on disk are stored, replaced, " \
        "retrieved and released. Each is found whole or not at all, and never an older one than was acknowledged."
CUTS = 50
# The moment is so many seconds, at most, after a guest said this: pkramd starts and looks at the disk, or, more often,
# it works. A busy host makes both slower, so a guest does less until then, and the campaign does not take longer.
MOMENTS = (("found", 4), ("found", 4), ("found", 4), ("start", 3))
# Seconds that a guest may take until then.
BOOT = 120
START = os.path.join(TESTS, "vm", "lib", "power-cuts.sh")
# A processor of a busy host may be away for as long as the kernel takes to report a lockup.
COMMAND_LINE = ("console=ttyS0 panic=-1 oops=panic printk.devkmsg=on loglevel=5 norandmaps no_timer_check "
                "rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60")
NODES = ("a", "b", "t")
# The version of each node, None if it is not stored.
State = dict[str, int | None]


def after(state: State, number: int) -> State:
    """The versions of the nodes after an operation. Counts as operation() of the guest does."""
    kind = number % 6
    if kind == 3:
        return {**state, "a": None}
    return {**state, {1: "a", 4: "a", 0: "b", 2: "b", 5: "t"}[kind]: number}


def follows(state: State, number: int) -> int:
    """The first operation from that number on that the guest does not leave out."""
    return number + 1 if number % 6 == 3 and state["a"] is None else number


class Power:
    """What the lines of a guest say about its disk, over all boots."""

    def __init__(self) -> None:
        self.state: State = {n: None for n in NODES}  # after the last operation that was acknowledged
        self.next = self.first = 1
        self.wrong: list[str] = []
        self.looks = 0
        self.acknowledged = 0

    def permitted(self) -> list[State]:
        """The operation that comes next may have been done, if the power was cut in it, or before the line about it."""
        return [self.state, after(self.state, follows(self.state, self.next))]

    def boot(self) -> int:
        """The number of the first operation of the next guest. One that may have been done is not done again."""
        self.first = follows(self.state, self.next) + 1
        return self.first

    def line(self, line: str) -> None:
        said = re.search(r"@@power (\w+) ?(.*)$", line)
        if not said:
            return
        word, rest = said.groups()
        if word == "found":
            self.found(dict(re.findall(r"(\w+)=([\w-]+)", rest)))
        elif word == "begin":
            self.next = int(rest)
        elif word == "done":
            self.state = after(self.state, int(rest))
            self.next = int(rest) + 1
            self.acknowledged += 1
        elif word == "failed":
            self.wrong.append(rest)

    def found(self, said: dict[str, str]) -> None:
        """What is on the disk is the truth from now on."""
        self.looks += 1
        is_there = {n: None if said.get(n) == "none" else said.get(n) for n in NODES}
        permitted = [{n: v if v is None else str(v) for n, v in p.items()} for p in self.permitted()]
        if is_there not in permitted:
            self.wrong.append(f"found {is_there}, permitted are {permitted}")
        if said.get("aside") != "0":
            self.wrong.append(f"{said.get('aside')} nodes were set aside")
        if said.get("nodes") != str(sum(v is not None for v in is_there.values())):
            self.wrong.append(f"{said.get('nodes')} nodes are listed, found are {is_there}")
        self.state = {n: int(v) if v and v.isdigit() else None for n, v in is_there.items()}
        self.next = self.first


def second_archive(initrd: str, path: str) -> None:
    """The initial RAM disk with the guest's first program in an archive after it."""
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], input=b"start\n",
                             stdout=subprocess.PIPE, check=True, cwd=os.path.dirname(path)).stdout
    with open(initrd, "rb") as f, open(path, "wb") as out:
        first = f.read()
        # An archive begins at a multiple of four.
        out.write(first + bytes(-len(first) % 4) + archive)


def files(out: str) -> tuple[str, str, str, str]:
    """The kernel, its initial RAM disk, the root file system and the disk that survives."""
    kernel, stock_initrd = vm.stock_kernel()
    root = vm.disk_image()
    with open(START, "rb") as f, open(os.path.join(out, "start"), "wb") as start:
        start.write(f.read())
    os.chmod(os.path.join(out, "start"), 0o755)
    initrd, disk = os.path.join(out, "initrd"), os.path.join(out, "disk.img")
    second_archive(stock_initrd, initrd)
    with open(disk, "wb") as f:
        f.truncate(256 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-F", disk], check=True)
    return kernel, initrd, root, disk


def cut_once(power: Power, machine: qemu.Machine, log: str, word: str, seconds: float) -> str | None:
    """Runs a guest until the power fails, so many seconds after it said this word. Returns what else ended it, or
    None."""
    def on_line(line: str) -> float | None:
        power.line(line)
        return seconds if f"@@power {word}" in line else None

    outcome = qemu.run(machine, log, timeout=BOOT, silence=BOOT, cut=on_line)
    if outcome.timed_out:
        return outcome.timed_out
    if outcome.console.complaints:
        return f"kernel complaint: {outcome.console.complaints[0].strip()}"
    return None if outcome.cut else "the guest ended by itself"


def run(results: Results) -> None:
    """Cuts the power, and at last looks at the disk without a cut."""
    start, out = time.monotonic(), output_dir("campaign", NAME)
    seed = random.randrange(1 << 32)
    moments, power = random.Random(seed), Power()
    try:
        kernel, initrd, root, disk = files(out)
    except (Broken, OSError, subprocess.CalledProcessError) as e:
        results.failed("campaign", NAME, str(e), time.monotonic() - start)
        return
    for i in range(CUTS + 1):
        machine = qemu.Machine(
            kernel=kernel, initrd=initrd, append=f"{COMMAND_LINE} power.operation={power.boot()}", memory="384M",
            cpus=1,
            # A disk that keeps what it was given, or one whose cache the guest has to flush.
            drives=[(root, "snapshot"), (disk, "none" if i % 2 else "writeback")])
        # The last guest looks at the disk.
        word, limit = MOMENTS[i // 2 % len(MOMENTS)] if i < CUTS else ("found", 0)
        looks = power.looks
        wrong = cut_once(power, machine, os.path.join(out, f"console-{i:02}.log"), word, moments.uniform(0, limit))
        if wrong:
            power.wrong.append(wrong)
        if i == CUTS and power.looks == looks:
            power.wrong.append("the last guest did not look at the disk")
        if power.wrong:
            results.failed("campaign", NAME, f"power cut {i}, seed {seed}: {'; '.join(power.wrong)}\n"
                           f"           consoles: {shown(out)}", time.monotonic() - start)
            return
    # Guests that are too slow prove nothing.
    if power.looks < CUTS // 4 or power.acknowledged < CUTS:
        results.failed("campaign", NAME, f"only {power.looks} boots found what to look at, and only "
                       f"{power.acknowledged} operations ended", time.monotonic() - start)
        return
    for name in ("initrd", "start", "disk.img"):
        os.unlink(os.path.join(out, name))
    results.passed("campaign", NAME, time.monotonic() - start)
    results.say(f"           {CUTS} power cuts, {power.acknowledged} operations acknowledged, seed {seed}")
