# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of the source itself."""

import os
import re
import shutil
import subprocess
import time

from .common import TOP, output_dir, shown


def _tracked(*patterns):
    files = subprocess.run(["git", "-C", TOP, "ls-files", "-z", "--", *patterns], stdout=subprocess.PIPE, check=True)
    return [f for f in files.stdout.decode().split("\0") if f and os.path.exists(os.path.join(TOP, f))]


def _read(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def shell():
    """shellcheck finds nothing in the shell scripts."""
    scripts = [f for f in _tracked() if "seeds" not in f and re.match(r"#!.*\b(ba)?sh\b|# SPDX.*\n# shellcheck shell", _read(f)[:200])]
    scripts = [f for f in scripts if not f.endswith((".py", ".md"))]
    if not shutil.which("shellcheck"):
        return "shellcheck is not installed"
    r = subprocess.run(["shellcheck", "-x", "-S", "warning", *scripts], cwd=TOP, capture_output=True, text=True, check=False)
    return r.stdout[-2000:] if r.returncode else ""


def python():
    """The Python files compile."""
    wrong = []
    for f in _tracked("*.py"):
        try:
            compile(_read(f), f, "exec")
        except SyntaxError as e:
            wrong.append(f"{f}: {e}")
    return "\n".join(wrong)


def licences():
    """Every source file says its licence in its first lines."""
    wrong = []
    for f in _tracked("*.c", "*.h", "*.sh", "*.py", "*/meson.build", "meson.build", "tests/run", "tests/demo", "kernel/tree"):
        if "SPDX-License-Identifier:" not in "\n".join(_read(f).splitlines()[:5]):
            wrong.append(f"{f} has no SPDX line")
    return "\n".join(wrong)


def places():
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


def _kernel_check(part):
    def check():
        log = os.path.join(output_dir("lint", f"kernel-{part}"), "log")
        with open(log, "w", encoding="utf-8") as f:
            r = subprocess.run([os.path.join(TOP, "kernel", "tree"), "check", part], stdout=f, stderr=subprocess.STDOUT, check=False)
        if r.returncode == 0:
            return ""
        with open(log, encoding="utf-8") as f:
            return f"see {shown(log)}\n" + f.read()[-1500:]

    check.__doc__ = {
        "patches": "checkpatch.pl --strict finds nothing in the exported series, and git am takes it.",
        "sparse": "sparse finds nothing in our files.",
        "warnings": "W=1 finds nothing in our files.",
        "kernel-doc": "kernel-doc finds nothing in our files.",
        "off": "The kernel builds with CONFIG_PKRAM=n, and nothing of PKRAM is in it.",
    }[part]
    return check


CHECKS = {"shell": shell, "python": python, "licences": licences, "places": places}
CHECKS.update({f"kernel-{p}": _kernel_check(p) for p in ("patches", "sparse", "warnings", "kernel-doc", "off")})


def tests():
    return [(n, (c.__doc__ or "").strip()) for n, c in CHECKS.items()]


def run(results, names):
    for name, check in CHECKS.items():
        if names and name not in names:
            continue
        start = time.monotonic()
        why = check()
        if why:
            results.failed("lint", name, why, time.monotonic() - start)
        else:
            results.passed("lint", name, time.monotonic() - start)
