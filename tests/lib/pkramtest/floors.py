# SPDX-License-Identifier: LGPL-2.1-or-later
"""The layers of user space: a folder includes headers only of its own and of folders that are allowed here."""

import os
import re
from collections.abc import Callable

_STORE = {"daemon", "daemon/basic", "daemon/device", "kexec-hook"}
_SERVICE = {*_STORE, "daemon/varlink", "daemon/store"}

# From the bottom up: each folder, and the folders whose headers it may include beside its own.
LAYERS = {
    "daemon/basic": {"daemon"},
    "daemon/device": {"daemon", "daemon/basic"},
    "daemon/varlink": {"daemon", "daemon/basic"},
    "kexec-hook": {"daemon", "daemon/basic", "daemon/device"},
    "daemon/store": _STORE,
    "daemon/client": {"daemon/basic", "daemon/varlink"},
    "daemon/service": _SERVICE,
    "daemon/ctl": {*_SERVICE, "daemon/shm"},
    "daemon/mount": _SERVICE,
    "daemon/restore": _SERVICE,
    "daemon/fdstore": {*_SERVICE, "kexec-hook/guard"},
    "kexec-hook/guard": _SERVICE,
    "daemon/qemu": {*_SERVICE, "daemon/mount", "kexec-hook/guard"},
    "daemon/criu": {*_SERVICE, "daemon/mount", "kexec-hook/guard"},
    "daemon/shm": {*_SERVICE, "kexec-hook/guard"},
}
INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)


def check(files: list[str], read: Callable[[str], str]) -> list[str]:
    """Returns the includes that go upwards. Tests, fuzz targets and benchmarks may include everything."""
    headers: dict[str, set[str]] = {}
    for f in files:
        if f.endswith(".h"):
            headers.setdefault(os.path.basename(f), set()).add(os.path.dirname(f))
    wrong = []
    for f in files:
        folder = os.path.dirname(f)
        if folder not in LAYERS or not f.endswith((".c", ".h")) or re.search(r"/(test|fuzz|bench)-|-mock", f):
            continue
        for header in INCLUDE.findall(read(f)):
            homes = headers.get(os.path.basename(header), set())
            if homes and not homes & (LAYERS[folder] | {folder}):
                wrong.append(f"{f} includes {header} of {', '.join(sorted(homes))}")
    return wrong
