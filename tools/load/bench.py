"""`make bench`: the figures that the README states, measured on this machine.

Times are medians over VISITS visits of one virtual bin in real time, with everything real behind
it. They depend on the machine; sizes do not.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tools.country import Country, choose_ports
from tools.load.phone import Phone
from tools.technician.build import build_firmware
from tools.virtual.world.scale import ScaleModel

VISITS = 15
STARTS = 3
MASS_G = 312.0
REST_BAND_G = 1.0  # a swing below one sigma of the converter's noise is rest to any observer
QUIET_S = 5.0
LIMIT_S = 30.0


def rest_after_s(mass_g: float, model: ScaleModel | None = None) -> float:
    """Seconds from the drop until the container's swing stays inside REST_BAND_G.

    The model's swing is impact * mass * exp(-t / damping): tools/virtual/world/scale.py.
    """
    model = model or ScaleModel()
    return model.damping_us / 1e6 * math.log(model.impact * mass_g / REST_BAND_G)


def measure_visits(country: Country, visits: int) -> tuple[list[float], list[float]]:
    """Seconds from rest to thanks, and from thanks to the balance at the member's page."""
    thanks_s: list[float] = []
    balance_s: list[float] = []
    bin_ = country.bin
    bin_.wait_for_text("show your pass", LIMIT_S)
    phone = Phone(country.points_url, country.enrol())
    balances: queue.Queue[float] = queue.Queue()
    listener = threading.Thread(target=phone.listen, args=(balances,), daemon=True)
    listener.start()
    for visit in track(range(visits), "visits", console=Console(stderr=True)):
        if visit % 5 == 0:
            bin_.show_text(phone.pass_text())
            bin_.wait_for_text("carton's label", LIMIT_S)
        bin_.show_text(f"SF{time.time_ns()}"[:20])
        bin_.wait_for_text("Put the carton", LIMIT_S)
        bin_.wait_for(lambda: bin_.flap() == "open", LIMIT_S, "an open flap")
        with contextlib.suppress(queue.Empty):
            while True:
                balances.get_nowait()
        dropped_s = time.monotonic()
        bin_.drop(MASS_G)
        bin_.wait_for_text("Thank you!", LIMIT_S)
        said_s = time.monotonic()
        thanks_s.append(said_s - dropped_s - rest_after_s(MASS_G))
        balance_s.append(balances.get(timeout=LIMIT_S) - said_s)
        bin_.wait_for_text("Balance", LIMIT_S)
        if visit % 5 == 4:
            bin_.press_button()
            bin_.wait_for_text("show your pass", LIMIT_S)
    return thanks_s, balance_s


def memory_mb(pid: int) -> float:
    """Memory that this process alone holds, in MB (private pages, /proc/<pid>/smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE)) / 1024


def children() -> dict[str, int]:
    """Our child processes by what they are."""
    found: dict[str, int] = {}
    listed = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    names = {
        "gateway.points": "points",
        "-m gateway serve": "gateway",
        "gateway.rumqttd": "broker",
        "vboot": "bin (interpreter)",
    }
    family = {str(_own_pid())}
    for _ in range(4):
        family |= {pid for pid, parent, _ in rows if parent in family}
    for pid, _, args in rows:
        if pid in family:
            for part, name in names.items():
                if part in args:
                    found[name] = int(pid)
    return found


def _own_pid() -> int:
    return int(Path("/proc/self").resolve().name)


def measure_start(folder: Path) -> tuple[float, float]:
    """Seconds from `boxback try` to the first answer of its page, and that process's MB at rest."""
    folder.mkdir()
    with (folder / "out.txt").open("wb") as out:
        started_s = time.monotonic()
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("boxback")), "try", "--data-dir", str(folder)],
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
        try:
            while time.monotonic() - started_s < LIMIT_S:
                found = re.search(r"http://127\.0\.0\.1:\d+/", (folder / "out.txt").read_text())
                if found:
                    with contextlib.suppress(httpx.TransportError):
                        httpx.get(found[0], timeout=1).raise_for_status()
                        took_s = time.monotonic() - started_s
                        time.sleep(QUIET_S)
                        return took_s, memory_mb(process.pid)
                time.sleep(0.01)
            raise RuntimeError(f"no page within {LIMIT_S:g} s")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


def firmware_bytes() -> int:
    """Bytes of the application in a bin's flash."""
    tree = build_firmware() / "boxbin"
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())


def main() -> None:
    """Measure everything and print one table (JSON with --json)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starts = [measure_start(folder / f"start{i}") for i in range(STARTS)]
        with Country(folder / "country", choose_ports({"page": 0, "points": 0, "broker": 0})) as c:
            c.bin.wait_for_text("show your pass", LIMIT_S)
            time.sleep(QUIET_S)
            memory = {name: memory_mb(pid) for name, pid in sorted(children().items())}
            thanks_s, balance_s = measure_visits(c, VISITS)
    start_s = statistics.median(took_s for took_s, _ in starts)
    figures: dict[str, str] = {
        "`boxback try` to the first page": f"{start_s:.1f} s",
        "carton at rest to thanks on the display": _spread(thanks_s),
        "thanks to the balance at the phone": _spread(balance_s),
        "firmware in flash": f"{firmware_bytes() / 1000:.1f} kB",
        **{f"memory at rest: {name}": f"{mb:.0f} MB" for name, mb in memory.items()},
        "memory at rest: page and world (`boxback try`)": f"{starts[-1][1]:.0f} MB",
    }
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
        return
    table = Table("what", "measured")
    for what, value in figures.items():
        table.add_row(what, value)
    Console().print(table)


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s (worst of {len(seconds)}: {max(seconds):.2f} s)"


if __name__ == "__main__":
    main()
