# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part of the style of C in user space that a machine can check: the names of static functions."""

import re
from collections.abc import Callable, Iterable

# Tests are programs of their own, and inline functions of headers have the names of what they imitate.
NAMED = re.compile(r"(daemon|kexec-hook|units)/(?!(.*/)?(test|fuzz|bench)-).*\.c$")
STATIC = re.compile(r"^static\s[\w\s*]*?\b(\w+)\((?!\()", re.M)


def statics(texts: dict[str, str]) -> list[str]:
    """Returns the static functions that have no name of their own. texts has the text of each file by its path."""
    homes: dict[str, list[str]] = {}
    for path, text in texts.items():
        for name in set(STATIC.findall(text)):
            homes.setdefault(name, []).append(path)
    wrong = [f"{name}() is in {', '.join(sorted(paths))}" for name, paths in sorted(homes.items()) if len(paths) > 1]
    return wrong + [f"{paths[0]}: {name}() says either what it does or what with, name it object_verb()"
                    for name, paths in sorted(homes.items()) if "_" not in name.strip("_")]


def check(files: Iterable[str], read: Callable[[str], str]) -> list[str]:
    """Returns what is wrong in these files."""
    return statics({f: read(f) for f in files if NAMED.match(f)})
