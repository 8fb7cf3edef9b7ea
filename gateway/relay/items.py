"""Lines as the points backend takes them: the JSON of one item, fixed once and for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from gateway import wire
from gateway.store.outbox import Entry

if TYPE_CHECKING:
    from gateway.store.lines import Arrived

PASSED_ON: Final = frozenset({"deposit"})
"""Kinds of lines that points hear of."""
_encode = msgspec.json.Encoder().encode


def entry_of(arrived: Arrived) -> Entry | None:
    """Give the outbox entry of a line, or None when points need not hear of it.

    An entry with a reason cannot be sent: its bin signed a deposit that is none, or something that
    may well have been one.
    """
    line = arrived.line
    if not line.kind and wire.odd_kind(line.raw) in {"", *PASSED_ON}:
        reason = f"{wire.BAD_SHAPE}: perhaps a deposit, but no line of version 1"
        return Entry(arrived.bin, line.epoch, line.n, line.raw, reason)
    if line.kind not in PASSED_ON:
        return None
    try:
        deposit = wire.deposit_of(line.raw)
    except wire.WireError as error:
        return Entry(arrived.bin, line.epoch, line.n, line.raw, f"{error.reason}: {error}")
    t_ms = 0 if line.clock == "none" else line.t_ms  # then the time is worth nothing
    item = _encode(
        {
            "id": wire.line_id(arrived.bin, line.epoch, line.n),
            "kind": line.kind,
            "bin": arrived.bin,
            "station": arrived.station,
            "t": t_ms,
            "clock": line.clock,
            "scanned_at": t_ms - deposit.age,
            "received": arrived.received_ms,
            "pass": deposit.pass_,
            "label": deposit.label,
            "g": deposit.g,
        }
    )
    return Entry(arrived.bin, line.epoch, line.n, item)
