# SPDX-License-Identifier: LGPL-2.1-or-later
"""Switches a guest on again after it has powered off or halted, or after it said that its power fails ("@@pkram CUT"),
for scenarios with 'power: again'."""

import contextlib
import json
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator

from .qemu import OnLine

# A guest that says this does nothing more.
OFF = re.compile(r"reboot: System halted|@@pkram CUT")


def _connect(path: str) -> socket.socket | None:
    """QEMU's monitor, or None if QEMU does not create it."""
    for _ in range(600):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with contextlib.suppress(OSError):
            s.connect(path)
            return s
        s.close()
        time.sleep(0.1)
    return None


class _Machine:
    """The guest, as QEMU's monitor controls it."""

    def __init__(self) -> None:
        self.done = threading.Event()  # the next poweroff is the last one, and ends QEMU
        self._monitor: socket.socket | None = None
        self._lock = threading.Lock()

    def follow(self, path: str) -> None:
        """Until QEMU ends."""
        monitor = _connect(path)
        if not monitor:
            return
        with monitor, monitor.makefile("r", encoding="utf-8") as f, contextlib.suppress(OSError):
            self._monitor = monitor
            self._execute("qmp_capabilities")
            for line in f:
                message = json.loads(line)
                # The last line of the console may take a moment longer.
                if message.get("event") == "SHUTDOWN" and message["data"]["guest"]:
                    if self.done.wait(5):
                        self._execute("quit")
                    else:
                        self.start_again()

    def start_again(self) -> None:
        """What the guest had not written to its disk is lost."""
        self._execute("system_reset", "cont")

    def _execute(self, *commands: str) -> None:
        if not self._monitor:
            # It cannot be reached: the guest stays off, and its scenario times out.
            return
        # QEMU may have ended already.
        with self._lock, contextlib.suppress(OSError):
            self._monitor.sendall("".join(json.dumps({"execute": c}) + "\n" for c in commands).encode())


@contextlib.contextmanager
def again(enabled: bool, on_line: OnLine | None) -> Iterator[tuple[list[str], OnLine | None]]:
    """Yields the arguments of QEMU, and a function for each line of the console, which calls on_line if that is not
    None."""
    if not enabled:
        yield [], on_line
        return
    machine = _Machine()

    def watch(line: str) -> None:
        if "@@pkram DONE" in line:
            machine.done.set()
        elif OFF.search(line):
            machine.start_again()
        if on_line:
            on_line(line)

    # The path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="pkram-") as directory:
        path = os.path.join(directory, "monitor")
        threading.Thread(target=machine.follow, args=(path,), daemon=True).start()
        yield ["-action", "shutdown=pause", "-qmp", f"unix:{path},server=on,wait=off"], watch
