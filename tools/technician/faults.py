"""Write firmware/FAULTS.md: what goes wrong, what people see of it, what the bin does.

Run it after each change of a fault: `python -m tools.technician.faults`. What the consumer sees
comes from firmware/boxbin/texts.txt, the advice from gateway/fleet/faults.py, each figure (in
braces below) from where the firmware has it; the other words stand here and nowhere else. A test
holds that the page is the one that this file would write. Longer than most files: it is the words
of two tables.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

from boxbin.core import texts
from boxbin.core.settings import row as setting

from gateway.fleet.faults import ADVICE, is_closing
from tools.technician.build import FIRMWARE
from tools.technician.font import sentences

PAGE = FIRMWARE / "FAULTS.md"
BOXBIN = FIRMWARE / "boxbin"
MINUTES_FROM_MS = 120_000  # a time as long as that is told in minutes when it comes out even
_COLOURS = {"off": "off", "ready": "white", "your_turn": "blue", "wait": "amber"}
_COLOURS |= {"thanks": "green", "no": "red"}
_FIGURE = re.compile(r"\{([a-z0-9_.]+)\.([A-Za-z_]+)\}")


@dataclass(frozen=True)
class Fault:
    """One code that `faults` of the health message can carry. `says` is the key of a sentence, or
    words in brackets; `line` is what the journal gets.
    """

    code: str
    noticed: str
    says: str
    does: str
    ends: str
    line: str


NOTHING = "(nothing)"
NO_LINE = "no"
FAULTS = (
    Fault(
        "scale",
        "No reading for {core.scale.MISSING_MS}; only the ends of its range for "
        "{core.scale._RAIL_MS}; the very same number for {settings.stuck_ms}; jumps of more than "
        "1 kg most of the time for {core.scale._ERRATIC_MS}.",
        "closed_scale",
        "Shuts the flap, ends the visit without thanks.",
        "At the first rest.",
        "`scale`: missing, saturated, stuck or erratic",
    ),
    Fault(
        "scanner",
        "Asked for its mode every {drivers.gm65._ASK_MS}, it gave none or another one "
        "{drivers.gm65._MISSED_MAX} times in a row, nor can it be found then; at the start after "
        "{app._SCANNER_TRIES} tries.",
        "closed_scanner",
        "Shuts the flap. Looks for it each second at every speed, and writes its settings anew.",
        "When it is found.",
        "`scanner`: no answer",
    ),
    Fault(
        "flap",
        "It did not leave shut after {settings.flap_tries} tries of {settings.flap_ms}.",
        "closed_flap",
        "Asks it to shut, again every {settings.flap_retry_ms}.",
        "When the reed switch says shut after that time: the next visit tries it again.",
        "`flap`: open",
    ),
    Fault(
        "journal",
        "Less than {core.journal.SEGMENT_BYTES} bytes of lines fit into the "
        "{core.journal.SEGMENTS_MAX} segments, or less than {flash.RESERVE_BYTES} bytes are left "
        "in the file system; a line that could not be written, within {settings.write_ms}.",
        "closed_journal",
        "Takes nobody in whose last carton might find no room. What is there goes on to the "
        "gateway.",
        "When receipts have made room.",
        "no: there is no room for one",
    ),
    Fault(
        "full",
        "The level sensor says {settings.full_percent} or more twice in a row, one look every "
        "{settings.level_ms}, nobody being there.",
        "closed_full",
        "Shuts.",
        "With a collection, or when the sensor says less than {settings.near_full_percent}.",
        "`full`: the percentage",
    ),
    Fault(
        "restarts",
        "Starts that did not last {base._SETTLED_MS} add up: a crash or the watchdog "
        "{core.ledger._WORTH}, power 1, a meant one none. More than {core.ledger.LIMIT}.",
        "closed_restarts",
        "Stays in the safe state: nothing moves, no journal is opened, the gateway and the console "
        "are answered.",
        "Tries again after {safe._SAFE_MS}, or when it is told to restart.",
        NO_LINE,
    ),
    Fault(
        "flap_shut",
        "Nobody visits and the flap is not shut after {core.door._SHUT_TRIES} times "
        "{settings.flap_tries} tries of {settings.flap_ms}.",
        "flap_held",
        "Goes on asking it to shut. Visits go on: the scale sees what goes in and out.",
        "When the reed switch says shut.",
        "`flap`: shut",
    ),
    Fault(
        "display",
        "It does not acknowledge a sentence, nor the picture that is sent again after "
        "{drivers.display._AGAIN} s.",
        "(a dark display; lamp and sound go on)",
        "Sets it up anew each second until it answers.",
        "When it answers.",
        NO_LINE,
    ),
    Fault(
        "level",
        "{core.fill.MISSES} looks in a row without three of {core.fill.READINGS} echoes that "
        "agree.",
        NOTHING,
        "Tells the fill as unknown (-1), and closes for none.",
        "With the next good look.",
        NO_LINE,
    ),
    Fault(
        "near_full",
        "The level sensor says {settings.near_full_percent} or more.",
        NOTHING,
        "Goes on.",
        "When it says less.",
        NO_LINE,
    ),
    Fault(
        "journal_near",
        "{core.journal.WARN_SEGMENTS} of {core.journal.SEGMENTS_MAX} segments are in use.",
        NOTHING,
        "Goes on.",
        "When receipts have made room.",
        NO_LINE,
    ),
    Fault(
        "journal_mended",
        "A line does not carry its MAC, a segment is gone, or NVS knows of lines that are not "
        "there.",
        NOTHING,
        "Puts a signed line of the same n in the place of each, and goes on.",
        "With the next start.",
        "`journal`: line damaged, or line lost",
    ),
    Fault(
        "clock",
        "No time server has answered since the power came, nor has anybody typed the time.",
        NOTHING,
        "Asks again every {clock._RETRY_MS}, the broker's host every second time. Lines carry "
        "no time; a pass is not judged by its age here.",
        "With the first answer.",
        NO_LINE,
    ),
    Fault(
        "settings",
        "The newest document was refused whole, or rolled back because the gateway was not heard "
        "with it within {settings.trial_ms}.",
        NOTHING,
        "Works with the ones before, and answers why.",
        "When a newer document is in force.",
        NO_LINE,
    ),
    Fault(
        "memory",
        "Less than {health._MEMORY_LOW_BYTES} bytes of the heap are free after a collection, or a "
        "whole health message found no room.",
        NOTHING,
        "Goes on; sends fewer lines at a time and a short health message.",
        "When there is more.",
        NO_LINE,
    ),
    Fault(
        "late",
        "A task has not come round within its own limit (5 to 90 s).",
        NOTHING,
        "No longer feeds the watchdog, which restarts the chip {health.WATCHDOG_MS} later; the "
        "boot ledger then names the task.",
        "When the task comes round, else with the restart.",
        NO_LINE,
    ),
)


@dataclass(frozen=True)
class Break:
    """One way in which the link itself is gone: then nothing can be told until it is back."""

    what: str
    console: str
    why: str
    does: str


BREAKS = (
    Break(
        "Wi-Fi is gone, or its key is wrong",
        "`Wi-Fi … not joined in {wifi._JOIN_MS}`",
        "wifi",
        "leaves the network properly, joins again",
    ),
    Break(
        "the broker's name has no address, or DNS is silent",
        "`…: no answer of … in {resolver.TRIES} x {resolver._TRY_MS}`, or what the server said",
        "name",
        "asks anew each time: a broker may move",
    ),
    Break(
        "the broker does not answer, or nobody listens there",
        "`no answer from … in {mqttclient.CONNECT_MS}`; `write: OSError` with its number",
        "connect",
        "",
    ),
    Break(
        "the broker falls silent or hangs up in a session",
        "`broker silent for …` after {mqttclient.SILENCE_MS} in spite of pings; "
        "`closed by the broker`",
        "session, when the next try succeeds",
        "sends again what has no receipt",
    ),
    Break(
        "the broker refuses: user or password, not allowed",
        "`refused: …` with the broker's reason",
        "refused",
        "a person must mend that; it tries on all the same",
    ),
    Break(
        "TLS: a certificate of another CA or name, or not valid now; none in NVS",
        "`certificate: …`, `certificates in NVS: …`",
        "refused",
        "its clock, or the time of its making, judges the dates",
    ),
    Break(
        "the broker sends what is no MQTT, or too much",
        "`broker sent …`",
        "session or connect",
        "asks for a new session, or the same would come again",
    ),
)

COLUMNS = (
    *("code", "noticed by", "the consumer sees", "lamp; sound", "the bin", "ends"),
    *("`fault` line", "the operator is told"),
)
HEAD = """# Faults: what goes wrong, what is seen, what the bin does

Made by `python -m tools.technician.faults` from the sources; do not edit this page. Each row is
produced on the whole bin in [test_fault_table.py](../hil_tests/test_fault_table.py).

A code stands in `faults` of the health message as long as the fault lasts. That goes out at
connect, when a fault begins or ends, and every {settings.health_ms}.
Display, lamp and sound of a sentence are one row of `texts.txt`, so they say the same. With several
closing faults the newest is shown; a collection and an operator's `open` work in spite of them.
`fault` lines cost at most {core.machine.LINES_MAX} lines in a row, then one in
{core.machine._LINE_EACH_MS}. The console's `faults` lists the same codes without a network.

The operator sees the code in `boxback fleet list` (behind "closed:" when it closes the bin), the
advice in `boxback fleet show BIN`, and when it began (+) and ended (-) in `boxback fleet log`.

Times are the defaults; a name in brackets is the setting.
"""
LINK_HEAD = """## When the link is gone

No code can tell of it. The bin goes on without: lines wait in the journal, and visits need nobody
at the other end. It tries again after a random time within {settings.reconnect_ms}, a window that
doubles up to {settings.reconnect_max_ms}. Meanwhile the gateway has `online` 0 from the broker's
last will, at the latest a minute after the last sign of life, and `boxback fleet list` says
`off` and for how long. When the link is back, health tells `offline_s` and `offline_why`: the step
at which it failed first, or `start` when no try has failed since the start.

| what | the console says (`link`) | `offline_why` | besides, the bin |
|---|---|---|---|"""
UNKNOWN = """
A board that was never provisioned, or only in part, says on the console which key is missing and
stays in the REPL: it has no name under which anybody could be told.
"""


def filled(words: str) -> str:
    """Put in the figures."""
    return _FIGURE.sub(lambda m: _figure(m[1], m[2]), words)


def _figure(place: str, name: str) -> str:
    """A setting's default with its name, or a constant of the file `place` of the firmware."""
    if place != "settings":
        return _with_unit(name, _constants(place)[name])
    found = setting(name)
    return f"{_with_unit(name, found[0])} (`{name}`)"


def _with_unit(name: str, value: int) -> str:
    if name.endswith("_percent"):
        return f"{value} %"
    if not name.lower().endswith("_ms"):
        return f"{value:,}"
    if value >= MINUTES_FROM_MS and value % 60_000 == 0:
        return f"{value // 60_000} min"
    return f"{value / 1000:g} s"


@cache
def _constants(place: str) -> dict[str, int]:
    """Constants of a file of the firmware that are plain numbers."""
    path = BOXBIN / (place.replace(".", "/") + ".py")
    return {
        node.targets[0].id: node.value.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, int)
    }


def said(key: str) -> tuple[str, str]:
    """What the display says in both languages, and lamp and sound, as two cells of the table."""
    if key.startswith("("):
        return key[1:-1], ""
    rows = sentences()[key]
    sound = ", ".join(f"{hz} Hz for {ms} ms" for hz, ms in texts.SOUNDS[rows[5]])
    words = [" ".join(part.strip() for part in rows[at : at + 2] if part) for at in (0, 2)]
    return " · ".join(words), f"{_COLOURS[rows[4]]}; {sound}"


def page() -> str:
    """The whole page."""
    lines = [filled(HEAD)]
    for title, closing in (("Faults that close the bin", True), ("Warnings", False)):
        lines += [
            f"## {title}",
            "",
            "| " + " | ".join(COLUMNS) + " |",
            "|---" * len(COLUMNS) + "|",
        ]
        for fault in FAULTS:
            if is_closing(fault.code) == closing:
                cells = (
                    f"`{fault.code}`",
                    filled(fault.noticed),
                    *said(fault.says),
                    filled(fault.does),
                    filled(fault.ends),
                    fault.line,
                    ADVICE[fault.code],
                )
                lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    lines.append(filled(LINK_HEAD))
    lines += [f"| {b.what} | {filled(b.console)} | {b.why} | {b.does} |" for b in BREAKS]
    return "\n".join([*lines, UNKNOWN])


if __name__ == "__main__":
    PAGE.write_text(page())
