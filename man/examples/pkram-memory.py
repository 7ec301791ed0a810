#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts how often this service was started, in memory that is preserved across kexec, with python3-pkram."""

import signal
import struct

import pkram

COUNTER = struct.Struct("=Q")

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with pkram.Memory("pkram-memory-py", 1024 * 1024) as memory:
    starts = COUNTER.unpack_from(memory)[0] + 1
    COUNTER.pack_into(memory, 0, starts)
    print(f"Start number {starts}.", flush=True)
    signal.sigwait({signal.SIGTERM})
