# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part of the style of C in user space that a machine can check: the length of lines, and names of static functions."""

import re

WIDTH = 119

# A string without a blank cannot be wrapped at one.
LONG_WORD = re.compile(r'"(?:[^"\\\s]|\\.){80,}"')

# The kernel has rules of its own, which its own tools check.
CHECKED = re.compile(r"(?!kernel/).*\.[ch]$")
# Tests are programs of their own, and inline functions of headers have the names of what they imitate.
NAMED = re.compile(r"(daemon|kexec-hook|units)/(?!(.*/)?(test|fuzz|bench)-).*\.c$")
STATIC = re.compile(r"^static\s[\w\s*]*?\b(\w+)\((?!\()", re.M)


def lines(path, text):
    """Returns the lines of a text that are too long."""
    return [f"{path}:{n}: {len(line.expandtabs(8))} columns, at most {WIDTH} are allowed"
            for n, line in enumerate(text.splitlines(), 1)
            if len(line.expandtabs(8)) > WIDTH and not LONG_WORD.search(line)]


def statics(texts):
    """Returns the static functions that have no name of their own. texts has the text of each file by its path."""
    homes = {}
    for path, text in texts.items():
        for name in set(STATIC.findall(text)):
            homes.setdefault(name, []).append(path)
    wrong = [f"{name}() is in {', '.join(sorted(paths))}" for name, paths in sorted(homes.items()) if len(paths) > 1]
    return wrong + [f"{paths[0]}: {name}() says either what it does or what with, name it object_verb()"
                    for name, paths in sorted(homes.items()) if "_" not in name.strip("_")]


def check(files, read):
    """Returns what is wrong in these files."""
    wrong = []
    for f in files:
        if CHECKED.match(f):
            wrong += lines(f, read(f))
    return wrong + statics({f: read(f) for f in files if NAMED.match(f)})
