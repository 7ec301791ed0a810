# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the check of C in user space finds names that say too little, and nothing else."""

import unittest

from . import source


class Source(unittest.TestCase):
    def check(self, **tree: str) -> list[str]:
        tree = {name.replace("__", "/").replace("_dot_", "."): text for name, text in tree.items()}
        return source.check(list(tree), tree.__getitem__)

    def test_right(self) -> None:
        self.assertEqual(self.check(daemon__a_dot_c="static int a_open(int x) {\n" + "x" * 119 + "\n"), [])

    def test_same_name(self) -> None:
        self.assertEqual(self.check(daemon__a_dot_c="static int a_open(void) {\n",
                                    units__b_dot_c="static const char *a_open(int x);\nstatic const char *a_open(int x) {\n"),
                         ["a_open() is in daemon/a.c, units/b.c"])
        self.assertEqual(self.check(daemon__a_dot_c="static int a_open(void) {\n",
                                    daemon__b_dot_c="int a_open(void) {\n"), [])

    def test_short_name(self) -> None:
        self.assertEqual(len(self.check(daemon__a_dot_c="static _unused_ void help(int x,\n int y) {\n")), 1)
        self.assertEqual(self.check(daemon__a_dot_c="static int (*hook)(void);\nstatic int table[4] = { f(1) };\n"),
                         [])

    def test_tests(self) -> None:
        self.assertEqual(self.check(daemon__test_a=""), [])
        tree = {"daemon/x/test-a.c": "static int setup(void) {\n", "units/test-b.c": "static int setup(void) {\n"}
        self.assertEqual(source.check(list(tree), tree.__getitem__), [])


if __name__ == "__main__":
    unittest.main()
