# SPDX-License-Identifier: LGPL-2.1-or-later
"""What programs.py sees in scripts, and what it says of a missing program."""

import io
import unittest
from unittest import mock

from . import programs
from .results import Results


def shell(text: str) -> set[str]:
    return {c.program for c in programs.shell_calls(text, "x")[0]} - programs.BUILTINS


class ShellCalls(unittest.TestCase):
    CASES: dict[str, set[str]] = {
        "alpha -x | beta >/dev/null && gamma": {"alpha", "beta", "gamma"},
        "x=$(delta \"$(epsilon)\")": {"delta", "epsilon"},
        "if ! zeta; then for i in $(eta); do theta; done; fi": {"zeta", "eta", "theta"},
        "case $(iota) in a) kappa ;; esac": {"iota", "kappa"},
        "A=b C=d lambda": {"lambda"},
        "env -u X A=b nice -n 5 mu": {"env", "nice", "mu"},
        "sudo -u nobody -- nu": {"sudo", "nu"},
        "timeout -k 1 30 xi": {"timeout", "xi"},
        "find . -print0 | xargs -0 -n 1 omicron": {"find", "xargs", "omicron"},
        "sh -c 'pi; rho'": {"sh", "pi", "rho"},
        "exec sigma": {"sigma"},
        "unshare --mount --propagation private tau": {"unshare", "tau"},
        "cat <<END\n$(upsilon)\nEND": {"cat", "upsilon"},
        "trap 'x' EXIT; \"$program\" y; ./script z": set(),
        "diff <(phi) <(chi)": {"diff", "phi", "chi"},
    }

    def test_calls(self) -> None:
        for text, wanted in self.CASES.items():
            with self.subTest(text):
                self.assertEqual(shell(text), wanted)

    def test_arguments_of_functions(self) -> None:
        with mock.patch.object(programs, "is_known", lambda p: p == "setfattr"):
            self.assertIn("setfattr", shell("try() { \"$@\"; }\ntry setfattr -n user.x file"))


class OtherCalls(unittest.TestCase):
    def test_python(self) -> None:
        text = 'subprocess.run(["nice", "alpha", x], check=True)\nshutil.which("beta")\nsubprocess.run("gamma x", shell=True)\n'
        self.assertEqual({c.program for c in programs.python_calls(text, "x")},
                         {"nice", "alpha", "beta", "sh", "gamma"})

    def test_c(self) -> None:
        text = 'execlp("alpha", "alpha", NULL);\nchar *argv[] = { "beta", "-x", NULL };\nsystem(s);\nconst char *t = ": >x; setfattr -n a x";\n'
        self.assertEqual({c.program for c in programs.c_calls(text, "x")}, {"alpha", "beta", "setfattr"})


class Packages(unittest.TestCase):
    def wrong(self, script: str, needed: set[str]) -> list[str]:
        call = programs.shell_calls(script, "x.sh")
        with mock.patch.object(programs, "calls_of", lambda files: call), \
                mock.patch.object(programs, "needed_packages", lambda: needed), \
                mock.patch.object(programs, "_words_in_strings", lambda files: set(programs.packages_of())):
            return programs.without_package([])

    def test_in_no_list(self) -> None:
        self.assertIn("frobnicate", self.wrong("frobnicate", {"attr"})[0])

    def test_not_installed(self) -> None:
        """What was missing on a fresh machine: setfattr, with attr in no list."""
        self.assertIn("setfattr of package attr", self.wrong("setfattr x", set())[0])
        self.assertEqual(self.wrong("setfattr x", {"attr"}), [])

    def test_essential(self) -> None:
        self.assertEqual(self.wrong("ls | grep x | sed y", set()), [])


class Missing(unittest.TestCase):
    def test_messages(self) -> None:
        for text in ("sh: 1: setfattr: not found", "bash: line 3: setfattr: command not found",
                     "./x.sh: 7: setfattr: not found",
                     "./x.sh: line 7: setfattr: command not found", "env: 'setfattr': No such file or directory",
                     "FileNotFoundError: [Errno 2] No such file or directory: 'setfattr'",
                     "/bin/sh: setfattr: not found",
                     "meson.build:8:0: ERROR: Program 'setfattr' not found or not executable"):
            with self.subTest(text):
                self.assertEqual(programs.missing(f"a\n{text}\nb"), "missing program setfattr (package attr)")

    def test_other_messages(self) -> None:
        for text in ("node x not found", "ls: cannot access 'x': No such file or directory",
                     "pkramctl: Node 'x' not found.", "/srv/x: not found"):
            with self.subTest(text):
                self.assertEqual(programs.missing(text), "")

    def test_line_of_the_reader(self) -> None:
        results = Results(io.StringIO())
        results.failed("unit", "plain/tree", "not ok 10", output="sh: 1: setfattr: not found\nmore")
        self.assertTrue(results.all[0].why.startswith("missing program setfattr (package attr): not ok 10"))
