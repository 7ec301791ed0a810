# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lines that are too long, in each language of this project. A line passes if there is no place in it to wrap it at."""

import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator

WIDTH = 119

# A string or address without a blank cannot be wrapped at one.
LONG_WORD = re.compile(r'"(?:[^"\\\s]|\\.){80,}"|\S{100,}')

# A string of Python that is longer than this need not be divided.
LONG_STRING = 70

# The kernel and its scripts have rules of their own.
LANGUAGES = [
    (re.compile(r"(?!kernel/).*\.[ch]$"), "c"),
    (re.compile(r"(?!kernel/).*\.xml$"), "xml"),
    (re.compile(r"(?!kernel/).*\.py$"), "python"),
    (re.compile(r"(?!kernel/).*\.sh$"), "shell"),
    (re.compile(r"(?!kernel/).*\.(?:conf|preset|service|socket)(?:\.in)?$"), "unit"),
]
SHELL = re.compile(r"#!.*\b(?:ba)?sh\b")
# Lines of comments that are read by programs.
DIRECTIVE = re.compile(r"\s*# ?(?:shellcheck |[a-z]+: )")
VERBATIM = re.compile(r"<(programlisting|screen|synopsis)\b.*?</\1>", re.S)


def language(path: str, text: str) -> str | None:
    """Returns the language of a file, or None if its lines are not checked."""
    for pattern, name in LANGUAGES:
        if pattern.match(path):
            return name
    return "shell" if SHELL.match(text) and not path.startswith("kernel/") else None


# The word that ends a here document, and whether tabs may stand before it.
Document = tuple[str, bool]
# The column of a blank, and how many substitutions it is in.
Blank = tuple[int, int]
# Where a token begins or ends: line and column.
Place = tuple[int, int]
# The number of a line that is too long, and the line.
Line = tuple[int, str]


class Shell:
    """Where the lines of a shell script can be wrapped."""

    def __init__(self) -> None:
        # What is open: ' " $' ` ( for commands, { for parameters, + for arithmetic.
        self.open: list[str] = []
        # Here documents that begin on the next line, and the one that this line is in.
        self.pending: list[Document] = []
        self.document: Document | None = None

    def blanks(self, line: str) -> list[Blank] | None:
        """Returns the columns of the blanks at which this line, the next one of the script, can be wrapped, with how
        many substitutions each is in. None if it begins within a string or here document."""
        if self.document:
            word, tabs = self.document
            if (line.lstrip("\t") if tabs else line) == word:
                self.document = self.pending.pop(0) if self.pending else None
            return None
        inside = bool(self.open) and self.open[-1] in "'\"D"
        found: list[Blank] = []
        column = 0
        while column < len(line):
            column += self._step(line, column, found)
        if self.pending and not (self.open and self.open[-1] in "'\"D"):
            self.document = self.pending.pop(0)
        return None if inside else found

    def _step(self, line: str, at: int, found: list[Blank]) -> int:
        """Take what begins at a column. Returns its length."""
        rest, top = line[at:], self.open[-1] if self.open else ""
        if top == "'":
            return self._close(1) if rest[0] == "'" else 1
        if rest[0] == "\\":
            return 2
        if top == "D":
            return self._close(1) if rest[0] == "'" else 1
        for text, kind in (("$((", "+"), ("$(", "("), ("${", "{"), ("`", "`")):
            if rest.startswith(text):
                return self._close(1) if text == top == "`" else self._push(kind, len(text))
        if top == '"':
            return self._close(1) if rest[0] == '"' else 1
        if rest.startswith("$'"):
            return self._push("D", 2)
        if rest[0] in "'\"":
            return self._push(rest[0], 1)
        if top == "{":
            return self._close(1) if rest[0] == "}" else 1
        if top == "+":
            return self._close(2) if rest.startswith("))") else self._push("(", 1) if rest[0] == "(" else 1
        if rest.startswith("(("):
            return self._push("+", 2)
        if rest[0] == "(":
            return self._push("(", 1)
        if rest[0] == ")":
            return self._close(1) if top == "(" else 1
        here = re.match(r"<<(-?)\s*(['\"]?)\\?([\w.]+)\2", rest)
        if here and not rest.startswith("<<<"):
            self.pending.append((here[3], bool(here[1])))
            return len(here[0])
        if rest.startswith("<<<"):
            return 3
        if rest[0] == "#" and (at == 0 or line[at - 1] in " \t;"):
            return len(rest)
        # The line after one that announces a here document is part of that, and what is quoted stays on one line.
        if rest[0] == " " and not self.pending and '"' not in self.open and not re.match(r"\s*(\\?$|#)", rest):
            found.append((at, len(self.open)))
        return 1

    def _push(self, kind: str, length: int) -> int:
        self.open.append(kind)
        return length

    def _close(self, length: int) -> int:
        self.open.pop()
        return length


def _shell(text: str) -> Iterator[Line]:
    shell = Shell()
    for n, line in enumerate(text.splitlines(), 1):
        blanks = shell.blanks(line)
        if len(line) <= WIDTH or blanks is None:
            continue
        if line.lstrip().startswith("#"):
            if not DIRECTIVE.match(line):
                yield n, line
        elif any(len(line) - len(line.lstrip()) < b <= WIDTH - 2 for b, _ in blanks):
            yield n, line


def _python_strings(text: str) -> Iterator[tuple[Place, Place, str]]:
    """Where each string begins and ends, and the line that it begins in. Since Python 3.12, an f-string is no token,
    but a list of them from FSTRING_START to FSTRING_END, with others within it."""
    fstring_start, fstring_end = (getattr(tokenize, name, None) for name in ("FSTRING_START", "FSTRING_END"))
    begun: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and not begun:
            yield token.start, token.end, token.line
        elif token.type == fstring_start:
            begun.append(token)
        elif token.type == fstring_end:
            start = begun.pop()
            if not begun:
                yield start.start, token.end, start.line


def _python(text: str) -> Iterator[Line]:
    # A string that goes on over several lines may be a program of another language, unless it begins like a
    # sentence. A long string on one line is no place to wrap.
    inside: set[int] = set()
    for start, end, line in _python_strings(text):
        if end[0] > start[0]:
            if not re.match(r"\s*[rf]*\"\"\"[A-Z]", line):
                inside.update(range(start[0] + 1, end[0] + 1))
        elif end[1] - start[1] > LONG_STRING:
            inside.add(start[0])
    for n, line in enumerate(text.splitlines(), 1):
        if len(line) > WIDTH and n not in inside:
            yield n, line


def _xml(text: str) -> Iterator[Line]:
    outside = VERBATIM.sub(lambda m: "\n" * m[0].count("\n"), text)
    for n, line in enumerate(outside.splitlines(), 1):
        # A blank within a tag is no place to wrap.
        if len(line) > WIDTH and " " in re.sub(r"<[^>]*>", "", line).strip():
            yield n, line


def _unit(text: str) -> Iterator[Line]:
    for n, line in enumerate(text.splitlines(), 1):
        # The list of a setting stays on one line.
        if len(line) > WIDTH and line.startswith("#"):
            yield n, line


def _c(text: str) -> Iterator[Line]:
    for n, line in enumerate(text.splitlines(), 1):
        if len(line.expandtabs(8)) > WIDTH:
            yield n, line.expandtabs(8)


LONG = {"c": _c, "xml": _xml, "python": _python, "shell": _shell, "unit": _unit}


def check(files: Iterable[str], read: Callable[[str], str]) -> list[str]:
    """Returns the lines of these files that are too long. read returns the text of a file."""
    wrong = []
    for f in files:
        if not re.search(r"\.([ch]|xml|py|sh|in)$|/[\w.@-]+$", f):
            continue
        text = read(f)
        name = language(f, text)
        for n, line in LONG[name](text) if name else ():
            if not LONG_WORD.search(line):
                wrong.append(f"{f}:{n}: {len(line)} columns, at most {WIDTH} are allowed")
    return wrong
