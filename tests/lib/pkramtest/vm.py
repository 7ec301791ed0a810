# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios of the full guest: Debian 13 with systemd, the patched kernel, the project installed in it."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import io
import os
import re
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator

from . import examples, guests, power, qemu, scenario, unit
from .common import OUTPUT, TESTS, Broken, kernel, kernel_packages, make, output_dir, shown
from .qemu import Outcome
from .results import Results
from .scenario import Scenario

DIRECTORY = os.path.join(TESTS, "vm", "scenarios")
LIB = os.path.join(TESTS, "vm", "lib")
MEMORY = "2G"
# The configuration of a scenario that runs on Debian 13's own kernel, for which no kernel is built.
STOCK = "stock"
# Run once more in the campaign, for longer: a number on the kernel's command line, its name, the timeout, and how
# many stages there are.
LONGER = {
    "kill-daemon": (500, "pkramtest.kills", 3600, 1),
    "services-trees": (10, "pkramtest.kexecs", 1800, 11),
}
# Run once more in the campaign, with a daemon and a worker built with AddressSanitizer and UBSan.
SANITIZED = ("bad-requests", "hostile-clients", "store-retrieve", "tree", "varlink-clients")
# All of it takes several times as long: a tree of 20,000 files more than the 90 seconds that units are given
# otherwise.
SANITIZED_APPEND = "systemd.default_timeout_start_sec=900"
# The wizard of the first boot would wait for input at the console. Crashes end the guest at once. QEMU before version
# 8 translates a program again for each address it is seen at: with addresses chosen at random, starting programs takes
# most of the time.
COMMAND_LINE = (
    "console=ttyS0 root=/dev/vda rw rootwait panic=-1 oops=panic printk.devkmsg=on loglevel=7 "
    "norandmaps no_timer_check systemd.firstboot=no systemd.log_color=0 systemd.show_status=no systemd.hostname=pkram-guest "
    "net.ifnames=0 rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60"
)

# Names in the guest, and the paths of the files.
Files = list[tuple[str, str]]


def scenarios(suite: str = "") -> list[Scenario]:
    return [s for s in scenario.load_all(DIRECTORY) if s.suite == suite]


def campaign() -> list[Scenario]:
    """The long ones, and what is done more often there than by default."""
    longer, sanitized = [], []
    for s in scenarios() + scenarios("campaign"):
        if s.name in LONGER:
            times, word, timeout, stages = LONGER[s.name]
            longer.append(dataclasses.replace(s, name=f"{s.name}-{times}", append=f"{s.append} {word}={times}".strip(),
                                              timeout=timeout, stages=stages))
        if s.name in SANITIZED:
            sanitized.append(dataclasses.replace(s, name=f"sanitized-{s.name}", sanitized=True,
                                                 append=f"{s.append} {SANITIZED_APPEND}".strip(),
                                                 timeout=(s.timeout or 400) * 3, silence=s.silence * 3))
    return scenarios("campaign") + longer + sanitized


@functools.cache
def disk_image(kind: str = "") -> str:
    """The disk of the guest, built if need be, as the source was when it was first asked for. kind: "small" for the
    one with few packages."""
    return make(os.path.join(TESTS, "vm", "image", "build"), *([f"--{kind}"] if kind else []))


@functools.cache
def stock_kernel() -> tuple[str, str]:
    """Debian 13's own kernel and an initial RAM disk for it, downloaded if need be."""
    directory = make(os.path.join(TESTS, "vm", "stock-kernel"))
    return os.path.join(directory, "vmlinuz"), os.path.join(directory, "initrd")


@functools.cache
def sanitized_programs() -> Files:
    """pkramd and its worker with the sanitizers linked in, so that they run in a guest that has none of their
    libraries."""
    programs = ("pkramd", "pkram-tree-worker")
    path = os.path.join(output_dir("vm", "sanitized-build"), "log")
    with open(path, "w", encoding="utf-8") as log:
        try:
            build = unit.build("sanitized-static", ["-Db_sanitize=address,undefined", "-Db_lundef=false",
                                                    "-Dc_link_args=-static-libasan -static-libubsan"], log, None,
                               [f"daemon/{p}" for p in programs])
        except (subprocess.CalledProcessError, OSError) as e:
            raise Broken(f"pkramd does not build with sanitizers: {e}; see {shown(path)}") from e
    return [(f"{p}-sanitized", os.path.join(build, "daemon", p)) for p in programs]


def sanitizer_reports(path: str) -> list[str]:
    """What AddressSanitizer and UBSan said in the journal, and whether it was the sanitized daemon that ran at all."""
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    wrong = [l.strip() for l in text.splitlines() if re.search(r"AddressSanitizer|LeakSanitizer|runtime error: ",
                                                               l)][:5]
    return wrong if "pkramd-sanitized" in text else wrong + ["the journal does not show that pkramd-sanitized ran"]


def archive(s: Scenario, image: str, further: Files, path: str) -> None:
    """The second disk of the guest: the scenario, its words, the examples to run, and the kernels to kexec into."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, source in [("scenario.sh", s.path), ("bzImage", image)] + further:
            tar.add(source, name)
        for name in sorted(os.listdir(LIB)):
            tar.add(os.path.join(LIB, name), name)
        for name, text in examples.files():
            info = tarfile.TarInfo(f"examples/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))


def scratch_disk(s: Scenario, out: str) -> list[qemu.Drive]:
    """The empty disk, if the scenario wants one."""
    if not s.scratch:
        return []
    path = os.path.join(out, "scratch.img")
    if not os.path.exists(path):
        with open(path, "wb") as f:
            f.truncate(int(s.scratch.rstrip("M")) << 20)
    return [(path, "snapshot")]


def what_it_needs(s: Scenario) -> tuple[str, str, Files, str]:
    """The kernel it begins with, its initial RAM disk ("" for none), further files for it, and its disk. Each is made
    once. Raises Broken."""
    further = [(c, kernel(c)) for c in s.kernels] + (sanitized_programs() if s.sanitized else [])
    further += [(f"pkram-deb/{os.path.basename(p)}", p) for p in (kernel_packages(s.debs) if s.debs else [])]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        downloaded = pool.submit(stock_kernel) if s.config == STOCK else None
        disk = disk_image(s.image)
        image, initrd = downloaded.result() if downloaded else (kernel(s.config), "")
    further += [("initrd", initrd)] if initrd else []
    further += [(f"packages/{os.path.basename(p)}", p) for p in (further_packages(s, disk) if s.packages else [])]
    return image, initrd, further, disk


def further_packages(s: Scenario, disk: str) -> list[str]:
    """The Debian packages that the scenario wants, and those that they need and the disk lacks."""
    directory = make(os.path.join(TESTS, "vm", "packages"), "beside", disk,
                     os.path.join(OUTPUT, "further-packages", s.name), *s.packages)
    return sorted(os.path.join(directory, f) for f in os.listdir(directory))


@contextlib.contextmanager
def controlled(s: Scenario, out: str) -> Iterator[list[str]]:
    """Run the scenario's program on the host, if it has one. Yields the arguments of QEMU for the port of the guest
    that leads to it, /dev/virtio-ports/pkram.control."""
    if not s.control:
        yield []
        return
    # The path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="pkram-") as directory, \
            open(os.path.join(out, "control.log"), "w", encoding="utf-8") as log:
        path = os.path.join(directory, "control")
        with subprocess.Popen([os.path.join(TESTS, "vm", "control", s.control), path, out], stdin=subprocess.DEVNULL,
                              stdout=log,
                              stderr=subprocess.STDOUT, start_new_session=True) as proc:
            try:
                yield ["-chardev", f"socket,id=control,path={path},server=on,wait=off",
                       "-device", "virtserialport,chardev=control,name=pkram.control"]
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(proc.pid, signal.SIGTERM)


def run_one(s: Scenario, out: str, on_line: qemu.OnLine | None = None) -> Outcome:
    """Run one scenario, its logs going to the directory out. Returns the outcome. Raises Broken."""
    image, initrd, further, disk = what_it_needs(s)
    tar = os.path.join(out, "scenario.tar")
    archive(s, image, further, tar)
    with controlled(s, out) as control, power.again(s.power == "again", on_line) as (monitor, watch):
        return run_machine(s, out, image, initrd, disk, tar, control + monitor, watch)


def run_machine(s: Scenario, out: str, image: str, initrd: str, disk: str, tar: str, control: list[str],
                on_line: qemu.OnLine | None) -> Outcome:
    """The guest of a scenario, whose second disk is tar. control: further arguments of QEMU."""
    machine = qemu.Machine(
        kernel=image,
        initrd=initrd,
        append=f"{COMMAND_LINE} {s.append}".strip(),
        memory=s.memory or MEMORY,
        cpus=s.cpus,
        cpu=s.cpu,
        drives=[(disk, "snapshot"), (tar, "ro")] + scratch_disk(s, out),
        journal=os.path.join(out, "journal.log"),
        firmware=s.firmware,
        extra=control + s.qemu,
    )
    try:
        return qemu.run(machine, os.path.join(out, "console.log"), timeout=s.timeout or 400, silence=s.silence,
                        allow=s.allow, on_line=on_line)
    finally:
        os.unlink(tar)
        for path, _ in scratch_disk(s, out):
            os.unlink(path)


def run(results: Results, suite_name: str, chosen: Iterable[Scenario]) -> None:
    # systemd starts everything at once, so both processors of a guest have something to do much of the time. Two
    # guests beside each other would take three quarters of the time, but timeouts in a guest do not know of the other
    # one.
    for s, outcome in guests.outcomes(results, suite_name, chosen, what_it_needs,
                                      lambda s: run_one(s, guests.log_dir(suite_name, s)),
                                      memory=MEMORY, busy=2):
        judge(results, suite_name, s, outcome)


def judge(results: Results, suite_name: str, s: Scenario, outcome: Outcome) -> None:
    """The result of one scenario."""
    console, journal = (os.path.join(guests.log_dir(suite_name, s), n) for n in ("console.log", "journal.log"))
    wrong = scenario.verdict(s, outcome)
    if s.sanitized:
        wrong += sanitizer_reports(journal)
    if wrong:
        wrong.append(f"console: {shown(console)}  journal of all boots: {shown(journal)}")
        results.failed(suite_name, s.name, "\n           ".join(wrong), outcome.seconds, outcome.console.text())
    else:
        results.passed(suite_name, s.name, outcome.seconds)
