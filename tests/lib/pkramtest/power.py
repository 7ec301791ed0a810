# SPDX-License-Identifier: LGPL-2.1-or-later
"""Switches a guest on again after it has powered off, for scenarios with 'power: again'."""

import contextlib
import json
import os
import socket
import tempfile
import threading
import time


def _connect(path):
    """QEMU's monitor, or None if QEMU does not create it."""
    for _ in range(600):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with contextlib.suppress(OSError):
            s.connect(path)
            return s
        s.close()
        time.sleep(0.1)
    return None


def _follow(path, done):
    """Until QEMU ends. The poweroff after which done is set is the last one, and ends QEMU."""
    monitor = _connect(path)
    if not monitor:
        return
    with monitor, monitor.makefile("rw", encoding="utf-8") as f, contextlib.suppress(OSError):
        def execute(*commands):
            for command in commands:
                f.write(json.dumps({"execute": command}) + "\n")
            f.flush()

        execute("qmp_capabilities")
        for line in f:
            message = json.loads(line)
            # The last line of the console may take a moment longer.
            if message.get("event") == "SHUTDOWN" and message["data"]["guest"]:
                execute(*(["quit"] if done.wait(5) else ["system_reset", "cont"]))


@contextlib.contextmanager
def again(enabled, on_line):
    """Yields the arguments of QEMU, and a function for each line of the console, which calls on_line if that is not
    None."""
    if not enabled:
        yield [], on_line
        return
    done = threading.Event()

    def watch(line):
        if "@@pkram DONE" in line:
            done.set()
        if on_line:
            on_line(line)

    # The path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="pkram-") as directory:
        path = os.path.join(directory, "monitor")
        threading.Thread(target=_follow, args=(path, done), daemon=True).start()
        yield ["-action", "shutdown=pause", "-qmp", f"unix:{path},server=on,wait=off"], watch
