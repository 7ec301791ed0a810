# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bench of the daemon, in processor time and memory of this host."""

import os
import subprocess
import time

from . import unit
from .common import contents, output_dir, shown
from .results import Results

NAME = "daemon"
ABOUT = "pkramd over a model of the kernel: a Store of 8 MiB, a List of 10,000 nodes, the checksum of a GiB, and at most 16 MiB of memory"


def run(results: Results) -> None:
    """Times are told, not judged: they are this host's. Memory is judged, by the program itself."""
    start = time.monotonic()
    path = os.path.join(output_dir("bench", "daemon"), "log")
    with open(path, "w", encoding="utf-8") as log:
        try:
            build = unit.build("plain", [], log, None, ["daemon/bench-daemon"])
        except (subprocess.CalledProcessError, OSError) as e:
            results.failed("bench", "daemon", f"{e}; see {shown(path)}", time.monotonic() - start, contents(path))
            return
    # As root, like the daemon.
    r = subprocess.run([*unit.as_root(dict(os.environ)), os.path.join(build, "daemon", "bench-daemon")],
                       capture_output=True,
                       text=True, check=False)
    if r.returncode != 0 or "daemon_rss" not in r.stdout:
        results.failed("bench", "daemon", f"status {r.returncode}: {r.stdout}{r.stderr}", time.monotonic() - start)
        return
    results.passed("bench", "daemon", time.monotonic() - start)
    for line in r.stdout.splitlines():
        results.say(f"           {line}")
