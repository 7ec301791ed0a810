# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of the source itself."""

import concurrent.futures
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import time
import unittest
from collections.abc import Callable
from types import ModuleType
from typing import IO

from . import (examples as man_examples, floors, profile, programs, source, test_floors, test_judge, test_power,
               test_power_cuts, test_programs, test_recordings, test_source, test_width, test_words, unit, vm, width,
               words)
from .common import CACHE, TESTS, TOP, Broken, make, output_dir, shown
from .results import Results
from .seen import Seen

# What compile_commands.json has about a file.
Entry = dict[str, str]


def _tracked(*patterns: str) -> list[str]:
    files = subprocess.run(["git", "-C", TOP, "ls-files", "-z", "--", *patterns], stdout=subprocess.PIPE, check=True)
    return [f for f in files.stdout.decode().split("\0") if f and os.path.exists(os.path.join(TOP, f))]


def _read(path: str) -> str:
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def shell() -> str:
    """shellcheck finds nothing in the shell scripts."""
    script = re.compile(r"#!.*\b(ba)?sh\b|# SPDX.*\n# shellcheck shell")
    scripts = [f for f in _tracked() if "seeds" not in f and script.match(_read(f)[:200])]
    scripts = [f for f in scripts if not f.endswith((".py", ".md"))]
    if not shutil.which("shellcheck"):
        return "shellcheck is not installed"
    r = subprocess.run(["shellcheck", "-x", "-S", "warning", *scripts], cwd=TOP, capture_output=True, text=True,
                       check=False)
    return r.stdout[-2000:] if r.returncode else ""


def python() -> str:
    """The Python files compile, pyflakes finds nothing in them, and mypy --strict nothing in tests/lib/pkramtest."""
    for program in ("pyflakes3", "mypy"):
        if not shutil.which(program):
            return f"{program} is not installed"
    script = re.compile(r"#!.*\bpython3?\b")
    files = [f for f in _tracked() if f.endswith(".py") or script.match(_read(f)[:200])]
    wrong = []
    for f in files:
        try:
            compile(_read(f), f, "exec")
        except SyntaxError as e:
            wrong.append(f"{f}: {e}")
    flakes = subprocess.run(["pyflakes3", *files], cwd=TOP, capture_output=True, text=True, check=False)
    types = subprocess.run(["mypy", "--config-file", "tests/lib/mypy.ini", "--cache-dir", os.path.join(CACHE, "mypy"),
                            "tests/lib/pkramtest"], cwd=TOP, capture_output=True, text=True, check=False)
    wrong += [(r.stdout + r.stderr)[-2000:] for r in (flakes, types) if r.returncode]
    return "\n".join(wrong)


def judge() -> str:
    """What judges a guest by its console finds fault with every kind of bad one, and with each loss of a power cut."""
    return _unittests(test_judge) or _unittests(test_power_cuts)


def harness() -> str:
    """The reader of scripts sees each kind of call, a message about a missing program names it with its package,
    recorded consoles are used for the same guest only, and a run goes on if QEMU's monitor cannot be reached."""
    return _unittests(test_programs) or _unittests(test_recordings) or _unittests(test_power)


def prose() -> str:
    """No text has a phrase that the style sheet avoids, error messages begin with the verb that failed, and each
    static function of user space has a name of its own."""
    return _unittests(test_words) or _unittests(test_source) or \
        "\n".join(words.check(_tracked(), _read) + source.check(_tracked(), _read))


def line_width() -> str:
    """No line of C, shell, Python and XML, and no comment in a unit, is longer than 119 columns, except in kernel/."""
    return _unittests(test_width) or "\n".join(width.check([f for f in _tracked() if "/corpus/" not in f], _read))


def layers() -> str:
    """No folder of daemon/ and kexec-hook/ includes a header of a layer above its own; floors.py has the table."""
    return _unittests(test_floors) or "\n".join(floors.check(_tracked("daemon/*", "kexec-hook/*"), _read))


def _unittests(module: ModuleType) -> str:
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    text = io.StringIO()
    r = unittest.TextTestRunner(stream=text).run(suite)
    return "" if r.wasSuccessful() and r.testsRun else text.getvalue()[-2000:]


def external_programs() -> str:
    """Every program that scripts and tests call is in an essential package, or in one that packages.sh installs."""
    return "\n".join(programs.without_package(_tracked()))


def licences() -> str:
    """Every source file says its licence in its first lines."""
    wrong = []
    for f in _tracked("*.c", "*.h", "*.sh", "*.py", "*/meson.build", "meson.build", "tests/run", "tests/demo",
                      "kernel/tree"):
        if "SPDX-License-Identifier:" not in "\n".join(_read(f).splitlines()[:5]):
            wrong.append(f"{f} has no SPDX line")
    return "\n".join(wrong)


def places() -> str:
    """Nothing committed names a mirror, a registry or a place of the machine it was written on."""
    bad = re.compile(r"://[^\s\"/]+/debian\b|/root/\.")
    wrong = []
    for f in _tracked():
        if f == "tests/lib/pkramtest/lint.py":
            continue
        for n, line in enumerate(_read(f).splitlines(), 1):
            if bad.search(line):
                wrong.append(f"{f}:{n}: {line.strip()[:100]}")
    return "\n".join(wrong)


# What cppcheck says by mistake, and why.
CPPCHECK_MISTAKES = (
    # It does not know the cleanup attribute; AddressSanitizer looks for leaks in every test.
    "memleak", "memleakOnRealloc", "resourceLeak",
    # readdir_r() is deprecated, and nothing here has threads.
    "readdirCalled",
    # accept4() may get no address.
    "nullPointer:daemon/varlink/varlink-server.c",
    "missingIncludeSystem",
    # It says that it does less than it could.
    "normalCheckLevelMaxBranches",
)


def _compile_commands(log: IO[str]) -> dict[str, Entry]:
    """Configure with clang, make what is generated, and return the command for each file."""
    build = unit.build("lint", ["-Dfuzz=true"], log, {"CC": "clang"}, ["daemon/varlink-idl-texts.h"])
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        return {os.path.realpath(os.path.join(c["directory"], c["file"])): c for c in json.load(f)}


def _compiler_words(entry: Entry) -> list[str]:
    """What of a file's command decides what the compiler makes of its text."""
    return ["clang",
            *(w for w in shlex.split(entry["command"])[1:]
              if w.startswith(("-I", "-D", "-U", "-std", "-W", "-isystem")))]


def _each(name: str, wanted: Callable[[str], object], command_for: Callable[[str, Entry], list[str]],
          seen: Seen | None = None) -> str:
    """Run the command that command_for(file, entry) gives for every file that is wanted(path), as many at once as
    there are processors; returns what went wrong, with a log. seen: what of them was in order before is left out."""
    path = os.path.join(output_dir("lint", name), "log")
    with open(path, "w", encoding="utf-8") as log:
        try:
            entries = _compile_commands(log)
        except (subprocess.CalledProcessError, OSError) as e:
            return f"{e}; see {shown(path)}"

    def one(item: tuple[str, Entry]) -> subprocess.CompletedProcess[str] | None:
        file, entry = item
        key = seen.key([*_compiler_words(entry), file], entry["directory"]) if seen else None
        if seen and key and seen.has(key):
            return None
        r = subprocess.run(["nice", *command_for(file, entry)], cwd=entry["directory"], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, check=False)
        if seen and key and r.returncode == 0:
            seen.add(key)
        return r

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        done = list(pool.map(one, [(f, c) for f, c in sorted(entries.items()) if wanted(os.path.relpath(f, TOP))]))
    if not done:
        return "nothing was checked"
    bad = [r.stdout + r.stderr for r in done if r and r.returncode != 0]
    with open(path, "w", encoding="utf-8") as log:
        log.write("\n".join(bad))
    return f"{len(bad)} of {len(done)} files, see {shown(path)}\n" + "\n".join(bad)[-1500:] if bad else ""


def warnings() -> str:
    """clang has no warning for any C file in user space, with everything switched on that meson.build asks for. (gcc's
    warnings are errors in the suite unit.)"""
    def command_for(file: str, entry: Entry) -> list[str]:
        return [*_compiler_words(entry), "-fsyntax-only", "-Werror", file]

    return _each("warnings", lambda f: f.endswith(".c"), command_for)


def clang_tidy() -> str:
    """clang-tidy finds nothing in daemon/ and kexec-hook/; .clang-tidy says what it looks for. A file it found in
    order is not looked at again until it changes."""
    def command_for(file: str, entry: Entry) -> list[str]:
        # With the directory of the build it would look at the file once for each program that the file is part of.
        return ["clang-tidy", "--quiet", "--warnings-as-errors=*", file, "--", *_compiler_words(entry)[1:]]

    # Tests are left to the compilers: most of the time would go there.
    return _each("clang-tidy",
                 lambda f: re.match(r"(daemon|kexec-hook)/", f) and not re.search(r"/(test|fuzz|bench)-", f),
                 command_for, Seen("clang-tidy", ".clang-tidy"))


def cppcheck() -> str:
    """cppcheck finds nothing in daemon/ and kexec-hook/."""
    # Tests are left to the compilers: later versions of cppcheck want each allocation in them checked.
    files = [f for f in _tracked() if re.match(r"(daemon|kexec-hook)/.*\.c$", f)
             and not re.search(r"/(test|fuzz|bench)-", f)]
    includes = ["daemon", *(f"daemon/{d}" for d in ("basic", "device", "varlink", "store", "service", "ctl")),
                "kexec-hook",
                "kernel/src/include/uapi"]
    r = subprocess.run(
        ["nice", "cppcheck", "-q", f"-j{os.cpu_count() or 1}", "--error-exitcode=1", "--std=c11", "--library=posix",
         "--library=gnu",
         "--enable=warning,performance,portability", "--template={file}:{line}: {id}: {message}",
         "-D_GNU_SOURCE", "-D__x86_64__", '-DPKRAM_VERSION="0"', '-DPKRAM_LIBEXECDIR="/"',
         *(f"-I{i}" for i in includes), *(f"--suppress={m}" for m in CPPCHECK_MISTAKES), *files],
        cwd=TOP, capture_output=True, text=True, check=False)
    return (r.stdout + r.stderr).strip()[-2000:] if r.returncode else ""


# What lintian says about packages that are not for Debian's archive: there is no bug to close and no maintainer's
# address, and an older lintian does not know the newest policy. A test client is written in Go, whose programs are
# static.
NOT_FOR_THE_ARCHIVE = ("initial-upload-closes-no-bugs,bogus-mail-host,bogus-mail-host-in-debian-changelog,newer-standards-version,"
                       "statically-linked-binary")


def package() -> str:
    """lintian finds nothing in the Debian packages."""
    try:
        directory = make(os.path.join(TESTS, "vm", "image", "build"), "--packages")
    except Broken as e:
        return str(e)
    packages = [os.path.join(directory, f) for f in os.listdir(directory) if f.endswith(".deb")]
    if not packages:
        return f"no package in {shown(directory)}"
    r = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0",
                        "--suppress-tags",
                        NOT_FOR_THE_ARCHIVE, *packages], capture_output=True, text=True, check=False)
    return "" if r.returncode == 0 else f"{r.stdout[-2000:]}{r.stderr[-500:]}"


def examples() -> str:
    """Every example of the manual pages and README.md is run, from its text, by a scenario."""
    return "\n".join(man_examples.untested([s.path for s in vm.scenarios() + vm.scenarios("campaign")]))


def _kernel_check(part: str) -> Callable[[], str]:
    def check() -> str:
        log = os.path.join(output_dir("lint", f"kernel-{part}"), "log")
        with open(log, "w", encoding="utf-8") as f:
            r = subprocess.run([os.path.join(TOP, "kernel", "tree"), "check", part], stdout=f,
                               stderr=subprocess.STDOUT, check=False)
        if r.returncode == 0:
            return ""
        with open(log, encoding="utf-8") as f:
            return f"see {shown(log)}\n" + f.read()[-1500:]

    check.__doc__ = {
        "patches": "checkpatch.pl --strict finds nothing in the exported series, and git am takes it.",
        "warnings": "W=1 and sparse find nothing in our files.",
        "kernel-doc": "kernel-doc finds nothing in our files.",
        "floors": "No file of mm/pkram/ uses one that is not below it in the picture in pkram.h.",
        "off": "The kernel builds with CONFIG_PKRAM=n, and nothing of PKRAM is in it.",
    }[part]
    return check


CHECKS: dict[str, Callable[[], str]] = {
    "shell": shell, "python": python, "judge": judge, "harness": harness, "words": prose, "width": line_width,
    "floors": layers, "licences": licences, "programs": external_programs, "places": places, "examples": examples,
    "warnings": warnings, "clang-tidy": clang_tidy, "cppcheck": cppcheck, "package": package,
}
CHECKS.update({f"kernel-{p}": _kernel_check(p) for p in ("patches", "warnings", "kernel-doc", "floors", "off")})


def tests() -> list[tuple[str, str]]:
    return [(n, (c.__doc__ or "").strip()) for n, c in CHECKS.items()]


def run(results: Results, names: list[str]) -> None:
    for name, check in CHECKS.items():
        if names and name not in names:
            continue
        start = time.monotonic()
        with profile.measured("check"):
            why = check()
        if why:
            results.failed("lint", name, why, time.monotonic() - start)
        else:
            results.passed("lint", name, time.monotonic() - start)
