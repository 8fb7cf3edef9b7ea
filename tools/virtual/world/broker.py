"""One MQTT 3.1.1 connection of the stand-in in gateway.py: packets, keep-alive, last will."""

from __future__ import annotations

import struct
from typing import Protocol

from tools.virtual.world.kernel import Kernel, Pending
from tools.virtual.world.stream import Stream

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14


class Session(Protocol):
    """What lies behind the connections: gateway.Gateway."""

    kernel: Kernel

    def begin(self, client: Client, *, clean: bool) -> bool:
        """A client has connected; returns whether its session was there."""

    def again(self) -> None:
        """Send what was not acknowledged in the connection before."""

    def subscribe(self, topic: str, qos: int) -> None:
        """The bin wants a topic."""

    def acknowledged(self, packet_id: int) -> None:
        """The bin has that message."""

    def ended(self, client: Client, will: tuple[str, bytes] | None) -> None:
        """A connection is over."""

    def came(self, topic: str, payload: bytes) -> None:
        """One message of the bin."""


class Client:
    """One MQTT connection."""

    def __init__(self, session: Session, connection: Stream) -> None:
        self._session = session
        self._connection = connection
        self._buffer = bytearray()
        self._keepalive_s = 0
        self._will: tuple[str, bytes] | None = None
        self._timer: Pending | None = None

    def data(self, data: bytes) -> None:
        """Bytes of the bin."""
        self._buffer += data
        self._alive()
        while (packet := self._packet()) is not None:
            self._take(*packet)

    def closed(self) -> None:
        """The connection is over, whoever ended it."""
        if self._timer is not None:
            self._timer.cancel()
        self._session.ended(self, self._will)

    def drop(self) -> None:
        """Another client with this id has come."""
        self._connection.close()

    def publish(
        self, topic: str, payload: bytes, packet_id: int, *, dup: bool, retain: bool
    ) -> None:
        """A PUBLISH to the bin."""
        head = _text(topic) + (struct.pack(">H", packet_id) if packet_id else b"")
        self._send(PUBLISH, head + payload, dup << 3 | (2 if packet_id else 0) | retain)

    def _packet(self) -> tuple[int, bytes] | None:
        size = shift = 0
        for at in range(1, min(5, len(self._buffer))):
            size |= (self._buffer[at] & 0x7F) << shift
            shift += 7
            if not self._buffer[at] & 0x80:
                if len(self._buffer) < at + 1 + size:
                    return None
                first, body = self._buffer[0], bytes(self._buffer[at + 1 : at + 1 + size])
                del self._buffer[: at + 1 + size]
                return first, body
        return None

    def _take(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == CONNECT:
            self._connect(body)
        elif kind == PUBLISH:
            topic, at = _read_text(body, 0)
            if first & 6:
                self._send(PUBACK, body[at : at + 2])
                at += 2
            self._session.came(topic, body[at:])
        elif kind == PUBACK:
            self._session.acknowledged(struct.unpack(">H", body)[0])
        elif kind == SUBSCRIBE:
            self._subscribe(body)
        elif kind == UNSUBSCRIBE:
            self._send(UNSUBACK, body[:2])
        elif kind == PINGREQ:
            self._send(PINGRESP, b"")
        elif kind == DISCONNECT:
            self._will = None
            self._connection.close()
        else:
            self._connection.close(reset=True)

    def _connect(self, body: bytes) -> None:
        flags, self._keepalive_s = struct.unpack_from(">BH", body, 7)
        _, at = _read_text(body, 10)
        if flags & 4:
            topic, at = _read_text(body, at)
            size = struct.unpack_from(">H", body, at)[0]
            self._will = topic, body[at + 2 : at + 2 + size]
        present = self._session.begin(self, clean=bool(flags & 2))
        self._send(CONNACK, bytes([present, 0]))
        self._alive()
        self._session.again()

    def _subscribe(self, body: bytes) -> None:
        at, wanted = 2, []
        while at < len(body):
            topic, at = _read_text(body, at)
            wanted.append((topic, body[at]))
            at += 1
        self._send(SUBACK, body[:2] + bytes(min(qos, 1) for _, qos in wanted))
        for topic, qos in wanted:
            self._session.subscribe(topic, min(qos, 1))

    def _alive(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._keepalive_s:
            limit_us = self._keepalive_s * 1_500_000
            self._timer = self._session.kernel.after(limit_us, self._silent)

    def _silent(self) -> None:
        """Nothing was heard for too long: the last will goes out, even while there is no way to
        close the connection.
        """
        self._session.ended(self, self._will)
        self._connection.close()

    def _send(self, kind: int, body: bytes, flags: int = 0) -> None:
        size, head = len(body), bytearray([kind << 4 | flags])
        while True:
            size, digit = size >> 7, size & 0x7F
            head.append(digit | 0x80 if size else digit)
            if not size:
                break
        self._connection.send(bytes(head) + body)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _read_text(body: bytes, at: int) -> tuple[str, int]:
    size = struct.unpack_from(">H", body, at)[0]
    return body[at + 2 : at + 2 + size].decode(), at + 2 + size
