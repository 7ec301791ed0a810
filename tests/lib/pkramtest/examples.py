# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples in the manual pages and in README.md: what people copy and paste is what the scenarios run, from the
very text. A scenario names an example by its page and its first words:

    example pkram 'kexec -e'                run it; a third word takes one part of it: lines like "# ... in the next
                                            kernel" divide an example into parts
    example_text mount.pkram '[Mount]'      print it, where it is no command
"""

import functools
import glob
import os
import re
import xml.etree.ElementTree
from collections.abc import Iterable, Iterator

from .common import TOP

BETWEEN_PARTS = re.compile(r"^# \.\.\..*\n", re.MULTILINE)
# How scenarios write it: always on a line of its own words, so that it can be found here.
USE = re.compile(r"\bexample(?:_text)? (\S+) '([^'\n]*)'(?: (\d+))?")
# Page and first words of what no scenario can run, and why.
ELSEWHERE = {
    ("README", "./tests/demo"): "this is what runs the scenarios",
    ("README", "kernel/tree fetch"): "Debian's own configuration takes hours, and a guest has no boot menu; 'package' installs the "
                                     "kernel's package",
    ("README", "sudo apt build-dep"): "the packages are built where the image is, and by tests/bare",
    ("mount.pkram", "pkramctl kexec --dry-run"): "'everyday-kinds' of the campaign runs it",
    ("pkram-tree@.service", "systemctl stop"): "'everyday-kinds' of the campaign runs it",
    ("pkram", "   a service"): "a picture",
    ("pkram-tree@.service", "systemctl edit"): "an editor for a person; 'services-trees' writes the same drop-in",
}


def _pages() -> Iterator[tuple[str, str]]:
    """(page, text of the example) of every manual page. Included files are programs, which the unit tests run."""
    for path in sorted(glob.glob(os.path.join(TOP, "man", "*.xml"))):
        for element in xml.etree.ElementTree.parse(path).iter("programlisting"):
            if len(element) == 0:
                yield os.path.basename(path)[:-len(".xml")], "".join(element.itertext()).strip("\n") + "\n"


def _readme() -> Iterator[tuple[str, str]]:
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as f:
        # What stands between ``` is a picture.
        for text in re.findall(r"(?:^    .*\n)+", re.sub(r"(?ms)^```.*?^```$", "", f.read()), re.MULTILINE):
            yield "README", re.sub(r"^    ", "", text, flags=re.MULTILINE)


@functools.cache
def blocks() -> list[tuple[str, list[str]]]:
    """(page, [text of each part]) of all examples."""
    return [(page, BETWEEN_PARTS.split(text)) for page, text in [*_readme(), *_pages()]]


def _begins(parts: list[str], words: str) -> bool:
    return parts[0].replace("\n", " ").startswith(words)


def files() -> Iterator[tuple[str, str]]:
    """(name, text) of what a guest finds below examples/: PAGE/NUMBER.PART, counted from 1."""
    count: dict[str, int] = {}
    for page, parts in blocks():
        count[page] = count.get(page, 0) + 1
        for n, part in enumerate(parts, 1):
            yield f"{page}/{count[page]:02}.{n}", part


def untested(scenarios: Iterable[str]) -> list[str]:
    """What is wrong: examples that none of the scenarios (paths) runs, and uses of examples that there are not."""
    wrong: list[str] = []
    used: set[tuple[int, int]] = set()
    for path in scenarios:
        with open(path, encoding="utf-8") as f:
            for page, begin, part in USE.findall(f.read()):
                hits = [n for n, (p, parts) in enumerate(blocks()) if p == page and _begins(parts, begin)]
                if len(hits) != 1 or int(part or 1) > len(blocks()[hits[0]][1]):
                    wrong.append(f"{os.path.relpath(path, TOP)}: {len(hits)} examples of {page} begin with '{begin}', or there is no part {part}")
                used |= {(n, int(part or 1)) for n in hits}
    for n, (page, parts) in enumerate(blocks()):
        if any(page == p and _begins(parts, b) for p, b in ELSEWHERE):
            continue
        for k, part in enumerate(parts, 1):
            if (n, k) not in used:
                wrong.append(f"no scenario runs part {k} of the example of {page} that begins with '{parts[0].splitlines()[0]}'")
    return wrong
