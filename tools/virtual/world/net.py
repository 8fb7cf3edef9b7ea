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

from tools.virtual.wire import Event
from tools.virtual.world import dns
from tools.virtual.world.kernel import Kernel
from tools.virtual.world.stream import Connection, Handler, Host

DNS_IP = "10.77.0.1"
DNS_PORT = 53
LATENCY_US = 20_000  # one way
REFUSED = 111


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

    def _answer_dns(self, packet: bytes) -> bytes | None:
        name = dns.name_of(packet)
        if name is None:
            return None
        self.asked.append(name)
        return dns.answer(packet, self.names.get(name))

    def board_off(self) -> None:
        """The board has lost all its sockets; no host is told."""
        for connection in self._connections.values():
            if connection.open:
                connection.gone(told=False)
        self._connections.clear()


def number_of(ip: str) -> int:
    """An IPv4 address as a number."""
    return int.from_bytes(bytes(int(part) for part in ip.split(".")), "big")
