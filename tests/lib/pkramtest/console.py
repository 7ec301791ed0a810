# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reading a guest's serial console: marker lines, kernel complaints and KTAP.

A guest talks to the host in lines that hold "@@pkram WORD REST". Guests write them through /dev/kmsg, so that no
kernel message can tear them apart. The words:

    STAGE n          a boot of the scenario begins; 1 is the first
    PASS name        one check went well
    FAIL name: why   one check did not
    DATA name value unit     a measured figure
    TSC n [IDLE]             time stamp counter: when init starts, and right before reboot() starts the next kernel;
                             of that, how long the kernel was idle
    SHOW text        a line for the reader of the demo
    DONE             the scenario is over, the guest powers off
    CUT              the power fails, see power.py
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

MARKER = re.compile(r"@@pkram (STAGE|PASS|FAIL|DATA|TSC|SHOW|DONE)\b ?(.*)$")
ANSI = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78c])")
STAMP = re.compile(r"^\[ *\d+\.\d+\](\[[^\]]*\])? ?")

# What a healthy kernel never prints. The first group is looked for in kernel lines (those with a time stamp) only,
# since user space may say "warning" as it likes.
KERNEL_COMPLAINTS = [
    re.compile(p)
    for p in (
        r"WARNING: ",
        r"\bBUG: ",
        r"kernel BUG at",
        r"\bOops\b",
        r"KASAN: ",
        r"UBSAN: ",
        r"INFO: task .* blocked for more than",
        r"INFO: rcu\S* .*(stall|detected)",
        r"rcu: INFO: ",
        r"possible (recursive|circular) locking",
        r"inconsistent lock state",
        r"suspicious RCU usage",
        r"held lock(s)? (freed|when)",
        r"lock held when returning to user space",
        r"scheduling while atomic",
        r"sleeping function called from invalid context",
        r"unable to handle",
        r"general protection fault",
        r"Bad page (state|map)",
        r"page dumped because",
        r"list_(add|del) corruption",
        r"refcount_t: ",
        r"soft lockup|hard LOCKUP",
        r"Call Trace:",
        r"Kernel panic",
        r"Out of memory: Killed",
        r"segfault at|trap invalid opcode",
        r"systemd\[1\]: Freezing execution",
    )
]
# After one of these nothing useful follows but the rest of the report.
FATAL = re.compile(r"Kernel panic|---\[ end Kernel panic|kernel BUG at|\bOops\b|System halted|Freezing execution|"
                   # A processor that has stood still for two minutes will not move again; the report repeats for ever.
                   r"rcu: INFO: .* detected stalls")
# The decompressor speaks without time stamps.
DECOMPRESSOR = re.compile(r"^(Out of memory while allocating|.* -- System halted|Destination .*(too|outside)|ran out of )")


@dataclass
class Check:
    name: str
    ok: bool
    why: str = ""
    stage: int = 0


@dataclass
class Console:
    """Everything learnt from one console so far. Feed it line by line."""

    allow: list[re.Pattern[str]] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    tsc: list[tuple[int, int]] = field(default_factory=list)
    show: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    done: bool = False
    fatal: bool = False
    lines: list[tuple[int, str]] = field(default_factory=list)  # (boot, text), boots counted from 1
    boot: int = 0

    @property
    def stage(self) -> int:
        return self.stages[-1] if self.stages else 0

    def feed(self, raw: str) -> str:
        line = ANSI.sub("", raw.rstrip("\r\n")).replace("\r", "")
        # What a kernel says before user space starts belongs to its boot, too.
        if re.match(r"^\[ *0\.000000\](\[[^\]]*\])? Linux version ", line):
            self.boot += 1
        self.lines.append((self.boot, line))
        marker = MARKER.search(line)
        if marker:
            self._marker(marker.group(1), marker.group(2).strip())
            return line
        stamped = bool(STAMP.match(line))
        if not any(a.search(line) for a in self.allow):
            if (stamped and any(p.search(line) for p in KERNEL_COMPLAINTS)) or DECOMPRESSOR.match(line):
                self.complaints.append(line)
                if (stamped and FATAL.search(line)) or "System halted" in line:
                    self.fatal = True
        return line

    def _marker(self, word: str, rest: str) -> None:
        if word == "STAGE":
            self.stages.append(int(rest) if rest.isdigit() else -1)
        elif word == "PASS":
            self.checks.append(Check(rest, True, "", self.stage))
        elif word == "FAIL":
            name, _, why = rest.partition(":")
            self.checks.append(Check(name.strip(), False, why.strip(), self.stage))
        elif word == "DATA":
            self.data.append(rest)
        elif word == "TSC" and re.fullmatch(r"\d+( \d+)?", rest):
            ticks, _, idle = rest.partition(" ")
            self.tsc.append((int(ticks), int(idle or 0)))
        elif word == "SHOW":
            self.show.append(rest)
        elif word == "DONE":
            self.done = True

    @property
    def blackouts(self) -> list[int]:
        """Ticks from each reboot() to the first words of the next kernel's init, less those that this kernel was idle,
        in the order of the kexecs."""
        return [after - idle - before for (before, _), (after, idle) in zip(self.tsc[1::2], self.tsc[2::2])]

    def text(self, boot: int | None = None) -> str:
        return "\n".join(l for b, l in self.lines if boot is None or b == boot)


def ktap_results(lines: Iterable[str]) -> list[tuple[str, str, bool, str]]:
    """Parse the KTAP that KUnit prints: a list of (suite, case, ok, why). Skipped cases are not ok: nothing may be
    skipped in a guest that was made for the test."""
    results: list[tuple[str, str, bool, str]] = []
    notes: list[str] = []
    suite = ""
    plain = re.compile(r"^(?P<indent> *)(?P<not>not )?ok (?P<n>\d+) ?-? ?(?P<name>[^#]*?)\s*(#\s*(?P<directive>.*))?$")
    for line in lines:
        text = STAMP.sub("", line, count=1)
        subtest = re.match(r"^ *# Subtest: (.*)$", text)
        if subtest:
            if text.startswith("    #") and not text.startswith("        #"):
                suite = subtest.group(1).strip()
                notes = []
            continue
        result = plain.match(text)
        if not result:
            if text.lstrip().startswith("#"):
                notes.append(text.strip())
            continue
        directive = result.group("directive") or ""
        if len(result.group("indent")) == 4 and suite:
            ok = not result.group("not") and not directive.startswith("SKIP")
            results.append((suite, result.group("name"), ok, "" if ok else " ".join(notes[-6:] + [directive]).strip()))
            notes = []
    return results
