"""`boxback` as a stranger meets it: help that teaches, errors that say what to do."""

from __future__ import annotations

import fcntl
import getpass
import json
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tools import setup_env
from tools.cli import app
from tools.country import CountryError, choose_ports
from tools.virtual.identity import Identity, load_identity
from tools.virtual.supervisor import VirtualBin

ROOT = Path(__file__).parents[2]
GROUPS = ("try", "run", "gateway", "points", "fleet", "relay", "broker", "bin", "image")
LIMIT_S = 60


def boxback(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("boxback")), *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=ROOT,
        check=False,
    )


def test_help_names_every_group() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for group in GROUPS:
        assert f" {group} " in result.output, group


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_explains_itself(group: str) -> None:
    result = CliRunner().invoke(app, [group, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_a_slip_is_told_with_what_there_is() -> None:
    done = boxback("flet", "list")
    assert done.returncode == 2
    assert "flet" in done.stderr


def test_every_setting_of_every_program_is_printed_as_a_file_that_can_be_used(
    tmp_path: Path,
) -> None:
    file = tmp_path / "boxback.toml"
    file.write_text('[points]\npoints_per_carton = 7\noperator_key = "never show this to me"\n')
    done = boxback("run", "--print-config", "--config", str(file))
    assert done.returncode == 0
    assert "#points_per_carton = 7" in done.stdout
    assert "never show" not in done.stdout
    assert set(tomllib.loads(done.stdout)) == {"broker", "gateway", "relay", "points"}
    assert "points.points_per_carton = 10" in boxback("run", "--help").stdout


def test_a_port_that_was_asked_for_must_be_free(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = boxback("try", "--data-dir", str(tmp_path / "c"), "--page-port", str(port))
        assert done.returncode == 1
        assert f"port {port} for the page is taken" in done.stderr
        assert "--page-port" in done.stderr
        assert not (tmp_path / "c").exists(), "nothing was begun"
        with pytest.raises(CountryError):
            choose_ports({"points": port})


def test_a_default_port_that_is_taken_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("tools.country.PORTS", {"page": port})
        assert choose_ports({})["page"] not in (0, port)


def test_ports_never_collide_with_each_other() -> None:
    from tests.support.gateway import free_port

    port = free_port()
    with pytest.raises(CountryError, match=f"port {port} for the points"):
        choose_ports({"page": port, "points": port})
    chosen = choose_ports({"page": 8081, "points": None, "broker": 0})
    assert len(set(chosen.values())) == 3


def test_two_countries_do_not_share_a_folder(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        done = boxback(
            *("try", "--data-dir", str(tmp_path), "--page-port", "0"),
            *("--points-port", "0", "--broker-port", "0"),
        )
    assert done.returncode == 1
    assert "process 4711" in done.stderr
    assert "--data-dir" in done.stderr


def test_image_build_tells_its_sizes(tmp_path: Path) -> None:
    image = tmp_path / "vfs.bin"
    result = CliRunner().invoke(app, ["image", "build", "--json", "-o", str(image)])
    found = json.loads(result.output)
    assert image.stat().st_size == 512 * 4096
    assert found["bytes"] == sum(found["files"].values())
    assert "boxbin/core/visit.mpy" in found["files"]


def test_set_up_says_how_it_is_called() -> None:
    done = subprocess.run(
        [sys.executable, "tools/setup_env.py", "everything"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 1
    assert "run|test" in done.stderr


def test_set_up_needs_a_folder_it_can_write_into(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["setup_env.py", "run"])
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    monkeypatch.delattr(setup_env, "install_debian")  # nothing is begun
    monkeypatch.delattr(setup_env, "digest")
    with pytest.raises(SystemExit) as ended:
        setup_env.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert f"this folder is not writable for {getpass.getuser()}: {ROOT}" in said
    assert "what to do" in said


@pytest.mark.parametrize(
    "line",
    [
        "Collecting anyio==4.1 (from -r requirements.lock (line 3))",
        "Requirement already satisfied: anyio==4.1 in ./.venv/lib (from -r requirements.lock)",
    ],
)
def test_set_up_names_the_package_it_is_at(line: str) -> None:
    assert setup_env.package_of(line) == "anyio==4.1"


def test_an_image_that_cannot_be_written_is_told_by_the_name_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for out in (tmp_path / "file" / "x" / "vfs.bin", tmp_path / "folder"):
        result = CliRunner().invoke(app, ["image", "build", "--out", str(out)])
        assert result.exit_code == 1
        assert result.stderr.startswith(f"boxback: {out}: cannot be written: ")
        assert ".tmp" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_what_fleet_add_prints_is_the_file_a_virtual_bin_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["fleet", "add", "--station", "S-DEMO", "--name", "Desk", "--json"]
    made = CliRunner().invoke(app, words).stdout
    file = tmp_path / "bin.json"
    file.write_text(made)
    assert load_identity(file).bin == json.loads(made)["bin"]
    missing = CliRunner().invoke(app, ["bin", "virtual", "--identity", "none.json"])
    assert (missing.exit_code, missing.stderr) == (2, "boxback: none.json does not exist\n")


def test_a_virtual_bin_may_be_kept_in_a_folder_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = VirtualBin(Identity("B-00000", bytes(32), bytes(32)), Path(".boxback/virtual"))
    # Its process runs in that folder: a name from here would mean nothing to it.
    assert one.flash_path == tmp_path / ".boxback" / "virtual" / "flash.img"
