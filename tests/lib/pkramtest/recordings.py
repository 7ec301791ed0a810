# SPDX-License-Identifier: LGPL-2.1-or-later
"""Consoles of guests that count instructions. Such a guest does the same each time it is started, so a run can read
the console of an earlier one, as long as QEMU, its arguments, the kernel and the disks have not changed."""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable

from .common import CACHE, forget_old
from .console import Console
from .qemu import Machine, Outcome

DIRECTORY = os.path.join(CACHE, "recordings")
# What qemu.run() puts before each line.
SECONDS = re.compile(r"^ *[0-9]+\.[0-9]{2} ")


class Recording:
    """The console of one machine that counts instructions, if it was kept. One that is too old is not used, whatever
    has changed unnoticed."""

    def __init__(self, machine: Machine) -> None:
        forget_old(DIRECTORY)
        files = [f for f in (machine.kernel, machine.initrd, *(path for path, _ in machine.drives)) if f]
        # Files count by what is in them, not by their names.
        command = machine.command()
        words = ["" if w in files else w for w in command]
        for path, _ in machine.drives:
            words = [w.replace(path, "") for w in words]
        digest = hashlib.sha256(subprocess.run([command[0], "--version"], stdout=subprocess.PIPE, check=True).stdout)
        digest.update("\0".join(words).encode())
        for path in files:
            with open(path, "rb") as f:
                digest.update(hashlib.file_digest(f, "sha256").digest())
        self.path = os.path.join(DIRECTORY, digest.hexdigest()[:32])

    def outcome(self, allow: Iterable[str], log_path: str) -> Outcome | None:
        """The outcome with that console, of which a copy goes to log_path; None if there is no recording. allow: as
        for qemu.run()."""
        try:
            made = os.stat(self.path).st_mtime
            shutil.copyfile(self.path, log_path)
        except FileNotFoundError:
            return None
        console = Console(allow=[re.compile(a) for a in allow])
        with open(log_path, encoding="utf-8") as log:
            for line in log:
                console.feed(SECONDS.sub("", line))
        return Outcome(console, 0.0, recorded=time.strftime("%Y-%m-%d", time.localtime(made)))

    def keep(self, log_path: str) -> None:
        """Keep the console in log_path, of a guest with which nothing was wrong."""
        shutil.copyfile(log_path, self.path + ".new")
        os.rename(self.path + ".new", self.path)
