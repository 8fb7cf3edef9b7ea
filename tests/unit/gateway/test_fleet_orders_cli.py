"""What an operator sees and types: the list, one bin, settings, commands and the log."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from gateway import wire
from gateway.config import BrokerSettings, ConfigError
from gateway.fleet.cli import app
from gateway.fleet.listing import fault_words, seen, settings_words
from gateway.fleet.register import add_bin
from gateway.intake.commit import commit
from gateway.intake.judge import Batch
from gateway.onlyone import OnlyOne, held
from gateway.store import Store, fleet, open_store, wanted
from gateway.store.database import now_ms

RUNNER = CliRunner()
HEALTH = {
    "fw": "0.2.0",
    "clock": "none",
    "up": 7_260_000,
    "heap": 22144,
    "block": 9216,
    "rssi": -82,
    "fill": 93,
    "boots": 9,
    "restarts": 3,
    "cause": "watchdog",
    "offline_s": 7300,
    "offline_why": "no \x1b[2JWi-Fi [red]",
    "sneeze": {"x": [1]},
}


class Office:
    """A fleet in a folder, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "boxback.toml"
        self.config.write_text(f'data_dir = "{folder / "data"}"\n')
        self.store: Store = open_store(folder / "data" / "gateway" / "gateway.db")

    def add(self, station: str = "S-DEMO", **health: Any) -> str:
        """A bin that is online and told this; without anything one that was never heard."""
        name = "Front [door] of the long house"
        made = add_bin(self.store, BrokerSettings(), station=station, name=name)
        if health:
            self.hear(made.bin, **health)
        return made.bin

    def hear(self, bin_id: str, *, online: bool = True, **health: Any) -> None:
        batch = Batch()
        batch.note(fleet.Seen(bin_id, online, json.dumps(health).encode()))
        commit(self.store, batch, now_ms(), 100)

    def run(self, *words: str) -> Result:
        return RUNNER.invoke(app, [*words, "-c", str(self.config)])

    def shown(self, *words: str) -> str:
        """Standard output in one line, whatever the table broke."""
        done = self.run(*words)
        assert done.exit_code == 0, done.output
        return " ".join(done.stdout.split())

    def bins(self, *words: str) -> list[str]:
        return [row["bin"] for row in json.loads(self.run("list", "--json", *words).stdout)]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


def test_the_list_says_who_needs_a_hand_and_fits_a_terminal(office: Office) -> None:
    well = office.add(fw="0.2.0", faults=[])
    ill = office.add(fw="0.1.0", faults=["clock", "near_full", "sneeze", "scale"])
    gone = office.add("S-HZ-0571-123", fw="0.2.0", faults=[])
    office.hear(gone, online=False)
    fresh = office.add("S-HZ-0571-123")
    refused = office.add(fw="0.2.0", faults=[])
    office.run("set", refused, "x=1")
    with office.store.writing() as connection:
        answer = wire.Done(True, 1, "refused", "unknown setting x", b"{}")
        wanted.answered(connection, refused, answer, now_ms())
    assert set(office.bins()) == {well, ill, gone, fresh, refused}
    assert set(office.bins("--faults")) == {ill, gone, refused}
    assert set(office.bins("--station", "S-HZ-0571-123")) == {gone, fresh}
    assert office.bins("--station", "S-HZ-0571-123", "--faults") == [gone]
    table = office.run("list").stdout
    assert all(len(line.rstrip()) <= 80 for line in table.splitlines())
    text = " ".join(table.split())
    for word in (
        "closed:",
        "scale,",
        "clock,",
        "+1",
        " off ",
        "never",
        "1 refused",
        "fw",
        "0.1.0",
    ):
        assert word in text, word
    assert "0.1.0" not in office.run("list", "--station", "S-HZ-0571-123").stdout
    lonely = office.add("S-ONE", fw="0.2.0", faults=[])
    assert office.bins("--station", "S-ONE") == [lonely]
    none = office.run("list", "--faults", "--station", "S-ONE").stdout
    assert none == "No bin needs a hand (1 looked at).\n"
    assert "No bins at S-NONE" in office.run("list", "--station", "S-NONE").stdout


def coloured(text: Any) -> str:
    console = Console(force_terminal=True, color_system="standard", width=80, file=None)
    with console.capture() as capture:
        console.print(text)
    return capture.get()


def test_colours_never_stand_without_a_word() -> None:
    told = wire.told_of(b'{"faults":["scale","late"],"settings":3}')
    row = wanted.Wanted("B-00000", 4, b"{}", "li", 1, "rolled_back", 1, "", 0)
    state = fleet.BinState("B-00000", "S-A", "x", False, 1, None, None, 0, 0)
    for text, word in (
        (fault_words(told), "closed: scale, late"),
        (settings_words(told, row), "4 rolled back"),
        (seen(state), "off "),
    ):
        assert "\x1b[" in coloured(text)
        assert word in text.plain
    quiet = state._replace(online=True, last_seen_ms=now_ms() - 3_600_000)
    assert seen(quiet).plain == "quiet 1 h"
    assert fault_words(wire.told_of(b"{}")).plain == "-"
    assert settings_words(told, None).plain == "3"


def test_one_bin_with_everything(office: Office) -> None:
    bin_id = office.add(**HEALTH, faults=["clock", "scale", "sneeze"])
    office.run("set", bin_id, "mass_min_mg=30000", "--by", "li")
    office.run("do", bin_id, "open", "--seconds", "9", "--by", "wang")
    text = office.shown("show", bin_id)
    for words in (
        "Front [door] of the long house",
        "station S-DEMO",
        "seen online, last heard ",
        "last away for 2 h: no �[2JWi-Fi [red]",
        "scale closed. The scale gives no reading: check the cable",
        "clock warning. It does not know the time",
        "sneeze warning. This program does not know that code",
        "clock none, not known: lines carry no time",
        "running for 2 h",
        "heap 22144 bytes free",
        "block 9216 bytes",
        "Wi-Fi -82 dBm, poor",
        "fill 93 %",
        "starts 9, did not last: 3",
        "last cause watchdog",
        "in force the bin's own defaults",
        "wanted 1 waits, by li",
        "mass_min_mg 30000",
        "1 open waiting until ",
        "by wang",
        'sneeze {"x": [1]}',
    ):
        assert words in text, words
    told = json.loads(office.run("show", bin_id, "--json").stdout)
    assert told["advice"]["scale"].startswith("The scale gives no reading")
    assert told["settings"][0]["document"] == {"mass_min_mg": 30000}
    assert told["commands"][0]["args"] == {"s": 9}


def test_one_bin_that_tells_little_or_nonsense(office: Office) -> None:
    fresh = office.add()
    assert "seen never" in office.shown("show", fresh)
    odd = office.add(fw=3, up="long", rssi=None, fill="x", faults="scale", offline_s="y", clock=[1])
    text = office.shown("show", odd)
    assert "running for long" in text
    assert "It has told none" in text
    other = office.add(settings=7, faults=[])
    assert "in force 7, not given from here" in office.shown("show", other)
    assert office.run("show", "B-7K2QA").exit_code == 2
    unknown = office.run("show", "B-00000")
    assert unknown.exit_code == 1
    assert "boxback fleet list shows those there are" in unknown.stderr


def test_settings_from_a_file_taken_back_and_for_many(office: Office) -> None:
    one, two = sorted([office.add(fw="1"), office.add(fw="1")])
    three = office.add("S-FAR", fw="1", settings=9)
    file = office.folder / "doc.json"
    file.write_text('{"mass_min_mg": 30000, "label_policy": "none"}')
    done = office.run("set", one, "--file", str(file))
    assert done.exit_code == 3, done.output
    assert "  label_policy  default → none" in done.stdout
    assert "no gateway runs on" in done.stderr
    done = office.run("set", one, "rise_mg=9000", "--reset", "label_policy")
    assert "  label_policy  none → default" in done.stdout
    assert "  rise_mg  default → 9000" in done.stdout
    done = office.run("set", one, "--clear")
    assert "  mass_min_mg  30000 → default" in done.stdout
    done = office.run("set", "--station", "S-DEMO", "rise_mg=1")
    assert done.exit_code == 3
    assert "2 waiting" in done.stdout
    done = office.run("set", "--all", "rise_mg=2", "--json")
    assert done.exit_code == 1
    assert f"not told: {three} works with settings 9, which this gateway did not give" in (
        done.stderr
    )
    told = {row["bin"]: row["wanted"]["document"] for row in json.loads(done.stdout)}
    assert told == {one: {"rise_mg": 2}, two: {"rise_mg": 2}}
    done = office.run("set", three, "rise_mg=2")
    assert done.exit_code == 2
    done = office.run("set", three, "--clear")
    assert f"{three}: version 10\n  all at the bin's own defaults\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["set"], 2, "nothing to set"),
        (["set", "x=1"], 2, "name one bin, or give --all, or --station S"),
        (["set", "BIN", "x=1", "--all"], 2, "name one bin, or"),
        (["set", "B-7K2QA", "x=1"], 2, "no bin id"),
        (["set", "BIN", "X=1"], 2, "a setting's name is"),
        (["set", "BIN", "--file", "none.json"], 2, "--file none.json: cannot be read"),
        (["set", "BIN", "--file", "none.json", "--clear"], 2, "not with name=value"),
        (["set", "BIN", "--reset", "X"], 2, "a setting's name is"),
        (["set", "B-00000", "x=1"], 1, "no bin B-00000 in"),
        (["set", "--station", "S-NONE", "x=1"], 1, "no bins at S-NONE"),
        (["set", "BIN", "x=1", "--by", ""], 2, "--by '': must be 1 to 64"),
        (["do", "BIN", "dance"], 2, "a bin can do open, tare"),
        (["do", "B-00000", "tare"], 2, "no bin B-00000"),
        (["do", "nobody", "tare"], 2, "no bin id"),
        (["log", "nobody"], 2, "no bin id"),
    ],
)
def test_what_cannot_be_said(office: Office, words: list[str], code: int, told: str) -> None:
    bin_id = office.add(fw="1")
    done = office.run(*[bin_id if word == "BIN" else word for word in words])
    assert done.exit_code == code, done.output
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_looking_and_ordering_make_no_store(tmp_path: Path) -> None:
    config = tmp_path / "boxback.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n')
    for words in (
        ["log"],
        ["show", "B-00000"],
        ["do", "B-00000", "tare"],
        ["set", "B-00000", "x=1"],
        ["set", "--all", "x=1"],
    ):
        RUNNER.invoke(app, [*words, "-c", str(config)])
        assert not (tmp_path / "data").exists(), words


def test_the_log_names_who_it_was(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_id = office.add(fw="1", faults=["clock"])
    monkeypatch.setattr("getpass.getuser", lambda: "wang")
    office.run("do", bin_id, "tare", "--within", "1000")
    office.hear(bin_id, fw="1", faults=[])
    with monkeypatch.context() as later:
        later.setattr("gateway.fleet.order_cli.now_ms", lambda: now_ms() + 1_001_000)
        text = office.shown("log", bin_id)
    assert f"wang {bin_id} do 1: tare within 1000 s expired" in text
    assert f"the bin {bin_id} faults: +clock" in text
    assert f"the bin {bin_id} faults: -clock" in text

    def nameless() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nameless)
    office.run("do", bin_id, "tare")
    rows = json.loads(office.run("log", "--limit", "1", "--json").stdout)
    assert rows[0]["who"] == f"uid-{os.getuid()}"


def test_a_lock_is_seen_and_a_look_does_not_keep_a_gateway_out(tmp_path: Path) -> None:
    path = tmp_path / "serve.lock"
    assert not held(path)
    assert not path.exists()
    lock = OnlyOne(path)
    assert held(path)
    with pytest.raises(ConfigError, match="another gateway works on this folder"):
        OnlyOne(path)
    lock.release()
    assert not held(path)
    look = os.open(path, os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    timer = threading.Timer(0.03, os.close, [look])
    timer.start()
    OnlyOne(path).release()
    timer.join()
