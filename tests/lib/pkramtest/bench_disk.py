# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bench of nodes on disk, beside dd, in MB/s of this host's disk."""

import os
import shutil
import subprocess
import tempfile
import time

from . import unit
from .common import OUTPUT, contents, output_dir, shown
from .results import Results

NAME = "disk"
ABOUT = "a node of 256 MiB to the disk of this host and back, beside dd"
MIB = 256


def run(results: Results) -> None:
    """Speeds are told, not judged: they are this host's. The program compares what is loaded with what was stored."""
    start = time.monotonic()
    path = os.path.join(output_dir("bench", NAME), "log")
    with open(path, "w", encoding="utf-8") as log:
        try:
            build = unit.build("plain", [], log, None, ["daemon/bench-disk"])
        except (subprocess.CalledProcessError, OSError) as e:
            results.failed("bench", NAME, f"{e}; see {shown(path)}", time.monotonic() - start, contents(path))
            return
    # Where the checkout is, and not in a /tmp that may be in memory.
    directory = tempfile.mkdtemp(dir=OUTPUT)
    try:
        r = subprocess.run([os.path.join(build, "daemon", "bench-disk"), directory, str(MIB)], capture_output=True,
                           text=True, check=False)
    finally:
        shutil.rmtree(directory)
    if r.returncode != 0 or "disk_load" not in r.stdout:
        results.failed("bench", NAME, f"status {r.returncode}: {r.stdout}{r.stderr}", time.monotonic() - start)
        return
    results.passed("bench", NAME, time.monotonic() - start)
    for line in r.stdout.splitlines():
        name, ns, _ = line.split()
        results.say(f"           {name} {MIB * (1 << 20) / int(ns) * 1000:.0f} MB/s")
