# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the check of prose catches what it must, and nothing else."""

import unittest

from . import words


class Phrases(unittest.TestCase):
    def wrong(self, line: str) -> None:
        self.assertEqual(len(words.phrases("f", line)), 1, line)

    def right(self, line: str) -> None:
        self.assertEqual(words.phrases("f", line), [], line)

    def test_wrong(self) -> None:
        for line in ("/* Nobody waits for it. */", "the file is somebody else's", "whoever asks gets an error",
                     "Who stores too much gets -ENOMEM", "is found out by who looks at it", "stored all the same",
                     "is preserved for good", "the file is opened anew", "a checksum is mended", "raise the time-out",
                     "stored on their way down", "while the system goes down", "how the store says no",
                     "a user who stores a file of his own by himself"):
            self.wrong(line)

    def test_right(self) -> None:
        for line in ("clients that wait", "timeout", "setpriv --reuid=nobody --regid=nogroup",
                     "systemd-run --uid=nobody true",
                     'getpwnam("nobody")', "install -d -o nobody -m 0777 dir", "for goods", "users who log in",
                     "whole"):
            self.right(line)

    def test_line_number(self) -> None:
        self.assertTrue(words.phrases("f", "one\ntwo\nfor good\n")[0].startswith("f:3: "))


class Messages(unittest.TestCase):
    def test_errno(self) -> None:
        self.assertTrue(words.messages("f.c", 'return log_error_errno(r, "The socket cannot be used");'))
        self.assertTrue(words.messages("f.c", 'log_error_errno(-errno,\n        "Cannot read \'%s\'", path);'))
        self.assertFalse(words.messages("f.c", 'log_error_errno(r, "Failed to use \'%s\'", path);'))
        self.assertFalse(words.messages("f.c", 'log_warning_errno(r, "Ignoring \'%s\'", path);'))

    def test_appended(self) -> None:
        self.assertTrue(words.messages("f.c", 'log_error_errno(r, "Failed to read it.");'))

    def test_passive(self) -> None:
        self.assertTrue(words.messages("f.c", 'log_error("Tree \'%s\' cannot be restored: %s", a, b);'))
        self.assertTrue(words.messages("f.c", 'log_warning("The entry cannot be removed: %s", b);'))
        self.assertFalse(words.messages("f.c", 'log_warning("Ignoring the record, which was damaged.");'))


if __name__ == "__main__":
    unittest.main()
