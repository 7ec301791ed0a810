# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the check of the length of lines finds those that can be wrapped, in each language, and no others."""

import unittest

from . import width

LONG = "word " * 30


class Width(unittest.TestCase):
    def found(self, path: str, text: str) -> list[int]:
        """The numbers of the lines that are too long."""
        return [int(w.split(":")[1]) for w in width.check([path], {path: text}.__getitem__)]

    def test_c(self) -> None:
        self.assertEqual(self.found("daemon/a.c", "x" * 119 + "\n" + "x " * 60 + "\n"), [2])
        self.assertEqual(width.check(["daemon/a.c"], lambda f: "x " * 60 + "\n"),
                         ["daemon/a.c:1: 120 columns, at most 119 are allowed"])
        self.assertEqual(self.found("tests/a.h", "\n" + "\t" * 14 + "x" * 8), [2])
        self.assertEqual(self.found("kernel/src/mm/a.c", LONG), [])
        self.assertEqual(self.found("daemon/a.md", LONG), [])
        self.assertEqual(self.found("daemon/a.c", '        f("' + "{\\\"a\\\":1}," * 13 + '");\n'), [])
        self.assertEqual(self.found("daemon/a.c", f'        f("{LONG}");\n'), [1])

    def test_xml(self) -> None:
        self.assertEqual(self.found("man/a.xml", f"<para>{LONG}</para>\n"), [1])
        self.assertEqual(self.found("man/a.xml", "<para>" + "<literal>one</literal>" * 10 + "</para>\n"), [])
        self.assertEqual(self.found("man/a.xml", f"<programlisting>\n{LONG}\n</programlisting>\n{LONG}\n"), [4])

    def test_python(self) -> None:
        self.assertEqual(self.found("a.py", f"f({', '.join(['argument'] * 15)})\n# {LONG}\n"), [1, 2])
        self.assertEqual(self.found("a.py", f'text = "{LONG}"\n'), [])
        self.assertEqual(self.found("a.py", f'text = f"{LONG} {{x}} {{f(\'y\')}}"\n'), [])
        self.assertEqual(self.found("a.py", f'program = f"""\nx = {{y}} {LONG}\n"""\n# {LONG}\n'), [4])
        self.assertEqual(self.found("a.py", f'"""Do it.\n{LONG}\n"""\nprogram = """\nx = {LONG}\n"""\n'), [2])

    def test_unit(self) -> None:
        for name in ("a.service.in", "a@.service", "a.socket", "a.conf"):
            self.assertEqual(self.found(f"units/{name}", f"# {LONG}\nCapabilityBoundingSet={LONG}\n"), [1], name)

    def test_shell(self) -> None:
        self.assertEqual(self.found("a.sh", f"echo {LONG} x\n"), [1])
        self.assertEqual(self.found("tests/run", f"#!/usr/bin/env bash\necho {LONG} x\n"), [2])
        self.assertEqual(self.found("tests/run", f"#!/usr/bin/env python3\necho {LONG} x\n"), [])
        self.assertEqual(self.found("a.sh", f"# {LONG}\n# expect: {LONG}\n# shellcheck disable={LONG}\n"), [1])
        self.assertEqual(self.found("kernel/lib/a.sh", f"echo {LONG} x\n"), [])

    def test_shell_strings(self) -> None:
        for line in (f"'{LONG}'", f'"{LONG}"', f"$'{LONG}'", f'"{LONG}$(true)"'):
            self.assertEqual(self.found("a.sh", f"        {line}\n"), [], line)
            self.assertEqual(self.found("a.sh", f"        echo {line}\n"), [1], line)
        self.assertEqual(self.found("a.sh", f"python3 -c '\n{LONG}\n'\n{LONG}\n"), [4])

    def test_shell_documents(self) -> None:
        self.assertEqual(self.found("a.sh", f"cat <<END && cat <<'OTHER'\n{LONG}\nEND\n{LONG}\nOTHER\n{LONG}\n"), [6])
        self.assertEqual(self.found("a.sh", f"cat <<-END\n{LONG}\n\tEND\n{LONG}\n"), [4])
        self.assertEqual(self.found("a.sh", f"x=$((1 << 2))\n{LONG}\n"), [2])
        self.assertEqual(self.found("a.sh", f"cat <<<END\n{LONG}\n"), [2])

    def test_shell_nesting(self) -> None:
        self.assertEqual(self.found("a.sh", f'x="$(f "${{y:-"$(g {LONG})"}}")"\n'), [])
        self.assertEqual(self.found("a.sh", f'x=$(f "${{y:-"$(g)"}}" {LONG})\n'), [1])
        self.assertEqual(self.found("a.sh", f"x=${{y#*'}}'}} # it's\n{LONG}\n"), [2])


if __name__ == "__main__":
    unittest.main()
