"""Bins: issued, listed, their keys found; and the command lines around them."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
import zxingcpp
from PIL import Image
from typer.testing import CliRunner

from gateway import wire
from gateway.config import BrokerSettings
from gateway.fleet import cli as fleet_cli
from gateway.fleet import keys as keys_module
from gateway.fleet.keys import Keys
from gateway.fleet.register import FleetError, add_bin, label_key
from gateway.relay import cli as relay_cli
from gateway.store import Store, fleet, open_store, outbox, tables
from gateway.store.outbox import Entry
from gateway.store.tables import bins
from tests.support.gateway import LIMIT_S

RUNNER = CliRunner()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data" / "gateway" / "gateway.db")
    yield opened
    opened.close()


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "boxback.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n')
    return str(path)


def test_an_issued_bin_can_be_found_and_shares_the_label_key(store: Store) -> None:
    broker = BrokerSettings()
    one = add_bin(store, broker, station="S-DEMO", name="Front door")
    two = add_bin(store, broker, station="S-DEMO", name="后门")
    assert one.bin != two.bin
    assert one.key != two.key
    assert one.label_key == two.label_key == label_key(store)
    assert wire.is_bin_id(one.bin)
    assert one.as_json()["mqtt_password"] == wire.mqtt_password(one.key)
    with store.reading() as connection:
        assert {row.bin: row.key for row in fleet.all_bins(connection)} == {
            one.bin: one.key,
            two.bin: two.key,
        }


@pytest.mark.parametrize(
    ("station", "name", "told"),
    [
        ("DEMO", "x", "station 'DEMO': must be S-"),
        ("S-DEMO", "", "name '': must be 1 to 80"),
        ("S-DEMO", "a\nb", "printable"),
        ("S-DEMO", "x" * 81, "1 to 80"),
    ],
)
def test_a_bin_that_cannot_be_issued(store: Store, station: str, name: str, told: str) -> None:
    with pytest.raises(FleetError, match=told):
        add_bin(store, BrokerSettings(), station=station, name=name)


def test_ids_run_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda _: 0)
    assert add_bin(store, BrokerSettings(), station="S-DEMO", name="x").bin == "B-00000"
    with pytest.raises(FleetError, match="no free bin id"):
        add_bin(store, BrokerSettings(), station="S-DEMO", name="x")


def test_keys_are_looked_up_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = add_bin(store, BrokerSettings(), station="S-DEMO", name="x")
    found = Keys(store)
    first = found.find(made.bin)
    assert first is not None
    assert first.station == "S-DEMO"
    with store.writing() as connection:
        connection.execute(sa.delete(bins))
    assert found.find(made.bin) is first
    assert Keys(store).find(made.bin) is None

    monkeypatch.setattr(keys_module, "KEPT_MAX", 1)
    other = add_bin(store, BrokerSettings(), station="S-DEMO", name="x")
    assert found.find(other.bin) is not None
    assert found.find(made.bin) is None  # it had to make room


def test_a_new_bin_is_known_soon_after_it_was_unknown(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(keys_module.time, "monotonic", lambda: clock[0])
    found = Keys(store)
    assert found.find("B-00000") is None
    with store.writing() as connection:
        key = bytes(32)
        fleet.add_bin(connection, bin_id="B-00000", station="S-A", name="x", key=key, at_ms=1)
    assert found.find("B-00000") is None  # believed for a while, or strangers cost a query each
    clock[0] += keys_module.UNKNOWN_KEPT_S
    assert found.find("B-00000") is not None


def test_fleet_add_and_list(config: str) -> None:
    empty = RUNNER.invoke(fleet_cli.app, ["list", "-c", config])
    assert "No bins in " in empty.stdout
    added = RUNNER.invoke(
        fleet_cli.app,
        ["add", "--station", "S-DEMO", "--name", "前门", "--json", "-c", config],
    )
    made = json.loads(added.stdout)
    assert set(made) == {
        "bin",
        "station",
        "name",
        "key",
        "label_key",
        "broker_host",
        "broker_port",
        "mqtt_user",
        "mqtt_password",
    }
    assert len(bytes.fromhex(made["key"])) == len(bytes.fromhex(made["label_key"])) == 32
    listed = json.loads(RUNNER.invoke(fleet_cli.app, ["list", "--json", "-c", config]).stdout)
    assert [(row["bin"], row["name"], row["online"]) for row in listed] == [
        (made["bin"], "前门", False)
    ]
    assert made["key"] not in json.dumps(listed)
    table = RUNNER.invoke(fleet_cli.app, ["list", "-c", config])
    assert made["bin"] in table.stdout
    assert "never" in table.stdout


@pytest.mark.parametrize(
    ("health", "at_the_bin"),
    [
        (b'{"backlog":6,"epoch":"5f3a9c01","n":6}', 0),  # told before the receipts
        (b'{"backlog":6,"epoch":"5f3a9c01","n":10}', 4),
        (b'{"backlog":0,"epoch":"5f3a9c01","n":2}', 0),  # older than the lines
        (b'{"backlog":3,"epoch":"00000001","n":3}', 3),  # of an epoch with nothing here
        (b'{"backlog":6}', None),
        (b'{"epoch":["x"],"n":6}', None),
        (b'{"epoch":"5f3a9c01","n":true}', None),
        (None, None),
    ],
)
def test_fleet_list_tells_what_is_at_the_bin_only(
    store: Store, config: str, health: bytes | None, at_the_bin: int | None
) -> None:
    made = add_bin(store, BrokerSettings(), station="S-DEMO", name="A long name of some door")
    with store.writing() as connection:
        row = {"bin": made.bin, "epoch": "5f3a9c01", "n": 6, "top": 6, "updated_ms": 1}
        connection.execute(tables.progress.insert(), row)
        fleet.note_seen(connection, [fleet.Seen(made.bin, health=health)], 1)
    listed = json.loads(RUNNER.invoke(fleet_cli.app, ["list", "--json", "-c", config]).stdout)
    assert listed[0]["backlog"] == at_the_bin
    table = RUNNER.invoke(fleet_cli.app, ["list", "-c", config]).stdout
    row_text = next(line for line in table.splitlines() if made.bin in line)
    assert row_text.split()[-2:] == ["-" if at_the_bin is None else str(at_the_bin), "0"]
    assert "S-DEMO" in row_text
    assert " off " in row_text


def test_the_key_code_is_shown_with_a_warning_and_drawn(
    store: Store, config: str, tmp_path: Path
) -> None:
    made = add_bin(store, BrokerSettings(), station="S-DEMO", name="x")
    code = wire.key_code(made.bin, made.key)
    shown = RUNNER.invoke(fleet_cli.app, ["key-code", made.bin, "-c", config])
    assert shown.exit_code == 0, shown.output
    assert code in shown.stdout
    assert len(shown.stdout.splitlines()) > 10, "and its picture"
    assert "can empty the bin" in shown.stderr
    for name in ("code.png", "code.SVG"):
        out = tmp_path / name
        told = RUNNER.invoke(
            fleet_cli.app, ["key-code", made.bin, "--json", "--out", str(out), "-c", config]
        )
        assert json.loads(told.stdout)["key_code"] == code
        assert out.stat().st_mode & 0o777 == 0o600
    assert [r.text for r in zxingcpp.read_barcodes(Image.open(tmp_path / "code.png"))] == [code]
    assert "<svg" in (tmp_path / "code.SVG").read_text()


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (["B-7K2QA"], 2, "no bin id"),
        (["B-00000"], 1, "boxback fleet list"),
        (["B-00000", "--out", "code.pdf"], 2, "must end in .svg or .png"),
    ],
)
def test_a_key_code_that_cannot_be_given(
    config: str, words: list[str], exit_code: int, said: str
) -> None:
    done = RUNNER.invoke(fleet_cli.app, ["key-code", *words, "-c", config])
    assert done.exit_code == exit_code
    assert said in done.stderr


@pytest.mark.parametrize(
    ("app", "words", "said"),
    [
        (fleet_cli.app, ["list"], "No bins in .boxback/gateway yet"),
        (relay_cli.app, ["status"], "Nothing in .boxback/gateway yet"),
        (relay_cli.app, ["dead", "list"], "No dead letters in .boxback/gateway"),
    ],
)
def test_who_looks_in_the_wrong_folder_is_told_of_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: typer.Typer, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = RUNNER.invoke(app, words).stdout
    assert said in alone
    assert "make run" not in alone
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"
    country = tmp_path / ".boxback" / "try"
    country.mkdir(parents=True)
    (country / "boxback.toml").write_text(f'data_dir = "{country}"\n')
    beside = RUNNER.invoke(app, words).stdout
    assert "for the country of `make run`: -c .boxback/try/boxback.toml" in beside
    there = RUNNER.invoke(app, [*words, "-c", ".boxback/try/boxback.toml"])
    assert there.exit_code == 0
    assert "make run" not in there.stdout
    assert json.loads(RUNNER.invoke(app, [*words, "--json"]).stdout) is not None


def test_wrong_use_ends_with_2(config: str, tmp_path: Path) -> None:
    bad = RUNNER.invoke(fleet_cli.app, ["add", "--station", "X", "--name", "y", "-c", config])
    assert bad.exit_code == 2
    assert "station 'X'" in bad.stderr
    missing = RUNNER.invoke(fleet_cli.app, ["list", "-c", str(tmp_path / "no.toml")])
    assert missing.exit_code == 2
    assert "cannot be read" in missing.stderr


def test_a_store_that_cannot_be_opened_ends_with_1(tmp_path: Path) -> None:
    path = tmp_path / "boxback.toml"
    path.write_text(f'[gateway]\ndatabase = "{tmp_path}"\n')
    ended = RUNNER.invoke(fleet_cli.app, ["list", "-c", str(path)])
    assert ended.exit_code == 1
    assert "cannot be made or opened" in ended.stderr


def test_relay_status_and_dead_letters(store: Store, config: str) -> None:
    with store.writing() as connection:
        outbox.put(connection, [Entry("B-00000", "5f3a9c01", 1, b"{}")], at_ms=1)
        letter = Entry("B-00000", "5f3a9c01", 2, b'{"g":1}', "HTTP 422: no")
        outbox.bury(connection, [letter], at_ms=1)
    status = json.loads(RUNNER.invoke(relay_cli.app, ["status", "--json", "-c", config]).stdout)
    assert (status["waiting"], status["dead"]) == (1, 1)
    assert "dead      1" in RUNNER.invoke(relay_cli.app, ["status", "-c", config]).stdout
    listed = RUNNER.invoke(relay_cli.app, ["dead", "list", "--json", "-c", config])
    assert json.loads(listed.stdout)[0]["id"] == "B-00000.5f3a9c01.2"
    assert "HTTP 422" in RUNNER.invoke(relay_cli.app, ["dead", "list", "-c", config]).stdout

    name = "B-00000.5f3a9c01.2"
    assert RUNNER.invoke(relay_cli.app, ["dead", "retry", name, "-c", config]).exit_code == 0
    assert RUNNER.invoke(relay_cli.app, ["dead", "retry", name, "-c", config]).exit_code == 1
    assert RUNNER.invoke(relay_cli.app, ["dead", "retry", "x", "-c", config]).exit_code == 2
    assert "No dead" in RUNNER.invoke(relay_cli.app, ["dead", "list", "-c", config]).stdout
    with store.reading() as connection:
        assert [waiting.n for waiting in outbox.take(connection, 9)] == [1, 2]


def test_dead_letters_are_retried_together(store: Store, config: str) -> None:
    with store.writing() as connection:
        letters = [Entry("B-00000", "5f3a9c01", n, b"{}", f"HTTP 40{n}: no") for n in range(1, 4)]
        outbox.bury(connection, letters, at_ms=1)
    for wrong in ([], ["--all", "B-00000.5f3a9c01.1"], ["B-00000.5f3a9c01.1", "--reason", "x"]):
        assert RUNNER.invoke(relay_cli.app, ["dead", "retry", *wrong, "-c", config]).exit_code == 2
    some = RUNNER.invoke(
        relay_cli.app, ["dead", "retry", "--all", "--reason", "HTTP 402", "-c", config]
    )
    assert some.stdout.startswith("1 dead letter")
    rest = RUNNER.invoke(relay_cli.app, ["dead", "retry", "--all", "-c", config])
    assert rest.stdout.startswith("2 dead letter")


def test_what_others_wrote_cannot_upset_a_table(store: Store, config: str) -> None:
    made = add_bin(store, BrokerSettings(), station="S-DEMO", name="Door [/1] [red]")
    with store.writing() as connection:
        letter = Entry("B-00000", "5f3a9c01", 1, b"{}", "HTTP 422: [/b] \x1b[2J")
        outbox.bury(connection, [letter], at_ms=1)
        deep = b'{"backlog":' + b"[" * 989 + b"]" * 989 + b"}"
        fleet.note_seen(connection, [fleet.Seen(made.bin, health=deep)], 1)
    for more in ([], ["--json"]):
        listed = RUNNER.invoke(fleet_cli.app, ["list", "-c", config, *more])
        assert listed.exit_code == 0, listed.exception
        assert "[/1]" in listed.stdout
    dead = RUNNER.invoke(relay_cli.app, ["dead", "list", "-c", config])
    assert "[/b]" in dead.stdout
    assert "\x1b" not in dead.stdout


def test_a_disk_that_is_full_is_told_in_a_sentence(store: Store, config: str) -> None:
    with store.writing() as connection:
        fill = [Entry("B-00000", "5f3a9c01", n, b"{}", "x" * 4000) for n in range(1, 100)]
        outbox.bury(connection, fill, at_ms=1)
    add = "from gateway.fleet.cli import app; app()"
    limit = 100 * 1024  # bytes; less than the file has

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = subprocess.run(
        [sys.executable, "-c", add, "add", "--station", "S-A", "--name", "x", "-c", config],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=False,
        text=True,
        timeout=LIMIT_S,
        preexec_fn=full,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("boxback: ")
    assert "gateway.db: disk I/O error" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
