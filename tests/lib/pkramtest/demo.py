# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo: a scenario, told to a person. With --disk it is the one on a kernel without PKRAM, with --upgrade the one
that goes from one version of Linux to another and back."""

import dataclasses
import os
import re
import signal
import sys
import time

from . import scenario, vm
from .common import Broken, output_dir, shown

ABOUT = """
This boots Debian 13 with the patched kernel in QEMU, stores three things in memory, starts another kernel by kexec,
and shows that every byte is there again; then it does a second kexec with one of them still unclaimed.

  usr-lib         a tar of the guest's own /usr/lib, streamed into pkramctl
  service-state   the memory of a small service, which hands it over when systemd stops it, and gets it back by itself
  lease           a few inline bytes, stored and read back with Debian's varlinkctl
"""

ABOUT_DISK = """
This boots Debian 13 with its own kernel, which has no PKRAM, in QEMU. The package as installed keeps nodes on disk there. The
demo stores three of them and a directory tree, reboots, starts another kernel by kexec, and shows each time that every byte is
there again.

  usr-lib         a tar of the guest's own /usr/lib/systemd, streamed into pkramctl
  service-state   the memory of a small service, which hands it over when systemd stops it, and gets it back by itself
  lease           a few inline bytes, stored and read back with Debian's varlinkctl
  web             a tree: a line in /etc/fstab, stored when it is unmounted, and there again when it is mounted
"""

ABOUT_UPGRADE = """
This boots Debian 13 with Linux 6.12 in QEMU, stores three nodes and a directory tree in memory, and updates the kernel to
Linux 7.3 by kexec; then it goes back to 6.12 in the same way. It shows each time that every byte is there again.

  usr-lib         a tar of the guest's own /usr/lib/python3, streamed into pkramctl under each of the kernels
  service-state   the memory of a small service, which hands it over when systemd stops it, and gets it back by itself
  lease           a few inline bytes, stored with Debian's varlinkctl under 6.12, and still unclaimed after 7.3
  web             a tree: a line in /etc/fstab, stored when it is unmounted, and there again when it is mounted
"""

CHECKSUM = ("checksum", "SHA-256, before and after")
STORED = ("stored", "What was stored")
KERNELS = ("kexec", "The kernels")


@dataclasses.dataclass
class Demo:
    """A scenario with an explanation, and the sections of its results: key of the lines, and title."""

    scenario: str
    about: str
    sections: tuple[tuple[str, str], ...]


DEMOS = {
    "": Demo("store-retrieve", ABOUT, (
        STORED, KERNELS, ("restored", "What pkram-restore wrote to the journal after the first kexec"), CHECKSUM)),
    "--disk": Demo("stock-kernel", ABOUT_DISK, (
        STORED, KERNELS, ("restored", "What pkramctl status and the journal said after the reboot"), CHECKSUM)),
    "--upgrade": Demo("kernel-update", ABOUT_UPGRADE, (
        STORED, KERNELS, ("restored", "What pkram-restore wrote to the journal after each kexec"), CHECKSUM)),
}


def main(which: str = "") -> int:
    demo = DEMOS[which]
    print(demo.about)
    s = scenario.load(os.path.join(vm.DIRECTORY, f"{demo.scenario}.sh"))
    out = output_dir("demo", demo.scenario)
    start = time.monotonic()

    def on_line(line: str) -> None:
        # The story as it happens; everything else is in the log.
        told = re.search(r"@@pkram (STAGE|SHOW|PASS|FAIL) ?(.*)$", line)
        if told:
            word, rest = told.groups()
            text = {"STAGE": f"--- boot {rest} ---", "SHOW": "    " + rest.partition(" ")[2], "PASS": f"  ok: {rest}",
                    "FAIL": f"  NOT OK: {rest}"}[word]
            print(f"[{time.monotonic() - start:4.0f}s] {text}", flush=True)

    try:
        outcome = vm.run_one(s, out, on_line)
    except Broken as e:
        print(f"tests/demo: {e}", file=sys.stderr)
        return 1
    wrong = scenario.verdict(s, outcome)

    print("\n" + "=" * 100)
    for key, title in demo.sections:
        print(f"\n{title}\n{'-' * len(title)}")
        lines = [l.partition(" ")[2] for l in outcome.console.show if l.startswith(key + " ")]
        print("\n".join(f"  {l}" for l in lines) or "  nothing")
    print()
    checks = outcome.console.checks
    print(f"{sum(c.ok for c in checks)} of {len(checks)} checks are fine, over {len(outcome.console.stages)} boots in one "
          f"QEMU process, {outcome.seconds:.0f} s. Console and journal: {shown(out)}")
    if wrong:
        print("\nThis did NOT work:")
        print("\n".join(f"  {w}" for w in wrong))
        return 1
    print("Every byte that was stored came back.")
    return 0


if __name__ == "__main__":
    # The guests end with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(*sys.argv[1:]))
