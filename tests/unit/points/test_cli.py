"""`boxback points`: what it prints and how it fails."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.points.cli import app
from tests.support.points import points_service

ROOT = Path(__file__).parents[3]
runner = CliRunner()


def run(*words: str) -> tuple[int, str, str]:
    """Run one command; code, output, errors."""
    result = runner.invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_member_add_and_list(tmp_path: Path) -> None:
    code, out, _ = run("member", "list", "--data-dir", str(tmp_path))
    assert (code, f"No members in {tmp_path / 'points'} yet" in out) == (0, True)
    code, out, _ = run("check", "--data-dir", str(tmp_path))
    assert (code, "nothing to check" in out) == (0, True)
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"
    code, out, _ = run("member", "add", "林晓雨", "--data-dir", str(tmp_path), "--json")
    made = json.loads(out)
    assert (code, made["name"]) == (0, "林晓雨")
    assert made["link"].startswith("http://127.0.0.1:8081/#enrol=")
    code, out, _ = run(
        "member", "add", "Ada", "--data-dir", str(tmp_path), "--url", "https://b.example"
    )
    assert "https://b.example/#enrol=" in out
    code, out, _ = run("member", "list", "--data-dir", str(tmp_path), "--json")
    assert [(one["name"], one["balance"]) for one in json.loads(out)] == [("林晓雨", 0), ("Ada", 0)]
    code, out, _ = run("check", "--data-dir", str(tmp_path))
    assert (code, out) == (0, "The ledger is right.\n")


def test_who_looks_in_the_wrong_folder_is_told_of_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "make run" not in run("member", "list")[1]
    country = tmp_path / ".boxback" / "try"
    country.mkdir(parents=True)
    (country / "boxback.toml").write_text(f'data_dir = "{country}"\n')
    hint = "for the country of `make run`: -c .boxback/try/boxback.toml"
    assert hint in run("member", "list")[1]
    assert hint in run("check")[1]
    code, out, _ = run("member", "list", "-c", ".boxback/try/boxback.toml")
    assert (code, "make run" in out) == (0, False)
    assert f"No members in {country / 'points'} yet" in out


def test_link_of_the_command_line_enrols(tmp_path: Path) -> None:
    with points_service(tmp_path) as service:
        config = str(tmp_path / "points.toml")
        code, out, _ = run("member", "add", "Ada", "--config", config, "--json")
        assert code == 0
        enrolled = service.enrol_phone(member=json.loads(out)["id"])
        assert enrolled.name == "Ada"


@pytest.mark.parametrize(
    ("words", "wanted", "said"),
    [
        (("member", "add", " "), 1, "A name has"),
        (("member", "list", "--config", "/none.toml"), 2, "/none.toml"),
        (("serve", "--port", "70000"), 2, "port"),
        (("serve", "--frame-ancestor", "x"), 2, "frame_ancestors"),
        (("serve", "--host", "192.0.2.1", "--port", "0"), 2, "cannot be listened on"),
    ],
)
def test_errors_say_what_was_wrong(
    tmp_path: Path, words: tuple[str, ...], wanted: int, said: str
) -> None:
    more = () if "--config" in words else ("--data-dir", str(tmp_path))
    code, _, err = run(*words, *more)
    assert code == wanted
    assert said in err


def test_port_in_use_says_which_and_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = run("serve", "--port", port, "--data-dir", str(tmp_path))
    assert code == 2
    assert f"127.0.0.1:{port} is in use" in err
    assert "--port" in err


def test_broken_ledger_is_told(tmp_path: Path) -> None:
    import sqlite3

    run("member", "add", "Ada", "--data-dir", str(tmp_path))
    raw = sqlite3.connect(tmp_path / "points" / "points.db")
    raw.execute("UPDATE accounts SET balance = 5 WHERE member IS NOT NULL")
    raw.commit()
    raw.close()
    code, _, err = run("check", "--data-dir", str(tmp_path))
    assert (code, "keeps 5, its entries sum to 0" in err) == (1, True)


@pytest.mark.parametrize(
    "words", [("serve", "--port", "0"), ("member", "list"), ("member", "add", "Ada"), ("check",)]
)
@pytest.mark.parametrize("damage", ["no database", "no table", "half a page"])
def test_damaged_database_is_told_in_one_line(
    tmp_path: Path, words: tuple[str, ...], damage: str
) -> None:
    import sqlite3

    run("member", "add", "Lin", "--data-dir", str(tmp_path))
    file = tmp_path / "points" / "points.db"
    if damage == "no database":
        file.write_bytes(b"this is a note, not a database. " * 200)
    elif damage == "half a page":
        file.write_bytes(file.read_bytes()[:5_000])
    else:
        raw = sqlite3.connect(file)
        for table in ("accounts", "entries"):
            raw.execute(f"DROP TABLE {table}")
        raw.execute("PRAGMA user_version = 0")  # so that opening it meets the damage too
        raw.execute("CREATE VIEW accounts AS SELECT 1 AS one")
        raw.close()
    code, out, err = run(*words, "--data-dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert err.startswith(f"boxback: {file}: ")
    assert "backup" in err
    assert err.count("\n") == 1


def test_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    import resource

    run("member", "add", "Lin", "--data-dir", str(tmp_path))

    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, 4_096))

    command = [sys.executable, "-m", "gateway.points", "member", "add", "Ada"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=no_room,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "points" / "points.db") in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_teaches() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.points", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for word in ("serve", "member", "check"):
        assert word in done.stdout


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM"])
def test_ctrl_c_ends_cleanly(tmp_path: Path, end: str) -> None:
    import os

    with points_service(tmp_path) as service:
        service.enrol_phone()
        os.kill(service.pid, getattr(signal, end))
        assert service.wait() == 0
        assert "Traceback" not in service.log.read_text()
