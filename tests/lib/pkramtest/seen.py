# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a slow check has found in order before: it need not look again until something changes.

A file is known by the text the compiler sees, comments and macros included, not by its name or its place."""

import hashlib
import os
import subprocess

from .common import CACHE, TOP, forget_old


def _version(program: str) -> bytes:
    return subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=True).stdout


class Seen:
    """What program found in order, as it is now, with its configuration file (relative to the top)."""

    def __init__(self, program: str, configuration: str) -> None:
        with open(os.path.join(TOP, configuration), "rb") as f:
            self.about = _version(program) + f.read()
        self.directory = os.path.join(CACHE, "seen", program)
        forget_old(self.directory)

    def key(self, compile_command: list[str], directory: str) -> str | None:
        """The name of a file's content; compile_command is what compiles it, without -o and the like, in directory.
        None if it cannot be had: such a file is always new."""
        r = subprocess.run([*compile_command, "-E", "-P", "-C", "-dD"], cwd=directory, stdin=subprocess.DEVNULL,
                           capture_output=True, check=False)
        # __FILE__ tells the place of the checkout.
        text = r.stdout.replace(os.fsencode(TOP), b"")
        return hashlib.sha256(self.about + text).hexdigest() if r.returncode == 0 and text else None

    def has(self, key: str) -> bool:
        """True if that content was found in order before."""
        path = os.path.join(self.directory, key)
        if not os.path.exists(path):
            return False
        os.utime(path)
        return True

    def add(self, key: str) -> None:
        """That content is in order."""
        with open(os.path.join(self.directory, key), "wb"):
            pass
