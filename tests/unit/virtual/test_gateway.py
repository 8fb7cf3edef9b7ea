"""The stand-in for broker and gateway: its MQTT against the bytes of a client, and its record."""

from __future__ import annotations

import json

import pytest
from boxbin.core import mqtt

from gateway import wire
from tools.virtual.world.gateway import Gateway
from tools.virtual.world.kernel import Kernel

BIN, KEY = "B-7K2QM", bytes(range(32))
EPOCH = "5f3a9c01"


class Wire:
    """The connection as the stand-in sees it; `packets` are what the bin's own parser reads of it."""

    def __init__(self) -> None:
        self.closed = False
        self._parser = mqtt.Parser()
        self.packets: list[tuple] = []

    def send(self, data: bytes) -> None:
        self.packets += self._parser.feed(data)

    def close(self, *, reset: bool = False) -> None:  # noqa: ARG002
        self.closed = True
        self.client.closed()

    def take(self) -> list[tuple]:
        packets, self.packets = self.packets, []
        return packets


@pytest.fixture
def place():
    kernel = Kernel()
    lines: list[wire.Line] = []
    return Gateway(kernel, BIN, KEY, lines.append), kernel, lines


def connect(gateway: Gateway, *, clean: bool = False) -> Wire:
    connection = Wire()
    connection.client = gateway.accept(connection)
    will = wire.topic(BIN, "online")
    connection.client.data(mqtt.connect(BIN, BIN, "secret", 40, clean, will, b"0"))
    return connection


def line(n: int, label: str = "L", epoch: str = EPOCH) -> bytes:
    d = {"pass": "P", "label": label, "g": 312, "ms": 1, "age": 1}
    body = {"e": epoch, "n": n, "t": 1, "c": "ntp", "k": "deposit", "d": d}
    return wire.sign(BIN, KEY, "journal", json.dumps(body).encode()) + b"\n"


def journal(connection: Wire, *lines: bytes) -> None:
    data = mqtt.publish(wire.topic(BIN, "journal"), b"".join(lines), 7)
    for byte in range(0, len(data), 100):  # however it is cut
        connection.client.data(data[byte : byte + 100])


def receipts(connection: Wire) -> list[int]:
    found = [p for p in connection.take() if p[0] == mqtt.PUBLISH and p[1].endswith("receipt")]
    return [json.loads(wire.verify(BIN, KEY, "receipt", p[2]))["n"] for p in found]


def subscribe(connection: Wire) -> None:
    topics = [(wire.topic(BIN, leaf), 1) for leaf in ("receipt", "command", "settings")]
    connection.client.data(mqtt.subscribe(5, topics))


def test_lines_are_receipted_in_order_and_kept_once(place):
    gateway, kernel, lines = place
    connection = connect(gateway)
    subscribe(connection)
    assert connection.take() == [(mqtt.CONNACK, False, 0), (mqtt.SUBACK, 5, b"\1\1\1")]
    journal(connection, line(1), line(2))
    assert connection.take() == [(mqtt.PUBACK, 7)]
    kernel.run_to(1_000_000)
    assert receipts(connection) == [2]
    journal(connection, line(2), line(4))
    kernel.run_to(2_000_000)
    assert receipts(connection) == [2], "a gap: nothing after it is receipted"
    journal(connection, line(2, "other"), line(3), line(4))
    kernel.run_to(3_000_000)
    assert receipts(connection) == [4]
    record = gateway.record
    assert (record.upto, record.duplicates, record.changed) == (4, 2, [2])
    assert record.gaps == [(3, 4)]
    assert [item.n for item in lines] == [1, 2, 3, 4]
    journal(connection, b"nonsense\n", line(5).replace(b"312", b"999"))
    assert record.bad == [wire.BAD_FORM, wire.BAD_MAC]
    journal(connection, line(1, epoch="00000001"))
    assert record.epochs == [EPOCH, "00000001"]


def test_a_session_is_kept_and_what_was_not_acknowledged_comes_again(place):
    gateway, _, _ = place
    first = connect(gateway)
    subscribe(first)
    first.take()
    gateway.send("command", {"id": 1, "do": "report", "args": {}, "until": 1})
    (sent,) = first.take()
    first.close()
    gateway.send("command", {"id": 2, "do": "report", "args": {}, "until": 1})
    second = connect(gateway)
    connack, again, new = second.take()
    assert connack == (mqtt.CONNACK, True, 0)
    assert again[2] == sent[2]
    assert again[3] == sent[3]
    assert again[4], "marked as a duplicate"
    second.client.data(mqtt.puback(again[3]) + mqtt.puback(new[3]))
    third = connect(gateway)
    assert second.closed, "a second client of the same name takes over"
    assert third.take() == [(mqtt.CONNACK, True, 0)]
    fourth = connect(gateway, clean=True)
    assert fourth.take() == [(mqtt.CONNACK, False, 0)]
    gateway.send("command", {"id": 3, "do": "report", "args": {}, "until": 1})
    assert fourth.take() == [], "a new session has no subscriptions"


def test_retained_settings_come_at_each_subscribe(place):
    gateway, _, _ = place
    gateway.send("settings", {"v": 1, "s": {}}, retain=True)
    for _ in range(2):
        connection = connect(gateway)
        subscribe(connection)
        (settings,) = [p for p in connection.take() if p[0] == mqtt.PUBLISH]
        assert json.loads(wire.verify(BIN, KEY, "settings", settings[2])) == {"v": 1, "s": {}}
        connection.client.data(mqtt.puback(settings[3]))


def test_silence_is_the_last_will(place):
    gateway, kernel, _ = place
    connection = connect(gateway)
    connection.client.data(mqtt.publish(wire.topic(BIN, "online"), b"1", 3, True))
    assert gateway.online
    kernel.run_to(50_000_000)
    connection.client.data(mqtt.PINGREQ)
    assert connection.take()[-1] == (mqtt.PINGRESP,)
    kernel.run_to(100_000_000)
    assert gateway.online
    kernel.run_to(120_000_000)
    assert connection.closed
    assert gateway.online is False


def test_health_and_answers_are_kept(place):
    gateway, _, _ = place
    connection = connect(gateway)
    for leaf, body in (("health", {"heap": 1}), ("done", {"id": 1})):
        signed = wire.sign(BIN, KEY, leaf, json.dumps(body).encode())
        connection.client.data(mqtt.publish(wire.topic(BIN, leaf), signed))
    connection.client.data(b"\xe0\x00")  # DISCONNECT
    assert (gateway.record.health, gateway.record.done) == ([{"heap": 1}], [{"id": 1}])
    assert connection.closed
    assert gateway.online is None, "who says goodbye has no last will"
