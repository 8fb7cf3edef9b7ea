"""What the page shows, as one JSON-able picture of the bin."""

from __future__ import annotations

import base64
from typing import Any

from tools.virtual.supervisor import VirtualBin
from tools.virtual.world.wifi import GOT_IP

CONSOLE_LINES = 200
NOTE_LINES = 50
STEP_PASS, STEP_LABEL, STEP_CARTON, STEP_THANKS = 1, 2, 3, 4

# A lit pixel is dim on purpose (eight of them in a dark street); the word must not depend on that.
LIT = 6
HUES = ((15, "red"), (45, "orange"), (70, "yellow"), (170, "green"), (260, "blue"), (330, "purple"))


def lamp_word(pixels: list[tuple[int, int, int]]) -> str:
    """One word for the lamp: "off", "white", a colour, or "mixed"."""
    words = {_word(pixel) for pixel in pixels} - {"off"}
    if not words:
        return "off"
    return words.pop() if len(words) == 1 else "mixed"


def _word(pixel: tuple[int, int, int]) -> str:
    high, low = max(pixel), min(pixel)
    if high < LIT:
        return "off"
    if (high - low) * 5 < high:
        return "white"
    red, green, blue = pixel
    if high == red:
        hue = 60 * (green - blue) / (high - low) % 360
    elif high == green:
        hue = 60 * (blue - red) / (high - low) + 120
    else:
        hue = 60 * (red - green) / (high - low) + 240
    return next((word for limit, word in HUES if hue < limit), "red")


def step(powered: bool, flap: str, lamp: str) -> int:
    """What the person does next: 1 pass, 2 label, 3 carton, 4 thanks. 0 without power."""
    if not powered:
        return 0
    if flap != "shut":
        return STEP_THANKS if lamp == "green" else STEP_CARTON
    return {"blue": STEP_LABEL, "green": STEP_THANKS}.get(lamp, STEP_PASS)


def snapshot(virtual_bin: VirtualBin) -> dict[str, Any]:
    """Everything a person standing in front of the bin sees."""
    text = virtual_bin.display_text()
    with virtual_bin.world() as world:
        scale = world.scale
        reading = None
        if scale.last_counts is not None:
            reading = (scale.last_counts - scale.model.zero_counts) / scale.model.counts_per_g
        lamp = lamp_word(world.board.pixels)
        flap = world.flap.word()
        return {
            "bin": virtual_bin.identity.bin,
            "state": virtual_bin.state(),
            "powered": world.powered,
            "step": step(world.powered, flap, lamp),
            "display": base64.b64encode(b"".join(world.display.rows())).decode(),
            "lit": world.display.visible(),
            "text": text,
            "lamp": {"word": lamp, "pixels": world.board.pixels},
            "flap": {"word": flap, "open": round(world.flap.position(), 3)},
            "buzzer_hz": world.buzzer_hz(),
            "mass_g": round(scale.mass_g(), 1),
            "reading_g": None if reading is None else round(reading, 1),
            "cartons": [
                {"n": n, "g": g, "string": n in world.hands.strings}
                for n, g in world.hands.cartons.items()
            ],
            "hand": world.hands.hand,
            "wifi": {"on": world.access_point.on, "joined": world.access_point.status == GOT_IP},
            "clock": round(world.kernel.now_us / 1e6, 1),
        }


def engineer(virtual_bin: VirtualBin) -> dict[str, Any]:
    """What an engineer wants besides: console, flash, heap, resets."""
    with virtual_bin.world() as world:
        board = world.board
        return {
            "console": virtual_bin.console_tail(CONSOLE_LINES),
            "notes": list(world.notes)[-NOTE_LINES:],
            "erases": board.erases,
            "programs": board.programs,
            "heap_free": board.heap_free,
            "heap_used": board.heap_used,
            "resets": virtual_bin.engine.resets,
            "wdt_ms": board.wdt_ms,
            "scanner_mode": world.scanner.mode(),
            "scanner_baud": world.scanner.baud(),
            "scanner_dropped": world.scanner.dropped_frames,
            "display_transfers": world.display.transfers,
            "sntp_answered": virtual_bin.engine.sntp.answered,
            "virtual_time": virtual_bin.virtual_time,
        }
