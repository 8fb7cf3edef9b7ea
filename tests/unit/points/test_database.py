"""SQLite as it is set up here: durable, one writer, nothing half after a kill."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.points.credits import Answer
from gateway.points.database import Busy, Database, NewerSchema
from gateway.points.tables import deposits, labels, members, statement, transfers
from tests.support.points import REQUEST_S, deposit_item, points_service, withdrawn_item

from .conftest import NOW_MS

if TYPE_CHECKING:
    from .conftest import Desk

ROOT = Path(__file__).parents[3]
THREADS = 8


def test_what_is_committed_is_on_disk(desk: Desk) -> None:
    with desk.db.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert stat.S_IMODE(desk.db.path.stat().st_mode) == 0o600


def test_write_holds_the_lock_from_its_first_word(desk: Desk) -> None:
    """Nobody can write between a look and the write that rests on it."""
    raw = sqlite3.connect(desk.db.path, timeout=0)
    with desk.db.write(), pytest.raises(sqlite3.OperationalError, match="locked"):
        raw.execute("BEGIN IMMEDIATE")
    raw.close()


def test_lock_that_is_not_to_be_had_is_busy(desk: Desk) -> None:
    hurried = Database(desk.db.path, wait_ms=30)
    raw = sqlite3.connect(desk.db.path, isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy), hurried.write():
        pass
    raw.execute("ROLLBACK")
    raw.close()
    with hurried.write():  # and works again afterwards
        pass
    hurried.close()


def test_thread_that_waits_too_long_is_busy(desk: Desk) -> None:
    hurried = Database(desk.db.path, wait_ms=30)
    refused = threading.Event()

    def second() -> None:
        try:
            with hurried.write():
                pass
        except Busy:
            refused.set()

    with hurried.write():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(30)
    assert refused.is_set()
    hurried.close()


def test_errors_hold_no_parameters(desk: Desk) -> None:
    """Whoever logs one whole, with its traceback, still tells no name."""
    row = {"id": "M-1", "name": "Ada Lovelace", "created_ms": 1}
    with desk.db.write() as connection:
        connection.execute(insert(members).values(row))
    with pytest.raises(IntegrityError) as caught, desk.db.write() as connection:
        connection.execute(insert(members).values(row))
    assert "UNIQUE" in str(caught.value)
    assert "Ada" not in str(caught.value)


def test_no_personal_data_in_the_log(tmp_path: Path) -> None:
    """A statement that fails is told without what a person typed."""
    with points_service(tmp_path) as service:
        raw = sqlite3.connect(service.data_dir / "points" / "points.db")
        raw.execute("ALTER TABLE members RENAME COLUMN created_ms TO made_ms")
        raw.close()
        headers = {"Authorization": f"Bearer {service.operator_key}"}
        name = {"name": "Ada Lovelace"}
        answer = httpx.post(
            f"{service.url}/v1/members", json=name, headers=headers, timeout=REQUEST_S
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "later")
        log = service.log.read_text()
    assert "created_ms" in log  # what was wrong is there
    assert "Ada" not in log
    assert "INSERT" not in log


def test_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "points.db"
    Database(path, 1_000).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(NewerSchema, match="schema 99"):
        Database(path, 1_000)


def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    gate, opened = threading.Barrier(THREADS), list[Database]()

    def open_it() -> None:
        gate.wait()
        opened.append(Database(tmp_path / "points.db", 10_000))

    in_threads(open_it, THREADS)
    assert len(opened) == THREADS
    for db in opened:
        db.close()


def in_threads(work: object, count: int) -> None:
    """Run a function in threads and wait for all."""
    threads = [threading.Thread(target=work) for _ in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_threads_with_the_same_items_credit_each_once(desk: Desk) -> None:
    """The same ids from all, in other orders and cuts; the same labels under other ids too."""
    phone = desk.phone()
    items = [deposit_item(phone, n + 1, at_ms=NOW_MS) for n in range(40)]
    twins = [{**one, "id": one["id"].replace("5f3a9c01", "00000000")} for one in items]
    gate, lock = threading.Barrier(THREADS), threading.Lock()
    answers: dict[str, set[Answer]] = {}
    turn = iter(range(THREADS))

    def work() -> None:
        with lock:
            number = next(turn)
        mine = (items + twins)[number::2] + (items + twins)[: number * 3]
        own = Database(desk.db.path, 30_000)  # as a process of its own would
        gate.wait()
        size = number + 3
        for at in range(0, len(mine), size):
            for answer in type(desk)(own, desk.settings, desk.rules).settle(*mine[at : at + size]):
                with lock:
                    answers.setdefault(answer.id, set()).add(answer)
        own.close()

    in_threads(work, THREADS)
    assert len(answers) == 80
    assert all(len(said) == 1 for said in answers.values())  # everybody heard the same
    final = [next(iter(said)) for said in answers.values()]
    assert sorted(answer.code for answer in final) == [""] * 40 + ["label_seen"] * 40
    assert max(answer.balance for answer in final) == 400
    assert tally(desk) == {"deposits": 80, "labels": 40, "transfers": 40, "statement": 80}


def tally(desk: Desk) -> dict[str, int]:
    """Count the rows that a batch makes."""
    with desk.db.read() as connection:
        return {
            table.name: int(
                connection.execute(select(func.count()).select_from(table)).scalar_one()
            )
            for table in (deposits, labels, transfers, statement)
        }


# Runs in a process of its own, which forks a child for each statement of the transaction; the
# child kills itself right before (or, for the last number, right after) that statement.
KILLED = """
import json, os, signal, sys
from sqlalchemy import event
from gateway.points import credits
from gateway.points.config import PointsSettings
from gateway.points.database import Database
from gateway.points.keys import resolve_keys

settings = PointsSettings(data_dir=sys.argv[1])
batches = json.loads(sys.stdin.read())
keys = resolve_keys(settings)
for number, batch in enumerate(batches):
    child = os.fork()
    if child == 0:
        db = Database(settings.database_path, 5000)
        left = number

        def count(*_):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(db._engine, "before_cursor_execute", count)
        event.listen(db._engine, "commit", count)
        credits.settle(db, keys, credits.Rules(10, True), batch, int(sys.argv[2]))
        print(number, flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
"""


def test_killed_at_any_statement_leaves_no_half(desk: Desk) -> None:
    phone = desk.phone()
    batches = [
        [deposit_item(phone, 100 * step + n, at_ms=NOW_MS) for n in (1, 2, 3)] for step in range(26)
    ]
    for step, batch in enumerate(batches):
        batch.append(withdrawn_item(batch[1], 100 * step + 4, at_ms=NOW_MS))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(desk.settings.data_dir), str(NOW_MS)],
        input=json.dumps(batches),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=100,
        check=True,
    )
    lived = [int(word) for word in done.stdout.split()]
    killed = len(batches) - len(lived)
    assert killed >= 10, done.stdout  # the kills did hit inside the transaction
    assert lived == list(range(killed, len(batches)))  # and the later numbers were after its end
    assert desk.audit() == []
    assert tally(desk) == whole(len(lived))
    # The relay sends everything again: each carton is there once, each is taken back once.
    for batch in batches:
        said = [answer.status for answer in desk.settle(*batch)]
        assert said == ["credited", "credited", "credited", "withdrawn"]
    assert tally(desk) == whole(len(batches))


def whole(batches: int) -> dict[str, int]:
    """Count the rows of three deposits and a withdrawal, so often."""
    rows = {"deposits": 3, "labels": 3, "transfers": 4, "statement": 4}
    return {table: batches * many for table, many in rows.items()}
