"""A stand-in for broker and gateway of one bin, inside the virtual world, for long runs.

It speaks enough MQTT 3.1.1 for a bin (one client, a kept session, retained messages, QoS 0 and 1
both ways, keep-alive, last will), checks journal lines with `gateway.wire`, answers with signed
receipts and keeps a record. It decides nothing else: real brokers and the real gateway are tested
in tests/integration.
"""

from __future__ import annotations

import array
import json
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway import wire
from tools.virtual.world.broker import Client
from tools.virtual.world.kernel import Kernel
from tools.virtual.world.stream import Stream

QUEUE_MAX = 100  # messages kept for a bin that is away
KEPT = 200  # health and done messages that are remembered
COMMIT_US = 10_000  # how long the "database" takes before a receipt


@dataclass
class Record:
    """What came in. Lines are kept as a checksum each, so that a year fits in memory."""

    epoch: str = ""
    upto: int = 0  # every line of `epoch` from `since` to here has come
    since: int = 1
    crcs: array.array[int] = field(default_factory=lambda: array.array("L"))
    kinds: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    changed: list[int] = field(default_factory=list)  # came again with other bytes: never
    gaps: list[tuple[int, int]] = field(default_factory=list)  # (expected, got)
    bad: list[str] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    health: list[dict[str, Any]] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)


class Gateway:
    """Give `accept` to Network.listen. `on_line` gets each new line once, in order."""

    def __init__(
        self,
        kernel: Kernel,
        bin_id: str,
        key: bytes,
        on_line: Callable[[wire.Line], None] = lambda _: None,
    ) -> None:
        self.record = Record()
        self.receipting = True
        self.online: bool | None = None  # as the retained message or the last will says
        self.connects = 0
        self.connect_us = self.line_us = 0  # when the bin connected last, and the newest line came
        self.retained: dict[str, bytes] = {}
        self.session: dict[str, int] | None = None  # topic -> QoS; None when there is none
        self.client: Client | None = None
        self.kernel = kernel
        self._bin, self._key = bin_id, key
        self._journal = wire.Signer(bin_id, key, "journal")
        self._on_line = on_line
        self._queue: list[tuple[int, str, bytes]] = []  # QoS 1 to the bin, not acknowledged
        self._packet_id = 0

    def accept(self, connection: Stream) -> Client:
        """A new connection of the bin."""
        return Client(self, connection)

    # -- down ------------------------------------------------------------------------------------

    def send(self, leaf: str, body: dict[str, Any], *, qos: int = 1, retain: bool = False) -> None:
        """Sign and publish to the bin: command, settings, outcome …"""
        text = json.dumps(body, separators=(",", ":")).encode()
        self.publish(leaf, wire.sign(self._bin, self._key, leaf, text), qos=qos, retain=retain)

    def publish(self, leaf: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish bytes as they are to the bin."""
        topic = wire.topic(self._bin, leaf)
        if retain:
            self.retained[topic] = payload
        if self.session is None or topic not in self.session:
            return
        if min(qos, self.session[topic]):
            self._packet_id = self._packet_id % 65535 + 1
            if len(self._queue) < QUEUE_MAX:
                self._queue.append((self._packet_id, topic, payload))
            self._out(topic, payload, self._packet_id)
        else:
            self._out(topic, payload, 0)

    def _out(
        self, topic: str, payload: bytes, packet_id: int, *, dup: bool = False, retain: bool = False
    ) -> None:
        if self.client is not None:
            self.client.publish(topic, payload, packet_id, dup=dup, retain=retain)

    # -- the session -----------------------------------------------------------------------------

    def begin(self, client: Client, *, clean: bool) -> bool:
        """A client has connected; returns whether its session was there."""
        if self.client is not None and self.client is not client:
            self.client.drop()
        self.client = client
        self.connects += 1
        self.connect_us = self.kernel.now_us
        if clean or self.session is None:
            self.session = {}
            self._queue.clear()
            return False
        return True

    def again(self) -> None:
        """Send what was not acknowledged in the connection before."""
        for packet_id, topic, payload in list(self._queue):
            self._out(topic, payload, packet_id, dup=True)

    def subscribe(self, topic: str, qos: int) -> None:
        """The bin wants a topic; what is retained there comes at once."""
        if self.session is not None:
            self.session[topic] = qos
        if topic in self.retained:
            self._packet_id = self._packet_id % 65535 + 1
            packet_id = self._packet_id if qos else 0
            self._out(topic, self.retained[topic], packet_id, retain=True)

    def acknowledged(self, packet_id: int) -> None:
        """The bin has that message."""
        self._queue = [item for item in self._queue if item[0] != packet_id]

    def ended(self, client: Client, will: tuple[str, bytes] | None) -> None:
        """A connection is over."""
        if self.client is client:
            self.client = None
            if will is not None:
                self.came(*will)

    # -- up --------------------------------------------------------------------------------------

    def came(self, topic: str, payload: bytes) -> None:
        """One message of the bin, or its last will."""
        try:
            leaf = wire.parse_topic(topic).leaf
            if leaf == "journal":
                self._lines(payload)
            elif leaf == "online":
                self.online = payload == b"1"
            elif leaf in ("health", "done"):
                body = wire.verify(self._bin, self._key, leaf, payload)
                kept = self.record.health if leaf == "health" else self.record.done
                kept.append(json.loads(body))
                del kept[:-KEPT]
        except wire.WireError as error:
            self.record.bad.append(f"{topic}: {error.reason}")

    def _lines(self, payload: bytes) -> None:
        record = self.record
        for line in wire.parse_journal(self._journal, payload):
            if isinstance(line, wire.BadLine) or line.odd:
                record.bad.append(getattr(line, "reason", "") or getattr(line, "odd", ""))
                continue
            if line.epoch != record.epoch:
                record.epoch = line.epoch
                record.epochs.append(line.epoch)
                record.since, record.upto = line.n, line.n - 1
                record.crcs = array.array("L")
            self._line(record, line)
        if self.receipting and record.epoch:
            body = wire.receipt_body(record.epoch, record.upto)
            signed = wire.sign(self._bin, self._key, "receipt", body)
            self.kernel.after(COMMIT_US, lambda: self.publish("receipt", signed))

    def _line(self, record: Record, line: wire.Line) -> None:
        crc = zlib.crc32(line.raw)
        if line.n <= record.upto:
            record.duplicates += 1
            at = line.n - record.since
            if at >= 0 and record.crcs[at] != crc:
                record.changed.append(line.n)
        elif line.n == record.upto + 1:
            record.upto = line.n
            record.crcs.append(crc)
            self.line_us = self.kernel.now_us
            record.kinds[line.kind] += 1
            self._on_line(line)
        else:
            record.gaps.append((record.upto + 1, line.n))
