# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part of the style of prose that a machine can check: phrases to avoid, and the form of messages."""

import re
from collections.abc import Callable, Iterable

# Phrases to avoid, and what to say instead. Each is looked for in the whole line, strings included.
PHRASES = [(re.compile(pattern), instead) for pattern, instead in (
    (r"\b[Nn]obody('s)?\b", "name the actor, or use the passive"),
    (r"\b(?:[Ss]ome|[Aa]ny|[Ee]very)body('s)?\b", "name the user, client or process"),
    (r"(?<!-)\b[Ww]ho(ever|m)\b", "name the caller, client or process"),
    (r"\bWho\b(?! am I)|(?:[.:;(] |, and |\b(?:by|for|of|from|than|about) )who\b", "make a noun the subject"),
    (r"\b(him|her)self\b", "themselves, itself"),
    (r"\ball the same\b", "anyway"),
    (r"\bfor good\b", "permanently"),
    (r"\banew\b", "again"),
    (r"\bas ever\b", "as usual"),
    (r"\bat this moment\b", "currently"),
    (r"\bmended\b", "fixed, repaired"),
    (r"\bon (its|their) way (down|up)\b", "during shutdown, at boot"),
    (r"\bsystem (goes|going|went|go) down\b", "during shutdown"),
    (r"\bwithout further ado\b", "as is"),
    (r"\bsays? no\b", "refuse, return an error"),
    (r"\btime-outs?\b", "timeout"),
    (r"\bhad to say\b|\bsecond reading\b", "describe the defect"),
)]
ANY_PHRASE = re.compile("|".join(phrase.pattern for phrase, _ in PHRASES))

# "nobody" is also the name of a user.
USER_NOBODY = re.compile(r"""(?:["'=:@]|-[ou] |as_)nobody\b|\bnobody(?:-\w|:|["'](?!s))|chown nobody|-o nobody""")

# What a message of a failed operation begins with. A conversion at the beginning may stand for such a text.
FAILED = re.compile(r"(Failed to|Ignoring|Refusing to|Refusing connection|Interrupted|Timed out|Unknown|Invalid|%s)\b|%s")
ERRNO_CALL = re.compile(r'\blog_(?:error|warning)_errno\(\s*[^"]*?"((?:[^"\\]|\\.)*)"', re.S)
ANY_CALL = re.compile(r'\b(?:log_(?:error|warning|notice|info)|say)\(\s*(?:[A-Z_]+,\s*)?"((?:[^"\\]|\\.)*)"')
PASSIVE = re.compile(r"^[^:.;]{0,60}?\bcannot be [a-z]+(ed|de|nd|t|en)\b")


def phrases(path: str, text: str) -> list[str]:
    """Returns the lines of a text that have a phrase to avoid."""
    wrong = []
    for n, line in enumerate(text.splitlines(), 1):
        if not ANY_PHRASE.search(line):
            continue
        line_checked = USER_NOBODY.sub("", line)
        for phrase, instead in PHRASES:
            m = phrase.search(line_checked)
            if m:
                wrong.append(f"{path}:{n}: '{m.group(0).strip()}', better: {instead}")
                break
    return wrong


def messages(path: str, text: str) -> list[str]:
    """Returns the messages of a C file that do not begin with the verb that failed."""
    wrong = []
    for m in ERRNO_CALL.finditer(text):
        if not FAILED.match(m.group(1)):
            wrong.append(f"{path}:{_line(text, m)}: begin with \"Failed to\", not \"{m.group(1)[:50]}\"")
        elif m.group(1).rstrip().endswith((".", ": %m")):
            wrong.append(f"{path}:{_line(text, m)}: the error is appended, so end without period: \"{m.group(1)[-30:]}\"")
    for m in ANY_CALL.finditer(text):
        if PASSIVE.match(m.group(1)) and not FAILED.match(m.group(1)):
            wrong.append(f"{path}:{_line(text, m)}: say \"Failed to ...\", not \"{m.group(1)[:60]}\"")
    return wrong


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


# Files whose text is not ours, or is data; and the files that name the phrases.
NOT_PROSE = re.compile(r"/corpus/|/seeds/|^LICENSES/|^kernel/config/|^kernel/debian/|/pkramtest/(words|test_words)\.py$|\.(svg|png|bin)$")


def check(files: Iterable[str], read: Callable[[str], str]) -> list[str]:
    """Returns what is wrong in these files."""
    wrong = []
    for f in files:
        if NOT_PROSE.search(f):
            continue
        text = read(f)
        if "\0" in text:
            continue
        wrong += phrases(f, text)
        if re.match(r"(daemon|kexec-hook|units)/.*\.c$", f) and not re.search(r"/(test|fuzz|bench)-", f):
            wrong += messages(f, text)
    return wrong
