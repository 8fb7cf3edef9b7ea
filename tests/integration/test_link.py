"""The bin's link against peers that misbehave: it notices, says so, and comes back by itself."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.country import LIMIT_S, way
from tests.support.gateway import running_gateway, topic_of, wait_for
from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin

Talk = Callable[[socket.socket], None]
CONNACK = b"\x20\x02\x00\x00"


@contextlib.contextmanager
def peer(talk: Talk) -> Iterator[tuple[int, list[int]]]:
    """A server that gives each connection to `talk`; yields its port and a list that grows by one
    number a connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []
    open_sockets: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                seen.append(len(seen))
                open_sockets.append(connection)
                threading.Thread(target=_guarded, args=(talk, connection), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for connection in open_sockets:
            connection.close()


def _guarded(talk: Talk, connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        talk(connection)


def refuse_password(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\x20\x02\x00\x04")


def speak_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def hang_up(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.close()


def too_large(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(CONNACK + b"\x30\xff\xff\x7f")


def refuse_subscription(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(CONNACK)
    data = b""
    while b"\x82" not in data:
        data += connection.recv(4096)
    at = data.index(b"\x82")
    connection.sendall(b"\x90\x04" + data[at + 2 : at + 4] + b"\x80\x80")


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (refuse_password, "user name or password"),
        (speak_http, "broker sent"),
        (hang_up, "closed by the broker"),
        (too_large, "packet of 2097151 bytes"),
        (refuse_subscription, "refused a subscription"),
    ],
)
def test_a_peer_that_is_no_good_broker_is_named_and_tried_again(
    tmp_path: Path, talk: Talk, words: str
) -> None:
    with peer(talk) as (port, seen):
        identity = Identity("B-7K2QM", bytes(range(32)), bytes(32), "127.0.0.1", port)
        files = {"/settings.json": b'{"reconnect_ms": 200, "reconnect_max_ms": 1000}'}
        with VirtualBin(identity, tmp_path / "bin", files=files) as bin_:
            bin_.wait_for_console(words, LIMIT_S)
            wait_for("three more tries", lambda: len(seen) >= 4, LIMIT_S)
            bin_.wait_for_text("show your pass", LIMIT_S)


def test_a_message_that_is_too_large_does_not_keep_a_bin_off_the_net(tmp_path: Path) -> None:
    """In a kept session the broker would bring it again at every connect."""
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        phone = w.points.enrol_phone("Lin")
        w.bin.wait_for_console("connected", LIMIT_S)
        sender = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="sender")
        sender.connect("127.0.0.1", w.broker.port)
        sender.loop_start()
        topic = topic_of(w.made.bin, "receipt")
        sender.publish(topic, b"x" * 20_000, qos=1).wait_for_publish(10)
        sender.disconnect()
        sender.loop_stop()
        w.bin.wait_for_console("broker sent packet of", LIMIT_S)
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        w.wait_balance(phone, 10)
        complaints = sum("broker sent packet" in line for line in w.bin.console_tail(500))
        assert complaints == 1


def test_wi_fi_away_and_back(tmp_path: Path) -> None:
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        phone = w.points.enrol_phone("Lin")
        wait_for("the boot line", lambda: w.kinds() == ["boot"], LIMIT_S)
        w.bin.wifi(False)
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        assert w.kinds() == ["boot"]
        w.bin.wifi(True)
        wait_for("the points", lambda: phone.me()["balance"] == 10, 90)


def test_connections_are_really_closed(tmp_path: Path) -> None:
    """Twenty broken links leave no sockets behind in the bin."""
    with peer(hang_up) as (port, seen):
        identity = Identity("B-7K2QM", bytes(range(32)), bytes(32), "127.0.0.1", port)
        files = {"/settings.json": b'{"reconnect_ms": 200, "reconnect_max_ms": 1000}'}
        with VirtualBin(identity, tmp_path / "bin", files=files) as bin_:
            wait_for("twenty tries", lambda: len(seen) >= 20, 90)
            child = bin_.engine._child
            assert child is not None
            held = [
                link
                for link in Path(f"/proc/{child.process.pid}/fd").iterdir()
                if "socket" in str(link.readlink())
            ]
            # One to the world, one to the broker, and one that may just be on its way out.
            assert len(held) <= 3
