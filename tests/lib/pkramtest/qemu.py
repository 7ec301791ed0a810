# SPDX-License-Identifier: LGPL-2.1-or-later
"""One QEMU process, followed from its first line to its end, over as many kexecs as the guest cares to do."""

import os
import queue
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import profile
from .console import Console


def have_kvm() -> bool:
    """True only where the processor has virtualisation: /dev/kvm alone proves nothing and can hang QEMU."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            flags = set(f.read().split())
    except OSError:
        return False
    return bool(flags & {"vmx", "svm"}) and os.access("/dev/kvm", os.W_OK)


# Emulated vector registers of 256 bits are slow, and libraries use them where they find them: without them SHA-256
# takes a third of the time, and memcpy() is quicker too.
EMULATED_CPU = "max,-avx,-avx2"


def firmware_drives() -> list[str]:
    """The UEFI firmware and its variables, which last as long as the process."""
    for end in ("_4M.fd", ".fd"):
        code, variables = (os.path.join("/usr/share/OVMF", f"OVMF_{part}{end}") for part in ("CODE", "VARS"))
        if os.path.exists(code) and os.path.exists(variables):
            return ["-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                    "-drive", f"if=pflash,format=raw,snapshot=on,file={variables}"]
    raise RuntimeError("the UEFI firmware is not installed (package ovmf)")


# The path of a disk, and "ro", "snapshot", or the cache mode of one that is written to.
Drive = tuple[str, str]
# Called with each line of the console.
OnLine = Callable[[str], None]


@dataclass
class Machine:
    """What the guest looks like."""

    kernel: str
    append: str
    initrd: str = ""
    memory: str = "512M"
    cpus: int = 2
    cpu: str = ""
    drives: list[Drive] = field(default_factory=list)
    journal: str = ""  # file that takes what the guest writes to its port "pkram.journal"
    icount: bool = False  # count instructions: one processor, 1 ns an instruction, never KVM
    firmware: str = ""  # "uefi", or the BIOS
    extra: list[str] = field(default_factory=list)

    def command(self) -> list[str]:
        qemu = shutil.which("qemu-system-x86_64")
        if not qemu:
            raise RuntimeError("qemu-system-x86_64 is not installed (package qemu-system-x86)")
        cmd = [qemu, "-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot", "-serial", "stdio"]
        if self.icount:
            cmd += ["-accel", "tcg", "-icount", "shift=0,sleep=off", "-smp", "1", "-cpu", self.cpu or EMULATED_CPU]
        elif have_kvm():
            cmd += ["-accel", "kvm", "-smp", str(self.cpus), "-cpu", "host"]
        else:
            cmd += ["-accel", "tcg,thread=multi", "-smp", str(self.cpus), "-cpu", self.cpu or EMULATED_CPU]
        cmd += ["-machine", "q35", "-m", self.memory, "-device", "virtio-rng-pci"]
        if self.firmware:
            cmd += firmware_drives()
        if self.kernel:
            cmd += ["-kernel", self.kernel, "-append", self.append]
        if self.initrd:
            cmd += ["-initrd", self.initrd]
        for n, (path, mode) in enumerate(self.drives):
            option = {"ro": "readonly=on", "snapshot": "snapshot=on"}.get(mode, f"cache={mode}")
            cmd += ["-drive", f"if=none,id=d{n},format=raw,file={path},{option}", "-device",
                    f"virtio-blk-pci,drive=d{n}"]
        if self.journal:
            cmd += ["-device", "virtio-serial-pci", "-chardev", f"file,id=journal,path={self.journal},append=on",
                    "-device", "virtserialport,chardev=journal,name=pkram.journal"]
        return cmd + self.extra


# The lowest priority, and how much longer a guest may take that has it: others may leave it a twentieth of the
# processors.
LOWEST = 19
ASIDE = 10


def patience() -> float:
    """How much longer than on an idle host everything may take: a test must not fail because the host is busy
    compiling, nor because this thread, and what it starts, has the lowest priority."""
    busy = min(6.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
    return busy * ASIDE if os.getpriority(os.PRIO_PROCESS, 0) == LOWEST else busy


# The guests that run now, and whether more may be started.
_running: set[subprocess.Popen[bytes]] = set()
_stopped = threading.Event()


def stop() -> None:
    """End every guest, and start no other one; readers of a console see its end."""
    _stopped.set()
    for proc in list(_running):
        proc.kill()


@dataclass
class Outcome:
    console: Console
    seconds: float
    timed_out: str = ""  # empty, or what was waited for
    exit_code: int = 0
    cut: bool = False  # the power was cut
    recorded: str = ""  # the day of the run whose console this is, if it is that of an earlier one


def run(machine: Machine, log_path: str, *, timeout: int, silence: int, allow: Iterable[str] = (),
        on_line: OnLine | None = None, cut: Callable[[str], float | None] | None = None) -> Outcome:
    """Start the machine and follow it until it powers off, breaks or runs out of time.

    timeout: seconds for everything; silence: longest time without a console line, both on an idle host;
    on_line(line): called for each line; cut(line): also, returns the seconds after which the power is cut, or None.
    The console goes to log_path, each line with the seconds since the start. Never raises for what the guest does.
    """
    console = Console(allow=[re.compile(a) for a in allow])
    start = time.monotonic()
    lines: queue.Queue[bytes | None] = queue.Queue()

    if _stopped.is_set():
        raise RuntimeError("the run is over")
    proc = subprocess.Popen(["nice", "-n", "5", *machine.command()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    _running.add(proc)
    assert proc.stdout

    def pump(stdout: Iterable[bytes]) -> None:
        for raw in stdout:
            lines.put(raw)
        lines.put(None)

    threading.Thread(target=pump, args=(proc.stdout,), daemon=True).start()
    timed_out, last, cut_at, was_cut = "", start, float("inf"), False
    grace: float | None = None
    # Since when the current kernel boots, None once its scenario speaks; and how long all kernels took for that.
    booting: float | None = start
    boot_seconds = 0.0
    try:
        with open(log_path, "w", encoding="utf-8") as log:
            while True:
                now = time.monotonic()
                if now >= cut_at:
                    was_cut = True
                    break
                try:
                    raw = lines.get(timeout=min(1.0, cut_at - now))
                except queue.Empty:
                    if now - start > timeout * patience():
                        timed_out = f"not finished after {timeout} s"
                        break
                    if now - last > silence * patience():
                        timed_out = f"silent for {silence} s"
                        break
                    if grace and now > grace:
                        break
                    continue
                if raw is None:
                    break
                last = now
                boots, stages = console.boot, len(console.stages)
                line = console.feed(raw.decode("utf-8", errors="replace"))
                if console.boot > boots and booting is None:
                    booting = now
                if len(console.stages) > stages and booting is not None:
                    boot_seconds += now - booting
                    booting = None
                log.write(f"{now - start:8.2f} {line}\n")
                log.flush()
                if on_line:
                    on_line(line)
                seconds = cut(line) if cut else None
                if seconds is not None:
                    cut_at = now + seconds
                if console.fatal and not grace:
                    grace = now + 3  # let the report of the panic come out
                if grace and now > grace:
                    break
                if now - start > timeout * patience():
                    timed_out = f"not finished after {timeout} s"
                    break
    finally:
        if proc.poll() is None:
            # A guest that said DONE is powering off: give it the time to.
            try:
                proc.wait(timeout=15 if console.done and not timed_out else 0 if was_cut else 0.1)
            except subprocess.TimeoutExpired:
                proc.kill()
        proc.wait()
        _running.discard(proc)
    profile.add("boot", boot_seconds)
    profile.add("work", time.monotonic() - start - boot_seconds)
    return Outcome(console, time.monotonic() - start, timed_out, proc.returncode, was_cut)
