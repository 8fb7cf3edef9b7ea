"""The small parts: back-off, log lines, secret files, the broker's configuration."""

from __future__ import annotations

import logging
import queue
import random
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import secretfile
from gateway.backoff import Backoff
from gateway.broker import broker_toml
from gateway.config import ConfigError, Settings
from gateway.intake.link import Link
from gateway.log import LineFormatter, fields


@given(st.integers(), st.integers(1, 200))
def test_waits_are_bounded_and_begin_again(seed: int, tries: int) -> None:
    backoff = Backoff(0.5, 30.0, random.Random(seed))
    waits = [backoff.next_s() for _ in range(tries)]
    assert all(0 <= wait <= min(30.0, 0.5 * 2**n) for n, wait in enumerate(waits))
    assert backoff.tries == tries
    backoff.reset()
    assert backoff.next_s() <= 0.5


def test_waits_spread_over_the_whole_bound() -> None:
    draw = random.Random(1)
    waits = []
    for _ in range(300):
        backoff = Backoff(1.0, 8.0, draw)
        for _ in range(10):
            last = backoff.next_s()
        waits.append(last)
    assert min(waits) < 1
    assert max(waits) > 7


def shown(message: str, **values: object) -> str:
    record = logging.LogRecord("gateway.intake", logging.INFO, "", 0, message, (), None)
    record.__dict__.update(fields(**values))
    return LineFormatter().format(record).split(" ", 1)[1]


def test_a_log_line() -> None:
    text = shown("stored", line="B-7K2QM.5f3a9c01.1-3", new=3, note='a "b"', empty="")
    assert text == (
        r'INFO    intake stored line=B-7K2QM.5f3a9c01.1-3 new=3 note="a \"b\"" empty=""'
    )


@given(st.text())
def test_no_value_can_begin_a_second_line(value: str) -> None:
    text = shown("x", value=value)
    assert text.isprintable()
    assert text.isascii()


def test_a_secret_is_made_once_for_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    made = secretfile.read_or_make(path)
    assert len(made) >= 40
    assert secretfile.read_or_make(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        secretfile.read_or_make(path)


def test_a_secret_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    with pytest.raises(ConfigError, match="is empty"):
        secretfile.read_or_make(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        secretfile.read(tmp_path / "no")
    with pytest.raises(ConfigError, match="cannot be made"):
        secretfile.read_or_make(path / "below-a-file")


def test_the_brokers_configuration_listens_on_loopback_and_knows_its_users() -> None:
    document = tomllib.loads(broker_toml(Settings(), {"B-7K2QM": 'a"b'}))
    assert document["v4"]["1"]["listen"] == "127.0.0.1:1883"
    assert document["v4"]["1"]["connections"]["auth"] == {"B-7K2QM": 'a"b'}
    assert document["v4"]["1"]["connections"]["max_payload_size"] >= 8192 + 200
    assert "auth" not in broker_toml(Settings(), {})


def test_a_broker_that_refuses_is_named_with_the_user(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings.model_validate({"broker": {"port": 1884}, "gateway": {"user": "gw"}})
    link = Link(settings, "never show this", queue.Queue())
    link._on_disconnect(link._client, None, None, "unspecified", None)
    text = LineFormatter().format(caplog.records[-1])
    assert "broker hung up broker=127.0.0.1:1884 user=gw" in text
    assert "never show" not in text
