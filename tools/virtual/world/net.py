"""Hosts inside the virtual world that the bin's sockets reach: TCP, UDP and DNS in virtual time.

    host = world.net.listen("broker.test", 1883, Handler)   # Handler(connection) for each client
    host.mode = "silent"                                    # and other faults, see Host

Names given here resolve through the DNS server at DNS_IP (real packets) and through the board's
`getaddrinfo`. What the world does not have stays with the sockets of the machine. While Wi-Fi is
down, streams wait as TCP does and datagrams are lost.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tools.virtual.wire import Event
from tools.virtual.world.kernel import Kernel

DNS_IP = "10.77.0.1"
DNS_PORT = 53
DNS_TTL_S = 60
LATENCY_US = 20_000  # one way
RETRANSMIT_US = 500_000  # how often TCP tries while Wi-Fi is down
WINDOW_BYTES = 5744  # what the board takes before its program has read (lwIP)
PART_BYTES = 512  # on the chip what comes in lies outside the heap: here in small pieces
REFUSED, RESET = 111, 104
MODES = ("up", "silent", "refuse", "half_open", "gone")


class Handler(Protocol):
    """What a host does with one connection."""

    def data(self, data: bytes) -> None:
        """Bytes of the bin, as they come."""

    def closed(self) -> None:
        """The bin's end is gone, and this side knows."""


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

    def __init__(self, net: Network, number: int, host: Host) -> None:
        self.host = host
        self.open = True
        self.received = self.sent = 0
        self._net = net
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
            self._net.later(self.host, self._move)

    def _move(self) -> None:
        self._busy = False
        if not self.open:
            return
        if not self._net.link_up():
            self._busy = True
            self._net.kernel.after(RETRANSMIT_US, self._move)
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
            self._net.emit(Event.NET_DATA, self._id() + part)
        if self._closing is not None and not self._queue:
            self._net.emit(Event.NET_CLOSED, self._id() + bytes([self._closing]))
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
        if not self._net.link_up() and not self._orphan:
            self._net.kernel.after(RETRANSMIT_US, self.arrive)
            return
        while self.under_way:
            self._arrived(self.under_way.pop(0))

    def _arrived(self, data: bytes) -> None:
        if not self.open or self.host.mode == "half_open":
            return
        self.received += len(data)
        self._net.later(self.host, lambda: self._acknowledge(len(data)))
        if self.host.mode == "silent" or self.handler is None:
            return
        limit = self.host.close_after_bytes
        if limit is not None and self.received >= limit:
            self.close()
            return
        self.handler.data(data)

    def _acknowledge(self, size: int) -> None:
        if self.open and not self._orphan:
            self._net.emit(Event.NET_ACK, self._id() + struct.pack("<I", size))

    def gone(self, *, told: bool) -> None:
        """The board has closed it (`told`), or forgot it without a word."""
        self._orphan = True
        if told and self.host.mode != "half_open":
            self._end()


class Network:
    """All hosts and the way to them; `emit` gives an event to the board."""

    def __init__(
        self, kernel: Kernel, emit: Callable[[Event, bytes], None], link_up: Callable[[], bool]
    ) -> None:
        self.kernel = kernel
        self.emit = emit
        self.link_up = link_up
        self.latency_us = LATENCY_US
        self.names: dict[str, int] = {}
        self.asked: list[str] = []  # names that were looked up, newest last
        self.inside = False  # true once a stream host was made: the bin then lives in this network
        self._hosts: dict[tuple[int, int], Host] = {}
        self._connections: dict[int, Connection] = {}
        self.names["dns.test"] = number_of(DNS_IP)
        self.dns = self.datagrams("dns.test", DNS_PORT, self._answer_dns)
        self.name("localhost", "127.0.0.1")

    # -- making it

    def name(self, name: str, ip: str = "") -> int:
        """Let a name resolve: to `ip`, or to an address of its own in the world."""
        if ip:
            self.names[name] = number_of(ip)
        elif name not in self.names:
            self.names[name] = number_of(DNS_IP) + 0x100 + len(self.names)
        return self.names[name]

    def listen(self, name: str, port: int, accept: Callable[[Connection], Handler]) -> Host:
        """A TCP port; call before the bin is powered on. `accept` makes a handler a connection."""
        self.inside = True
        host = Host(name, port, accept=accept)
        self._hosts[self.name(name), port] = host
        return host

    def datagrams(self, name: str, port: int, answer: Callable[[bytes], bytes | None]) -> Host:
        """A UDP port; `answer` returns what goes back, or None."""
        host = Host(name, port, answer=answer)
        self._hosts[self.name(name), port] = host
        return host

    def later(self, host: Host, action: Callable[[], None]) -> None:
        """After the time a packet takes to or from `host`."""
        host.last_us = max(host.last_us, self.kernel.now_us + self.latency_us + host.delay_us)
        self.kernel.at(host.last_us, action)

    # -- records of the board

    def opened(self, body: bytes) -> None:
        """The board wants a connection."""
        number, ip, port = struct.unpack("<HIH", body)
        host = self._hosts.get((ip, port))
        if host is None or host.accept is None:
            host = Host("", port, mode="refuse")

        def answer() -> None:
            if host.mode == "gone" or not self.link_up():
                return
            refused = host.mode == "refuse"
            if not refused:
                connection = Connection(self, number, host)
                self._connections[number] = connection
                host.connections.append(connection)
                if host.accept is not None:
                    connection.handler = host.accept(connection)
            error = bytes([REFUSED if refused else 0])
            self.emit(Event.NET_OPENED, struct.pack("<H", number) + error)

        self.kernel.after(2 * (self.latency_us + host.delay_us), answer)

    def sent(self, body: bytes) -> None:
        """The board sends bytes in a connection."""
        connection = self._connections.get(struct.unpack_from("<H", body)[0])
        if connection is not None:
            connection.under_way.append(body[2:])
            self.later(connection.host, connection.arrive)

    def read(self, body: bytes) -> None:
        """The program on the board has read bytes."""
        number, size = struct.unpack("<HI", body)
        connection = self._connections.get(number)
        if connection is not None:
            connection.taken(size)

    def closed(self, body: bytes) -> None:
        """The board closes a connection."""
        connection = self._connections.pop(struct.unpack("<H", body)[0], None)
        if connection is not None and connection.open:
            told = self.link_up()
            self.later(connection.host, lambda: connection.gone(told=told))

    def datagram(self, body: bytes) -> None:
        """The board sends one datagram."""
        number, ip, port = struct.unpack_from("<HIH", body)
        host = self._hosts.get((ip, port))
        if host is None or host.answer is None or not self.link_up():
            return
        data = body[8:]

        def serve() -> None:
            if host.mode != "up" or host.answer is None:
                return
            reply = host.answer(data)
            if reply is not None:
                self.later(host, lambda: back(reply))

        def back(reply: bytes) -> None:
            if self.link_up():
                self.emit(Event.NET_DATAGRAM, struct.pack("<HIH", number, ip, port) + reply)

        self.later(host, serve)

    def look_up(self, body: bytes) -> None:
        """`getaddrinfo` on the board: the same names, as the chip's own resolver finds them."""
        name = body.decode(errors="replace")
        self.asked.append(name)
        ip = self.names.get(name, 0) if self.dns.mode == "up" else 0
        self.emit(Event.NET_NAME, struct.pack("<I", ip) + body)

    def board_off(self) -> None:
        """The board has lost all its sockets; no host is told."""
        for connection in self._connections.values():
            if connection.open:
                connection.gone(told=False)
        self._connections.clear()

    # -- DNS

    def _answer_dns(self, packet: bytes) -> bytes | None:
        """RFC 1035: one question of class IN; addresses only."""
        if len(packet) < 17 or packet[2] & 0x80:
            return None
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode(errors="replace"))
            at += 1 + packet[at]
            if at >= len(packet):
                return None
        question = packet[12 : at + 5]
        name = ".".join(labels).lower()
        self.asked.append(name)
        ip = self.names.get(name) if question[-4:] == b"\0\1\0\1" else None
        head = packet[:2] + (b"\x81\x80\0\1\0\1\0\0\0\0" if ip else b"\x81\x83\0\1\0\0\0\0\0\0")
        found = b"\xc0\x0c\0\1\0\1" + struct.pack(">IHI", DNS_TTL_S, 4, ip) if ip else b""
        return head + question + found


def number_of(ip: str) -> int:
    """An IPv4 address as a number."""
    return int.from_bytes(bytes(int(part) for part in ip.split(".")), "big")
