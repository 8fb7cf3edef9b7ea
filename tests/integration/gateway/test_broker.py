"""The embedded broker: who gets in, where it listens, and that it ends with us."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import exc

from gateway import wire
from gateway.broker import BrokerError, EmbeddedBroker
from gateway.fleet.register import Provisioning
from gateway.processes import Child, ChildError, Running
from tests.support.gateway import (
    LIMIT_S,
    Embedded,
    SimBin,
    issue_bin,
    port_listens,
    running_broker,
    running_gateway,
    settings_for,
    wait_for,
)

ROOT = Path(__file__).parents[3]
RUN_BROKER = "from gateway.cli import broker_app; broker_app()"


@pytest.fixture
def made(tmp_path: Path) -> Provisioning:
    return issue_bin(settings_for(tmp_path, 1883))


@pytest.fixture
def broker(tmp_path: Path, made: Provisioning) -> Iterator[Embedded]:
    assert made.bin  # issued before the broker starts, so that it knows it
    with running_broker("iotcore", tmp_path) as running:
        assert isinstance(running, Embedded)
        yield running


def let_in(port: int, user: str | None, password: str | None) -> bool:
    """Whether the broker answers a CONNECT with a friendly CONNACK."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="guest", reconnect_on_failure=False)
    if user is not None:
        client.username_pw_set(user, password)
    answers: list[bool] = []
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.append(not reason.is_failure)
    client.on_disconnect = lambda *_: answers.append(False)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        wait_for("the broker's answer", lambda: answers)
    finally:
        client.disconnect()
        client.loop_stop()
    return answers[0]


def test_only_those_with_their_password_are_let_in(broker: Embedded, made: Provisioning) -> None:
    password = wire.mqtt_password(made.key)
    assert let_in(broker.port, made.bin, password)
    assert not let_in(broker.port, made.bin, password[:-1])
    assert not let_in(broker.port, "B-00000", password)
    assert not let_in(broker.port, None, None)


def test_a_bin_added_later_is_let_in_and_its_gateway_comes_back(
    tmp_path: Path, broker: Embedded
) -> None:
    settings = settings_for(tmp_path, broker.port)
    with running_gateway(settings):
        late = issue_bin(settings)
        assert not let_in(broker.port, late.bin, wire.mqtt_password(late.key))
        broker.refresh()
        with SimBin(broker.port, late.bin, late.key) as box:
            box.write("boot")
            box.deliver()


def away(_: object) -> list[object]:
    raise exc.OperationalError("SELECT", {}, sqlite3.OperationalError("disk I/O error"))


def test_a_fleet_that_cannot_be_read_leaves_the_broker_as_it_is(
    tmp_path: Path, broker: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = broker._broker
    assert child is not None
    before = child.pid
    late = issue_bin(settings_for(tmp_path, broker.port))
    with monkeypatch.context() as patched:
        patched.setattr("gateway.broker.fleet.all_bins", away)
        for _ in range(3):
            child._looked_at = 0.0
            assert not child.refresh()
    assert child.pid == before
    assert child.running
    broker.refresh()  # the new bin has not been forgotten
    assert child.pid != before
    assert let_in(broker.port, late.bin, wire.mqtt_password(late.key))


def test_a_fleet_that_cannot_be_read_at_the_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.broker.fleet.all_bins", away)
    broker = EmbeddedBroker(settings_for(tmp_path, 1883))
    with pytest.raises(BrokerError, match=r"gateway\.db: disk I/O error"):
        broker.start()
    broker.stop()


def test_a_restart_that_fails_is_tried_again(
    tmp_path: Path, broker: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = broker._broker
    assert child is not None
    before = child.pid
    start, tries = child._children.start, []

    def failing(wanted: Child) -> Running:
        tries.append(wanted.name)
        if len(tries) < 3:
            raise ChildError("not this time")
        return start(wanted)

    monkeypatch.setattr(child._children, "start", failing)
    issue_bin(settings_for(tmp_path, broker.port))
    broker.refresh()
    assert tries == ["broker"] * 3
    assert child.running
    assert child.pid != before
    assert not (tmp_path / "data" / "gateway" / "rumqttd.toml").exists()


def test_it_listens_on_loopback_only(broker: Embedded) -> None:
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            address, port = row.split()[1].rsplit(":", 1)
            if int(port, 16) == broker.port and row.split()[3] == "0A":
                listening.add(address)
    assert listening == {"0100007F"}


def test_no_password_is_left_on_disk(tmp_path: Path, broker: Embedded) -> None:
    assert broker.port
    left = sorted(path.name for path in (tmp_path / "data" / "gateway").iterdir())
    assert "rumqttd.toml" not in left


def test_a_taken_port_is_told(tmp_path: Path, broker: Embedded) -> None:
    second = EmbeddedBroker(settings_for(tmp_path, broker.port))
    with pytest.raises(BrokerError, match=f"port {broker.port} of 127.0.0.1 is taken"):
        second.start()
    second.stop()


def test_its_death_is_told(tmp_path: Path, broker: Embedded) -> None:
    own = EmbeddedBroker(settings_for(tmp_path, broker.port))
    with pytest.raises(BrokerError, match="was never started"):
        own.refresh()
    child = broker._broker
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    wait_for("its end", lambda: not child.running)
    with pytest.raises(BrokerError, match="was ended by SIGKILL"):
        child.refresh()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_command_takes_the_broker_with_it(
    tmp_path: Path, broker: Embedded, how: signal.Signals
) -> None:
    port = broker.port
    broker.stop()
    config = tmp_path / "boxback.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n[broker]\nport = {port}\n')
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_BROKER, "run", "--config", str(config)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"broker   mqtt://127.0.0.1:{port}\n"
        assert port_listens(port)
        process.send_signal(how)
        process.wait(LIMIT_S)
        assert process.returncode == (-how if how == signal.SIGKILL else 0)
        wait_for("the broker's end", lambda: not port_listens(port))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=LIMIT_S)
