"""A port of a host in the world and the streams to it: what net.py carries to the bin."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tools.virtual.wire import Event
from tools.virtual.world.kernel import Kernel

RETRANSMIT_US = 500_000  # how often TCP tries while Wi-Fi is down
WINDOW_BYTES = 5744  # what the board takes before its program has read (lwIP)
PART_BYTES = 512  # on the chip what comes in lies outside the heap: here in small pieces
RESET = 104


class Way(Protocol):
    """The network as a stream sees it: net.Network."""

    kernel: Kernel
    emit: Callable[[Event, bytes], None]
    link_up: Callable[[], bool]

    def later(self, host: Host, action: Callable[[], None]) -> None:
        """After the time a packet takes to or from `host`."""


class Handler(Protocol):
    """What a host does with one connection."""

    def data(self, data: bytes) -> None:
        """Bytes of the bin, as they come."""

    def closed(self) -> None:
        """The bin's end is gone, and this side knows."""


class Stream(Protocol):
    """One stream, seen from the host's side: a Connection, or TLS over one."""

    def send(self, data: bytes) -> None:
        """To the bin."""

    def close(self, *, reset: bool = False) -> None:
        """End it."""


@dataclass
class Host:
    """A port of a host. Its faults may be changed at any time, for what comes after.

    mode: `up`; `silent` accepts and never answers; `refuse` says no at once; `half_open` swallows
    what both sides send and tells nobody; `gone` does not even answer a connect.
    """

    name: str
    port: int
    accept: Callable[[Connection], Handler] | None = None
    answer: Callable[[bytes], bytes | None] | None = None
    mode: str = "up"
    delay_us: int = 0
    close_after_bytes: int | None = None  # from the bin, in one connection: then it is closed
    cut_at_byte: int | None = None  # of what is sent to the bin in one connection: closed there
    connections: list[Connection] = field(default_factory=list)  # those that are open
    last_us: int = 0  # nothing overtakes: when the packet before arrives

    def drop_all(self, *, reset: bool = False) -> None:
        """Close every open connection, as a host that is stopped does."""
        for connection in list(self.connections):
            connection.close(reset=reset)


class Connection:
    """One stream, seen from the host's side."""

    def __init__(self, way: Way, number: int, host: Host) -> None:
        self.host = host
        self.open = True
        self.received = self.sent = 0
        self._way = way
        self._number = number
        self._orphan = False  # the board has forgotten it, and nobody told us
        self._window = WINDOW_BYTES
        self._queue: list[bytes] = []
        self.under_way: list[bytes] = []  # sent by the board and not here yet
        self._busy = False
        self._closing: int | None = None
        self.handler: Handler | None = None

    def send(self, data: bytes) -> None:
        """To the bin; waits for its window and for Wi-Fi."""
        if not self.open or self.host.mode in ("silent", "half_open"):
            return
        cut = self.host.cut_at_byte
        if cut is not None and self.sent + len(data) >= cut:
            data = data[: cut - self.sent]
            self._closing = 0
        self.sent += len(data)
        self._queue += [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
        self._pump()

    def close(self, *, reset: bool = False) -> None:
        """End it after what was sent; with `reset` at once and with an error."""
        if reset:
            self._queue.clear()
        self._closing = RESET if reset else 0
        self._pump()

    def _pump(self) -> None:
        if not self._busy and self.open and (self._queue or self._closing is not None):
            self._busy = True
            self._way.later(self.host, self._move)

    def _move(self) -> None:
        self._busy = False
        if not self.open:
            return
        if not self._way.link_up():
            self._busy = True
            self._way.kernel.after(RETRANSMIT_US, self._move)
            return
        if self._orphan:
            self._end()
            return
        if self.host.mode == "half_open":
            self._queue.clear()
            return
        while self._queue and self._window > 0:
            part = self._queue.pop(0)
            self._window -= len(part)
            self._way.emit(Event.NET_DATA, self._id() + part)
        if self._closing is not None and not self._queue:
            self._way.emit(Event.NET_CLOSED, self._id() + bytes([self._closing]))
            self._end()

    def _end(self) -> None:
        self.open = False
        if self in self.host.connections:
            self.host.connections.remove(self)
        if self.handler is not None:
            self.handler.closed()

    def _id(self) -> bytes:
        return struct.pack("<H", self._number)

    # -- from the board

    def taken(self, size: int) -> None:
        """The program on the board has read so much."""
        self._window += size
        self._pump()

    def arrive(self) -> None:
        """What the board sent comes here, as soon as there is a way."""
        if not self._way.link_up() and not self._orphan:
            self._way.kernel.after(RETRANSMIT_US, self.arrive)
            return
        while self.under_way:
            self._arrived(self.under_way.pop(0))

    def _arrived(self, data: bytes) -> None:
        if not self.open or self.host.mode == "half_open":
            return
        self.received += len(data)
        self._way.later(self.host, lambda: self._acknowledge(len(data)))
        if self.host.mode == "silent" or self.handler is None:
            return
        limit = self.host.close_after_bytes
        if limit is not None and self.received >= limit:
            self.close()
            return
        self.handler.data(data)

    def _acknowledge(self, size: int) -> None:
        if self.open and not self._orphan:
            self._way.emit(Event.NET_ACK, self._id() + struct.pack("<I", size))

    def gone(self, *, told: bool) -> None:
        """The board has closed it (`told`), or forgot it without a word."""
        self._orphan = True
        if told and self.host.mode != "half_open":
            self._end()
