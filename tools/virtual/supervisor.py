"""One virtual bin for a test or a page: the real firmware, its flash, and hands to use it with.

Longer than most files because it is one face: many methods of a few lines each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.technician.build import FIRMWARE, build_firmware, make_flash_image, update_flash_image
from tools.virtual.console import Console
from tools.virtual.engine import NTP_NAME, NTP_PORT, Engine
from tools.virtual.identity import SSID, WIFI_KEY, Identity
from tools.virtual.nvs import update_nvs
from tools.virtual.process import HEAP
from tools.virtual.world.camera import decode, qr_png
from tools.virtual.world.gm65 import HOLD_US
from tools.virtual.world.scale import ScaleModel
from tools.virtual.world.text import Font, FontError, load_font, read_text
from tools.virtual.world.world import World

FONT = FIRMWARE / "boxbin" / "font.bin"
VIRTUAL_STEP_MS = 50
REAL_LIMIT_S = 120.0  # virtual time: a step that takes longer than this in real time has hung
STOP_TIMEOUT_S = 10.0


class WaitedTooLong(AssertionError):
    """What was waited for did not come; carries what the bin shows and its last words."""


class VirtualBin:
    """A bin in `workdir` (flash.img, nvs.json, console.log). Every method may be called from any
    thread. Use it as a context manager, or call start() and stop().

    `firmware`: a folder made by build_firmware, None for the one in the tree. `files`: more files
    for a new flash image (absolute name to bytes); they may replace those of the firmware.
    In virtual time nothing moves by itself: advance(), wait_for() and wait_for_text() let it pass.
    """

    def __init__(
        self,
        identity: Identity,
        workdir: Path,
        *,
        virtual_time: bool = False,
        seed: int = 0,
        scale: ScaleModel | None = None,
        firmware: Path | None = None,
        files: dict[str, bytes] | None = None,
        heap: str = HEAP,
        power: bool = True,
    ) -> None:
        self.identity = identity
        workdir = workdir.absolute()  # the child runs inside it
        self.workdir = workdir
        self.virtual_time = virtual_time
        workdir.mkdir(mode=0o700, parents=True, exist_ok=True)  # its files hold keys and passes
        self.flash_path = workdir / "flash.img"
        self.nvs_path = workdir / "nvs.json"
        self._power_at_start = power
        self._files = files
        self._firmware = firmware
        self._font: Font | None = None
        self.console = Console(workdir / "console.log")
        self.engine = Engine(
            flash=self.flash_path,
            nvs=self.nvs_path,
            console=self.console,
            make_world=lambda on_wdt: World(seed, scale, SSID, WIFI_KEY, on_wdt),
            unique_id=identity.unique_id(),
            virtual=virtual_time,
            seed=seed,
            heap=heap,
            name=identity.bin,
        )

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Build the flash image on the first start, bring the application up to date later."""
        firmware = self._firmware or build_firmware()
        if self.flash_path.exists():
            update_flash_image(self.flash_path, firmware, self._files)
        else:
            make_flash_image(self.flash_path, firmware, self._files)
        self.engine.open()
        try:
            ntp = ("127.0.0.1", self.engine.sntp.port)
            if self.engine.world.net.inside:
                ntp = (NTP_NAME, NTP_PORT)
            update_nvs(self.nvs_path, self.identity.nvs(*ntp))
            self.engine.start()
        except BaseException:
            self.engine.close()
            raise
        if self._power_at_start:
            self.power_on()
        return self

    def stop(self) -> None:
        """End the child and the thread; the files in workdir stay."""
        if self.engine.is_alive():
            self.engine.stop()
            self.engine.join(STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        """start()."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """stop()."""
        self.stop()

    def power_on(self, cut_at: int | None = None, *, torn: bool = False) -> None:
        """Plug in; with `cut_at`, power fails at that flash operation counted from power-on."""
        with self._world():
            self.engine.power_on((cut_at, torn) if cut_at else None)

    def power_off(self) -> None:
        """Pull the plug at this very instant."""
        with self._world():
            self.engine.power_off()

    def power_cut_at(self, operation: int, *, torn: bool = False) -> None:
        """Power fails at the `operation`-th flash operation from now (1 = the next one)."""
        with self._world():
            self.engine.cut_at(operation, torn=torn)

    def state(self) -> str:
        """One of "off", "starting", "running", "halted" (main.py has ended)."""
        return self.engine.state

    # -- hands -----------------------------------------------------------------------------------

    def show_image(self, data: bytes, hold_ms: int = HOLD_US // 1000) -> list[bytes]:
        """Hold a picture to the scanner; returns the codes it sees. Raises PictureError."""
        codes = decode(data)
        with self._world() as world:
            world.show(codes, hold_ms * 1000)
        return codes

    def show_text(self, text: str, hold_ms: int = HOLD_US // 1000) -> None:
        """Draw `text` as a QR code and hold that picture to the scanner."""
        self.show_image(qr_png(text), hold_ms)

    def drop(self, mass_g: float) -> int:
        """Put a carton in; returns its number. Raises Refused when the flap is shut."""
        return self.drop_together(mass_g)[0]

    def drop_together(self, *masses_g: float) -> list[int]:
        """Put several cartons in at the same instant; returns their numbers. Raises Refused."""
        with self._world() as world:
            return world.hands.drop(*masses_g)

    def take_out(self, number: int | None = None) -> float:
        """Take a carton (the last one when None) out through the open flap; returns grams."""
        with self._world() as world:
            return world.hands.take_out(number)

    def lower_on_string(self, mass_g: float) -> int:
        """Lower a carton on a string, slowly, through the open flap; returns its number."""
        with self._world() as world:
            return world.hands.lower(mass_g)

    def pull_string(self) -> float:
        """Pull the last carton on a string out, also through a shut flap; returns grams."""
        with self._world() as world:
            return world.hands.pull()

    def press(self, mass_g: float, *, steady: bool = False) -> None:
        """Press a hand on the container through the open flap until let_go()."""
        with self._world() as world:
            world.hands.press(mass_g, steady=steady)

    def lift(self, mass_g: float, *, steady: bool = False) -> None:
        """Lift the container quietly, by that much of its weight, until let_go()."""
        with self._world() as world:
            world.hands.lift(mass_g, steady=steady)

    def let_go(self) -> None:
        """End press() or lift()."""
        with self._world() as world:
            world.hands.let_go()

    def empty(self) -> int:
        """The operator takes everything out from behind; returns how many cartons that were."""
        with self._world() as world:
            return world.hands.empty()

    def press_button(self, hold_ms: int = 150) -> None:
        """Press the button and let go."""
        with self._world() as world:
            world.press_button(hold_ms)

    def type(self, text: str) -> None:
        """Type on the serial console; a line ends with a carriage return or newline of yours."""
        with self._world() as world:
            world.type(text.encode())

    def wifi(self, on: bool) -> None:
        """Switch the access point."""
        with self._world() as world:
            world.access_point.switch(on=on)

    def shake(self, hold_ms: int = 2000) -> None:
        """Shake the bin."""
        with self._world() as world:
            world.scale.shake(hold_ms)

    def push(self, mass_g: float, hold_ms: int = 1000) -> None:
        """Press a steady hand on the container for a while, whatever the flap does."""
        with self._world() as world:
            world.scale.push(mass_g, hold_ms)

    @contextmanager
    def world(self) -> Iterator[World]:
        """The whole world, locked, for what has no method here (faults, models)."""
        with self._world() as world:
            yield world

    # -- eyes ------------------------------------------------------------------------------------

    def display_text(self) -> list[str]:
        """The four lines on the display; empty when there is no font to read them with."""
        font = self._load_font()
        if font is None:
            return []
        return read_text(self.display_rows(), font)

    def display_rows(self) -> list[bytes]:
        """The picture: 64 rows of 16 bytes, left pixel in the highest bit."""
        with self.engine.lock:
            return self.engine.world.display.rows()

    def display_png(self, scale: int = 4) -> bytes:
        """The picture as a PNG."""
        with self.engine.lock:
            return self.engine.world.display.png(scale)

    def lamp(self) -> list[tuple[int, int, int]]:
        """Red, green, blue of each pixel; empty when nothing was written yet."""
        with self.engine.lock:
            return list(self.engine.world.board.pixels)

    def flap(self) -> str:
        """One of "shut", "open", "moving"."""
        with self._world() as world:
            return world.flap.word()

    def buzzer(self) -> int:
        """The tone's frequency in Hz, 0 when silent."""
        with self.engine.lock:
            return self.engine.world.buzzer_hz()

    def mass_g(self) -> float:
        """What lies in the container (the truth, not what the bin believes)."""
        with self._world() as world:
            return world.scale.mass_g()

    def console_tail(self, lines: int = 100) -> list[str]:
        """The last lines of the serial console."""
        with self.engine.lock:
            return list(self.console.lines)[-lines:]

    def flash_operations(self) -> tuple[int, int]:
        """Erases and programs since power-on, as last reported."""
        with self.engine.lock:
            return self.engine.world.board.erases, self.engine.world.board.programs

    def log(self) -> list[tuple[int, str]]:
        """The event log: microseconds and what happened; equal runs have equal logs."""
        with self.engine.lock:
            return list(self.engine.world.log)

    def unix_s(self) -> float:
        """The wall clock of the bin's network (its NTP server), Unix seconds."""
        with self._world():
            return self.engine.unix_us() / 1e6

    # -- time ------------------------------------------------------------------------------------

    def advance(self, ms: int) -> None:
        """Virtual time: let `ms` pass and wait until the bin rests again."""
        if not self.virtual_time:
            raise RuntimeError("advance() needs virtual_time=True; real time passes by itself")
        deadline = time.monotonic() + REAL_LIMIT_S
        with self.engine.lock:
            self.engine.grant(ms * 1000)
            self.engine.wake()
            while not self.engine.settled():
                self._check_alive()
                if not self.engine.changed.wait(max(0.0, deadline - time.monotonic())):
                    raise self._too_long(f"virtual time stood still for {REAL_LIMIT_S:g} s")

    def wait_for(
        self, condition: Callable[[], Any], timeout_s: float, what: str = "the condition"
    ) -> None:
        """Wait (virtual time: let time pass) until `condition()` is true.

        Raises WaitedTooLong with what the bin shows. The condition is looked at after each change.
        """
        if self.virtual_time:
            for _ in range(max(1, int(timeout_s * 1000 / VIRTUAL_STEP_MS))):
                if condition():
                    return
                self.advance(VIRTUAL_STEP_MS)
            if condition():
                return
            raise self._too_long(f"{what} did not come within {timeout_s:g} s of virtual time")
        deadline = time.monotonic() + timeout_s
        while True:
            with self.engine.lock:
                version = self.engine.version
            if condition():
                return
            with self.engine.lock:
                self._check_alive()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._too_long(f"{what} did not come within {timeout_s:g} s")
                if self.engine.version == version:
                    self.engine.changed.wait(min(left, 0.25))

    def wait_for_text(self, text: str, timeout_s: float = 10.0) -> list[str]:
        """Wait until a line of the display holds `text`; returns the lines."""
        if self._load_font() is None:
            raise FontError(f"no font at {FONT} to read the display with")
        seen: list[str] = []

        def shown() -> bool:
            seen[:] = self.display_text()
            return any(text in line for line in seen)

        self.wait_for(shown, timeout_s, f"{text!r} on the display")
        return seen

    def wait_for_state(self, state: str, timeout_s: float = 10.0) -> None:
        """Wait until state() is `state`."""
        self.wait_for(lambda: self.engine.state == state, timeout_s, f"state {state!r}")

    def wait_for_console(self, text: str, timeout_s: float = 10.0) -> None:
        """Wait until the console has said `text` (since the start of this object)."""
        self.wait_for(
            lambda: any(text in line for line in self.console_tail(500)),
            timeout_s,
            f"{text!r} on the console",
        )

    # -- inside ----------------------------------------------------------------------------------

    @contextmanager
    def _world(self) -> Iterator[World]:
        with self.engine.lock:
            self.engine.sync()
            yield self.engine.world
            self.engine.version += 1
            self.engine.changed.notify_all()
            if self.engine.is_alive():
                self.engine.wake()

    def _load_font(self) -> Font | None:
        if self._font is None and FONT.exists():
            self._font = load_font(FONT)
        return self._font

    def _check_alive(self) -> None:
        if not self.engine.is_alive():
            raise RuntimeError(f"the virtual bin's thread has ended: {self.engine.failure!r}")

    def _too_long(self, why: str) -> WaitedTooLong:
        lines = "\n".join(self.console_tail(20))
        return WaitedTooLong(
            f"{why}; state {self.state()}, display {self.display_text()}, console:\n{lines}"
        )
