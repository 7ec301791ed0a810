#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What pkram-criu sees of CRIU, with a program that counts as the only process that it can save.

$FAKE has words for what goes wrong: check-fails, and for "dump" and "restore" each: -fails (with a log), -silent
(without), -dies, -hangs; dump-damages (fails, and the program is gone), dump-lingers (the same, but the program ends a
moment after CRIU), dump-late (saves, but then hangs); restore-lies (success, but nothing is there), restore-late
(restores, but then hangs), restore-half (fails, but a process is there).
The image is the number that the program has reached.
"""
import contextlib
import ctypes
import glob
import os
import re
import signal
import sys
import time

FAKE = os.environ.get("FAKE", "").split()
verb = sys.argv[1]
options = dict(a[2:].split("=", 1) for a in sys.argv[2:] if a.startswith("--") and "=" in a)
pipes = [int(n) for n in re.findall(r"fd\[(\d+)\]:pipe:\[\d+\]", " ".join(sys.argv))]
images = options["images-dir"]
count = os.environ["COUNT"]
core = os.path.join(images, "core.img")


def log(text):
    # Noise before it, consequences after it, as CRIU has them.
    with open(os.path.join(images, options["log-file"]), "w", encoding="utf-8") as f:
        f.write("(00.005966) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\n"
                f"(00.034582) Warn  (criu/kerndat.c:1285): Can't keep kdat cache on non-tempfs\n(00.039417)    301: Error (criu/sk-unix.c:95): {text}\n"
                "(00.039466) Error (criu/cr-restore.c:2320): Restoring FAILED.\n")


def fork_as(pid):
    """clone3() with set_tid."""
    number = ctypes.c_int(pid)
    arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(number), 1, 0)
    r = ctypes.CDLL(None, use_errno=True).syscall(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if r < 0:
        sys.exit(f"clone3: {os.strerror(ctypes.get_errno())}")
    return r


def restore():
    with open(core, encoding="utf-8") as f:
        pid, reached = f.read().split()
    if fork_as(int(pid)) == 0:
        os.setsid()
        for target, fd in enumerate(pipes, 1):
            os.dup2(fd, target)
        os.closerange(3, 100)
        os.environ["FIRST"] = reached
        program = os.path.join(os.path.dirname(os.path.realpath(__file__)), "counting-program.sh")
        os.execvp("bash", ["bash", program])


def is_stopped(group):
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as f:
            state, _, its_group = f.read().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "TZ":
                return False
    return True


def dump():
    pid = int(options["tree"])
    # With its children: one of them may be about to write the number.
    os.killpg(pid, signal.SIGSTOP)
    while not is_stopped(pid):
        time.sleep(0.01)
    with open(count, encoding="utf-8") as f, open(core, "w", encoding="utf-8") as image:
        image.write(f"{pid} {f.read().strip()}")
    with open(os.path.join(images, "pages-1.img"), "wb") as f:
        f.write(bytes(5000))
    # A periodic timer that has expired, and a file.
    timer = bytes.fromhex("08071002 1a00 2801 3001 3800 4000 4800 5064")
    with open(os.path.join(images, "files.img"), "wb") as f:
        f.write(bytes.fromhex("19435654 38313056 04000000 08011006 18000000 08111007 62") +
                bytes([len(timer)]) + timer)
    if "dump-lingers" in FAKE:
        if os.fork() == 0:
            time.sleep(0.3)
            os.killpg(pid, signal.SIGKILL)
            os._exit(0)
    elif "dump-fails" not in FAKE and "dump-silent" not in FAKE:
        os.killpg(pid, signal.SIGKILL)


def go_wrong(how):
    return f"{verb}-{how}" in FAKE


if verb == "check" and go_wrong("fails"):
    log("Kernel lacks a feature")
    sys.exit(1)
if verb == "check":
    sys.exit(0)
if go_wrong("dies"):
    os.kill(os.getpid(), signal.SIGKILL)
if go_wrong("hangs"):
    time.sleep(1000)
if verb == "dump":
    dump()
    killed = go_wrong("damages") or go_wrong("lingers")
    if go_wrong("fails"):
        log("Can't dump half of stream unix connection")
    if killed:
        log("Can't cure the parasite")
    if go_wrong("late"):
        time.sleep(1000)
    if killed:
        sys.exit(3)
    if go_wrong("fails") or go_wrong("silent"):
        os.killpg(int(options["tree"]), signal.SIGCONT)
        sys.exit(3)
if verb == "restore":
    if go_wrong("fails"):
        log("File srv/log has bad size 5 (expect 4)")
    if go_wrong("fails") or go_wrong("silent"):
        sys.exit(3)
    if not go_wrong("lies"):
        restore()
    if go_wrong("half"):
        sys.exit(3)
    if go_wrong("late"):
        time.sleep(1000)
