"""Lines as the points backend takes them: the JSON of one item, fixed once and for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from gateway import wire
from gateway.store.lines import WITHDRAWN
from gateway.store.outbox import Entry

if TYPE_CHECKING:
    from gateway.store.lines import Arrived

_DEPOSIT: Final = "deposit"
_encode = msgspec.json.Encoder().encode


class _Withdrawal(msgspec.Struct, frozen=True, gc=False):
    """The `d` of a withdrawal: the n of the deposit taken back, and the grams that left."""

    of: Annotated[int, msgspec.Meta(ge=1, le=wire.N_MAX)]
    g: int


class _WithdrawalLine(msgspec.Struct, frozen=True, gc=False):
    d: _Withdrawal


_decode_withdrawal = msgspec.json.Decoder(_WithdrawalLine).decode


def entry_of(arrived: Arrived) -> Entry | None:
    """Give the outbox entry of a line, or None when points need not hear of it.

    An entry with a reason cannot be sent: its bin signed a deposit that is none, or something that
    may well have been one. A withdrawal that names no earlier line is passed by, as a kind that
    nobody here knows.
    """
    line = arrived.line
    if not line.kind and wire.odd_kind(line.raw) in {"", _DEPOSIT}:
        reason = f"{wire.BAD_SHAPE}: perhaps a deposit, but no line of version 1"
        return Entry(arrived.bin, line.epoch, line.n, line.raw, reason)
    if line.kind == _DEPOSIT:
        return _deposit(arrived)
    return _withdrawal(arrived) if line.kind == WITHDRAWN else None


def _deposit(arrived: Arrived) -> Entry:
    line = arrived.line
    try:
        deposit = wire.deposit_of(line.raw)
    except wire.WireError as error:
        return Entry(arrived.bin, line.epoch, line.n, line.raw, f"{error.reason}: {error}")
    t_ms = _time_of(line)
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


def _withdrawal(arrived: Arrived) -> Entry | None:
    line = arrived.line
    try:
        back = _decode_withdrawal(line.raw[wire.MAC_CHARS + 1 :]).d
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if back.of >= line.n:
        return None
    item = _encode(
        {
            "id": wire.line_id(arrived.bin, line.epoch, line.n),
            "kind": line.kind,
            "of": wire.line_id(arrived.bin, line.epoch, back.of),
            "bin": arrived.bin,
            "station": arrived.station,
            "t": _time_of(line),
            "clock": line.clock,
            "received": arrived.received_ms,
            "g": back.g,
        }
    )
    return Entry(arrived.bin, line.epoch, line.n, item)


def _time_of(line: wire.Line) -> int:
    return 0 if line.clock == "none" else line.t_ms  # then the time is worth nothing
