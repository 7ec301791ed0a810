# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places, and running the scripts that make things."""

import collections
import contextlib
import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

from . import profile

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
TESTS = os.path.join(TOP, "tests")
OUTPUT = os.path.join(TESTS, "output")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pkram")


class Broken(Exception):
    """Something the tests need could not be made. Always a failure, never a skip."""


def make(*command: str) -> str:
    """Run a script that prints a path on its last line of stdout, its messages going to our stderr. Raises Broken,
    with the last of the messages."""
    messages: collections.deque[str] = collections.deque(maxlen=40)
    with profile.measured("compile"), subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                                       text=True, errors="replace", cwd=TOP) as proc:
        assert proc.stdout and proc.stderr

        def pass_on(stderr: Iterable[str]) -> None:
            for line in stderr:
                sys.stderr.write(line)
                sys.stderr.flush()
                messages.append(line)

        reader = threading.Thread(target=pass_on, args=(proc.stderr,))
        reader.start()
        lines = proc.stdout.read().strip().splitlines()
        reader.join()
    if proc.returncode != 0 or not lines:
        name = " ".join(os.path.relpath(c, TOP) if c.startswith(TOP) else c for c in command)
        raise Broken(f"{name} failed\n{''.join(messages)}".rstrip())
    return lines[-1]


# Files of the cache that were not used for so many days are forgotten.
DAYS = 30


def forget_old(directory: str) -> None:
    """Remove the files in a directory of the cache that were last changed, or used, too long ago. Create the directory
    if there is none."""
    os.makedirs(directory, exist_ok=True)
    for entry in os.scandir(directory):
        # Others may do the same.
        with contextlib.suppress(FileNotFoundError):
            if entry.stat().st_mtime < time.time() - DAYS * 86400:
                os.unlink(entry.path)


def contents(path: str) -> str:
    """The text of a log, "" if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


@functools.cache
def kernel(config: str) -> str:
    """The kernel of a configuration, built if need be, as the source was when it was first asked for. CONFIG@SERIES is
    that of another series than the default."""
    config, _, series = config.partition("@")
    return make(os.path.join(TOP, "kernel", "tree"), "build", "--config", config,
                *(["--series", series] if series else []))


@functools.cache
def kernel_packages(config: str) -> list[str]:
    """The Debian packages of the kernel with that configuration."""
    directory = os.path.join(OUTPUT, "packages")
    make(os.path.join(TOP, "kernel", "tree"), "deb", "--config", config, directory)
    return sorted(os.path.join(directory, f) for f in os.listdir(directory) if f.startswith("linux-image-"))


def output_dir(suite: str, name: str) -> str:
    path = os.path.join(OUTPUT, suite, name)
    os.makedirs(path, exist_ok=True)
    for old in os.listdir(path):
        os.unlink(os.path.join(path, old))
    return path


def shown(path: str) -> str:
    """A path the way a person wants to see it."""
    return os.path.relpath(path, os.getcwd())
