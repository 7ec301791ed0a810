# SPDX-License-Identifier: LGPL-2.1-or-later
"""External programs: which ones the scripts and tests of this checkout call, where each comes from, and what a message
says when one is missing.

The calls are read from the source: shell scripts through shfmt's syntax tree, Python through ast, C by the calls that
start a program. Calls whose program is computed are not seen."""

import ast
import fnmatch
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .common import TESTS, TOP

PACKAGES_SH = os.path.join(TESTS, "lib", "packages.sh")
PROGRAMS = os.path.join(TESTS, "lib", "programs")

# The shell's own words.
BUILTINS = set(""". : [ [[ alias bg break builtin case cd command compgen complete compopt continue declare echo eval
exec exit export false fg getopts hash jobs kill let local mapfile popd printf pushd pwd read readarray readonly return set shift shopt source
test time times trap true type typeset ulimit umask unalias unset wait""".split())
# Programs whose arguments name another program, and their options that take a value.
WRAPPERS = {
    "as_root": "", "sudo": "ugC", "env": "uSC", "nice": "n", "timeout": "ks", "xargs": "adEIiLlnPs", "exec": "a",
    "nohup": "",
    "setsid": "", "with_lock": "", "command": "", "builtin": "", "stdbuf": "ioe", "flock": "wE", "unshare": "",
    "setpriv": "",
    "taskset": "", "chrt": "", "ionice": "cn", "strace": "eoP", "prlimit": "",
}
# Wrappers whose first plain arguments are not the program: how many.
SKIPPED_ARGUMENTS = {"timeout": 1, "with_lock": 1, "flock": 1, "taskset": 1, "chrt": 1}
# Long options of wrappers that take the next word.
LONG_WITH_VALUE = {"--propagation", "--reuid", "--regid", "--map-user", "--map-group", "--signal"}


# A node of shfmt's syntax tree, as JSON.
Node = dict[str, Any]
# The words of a command, None for each that is computed.
Words = list[str | None]


@dataclass(frozen=True)
class Call:
    """A program that is called by its name, and the place of the call."""
    program: str
    path: str
    line: int


# -- where the programs come from
# ---------------------------------------------------------------------------------------

def needed_packages() -> set[str]:
    """The packages that tests/lib/packages.sh installs on the host."""
    text = subprocess.run(["bash", "-c", f". {shlex.quote(os.path.join(TESTS, 'lib', 'common.sh'))}; "
                           f". {shlex.quote(PACKAGES_SH)}; needed_packages deb; needed_packages browser"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return {p for line in text.splitlines() for p in line.partition(":")[0].split("|")}


@functools.cache
def packages_of() -> dict[str, str]:
    """The table in tests/lib/programs: a dictionary from program to the package that has it."""
    table = {}
    with open(PROGRAMS, encoding="utf-8") as f:
        for line in f:
            words = line.partition("#")[0].split()
            if words:
                table[words[0]] = words[1]
    return table


@functools.cache
def base_programs() -> set[str]:
    """The programs of Debian's essential packages, which every system has."""
    names = subprocess.run(["dpkg-query", "-W", "-f", "${Essential} ${Package}\n"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout
    # apt is not marked as essential, but debootstrap installs it on every system. awk and mawk: base-files depends on
    # one.
    essential = [l.split()[1] for l in names.splitlines() if l.startswith("yes ")] + ["apt", "mawk"]
    files = subprocess.run(["dpkg", "-L", *essential], stdout=subprocess.PIPE, text=True, check=False).stdout
    return {os.path.basename(f) for f in files.splitlines() if re.match(r"(/usr)?/s?bin/[^/]+$", f)} | {"awk"}


# -- what is called
# -----------------------------------------------------------------------------------------------------

def _literal(word: Node) -> str | None:
    """The text of a shell word that is not computed, or None."""
    text = ""
    for part in word.get("Parts", []):
        if part["Type"] in ("Lit", "SglQuoted"):
            text += part.get("Value", "")
        elif part["Type"] == "DblQuoted" and all(p["Type"] == "Lit" for p in part.get("Parts", [])):
            text += "".join(p.get("Value", "") for p in part.get("Parts", []))
        else:
            return None
    return text


def _called(words: Words) -> tuple[list[str], str]:
    """The programs that a list of words calls: the first, and those that wrappers run; and the script of a "sh -c" at
    the end, "" if there is none."""
    programs: list[str] = []
    while words:
        name = words[0]
        if not name or not re.fullmatch(r"[A-Za-z0-9_.+\[:-]+", name):
            break
        programs.append(name)
        if name in ("sh", "bash", "dash") and "-c" in words[1:3]:
            after = words[words.index("-c") + 1:]
            return programs, (after[0] if after else None) or ""
        if name not in WRAPPERS:
            break
        if name == "command" and words[1:2] and words[1] and words[1].startswith("-"):
            break
        rest, skipped = words[1:], SKIPPED_ARGUMENTS.get(name, 0)
        while rest:
            word = rest[0]
            if word is None:
                if not skipped:
                    return programs, ""
                skipped -= 1
            elif word == "--":
                pass
            elif word.startswith("-"):
                if len(word) == 2 and word[1] in WRAPPERS[name] or word in LONG_WITH_VALUE:
                    rest = rest[1:]
            elif name in ("env", "sudo") and re.match(r"[A-Za-z_]\w*=", word):
                pass
            elif skipped:
                skipped -= 1
            else:
                break
            rest = rest[1:]
        words = rest
    return programs, ""


def _walk(node: object) -> Iterator[Node]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def _syntax_tree(text: str) -> object:
    """The syntax tree of a shell script, or ValueError."""
    # Templates of meson hold @NAME@, which is a word to the shell.
    for dialect in ("bash", "posix"):
        r = subprocess.run(["shfmt", f"-ln={dialect}", "--to-json"], input=text, capture_output=True, text=True,
                           check=False)
        if r.returncode == 0:
            return json.loads(r.stdout)
    raise ValueError(r.stderr.strip())


def is_known(program: str) -> bool:
    """Whether a word that may or may not be called is a program: of the table, of every Debian, or of this machine."""
    return program in packages_of() or program in base_programs() or shutil.which(program) is not None


def shell_calls(text: str, path: str, line: int = 0) -> tuple[list[Call], set[str]]:
    """The calls in a shell script, and the names of the functions it defines. A function may run its arguments: those
    that are programs count as called."""
    calls: list[Call] = []
    functions: set[str] = set()
    for node in _walk(_syntax_tree(text)):
        if node.get("Type") == "FuncDecl":
            functions.add(node["Name"]["Value"])
        if node.get("Type") != "CallExpr" or not node.get("Args"):
            continue
        at = line + node["Pos"]["Line"]
        words = [_literal(a) for a in node["Args"]]
        if words[0] in functions and words[0] not in WRAPPERS:
            calls += [Call(w, path, at) for w in words[1:] if w and re.fullmatch(r"[a-z][a-z0-9_.-]+", w)
                      and is_known(w)]
        programs, script = _called(words)
        calls += [Call(p, path, at) for p in programs]
        if script:
            inner, more = shell_calls(script, path, at - 1)
            calls += inner
            functions |= more
    return calls, functions


def _constant(node: ast.expr) -> str | None:
    """The string that an expression of Python is, or None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def python_calls(text: str, path: str) -> list[Call]:
    """The calls in a Python file: lists and single words given to subprocess, make() and shutil.which()."""
    calls: list[Call] = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = ast.unparse(node.func)
        first = node.args[0]
        if re.fullmatch(r"subprocess\.(run|Popen|call|check_call|check_output)", name) and \
                isinstance(first, (ast.List, ast.Tuple)):
            words = [_constant(e) for e in first.elts]
        elif name in ("subprocess.getoutput", "os.system") or any(k.arg == "shell" for k in node.keywords):
            words = ["sh", "-c", _constant(first)]
        elif name in ("shutil.which", "do") and isinstance(first, ast.Constant):
            words = [_constant(a) for a in node.args]
        else:
            continue
        programs, script = _called(words)
        calls += [Call(p, path, node.lineno) for p in programs]
        if script:
            calls += shell_calls(script, path, node.lineno - 1)[0]
    return calls


C_STRING = r'"((?:[^"\\]|\\.)*)"'


def _shell_text(text: str) -> str:
    """A piece of C string as the shell gets it, if it can be parsed as a script by itself."""
    text = re.sub(r"%[-0-9]*l*[sduxzi]", "x", text.replace(r"\"", '"').replace(r"\\", "\\").replace(r"\n", "\n"))
    try:
        _syntax_tree(text)
    except ValueError:
        return ""
    return text


def c_calls(text: str, path: str) -> list[Call]:
    """The calls in a C file: exec*() and posix_spawnp() with a literal name, arrays called argv or command, and, in a
    file that uses system() or popen(), every string that begins with a word a shell could run."""
    calls: list[Call] = []

    def line_of(offset: int) -> int:
        return text.count("\n", 0, offset) + 1

    for m in re.finditer(rf"\b(?:exec[lv]pe?|posix_spawnp)\(\s*{C_STRING}", text):
        calls += [Call(p, path, line_of(m.start())) for p in _called([m.group(1)])[0]]
    for m in re.finditer(r'\b(?:argv|command)\[\]\s*=\s*\{(\s*"[^}]*)\}', text):
        words: Words = [w.group(1) for w in re.finditer(C_STRING, m.group(1))]
        calls += [Call(p, path, line_of(m.start())) for p in _called(words[:1])[0]]
    if re.search(r"\b(?:system|popen)\(", text):
        for m in re.finditer(C_STRING, text):
            if not re.search(r"[;|> ]", m.group(1)):
                continue
            script = _shell_text(m.group(1))
            if script:
                # A message is no script: only words that are known as programs count here.
                calls += [Call(c.program, path, line_of(m.start())) for c in shell_calls(script, path)[0]
                          if is_known(c.program)]
    return calls


def _is_shell(path: str, text: str) -> bool:
    return path.endswith((".sh", ".in.sh")) or re.match(r"#!.*\b(ba|da)?sh\b|# SPDX.*\n# shellcheck shell",
                                                        text[:200]) is not None


def calls_of(files: Iterable[str]) -> tuple[list[Call], set[str]]:
    """All calls in files, relative to the top, and the functions that shell scripts among them define."""
    calls: list[Call] = []
    functions: set[str] = set()
    for path in files:
        with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
            text = f.read()
        if path.endswith(".py"):
            calls += python_calls(text, path)
        elif path.endswith((".c", ".h")):
            calls += c_calls(text, path)
        elif path.endswith("meson.build"):
            calls += [Call(m.group(1), path, text.count("\n", 0, m.start()) + 1)
                      for m in re.finditer(r"find_program\('([^'/]+)'", text)]
        elif _is_shell(path, text):
            more, names = shell_calls(text, path)
            calls += more
            functions |= names
    return calls, functions


# Files whose programs run elsewhere than on the host, where other packages are installed: in guests, in the image
# while it is made, and on the machines that pkram is installed on.
ELSEWHERE = ("tests/vm/scenarios/*", "tests/vm/lib/*", "tests/vm/mini/init", "tests/vm/mini/lib.sh",
             "tests/vm/mini/scenarios/*", "tests/vm/mini/*.c",
             "tests/vm/image/mkosi.*", "tests/clients/*", "units/debian/*", "kexec-hook/91-pkram.install",
             "man/examples/*",
             "daemon/ctl/bash-completion/*", "kernel/src/tools/testing/selftests/*", "tests/lib/pkramtest/test_*.py")


def host_files(tracked: Iterable[str]) -> list[str]:
    """The files, of those given, whose programs run on the host."""
    return [f for f in tracked if not any(fnmatch.fnmatch(f, pattern) for pattern in ELSEWHERE) and
            (not f.startswith("kernel/src/") or f.startswith("kernel/src/tools/"))]


def _words_in_strings(tracked: Iterable[str]) -> set[str]:
    """The words that begin a string in the host's Python files, such as a command that is run elsewhere."""
    words: set[str] = set()
    for path in host_files(tracked):
        if path.endswith(".py"):
            with open(os.path.join(TOP, path), encoding="utf-8") as f:
                words.update(re.findall(r"\"([\w.+-]+)\"", f.read()))
    return words


def without_package(tracked: list[str]) -> list[str]:
    """What is wrong with the programs that the host's scripts and tests call: lines for the reader, none if all is well."""
    calls, functions = calls_of(host_files(tracked))
    table, base, needed = packages_of(), base_programs(), needed_packages()
    wrong: dict[str, str] = {}
    for c in calls:
        if c.program in BUILTINS or c.program in functions or c.program in base:
            continue
        if c.program not in table:
            wrong.setdefault(c.program, f"{c.path}:{c.line}: calls {c.program}, which is neither in a required package nor in tests/lib/programs")
        elif table[c.program] not in needed | {"-"}:
            wrong.setdefault(c.program, f"{c.path}:{c.line}: calls {c.program} of package {table[c.program]}, "
                                        "which tests/lib/packages.sh does not install")
    used = {c.program for c in calls} | _words_in_strings(tracked)
    wrong.update({p: f"tests/lib/programs: nothing calls {p}" for p in table if p not in used})
    return [wrong[p] for p in sorted(wrong)]


# -- what a message says
# ------------------------------------------------------------------------------------------------

NOT_FOUND = [re.compile(p) for p in (
    r"(?:^|[\s/])(?:ba|da)?sh: (?:(?:line )?\d+: )?([\w.+-]+): (?:command )?not found",
    r": line \d+: ([\w.+-]+): command not found",
    r": \d+: ([\w.+-]+): not found",
    r"No such file or directory: '([\w.+-]+)'",
    r"(?:env|sudo|xargs|nice|timeout|nohup|setsid|chroot): (?:failed to run command |can't execute )?['‘\"]?([\w.+-]+)['’\"]?: (?:command not found|No such file or directory)",
    r"Program '([\w.+-]+)' not found",
    r"applet not found: ([\w.+-]+)|([\w.+-]+): applet not found",
)]


def missing(text: str) -> str:
    """The programs that a text says were not found, each with its package, as one line for the reader; "" if none."""
    names: list[str] = []
    for line in text.splitlines():
        for pattern in NOT_FOUND:
            m = pattern.search(line)
            if m:
                names.append(next(g for g in m.groups() if g))
                break
    return ", ".join(f"missing program {n} ({package_hint(n)})" for n in dict.fromkeys(names))


def package_hint(program: str) -> str:
    """Where a program comes from, in words."""
    package = packages_of().get(program)
    return f"package {package}" if package and package != "-" else "its package is not known"
