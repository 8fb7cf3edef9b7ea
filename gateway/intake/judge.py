"""What each message is worth: decisions only, no network, no database but the look-up of a key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway import wire
from gateway.fleet.news import Answer
from gateway.store.fleet import Seen
from gateway.store.lines import Arrived
from gateway.store.quarantine import Reject

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.fleet.keys import BinKeys

LEAVES: Final = ("journal", "online", "health", "done")
"""What the intake subscribes to."""
HEALTH_MAX_BYTES: Final = 2048
BRACKETS_MAX: Final = 64
"""`[` and `{` in one health message or answer, which bounds how deep it nests for those who read it
later."""
UNKNOWN_BIN: Final = "unknown_bin"
RETAINED: Final = "retained"


class Message(NamedTuple):
    """One message from the broker. `session` counts connections: an acknowledgement is good only
    in the connection that brought the message.
    """

    topic: str
    payload: bytes
    qos: int
    mid: int
    retain: bool
    session: int


@dataclass
class Batch:
    """What a number of messages come to: rows to be, and the keys of the bins that get receipts."""

    arrived: list[Arrived] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    keys: dict[str, BinKeys] = field(default_factory=dict)

    def note(self, seen: Seen) -> None:
        """Lay what was seen of a bin over what this batch knew of it."""
        before = self.seen.get(seen.bin)
        if before is not None:
            seen = Seen(
                seen.bin,
                before.online if seen.online is None else seen.online,
                before.health if seen.health is None else seen.health,
                before.heard or seen.heard,
            )
        self.seen[seen.bin] = seen


def judge(message: Message, find: Callable[[str], BinKeys | None], batch: Batch) -> None:
    """Add one message to the batch: lines, a sign of life, or a reject. Only `find` can raise."""
    try:
        topic = wire.parse_topic(message.topic)
    except wire.WireError as error:
        batch.rejects.append(Reject("", message.topic, error.reason, message.payload))
        return
    keys = find(topic.bin)
    if keys is None:
        batch.rejects.append(Reject(topic.bin, message.topic, UNKNOWN_BIN, message.payload))
    elif topic.leaf == "journal":
        _journal(message, keys, batch)
    elif topic.leaf == "online":
        _online(message, keys, batch)
    elif topic.leaf == "health":
        _health(message, keys, batch)
    elif topic.leaf == "done":
        _done(message, keys, batch)
    else:
        batch.rejects.append(Reject(topic.bin, message.topic, wire.BAD_TOPIC, message.payload))


def _journal(message: Message, keys: BinKeys, batch: Batch) -> None:
    if message.retain:
        # Bins never retain lines; the broker would hand this out again at every subscription.
        batch.rejects.append(Reject(keys.bin, message.topic, RETAINED, message.payload))
        return
    verified = False
    for found in wire.parse_journal(keys.journal, message.payload):
        if isinstance(found, wire.BadLine):
            batch.rejects.append(Reject(keys.bin, message.topic, found.reason, found.raw))
            continue
        verified = True
        batch.arrived.append(Arrived(keys.bin, keys.station, found))
        if found.odd:
            batch.rejects.append(Reject(keys.bin, message.topic, found.odd, found.raw))
    if verified:
        batch.keys[keys.bin] = keys
        batch.note(Seen(keys.bin))


def _online(message: Message, keys: BinKeys, batch: Batch) -> None:
    if message.payload in (b"0", b"1"):
        online = message.payload == b"1"
        batch.note(Seen(keys.bin, online=online, heard=online and not message.retain))
    else:
        batch.rejects.append(Reject(keys.bin, message.topic, wire.BAD_FORM, message.payload))


def _health(message: Message, keys: BinKeys, batch: Batch) -> None:
    try:
        body = _body(message.payload, keys.health, HEALTH_MAX_BYTES)
        wire.object_of(body)
    except wire.WireError as error:
        batch.rejects.append(Reject(keys.bin, message.topic, error.reason, message.payload))
    else:
        batch.note(Seen(keys.bin, health=body))


def _done(message: Message, keys: BinKeys, batch: Batch) -> None:
    reason = RETAINED if message.retain else ""
    if not reason:
        try:
            done = wire.done_of(_body(message.payload, keys.done, wire.DONE_MAX_BYTES))
            batch.answers.append(Answer(keys.bin, done, message.topic, message.payload))
            batch.note(Seen(keys.bin))
        except wire.WireError as error:
            reason = error.reason
    if reason:
        batch.rejects.append(Reject(keys.bin, message.topic, reason, message.payload))


def _body(payload: bytes, signer: wire.Signer, bytes_max: int) -> bytes:
    """Give the verified JSON of a message that anybody can read later. Raises WireError."""
    if len(payload) > bytes_max:
        raise wire.WireError(wire.TOO_BIG, f"{len(payload)} bytes, at most {bytes_max}")
    body = wire.verify_with(signer, payload)
    if body.count(b"[") + body.count(b"{") > BRACKETS_MAX:
        raise wire.WireError(wire.BAD_SHAPE, f"more than {BRACKETS_MAX} brackets")
    return body
