# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the check of layers catches an include that goes upwards, and nothing else."""

import unittest

from . import floors

TREE = {
    "daemon/basic/a.h": "",
    "daemon/basic/a.c": '#include <stdio.h>\n#include "a.h"\n',
    "daemon/store/s.h": '#include "a.h"\n',
    "daemon/basic/test-a.c": '#include "s.h"\n',
}


class Floors(unittest.TestCase):
    def check(self, more: dict[str, str]) -> list[str]:
        tree = {**TREE, **more}
        return floors.check(list(tree), tree.__getitem__)

    def test_right(self) -> None:
        self.assertEqual(self.check({}), [])

    def test_upwards(self) -> None:
        self.assertEqual(self.check({"daemon/basic/b.c": '#include "s.h"\n'}),
                         ["daemon/basic/b.c includes s.h of daemon/store"])

    def test_unused(self) -> None:
        """Every folder of the table has files, and no layer includes a folder that includes it."""
        for folder, below in floors.LAYERS.items():
            for other in below:
                self.assertNotIn(folder, floors.LAYERS.get(other, set()), f"{folder} and {other}")


if __name__ == "__main__":
    unittest.main()
