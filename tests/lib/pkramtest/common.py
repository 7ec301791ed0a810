# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places, and running the scripts that make things."""

import functools
import os
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
TESTS = os.path.join(TOP, "tests")
OUTPUT = os.path.join(TESTS, "output")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pkram")


class Broken(Exception):
    """Something the tests need could not be made. Always a failure, never a skip."""


def make(*command):
    """Run a script that prints a path on its last line of stdout, its chatter going to our stderr."""
    proc = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, check=False, cwd=TOP)
    lines = proc.stdout.strip().splitlines()
    if proc.returncode != 0 or not lines:
        raise Broken(f"{' '.join(os.path.relpath(c, TOP) if c.startswith(TOP) else c for c in command)} failed")
    return lines[-1]


@functools.cache
def kernel(config):
    """The kernel of a configuration, built if need be, as the source was when it was first asked for."""
    return make(os.path.join(TOP, "kernel", "tree"), "build", "--config", config)


@functools.cache
def kernel_packages(config):
    """The Debian packages of the kernel with that configuration."""
    directory = os.path.join(OUTPUT, "packages")
    make(os.path.join(TOP, "kernel", "tree"), "deb", "--config", config, directory)
    return sorted(os.path.join(directory, f) for f in os.listdir(directory) if f.startswith("linux-image-"))


def output_dir(suite, name):
    path = os.path.join(OUTPUT, suite, name)
    os.makedirs(path, exist_ok=True)
    for old in os.listdir(path):
        os.unlink(os.path.join(path, old))
    return path


def shown(path):
    """A path the way a person wants to see it."""
    return os.path.relpath(path, os.getcwd())
