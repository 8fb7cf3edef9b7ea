"""A TCP proxy between a bin and its broker that knows where MQTT packets begin and misbehaves.

What happens to a connection is its Fault, chosen when it comes in; what passed is kept as whole
packets. Faults at a byte, before a packet, or at once (`freeze`, `reset`).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

UP, DOWN = "up", "down"
CLOSE, RESET, STALL, SWALLOW = "close", "reset", "stall", "swallow"
AS_IT_COMES, BYTES, JOINED = "as it comes", "bytes", "joined"
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE = 1, 2, 3, 4, 8
HOST: Final = "127.0.0.1"
_READ_BYTES: Final = 4096
_JOIN_S: Final = 0.3
"""Packets are held back for so long, to arrive as one."""
_CONNECT_S: Final = 5.0
_THREAD_END_S: Final = 5.0


@dataclass(frozen=True)
class Fault:
    """What happens to one connection.

    It ends (`end`) after `at_byte` bytes of `way` were passed on, or in place of the `count`-th
    packet of type `before` of `way`, whichever is given. `end`: "close" and "reset" hang up on both
    sides; "stall" passes nothing on any more, either way, and closes nothing; "swallow" takes what
    the bin says and lets no answer through. `pieces`: how bytes reach the bin.
    """

    way: str = DOWN
    at_byte: int | None = None
    before: int | None = None
    count: int = 1
    end: str = CLOSE
    pieces: str = AS_IT_COMES


NONE: Final = Fault()


@dataclass(frozen=True)
class Packet:
    """One MQTT packet that went through."""

    way: str
    data: bytes

    @property
    def kind(self) -> int:
        return self.data[0] >> 4

    @property
    def dup(self) -> bool:
        return bool(self.data[0] & 8)

    @property
    def _publish(self) -> tuple[str, int, bytes]:
        at = 1
        while self.data[at] & 0x80:
            at += 1
        (size,) = struct.unpack_from(">H", self.data, at + 1)
        topic = self.data[at + 3 : at + 3 + size].decode()
        at += 3 + size
        qos = self.data[0] >> 1 & 3
        packet_id = int.from_bytes(self.data[at : at + 2], "big") if qos else 0
        return topic, packet_id, self.data[at + (2 if qos else 0) :]

    @property
    def leaf(self) -> str:
        """The last part of a PUBLISH's topic, "" for others."""
        return self._publish[0].rpartition("/")[2] if self.kind == PUBLISH else ""

    @property
    def packet_id(self) -> int:
        """Of a PUBLISH or PUBACK; 0 without."""
        if self.kind == PUBLISH:
            return self._publish[1]
        return int.from_bytes(self.data[2:4], "big") if self.kind == PUBACK else 0

    @property
    def payload(self) -> bytes:
        return self._publish[2] if self.kind == PUBLISH else b""


class Splitter:
    """Bytes in, whole packets out."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._held += data
        found = []
        while (size := self._size()) and len(self._held) >= size:
            found.append(self._held[:size])
            self._held = self._held[size:]
        return found

    def _size(self) -> int:
        size = 0
        for i, digit in enumerate(self._held[1:5]):
            size |= (digit & 0x7F) << 7 * i
            if not digit & 0x80:
                return i + 2 + size
        return 0


@dataclass
class Passage:
    """One connection of a bin."""

    number: int
    fault: Fault
    client: socket.socket = field(repr=False)
    broker: socket.socket = field(repr=False)
    packets: list[Packet] = field(default_factory=list)
    """Those that reached the other side whole."""
    passed: dict[str, int] = field(default_factory=lambda: {UP: 0, DOWN: 0})
    """Bytes that reached the other side."""
    failed: threading.Event = field(default_factory=threading.Event)
    """The fault has happened."""
    hangs: bool = False
    """The network was cut under it."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Both sides are closed."""

    def seen(self, way: str, kind: int, leaf: str = "") -> list[Packet]:
        """Packets of that way and kind, and leaf when one is given."""
        return [p for p in list(self.packets) if (p.way, p.kind) == (way, kind) and leaf in p.leaf]


class Chaos:
    """The proxy; `plan` gives the Fault of the n-th connection (from 0). `watch` sees each packet."""

    def __init__(
        self,
        target: int,
        plan: Callable[[int], Fault] = lambda _: NONE,
        watch: Callable[[Passage, Packet], None] = lambda _passage, _packet: None,
    ) -> None:
        self.target = target
        self.plan = plan
        self.passages: list[Passage] = []
        self.refused = 0
        """Connections that were not passed on, for there was no broker."""
        self._watch = watch
        self._frozen = threading.Event()
        self._stopping = False
        self._unheard: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((HOST, 0), backlog=100)
        self.port = int(self._listener.getsockname()[1])
        self._start(self._serve)

    def freeze(self) -> None:
        """The network between both is cut: nothing passes and nobody learns of the other's end.

        What comes after `heal` passes; what was there or came before hangs for ever.
        """
        self._frozen.set()
        for passage in list(self.passages):
            passage.hangs = True

    def heal(self) -> None:
        self._frozen.clear()

    def reset(self) -> None:
        """Reset all connections."""
        for passage in list(self.passages):
            self._hang_up(passage, RESET)

    def stop(self) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._unheard:
            client.close()
        for passage in list(self.passages):
            self._hang_up(passage, CLOSE)
        for thread in list(self._threads):
            thread.join(_THREAD_END_S)
            assert not thread.is_alive(), "a thread of the chaos proxy did not end"

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while not self._stopping:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._frozen.is_set():
                self._unheard.append(client)
                continue
            try:
                broker = socket.create_connection((HOST, self.target), _CONNECT_S)
            except OSError:
                self.refused += 1
                client.close()
                continue
            for end in (client, broker):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = len(self.passages)
            passage = Passage(number, self.plan(number), client, broker)
            self.passages.append(passage)
            self._start(self._pump, passage, UP, client, broker)
            self._start(self._pump, passage, DOWN, broker, client)

    def _pump(self, passage: Passage, way: str, source: socket.socket, to: socket.socket) -> None:
        packets = Splitter()
        with contextlib.suppress(OSError):
            while data := source.recv(_READ_BYTES):
                if passage.hangs or (passage.failed.is_set() and self._mute(passage, way)):
                    continue
                self._pass(passage, way, data, to, packets)
        # A peer's end is passed on, except into a network that is cut.
        if not passage.hangs:
            self._hang_up(passage, CLOSE)

    @staticmethod
    def _mute(passage: Passage, way: str) -> bool:
        return passage.fault.end == STALL or (passage.fault.end == SWALLOW and way == DOWN)

    def _pass(
        self, passage: Passage, way: str, data: bytes, to: socket.socket, packets: Splitter
    ) -> None:
        fault = passage.fault
        if fault.way == way and not passage.failed.is_set():
            if fault.at_byte is not None and passage.passed[way] + len(data) >= fault.at_byte:
                self._send(passage, way, data[: fault.at_byte - passage.passed[way]], to, packets)
                self._fail(passage)
                return
            if fault.before is not None:
                # Held back until they are whole, so that nothing of the packet goes through.
                for packet in packets.feed(data):
                    before = len(passage.seen(way, fault.before))
                    if packet[0] >> 4 == fault.before and before + 1 == fault.count:
                        self._fail(passage)
                        return
                    self._send(passage, way, packet, to, Splitter())
                return
        self._send(passage, way, data, to, packets)

    def _send(
        self, passage: Passage, way: str, data: bytes, to: socket.socket, packets: Splitter
    ) -> None:
        pieces = passage.fault.pieces if way == DOWN else AS_IT_COMES
        if pieces == JOINED:
            time.sleep(_JOIN_S)
            with contextlib.suppress(BlockingIOError):
                data += passage.broker.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        passage.passed[way] += len(data)
        for packet in packets.feed(data):
            found = Packet(way, packet)
            passage.packets.append(found)
            self._watch(passage, found)
        if pieces == BYTES:
            for byte in data:
                to.sendall(bytes([byte]))
                time.sleep(0.001)
        else:
            to.sendall(data)

    def _fail(self, passage: Passage) -> None:
        passage.failed.set()
        if passage.fault.end in (CLOSE, RESET):
            self._hang_up(passage, passage.fault.end)

    @staticmethod
    def _hang_up(passage: Passage, how: str) -> None:
        for end in (passage.client, passage.broker):
            with contextlib.suppress(OSError):
                if how == RESET:
                    linger = struct.pack("ii", 1, 0)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                # Wakes the thread that reads; a reset must not say good-bye.
                end.shutdown(socket.SHUT_RD if how == RESET else socket.SHUT_RDWR)
            end.close()
        passage.ended.set()

    def end(self, passage: Passage, how: str = CLOSE) -> None:
        """Hang up on both sides of one connection."""
        self._hang_up(passage, how)


@contextlib.contextmanager
def chaos(target: int, **values: Callable[..., object]) -> Iterator[Chaos]:
    """A proxy in front of the broker on `target` for the block."""
    proxy = Chaos(target, **values)  # type: ignore[arg-type]
    try:
        yield proxy
    finally:
        proxy.stop()
