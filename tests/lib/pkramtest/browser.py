# SPDX-License-Identifier: LGPL-2.1-or-later
"""The image of 'pkramctl analyze plot' in a browser: pkramctl draws made-up kexecs, Debian's Chromium opens each
image, measures its texts and bars, and takes a screenshot of it.

A kexec is a reply of a fake pkramd and a journal that systemd-journal-remote makes."""

import dataclasses
import functools
import html
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypedDict

from . import unit
from .common import TESTS, Broken, output_dir, shown
from .results import Results

NAME = "plot-in-browser"
ABOUT = "no text of 'analyze plot' is cut off or overlaps another one in Chromium; screenshots of all images"
# When the made-up kexecs were requested, in microseconds since 1970.
BEGIN = 1_700_000_000_000_000
JOURNAL_REMOTE = ("/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote")
STARTING, STARTED, STOPPING, STOPPED, FINISHED = (
    "7d4958e842da4a758f6c1cdc7b36dcc5", "39f53479d3a045ac8e11786248231fbf", "de5b426a63be47a7b6ac3eaac82e2f6f",
    "9d1aaa27d60140bd96365438aad20286", "b07a249cd024414a82dd00cd181378ff")
OLD_BOOT = "0123456789abcdef0123456789abcdef"

# Begin and end of something, in seconds since the request.
Span = tuple[float, float]
# A unit: its name, and when it stopped and started.
Unit = tuple[str, Span | None, Span | None]
# Left, top, right and bottom of something, in pixels.
Area = tuple[float, float, float, float]


class Measured(TypedDict):
    """What the browser says about an image."""
    size: tuple[float, float]
    texts: list[tuple[str, Area]]
    bars: list[Area]


@dataclasses.dataclass
class Kexec:
    """What pkramd and the journal know. ends: when each step ended, in seconds since the request; None if unknown.
    kernel, initrd: seconds they took, None if the journal does not know."""
    about: str
    ends: dict[str, float | None]
    kernel: float | None = None
    initrd: float | None = None
    units: tuple[Unit, ...] = ()
    lost: int = 0
    previous: str | None = "6.12.94+deb13-pkram-amd64"
    adopt: float | None = 0.0012
    # What the image has to show, and must not.
    texts: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def ends(*seconds: float | None) -> dict[str, float | None]:
    return dict(zip(("stopped", "final", "sealed", "started", "restored", "up"), seconds))


def services(n: int, length: int) -> tuple[Unit, ...]:
    """Units that stop and start one after the other."""
    return tuple((f"service-{i:03}-{'x' * (length - 20)}.service"[-length:], (i * 0.01, i * 0.02 + 0.1),
                  (6 + i * 0.02, 6.5 + i * 0.04)) for i in range(n))


LONG = "systemd-fsck@dev-disk-by\\x2duuid-5d1a37d8\\x2d8a2b\\x2d4ad2\\x2d9a21\\x2d3bde5a0b12ef.service"
KEXECS = {
    "short": Kexec("a quick one", ends(0.04, 0.061, 0.0612, 0.07, 0.35, 0.6), kernel=0.11, initrd=0.09,
                   texts=("Kexec from 6.12.94+deb13-pkram-amd64: 600.0ms", "kernel", "initrd", "restore"),
                   absent=("Slowest units",)),
    "long": Kexec("hours", ends(5400, 5460, 5460.5, 5462, 5490, 9000), kernel=8, initrd=12,
                  units=(("database.service", (2, 5399), (5495, 8999)),),
                  texts=("stop 1h 29min, start 58min 24s", "140 min")),
    "many-services": Kexec("two hundred units", ends(4.1, 4.4, 4.5, 5, 5.9, 16), kernel=0.4, initrd=0.3,
                           units=services(200, 24),
                           texts=("Slowest units", "and 180 faster units, see 'pkramctl analyze blame'")),
    "long-names": Kexec("names that do not fit", ends(3, 3.5, 3.6, 4, 5.5, 9), kernel=0.5, initrd=0.4,
                        units=((LONG, None, (4.8, 5.4)), ("W" * 200 + ".service", (0.1, 2.9), (5.6, 8.9)),
                               ("<&>\"'@\\xc3\\xa9.mount", (0.2, 0.4), None), *services(5, 250)),
                        previous="9" * 60 + "<&>", texts=("<&>\"'@\\xc3\\xa9.mount",)),
    "no-initrd": Kexec("the kernel mounts the root itself", ends(2, 2.2, 2.3, 3, 4.5, 8), kernel=1.1,
                       units=(("nginx.service", (0.2, 0.9), (5, 5.3)),),
                       texts=("kernel", "stop 700.0ms, start 300.0ms"),
                       absent=("initrd",)),
    "failed-restore": Kexec("nothing was restored", ends(None, None, None, 0, 2.5, 6), lost=12, previous=None,
                            adopt=None, texts=("12 nodes were lost, see 'pkramctl status'", "Kexec: 6.0s", "restore"),
                            absent=("stop", "seal", "kernel")),
    "unknown-times": Kexec("only the request and the end", ends(None, None, None, None, None, 47.25), previous="",
                           texts=("start", "47.2s, services start and retrieve"), absent=("stop",)),
    "clock-set-back": Kexec("the hardware clock is behind", ends(7.9, 8.1, 8.2, 7.5, 8.0, 8.3),
                            units=(("slow.service", (0, 7.9), (7.4, 12)),)),
}

# Runs in the browser: what each text and each bar covers, in pixels of the image, as JSON in the page.
PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>body { margin: 0 } svg { display: block }</style>
<body>%s<pre id="result"></pre><script>
const svg = document.querySelector("svg"), box = svg.getBoundingClientRect();
const area = e => { const r = e.getBoundingClientRect();
        return [r.left - box.left, r.top - box.top, r.right - box.left, r.bottom - box.top]; };
const own = e => [...e.childNodes].filter(n => n.nodeType == Node.TEXT_NODE).map(n => n.data).join("");
document.getElementById("result").textContent = JSON.stringify({
        size: [box.width, box.height],
        texts: [...svg.querySelectorAll("text")].map(e => [own(e), area(e)]),
        bars: [...svg.querySelectorAll("rect")].slice(1).map(e => area(e)) });
</script>"""


def _entry(boot: str, wall: float, monotonic: float, fields: Mapping[str, object]) -> str:
    lines: dict[str, object] = {
        "__REALTIME_TIMESTAMP": BEGIN + int(wall * 1e6), "__MONOTONIC_TIMESTAMP": int(monotonic * 1e6),
        "_BOOT_ID": boot, "_PID": 1, "PRIORITY": 6, "MESSAGE": "made up", **fields}
    return "".join(f"{k}={v}\n" for k, v in lines.items()) + "\n"


def _journal(kexec: Kexec) -> str:
    """The journal of a kexec in the format of 'journalctl --output=export'."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        boot = f.read().strip().replace("-", "")
    started = kexec.ends["started"] or 0
    entries: list[tuple[float, str]] = []
    for name, stop, start in kexec.units:
        for span, which, messages in ((stop, OLD_BOOT, (STOPPING, STOPPED)), (start, boot, (STARTING, STARTED))):
            for at, message in zip(span or (), messages):
                monotonic = at + 1000 if which == OLD_BOOT else max(at - started, 0)
                entries.append((at, _entry(which, at, monotonic, {"UNIT": name, "MESSAGE_ID": message})))
    up = kexec.ends["up"]
    if kexec.kernel is not None and up is not None:
        usec = {"KERNEL_USEC": int(kexec.kernel * 1e6), "USERSPACE_USEC": 1}
        if kexec.initrd is not None:
            usec["INITRD_USEC"] = int(kexec.initrd * 1e6)
        entries.append((up + 1, _entry(boot, up + 1, up + 1 - started, {"MESSAGE_ID": FINISHED, **usec})))
    return "".join(text for _, text in sorted(entries))


def _make_journal(kexec: Kexec, directory: str) -> None:
    text = _journal(kexec)
    os.mkdir(directory)
    if not text:
        return
    program = next((p for p in JOURNAL_REMOTE if os.path.exists(p)), None)
    if not program:
        raise Broken("systemd-journal-remote is not installed")
    r = subprocess.run([program, f"--output={directory}/system.journal", "-"], input=text, capture_output=True,
                       text=True, check=False)
    if r.returncode:
        raise Broken(f"systemd-journal-remote failed: {r.stderr[-500:]}")


def _status(kexec: Kexec) -> bytes:
    """The reply of pkramd to GetStatus."""
    last: dict[str, object] = {f"{k}USec": BEGIN + int(v * 1e6) for k, v in kexec.ends.items() if v is not None}
    if kexec.ends["stopped"] is not None or kexec.ends["started"] is None:
        last["requestedUSec"] = BEGIN
    last.update(restoredNodes=1, restoredBytes=1, lostNodes=kexec.lost, lost=[])
    if kexec.previous is not None:
        last["previousKernel"] = kexec.previous
    parameters: dict[str, object] = {"version": "0", "lastKexec": last}
    if kexec.adopt is not None:
        parameters["restoreUSec"] = int(kexec.adopt * 1e6)
    return json.dumps({"parameters": parameters}).encode() + b"\0"


def _draw(pkramctl: str, kexec: Kexec) -> str:
    """The image, as pkramctl writes it."""
    with tempfile.TemporaryDirectory(prefix="pkram-") as directory, \
            socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(directory, "socket"))
        listener.listen()
        listener.settimeout(60)

        def answer() -> None:
            with listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(_status(kexec))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        _make_journal(kexec, os.path.join(directory, "journal"))
        environment = dict(os.environ, PKRAM_JOURNAL_DIRECTORY=os.path.join(directory, "journal"))
        r = subprocess.run([pkramctl, f"--socket={directory}/socket", "analyze", "plot"], capture_output=True,
                           text=True, env=environment, check=False, timeout=60)
        thread.join(60)
    if r.returncode or r.stderr:
        raise Broken(f"pkramctl analyze plot: exit status {r.returncode}: {r.stderr}")
    return r.stdout


def _chromium(directory: str, *arguments: str) -> str:
    """Run the browser; returns what it printed. Its sandbox does not work for root, and it opens only these images."""
    r = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                        "--no-first-run", f"--user-data-dir={directory}/profile", *arguments],
                       capture_output=True, text=True, check=False, timeout=180)
    if r.returncode:
        raise Broken(f"chromium failed: {r.stderr[-500:]}")
    return r.stdout


def _measure(directory: str, svg: str) -> Measured:
    """What the browser says about the image."""
    path = os.path.join(directory, "page.html")
    with open(path, "w", encoding="utf-8") as f:
        f.write(PAGE % re.sub(r"^<\?xml.*?\?>\n", "", svg))
    m = re.search(r'<pre id="result">(.*?)</pre>', _chromium(directory, "--dump-dom", f"file://{path}"), re.DOTALL)
    if not m or not m[1]:
        raise Broken("chromium did not run the script of the page")
    measured: Measured = json.loads(html.unescape(m[1]))
    return measured


def _overlap(a: Area, b: Area) -> bool:
    """Whether two areas have more than the rounding of a pixel in common."""
    return min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1


def faults(measured: Measured) -> list[str]:
    """What a person would not like about an image: a line for each."""
    width, height = measured["size"]
    texts, bars = measured["texts"], measured["bars"]
    wrong: list[str] = []
    if not texts or not bars:
        wrong.append(f"{len(texts)} texts and {len(bars)} bars")
    for i, (text, area) in enumerate(texts):
        if area[2] - area[0] < 1 or area[3] - area[1] < 1:
            wrong.append(f"'{text}' is not visible")
        if area[0] < 0 or area[1] < 0 or area[2] > width or area[3] > height:
            wrong.append(f"'{text}' leaves the image of {width:g}x{height:g}: {area}")
        wrong += [f"'{text}' and '{other}' overlap" for other, place in texts[i + 1:] if _overlap(area, place)]
        wrong += [f"'{text}' and a bar overlap: {area}, {bar}" for bar in bars if _overlap(area, bar)]
    for bar in bars:
        if bar[0] < 0 or bar[1] < 0 or bar[2] > width or bar[3] > height:
            wrong.append(f"a bar leaves the image: {bar}")
    return wrong


# Images with a fault each, which has to be found.
def _bad_images() -> dict[str, str]:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="100">' \
          '<rect width="100%%" height="100%%" fill="#fff"/><rect x="10" y="40" width="100" height="20"/><text x="120" y="55">label</text>%s</svg>'
    return {
        "leaves the image": svg % '<text x="250" y="20">a title that is cut off</text>',
        "'label' and 'other' overlap": svg % '<text x="130" y="58">other</text>',
        "and a bar overlap": svg % '<text x="70" y="55">ah</text>',
        "is not visible": svg % '<text x="10" y="20"></text>',
        "a bar leaves": svg % '<rect x="250" y="40" width="100" height="20"/>',
    }


def _one(results: Results, directory: str, name: str, check: Callable[[], list[str]]) -> None:
    start = time.monotonic()
    try:
        wrong = check()
    except (Broken, OSError, ValueError, subprocess.TimeoutExpired) as e:
        wrong = [str(e)]
    if wrong:
        results.failed("campaign", f"{NAME}/{name}", "\n           ".join([*wrong[:10], f"see {shown(directory)}"]),
                       time.monotonic() - start)
    else:
        results.passed("campaign", f"{NAME}/{name}", time.monotonic() - start)


def _check_kexec(pkramctl: str, directory: str, name: str, kexec: Kexec) -> list[str]:
    svg = _draw(pkramctl, kexec)
    path = os.path.join(directory, f"{name}.svg")
    with open(path, "w", encoding="utf-8") as f:
        f.write(svg)
    with tempfile.TemporaryDirectory(prefix="pkram-") as work:
        measured = _measure(work, svg)
        width, height = (int(x) for x in measured["size"])
        _chromium(work, f"--screenshot={directory}/{name}.png", f"--window-size={width},{height}", f"file://{path}")
    texts = [t for t, _ in measured["texts"]]
    wrong = faults(measured)
    wrong += [f"there is no text '{t}'" for t in kexec.texts if t not in texts]
    wrong += [f"there is a text '{t}'" for t in kexec.absent if t in texts]
    if not os.path.exists(os.path.join(directory, f"{name}.png")):
        wrong.append("chromium took no screenshot")
    return wrong


def _check_bad_images() -> list[str]:
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pkram-") as work:
        for fault, svg in _bad_images().items():
            found = faults(_measure(work, svg))
            if len(found) != 1 or fault not in found[0]:
                wrong.append(f"expected '{fault}', found {found}")
    return wrong


def run(results: Results) -> None:
    directory = output_dir("campaign", NAME)
    packages = subprocess.run(["bash", "-c", ". lib/common.sh; . lib/packages.sh; packages_ensure browser"], cwd=TESTS,
                              check=False)
    if packages.returncode:
        results.failed("campaign", NAME, "Chromium cannot be installed: see above")
        return
    path = os.path.join(directory, "build.log")
    with open(path, "w", encoding="utf-8") as log:
        try:
            pkramctl = os.path.join(unit.build("plain", [], log, None, ["daemon/pkramctl"]), "daemon", "pkramctl")
        except (subprocess.CalledProcessError, OSError) as e:
            results.failed("campaign", NAME, f"pkramctl does not build: {e}; see {shown(path)}")
            return
    _one(results, directory, "bad-images", _check_bad_images)
    for name, kexec in KEXECS.items():
        _one(results, directory, name, functools.partial(_check_kexec, pkramctl, directory, name, kexec))
