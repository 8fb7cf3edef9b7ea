"""Everything around the board, in one place: parts wired to pins, and what people do to them.

Each part has a file of its own; what hands do at the container is in hands.py. Longer than most
files because each part adds its few lines of wiring.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from boxbin import board

from tools.virtual.wire import Event, Record
from tools.virtual.world.display import Ssd1306
from tools.virtual.world.flap import Flap
from tools.virtual.world.gm65 import HOLD_US, Gm65
from tools.virtual.world.hands import Hands, Refused
from tools.virtual.world.kernel import Kernel, Pending
from tools.virtual.world.level import Level
from tools.virtual.world.net import Network
from tools.virtual.world.scale import Scale, ScaleModel
from tools.virtual.world.wifi import AccessPoint

__all__ = ["Refused", "World"]

LOG_EVENTS = 20_000
NOTES = 200
PRESS_MS = 150
TYPED_BYTES = 4096
BOUNCE_US = (0, 900, 1700)  # a real button touches several times


@dataclass
class Board:
    """What the world has heard from the board."""

    pwm: dict[int, tuple[int, int]] = field(default_factory=dict)  # pin -> Hz, ns
    pixels: list[tuple[int, int, int]] = field(default_factory=list)
    baud: int = 9600
    erases: int = 0
    programs: int = 0
    heap_free: int = 0
    heap_used: int = 0
    wdt_ms: int = 0
    rtc_us: int | None = None  # RTC time minus the world's clock
    rtc_memory: bytes = b""
    resetting: bool = False
    cut: bool = False


class World:
    """One bin's surroundings. Not thread-safe: its owner locks. `outbox` goes to the board."""

    def __init__(
        self,
        seed: int = 0,
        model: ScaleModel | None = None,
        ssid: str = "",
        wifi_key: str = "",
        on_wdt: Callable[[], None] = lambda: None,
    ) -> None:
        self.kernel = Kernel()
        self.outbox: list[tuple[int, bytes]] = []
        self.log: deque[tuple[int, str]] = deque(maxlen=LOG_EVENTS)
        self.notes: deque[str] = deque(maxlen=NOTES)
        # Told what the board's inputs get, under the names of a trace: w, scan, flap, button.
        self.listeners: list[Callable[[str, int | str | bool], None]] = []
        self.board = Board()
        self.powered = False
        self.display = Ssd1306()
        self.scale = Scale(self.kernel, seed, self._sample, model or ScaleModel())
        self.scanner = Gm65(self.kernel, self._scanner_bytes, self._scanner_text)
        self.flap = Flap(self.kernel, board.FLAP_SHUT_US, board.FLAP_OPEN_US, self._reed)
        self.access_point = AccessPoint(self.kernel, ssid, wifi_key, self._wifi)
        self.net = Network(self.kernel, self._emit, self.access_point.carries)
        self.hands = Hands(self.scale, self.flap, self.say)
        self.level = Level(seed, lambda: len(self.hands.cartons), self._echo)
        self.button_level = 1
        self._on_wdt = on_wdt
        self._wdt: Pending | None = None
        self._records: dict[int, Callable[[bytes], None]] = {
            Record.I2C: self._on_i2c,
            Record.UART_TX: self._on_uart_tx,
            Record.UART_INIT: self._on_uart_init,
            Record.PWM: self._on_pwm,
            Record.PIXELS: self._on_pixels,
            Record.WDT: self._on_wdt_start,
            Record.FEED: lambda _: self._feed(),
            Record.RESET: lambda _: setattr(self.board, "resetting", True),
            Record.WIFI: self.access_point.request,
            Record.RTC: self._on_rtc,
            Record.RTC_MEMORY: lambda body: setattr(self.board, "rtc_memory", bytes(body)),
            Record.STATS: self._on_stats,
            Record.NOTE: lambda body: self.note(body.decode(errors="replace")),
            Record.CUT: self._on_cut,
            Record.NET_OPEN: self.net.opened,
            Record.NET_SEND: self.net.sent,
            Record.NET_READ: self.net.read,
            Record.NET_CLOSE: self.net.closed,
            Record.NET_DATAGRAM: self.net.datagram,
            Record.NET_NAME: self.net.look_up,
        }

    # -- power -----------------------------------------------------------------------------------

    def power_on(self) -> None:
        """The plug goes in: every part starts afresh, what lies in the container stays."""
        self.board = Board()
        self.display.power_on()
        self.scanner.power_on()
        self.board_started()
        self.powered = True
        self.say("power on")

    def board_started(self) -> None:
        """The chip begins (power-on or reset); the parts around it keep their power."""
        self.disarm()
        self.board.resetting = self.board.cut = False
        self.access_point.board_off()
        self.net.board_off()
        self.outbox.clear()
        self.scale.power(on=True)
        for pin, (hz, _) in list(self.board.pwm.items()):
            if hz:
                self._pwm(pin, 0, 0)

    def power_off(self) -> None:
        """The plug is pulled."""
        self.say("power off")
        self.powered = False
        self.disarm()
        self.display.power_on()
        self.scale.power(on=False)
        self.access_point.board_off()
        self.net.board_off()
        self.board.pixels = []
        for pin in list(self.board.pwm):
            self._pwm(pin, 0, 0)
        self.outbox.clear()

    @staticmethod
    def hx711_pins() -> tuple[int, int]:
        """DOUT and SCK: the overlay answers these edges itself."""
        return board.HX711_DOUT, board.HX711_SCK

    def disarm(self) -> None:
        """The watchdog no longer runs."""
        if self._wdt is not None:
            self._wdt.cancel()
            self._wdt = None
        self.board.wdt_ms = 0

    def levels(self) -> dict[int, int]:
        """Levels of the input pins now."""
        return {
            board.FLAP_REED: self.flap.reed(),
            board.BUTTON: self.button_level,
            board.LEVEL_ECHO: 0,
        }

    def buzzer_hz(self) -> int:
        """The tone's frequency, 0 when silent."""
        hz, ns = self.board.pwm.get(board.BUZZER, (0, 0))
        return hz if ns else 0

    def note(self, text: str) -> None:
        """Keep a remark for the engineer's pane and the log."""
        self.notes.append(f"{self.kernel.now_us / 1e6:.3f} {text}")
        self.say(f"note {text}")

    def say(self, text: str) -> None:
        """One line of the event log."""
        self.log.append((self.kernel.now_us, text))

    # -- from the board --------------------------------------------------------------------------

    def apply(self, kind: int, body: bytes) -> None:
        """Take in one record of the board."""
        if kind == Record.PIN:
            if body[0] == board.LEVEL_TRIGGER:
                self.level.trigger(body[1])
            self.say(f"pin {body[0]} {body[1]}")
            return
        if kind not in (Record.STATS, Record.NOTE, Record.FEED):
            self.say(f"{Record(kind).name.lower()} {len(body)} {zlib.crc32(body):08x}")
        self._records[kind](body)

    def _on_i2c(self, body: bytes) -> None:
        if body[0] == board.DISPLAY_ADDRESS and self.display.connected:
            self.display.write(body[1:])

    def _on_uart_tx(self, body: bytes) -> None:
        if body[0] == board.SCANNER_UART:
            self.scanner.receive(body[1:], self.board.baud)

    def _on_uart_init(self, body: bytes) -> None:
        number, baud = struct.unpack("<BI", body)
        if number == board.SCANNER_UART:
            self.board.baud = baud

    def _on_pwm(self, body: bytes) -> None:
        self._pwm(*struct.unpack("<BII", body))

    def _pwm(self, pin: int, hz: int, ns: int) -> None:
        self.board.pwm[pin] = (hz, ns)
        if pin == board.FLAP_SERVO:
            self.flap.pwm(hz, ns)

    def _on_pixels(self, body: bytes) -> None:
        pin, depth, data = body[0], body[1], body[2:]
        if pin == board.LAMP:
            cells = [data[at : at + depth] for at in range(0, len(data), depth)]
            self.board.pixels = [(c[1], c[0], c[2]) for c in cells[: board.LAMP_PIXELS]]

    def _on_wdt_start(self, body: bytes) -> None:
        self.board.wdt_ms = struct.unpack("<I", body)[0]
        self._feed()

    def _feed(self) -> None:
        if not self.board.wdt_ms:
            return
        if self._wdt is not None:
            self._wdt.cancel()
        self._wdt = self.kernel.after(self.board.wdt_ms * 1000, self._on_wdt)

    def _on_rtc(self, body: bytes) -> None:
        self.board.rtc_us = struct.unpack("<q", body)[0] - self.kernel.now_us

    def _on_stats(self, body: bytes) -> None:
        b = self.board
        b.erases, b.programs, b.heap_free, b.heap_used = struct.unpack("<IIII", body)

    def _on_cut(self, body: bytes) -> None:
        self.board.cut = True
        self.board.erases, self.board.programs = struct.unpack("<II", body)

    # -- to the board ----------------------------------------------------------------------------

    def _emit(self, kind: Event, body: bytes) -> None:
        if self.powered:
            self.outbox.append((kind, body))

    def _tell(self, what: str, value: int | str | bool) -> None:
        if self.powered:
            for listener in self.listeners:
                listener(what, value)

    def _sample(self, counts: int) -> None:
        self._tell("w", counts)
        self._emit(Event.SAMPLE, struct.pack("<i", counts))

    def _scanner_bytes(self, data: bytes) -> None:
        if abs(self.board.baud - self.scanner.baud()) * 100 > 3 * self.scanner.baud():
            data = bytes(byte ^ 0xE7 for byte in data)  # framing errors make nonsense of it
        self._emit(Event.RX, bytes([board.SCANNER_UART]) + data)

    def _scanner_text(self, text: bytes) -> None:
        self._tell("scan", text.decode(errors="replace"))

    def _reed(self, level: int) -> None:
        self.say(f"reed {level}")
        if not level:
            self.hands.flap_shuts()
        self._tell("flap", "open" if level else "shut")
        self._emit(Event.LEVEL, bytes([board.FLAP_REED, level]))

    def _echo(self, wait_us: int, us: int) -> None:
        self._emit(Event.ECHO, struct.pack("<BII", board.LEVEL_ECHO, wait_us, us))

    def _wifi(self, status: int, rssi: int) -> None:
        self.say(f"wifi {status}")
        self._emit(Event.WIFI, struct.pack("<hb", status, rssi))

    # -- people ----------------------------------------------------------------------------------

    def show(self, codes: list[bytes], hold_us: int = HOLD_US) -> None:
        """Hold a picture with these codes to the scanner's window."""
        self.say(f"show {len(codes)}")
        if self.powered:
            self.scanner.show(codes, hold_us)

    def press_button(self, hold_ms: int = PRESS_MS) -> None:
        """Press the button and let go, with the bouncing of its contacts."""
        self.say("press")
        self._tell("button", value=True)
        self._bounce(0, 0)
        self._bounce(hold_ms * 1000, 1)

    def type(self, data: bytes) -> None:
        """Bytes for the board's serial input."""
        self.say(f"type {len(data)} {zlib.crc32(data):08x}")
        for at in range(0, len(data), TYPED_BYTES):
            self._emit(Event.TYPED, data[at : at + TYPED_BYTES])

    def _bounce(self, delay_us: int, level: int) -> None:
        for index, extra_us in enumerate(BOUNCE_US):
            value = level if index % 2 == 0 else 1 - level
            self.kernel.after(delay_us + extra_us, lambda value=value: self._button(value))  # type: ignore[misc]

    def _button(self, level: int) -> None:
        self.button_level = level
        self._emit(Event.LEVEL, bytes([board.BUTTON, level]))

    def connect_display(self, *, on: bool) -> None:
        """Plug the display's cable in or out."""
        self.display.connected = on
        if on:
            self.display.power_on()
        self._emit(Event.I2C, bytes(self.i2c_addresses()))

    def i2c_addresses(self) -> list[int]:
        """Who answers on the bus."""
        return [board.DISPLAY_ADDRESS] if self.display.connected else []
