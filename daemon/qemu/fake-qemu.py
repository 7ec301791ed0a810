#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What pkram-qemu sees of QEMU, without a machine in it: the monitor, the file with RAM and a state that is written
and read.

Its arguments are those that pkram-qemu passes on. $FAKE has words for what goes wrong: no-mode, blocked, save-fails,
save-dies, load-dies, load-fails, load-killed, load-hangs-up (closes the monitor), cont-fails, cont-dies (while it
begins to run the guest), stubborn (ignores the power button), new-machine, panics (a guest whose panic comes
with numbers that JSON in C cannot take), hangs-up (closes the monitor when the guest runs, and goes on), ends-slowly
(takes two seconds after that), save-blocks=SECONDS (answers nothing meanwhile), save-hangs (until it is cancelled,
which takes a second, and the guest goes on after that only), io-error (stops the guest
when it has run). The guest's memory is a count of
its starts, in the first byte of RAM; the state is that byte once more, and the status.
"""
import json
import os
import re
import signal
import socket
import sys
import tempfile
import time

FAKE = os.environ.get("FAKE", "").split()
line = " ".join(sys.argv)
ram = re.search(r"size=(\d+),mem-path=([^,]+),share=on", line)
block = "/objects/" + re.search(r"id=([^,]+),size=", line).group(1)
monitor = socket.socket(fileno=int(re.search(r"socket,id=pkram-qmp,fd=(\d+)", line).group(1)))
incoming = "-incoming defer" in line
path = ram.group(2)
# As QEMU does, which gives an empty file its size, and makes one without a name in a directory.
memory = tempfile.TemporaryFile(buffering=0) if os.path.isdir(path) else open(path, "r+b", buffering=0)
memory.truncate(int(ram.group(1)))
# What a service manager or a shell has opened for it.
for fd in re.findall(r"-add-fd fd=(\d+)", line):
    print(f"descriptor {fd}: {os.pread(int(fd), 100, 0).decode()}", flush=True)
status = "inmigrate" if incoming else "prelaunch"
migration = {}
cancelled = 0


def count():
    memory.seek(0)
    return memory.read(1)[0]


def run():
    global status
    status = "running"
    starts = count() + 1
    memory.seek(0)
    memory.write(bytes([starts]))


def execute(command, arguments):
    global status, migration, cancelled
    if status == "finish-migrate" and cancelled and time.monotonic() > cancelled + 1:
        status, migration = "paused", {"status": "cancelled"}
    if command == "migrate-set-parameters" and "no-mode" in FAKE:
        raise ValueError("Parameter 'mode' is unexpected")
    if command == "x-query-ramblock":
        return {"human-readable-text": f" Block Name PSize Offset Used Total HVA RO\n {block} 4 KiB 0x0 {int(ram.group(1)):#x} 0x1 0x1 rw\n"
                " pc.bios 4 KiB 0x1 0x40000 0x40000 0x2 ro\n"}
    if command == "query-migrate":
        return migration | ({"blocked-reasons": ["a device that cannot be saved"]} if "blocked" in FAKE else {})
    if command == "qom-get":
        return "pc-q35-11.0-machine" if "new-machine" in FAKE else "pc-q35-10.0-machine"
    if command == "query-status":
        return {"status": status, "running": status == "running"}
    if command == "query-named-block-nodes":
        disk = re.search(r"-hda (\S+)", line)
        return [{"drv": "file", "file": disk.group(1)}] if disk else []
    if command == "query-fdsets":
        return []
    if command == "migrate":
        path = arguments["uri"].removeprefix("file:")
        with open(path, "wb") as f:
            f.write(bytes([count()]) + status.encode())
        if "save-dies" in FAKE:
            os.kill(os.getpid(), signal.SIGKILL)
        for word in FAKE:
            if word.startswith("save-blocks="):
                time.sleep(float(word.partition("=")[2]))
        status, migration = "postmigrate", {"status": "completed"}
        if "save-hangs" in FAKE:
            status, migration = "finish-migrate", {"status": "active"}
        if "save-fails" in FAKE:
            migration = {"status": "failed", "error-desc": "No space left on device"}
    if command == "migrate-incoming":
        with open(arguments["uri"].removeprefix("file:"), "rb") as f:
            if "load-killed" in FAKE:
                os.kill(os.getpid(), signal.SIGKILL)
            if "load-hangs-up" in FAKE:
                monitor.shutdown(socket.SHUT_RDWR)
                signal.pause()
            if "load-dies" in FAKE or f.read(1)[0] != count():
                sys.exit(1)
            saved = f.read().decode()
        status, migration = "io-error" if saved == "io-error" else "paused", {"status": "completed"}
        if "load-fails" in FAKE:
            migration = {"status": "failed", "error-desc": "Unknown section"}
    if command == "migrate_cancel":
        cancelled = cancelled or time.monotonic()
    if command == "cont":
        if status == "finish-migrate":
            raise ValueError("Migration is not finalized yet")
        if "cont-fails" in FAKE:
            raise ValueError('Failed to get "write" lock')
        if "cont-dies" in FAKE:
            run()
            os.kill(os.getpid(), signal.SIGKILL)
        if status == "prelaunch":
            run()
        status = "io-error" if "io-error" in FAKE else "running"
    if command == "quit":
        raise SystemExit(0)
    if command == "system_powerdown" and status == "running" and "stubborn" not in FAKE:
        print(f"off after {count()}", flush=True)
        raise SystemExit(0)
    return {}


if "start-fails" in FAKE:
    sys.exit("fake-qemu: a wrong argument")
f = monitor.makefile("rw", encoding="utf-8", newline="\n")
f.write(json.dumps({"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}}, "capabilities": []}}) + "\r\n")
f.flush()
for text in f:
    message = json.loads(text)
    try:
        answer = {"return": execute(message["execute"], message.get("arguments", {}))}
    except ValueError as e:
        answer = {"error": {"class": "GenericError", "desc": str(e)}}
    except SystemExit:
        # As QEMU does: it answers, and ends.
        f.write(json.dumps({"return": {}, "id": message["id"]}) + "\r\n")
        f.flush()
        time.sleep(0.1)
        raise
    f.write(json.dumps(answer | {"id": message["id"]}) + "\r\n")
    f.flush()
    if message["execute"] == "cont":
        if "panics" in FAKE:
            info = {"type": "hyper-v", "arg1": 2**64 - 1}
            f.write(json.dumps({"event": "GUEST_PANICKED", "data": {"action": "run", "info": info}}) + "\r\n")
            f.flush()
        if "hangs-up" in FAKE or "ends-slowly" in FAKE:
            monitor.shutdown(socket.SHUT_RDWR)
        if "ends-slowly" in FAKE:
            time.sleep(2)
            sys.exit()
# QEMU goes on without its monitor.
signal.pause()
