# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: shell files whose first comment says what guest they want and what the console must show.

    # A line or more that say what is tested.
    # stages: 3                boots it consists of, every one must begin (default 1)
    # memory: 768M             of the guest, for small ones always in M (default 512M for small guests, 2G for others)
    # cpus: 1
    # cpu: qemu64              QEMU's processor model
    # timeout: 300             seconds for everything, under emulation
    # silence: 120             seconds between two lines on the console at most
    # append: WORDS            further words on the first kernel's command line
    # qemu: ARGUMENTS          further arguments of QEMU
    # expect: N REGEX          a console line of stage N must match (N may be * for any)
    # refuse: N REGEX          no console line of stage N may match
    # allow: REGEX             a kernel complaint that belongs to this test
    # config: debug            kernel configuration (default guest); guest@7.3 is that of the series for Linux 7.3;
                             stock is Debian 13's own kernel, with an initial RAM disk (full guests only)
    # debug: no                not in the campaign with the debug kernel, which gets more memory (small guests only)
    # suite: campaign          not run by default
    # firmware: uefi           a UEFI machine (full guests only)
    # scratch: 256M            an empty disk, /dev/vdc (full guests only)
    # packages: WORDS          packages of Debian beyond those of the image, in packages/ (full guests only)
    # image: small             the image of the demo on Debian's own kernel, with few packages (full guests only)
    # power: again             a guest that powers off, halts or says CUT is started again, until DONE (full only)
    # control: NAME            a program of tests/vm/control that runs on the host meanwhile (full guests only)
    # debs: guest              Debian packages of a kernel with that configuration, in pkram-deb/ (full guests only)
"""

import os
import re
import shlex
from dataclasses import dataclass, field

from .qemu import Outcome

KEYS = {"stages", "memory", "cpus", "cpu", "timeout", "silence", "append", "qemu", "expect", "refuse", "allow",
        "config", "suite", "kunit", "icount", "debug", "kernels", "firmware", "scratch", "debs", "packages",
        "control", "power", "image"}

# The stage, None for any, and the regular expression of a console line.
Line = tuple[int | None, str]


@dataclass
class Scenario:
    name: str
    path: str
    script: str = ""  # name of the file, where it is not the name of the test
    about: str = ""
    stages: int = 1
    memory: str = ""
    cpus: int = 2
    cpu: str = ""
    timeout: int = 0
    silence: int = 120
    append: str = ""
    qemu: list[str] = field(default_factory=list)
    expect: list[Line] = field(default_factory=list)
    refuse: list[Line] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    config: str = "guest"
    suite: str = ""
    firmware: str = ""
    scratch: str = ""
    debs: str = ""
    control: str = ""
    power: str = ""
    image: str = ""
    packages: list[str] = field(default_factory=list)
    kunit: bool = False
    icount: bool = False
    debug: bool = True
    sanitized: bool = False  # pkramd and its worker are replaced by ones with sanitizers
    kernels: list[str] = field(default_factory=list)  # further kernel configurations the guest finds in /boot


def _stage_and_regex(path: str, value: str) -> Line:
    stage, _, regex = value.partition(" ")
    if not regex or not (stage == "*" or stage.isdigit()):
        raise ValueError(f"{path}: 'expect:' and 'refuse:' want a stage and a regular expression, not '{value}'")
    re.compile(regex)
    return (None if stage == "*" else int(stage), regex)


def load(path: str) -> Scenario:
    """Read one scenario. Raises ValueError for an unknown key, so that a typing error cannot disarm a test."""
    name = os.path.basename(path)
    name = name[:-3] if name.endswith(".sh") else name
    s = Scenario(name=name, path=path)
    about: list[str] = []
    over = False
    with open(path, encoding="utf-8") as f:
        for line in f:
            over = over or not line.startswith("#")
            if over:
                if re.match(rf"# ({'|'.join(sorted(KEYS))}): ", line):
                    raise ValueError(f"{path}: '{line.strip()}' comes after the first comment and would not count")
                continue
            text = line[1:].strip()
            if text.startswith(("!", "SPDX")) or text.startswith("shellcheck"):
                continue
            key, colon, value = text.partition(":")
            value = value.strip()
            if not (colon and re.fullmatch(r"[a-z]+", key)):
                about.append(text)
                continue
            if key not in KEYS:
                raise ValueError(f"{path}: unknown key '{key}:'")
            if key in ("stages", "cpus", "timeout", "silence"):
                setattr(s, key, int(value))
            elif key in ("expect", "refuse"):
                getattr(s, key).append(_stage_and_regex(path, value))
            elif key == "allow":
                re.compile(value)
                s.allow.append(value)
            elif key == "qemu":
                s.qemu += shlex.split(value)
            elif key in ("kernels", "packages"):
                setattr(s, key, value.split())
            elif key == "power" and value != "again":
                raise ValueError(f"{path}: 'power:' wants 'again', not '{value}'")
            elif key == "image" and value != "small":
                raise ValueError(f"{path}: 'image:' wants 'small', not '{value}'")
            elif key in ("kunit", "icount", "debug"):
                setattr(s, key, value == "yes")
            else:
                setattr(s, key, value)
    s.about = " ".join(t for t in about if t)
    return s


def load_all(directory: str) -> list[Scenario]:
    return [load(os.path.join(directory, n)) for n in sorted(os.listdir(directory)) if n.endswith(".sh")]


def verdict(s: Scenario, outcome: Outcome) -> list[str]:
    """Everything that is wrong with how the scenario went; an empty list means it passed."""
    c = outcome.console
    wrong = [f"kernel complaint: {line.strip()}" for line in c.complaints[:5]]
    for check in c.checks:
        if not check.ok:
            wrong.append(f"stage {check.stage}: {check.name}: {check.why}")
    if outcome.timed_out:
        wrong.append(f"{outcome.timed_out}, in stage {c.stage}")
    elif not c.done and not c.fatal:
        wrong.append(f"the guest stopped in stage {c.stage} before the scenario was done")
    if c.stages != list(range(1, s.stages + 1)):
        wrong.append(f"stages seen: {c.stages or 'none'}, expected 1 to {s.stages}")
    # Every stage has to prove something: a stage that checks nothing could lose everything unnoticed.
    for n in range(1, s.stages + 1):
        if n in c.stages and not any(k.stage == n for k in c.checks):
            wrong.append(f"stage {n} checked nothing")
    for stage, regex in s.expect:
        if not re.search(regex, c.text(stage), re.MULTILINE):
            wrong.append(f"no console line of stage {stage or 'any'} matches '{regex}'")
    for stage, regex in s.refuse:
        hit = re.search(regex, c.text(stage), re.MULTILINE)
        if hit:
            wrong.append(f"stage {stage or 'any'} printed '{hit.group(0)}'")
    return wrong
