# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the test suites of pkram are made of: guests under QEMU, their consoles, scenarios, results."""
