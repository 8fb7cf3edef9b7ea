"""The one door to SQLite: short reads, and writes that hold the write lock from their first word.

Busy        the lock or a connection was not to be had in time; the caller may try later
NewerSchema the file was made by a later version of this program
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, create_engine, event, insert, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.points.tables import GUARDS, ISSUED, SCHEMA_VERSION, accounts, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POOL_KEPT = 4
_POOL_EXTRA = 44  # above the 40 threads that FastAPI runs plain functions in


class Busy(Exception):
    """Not now: try again later."""


class NewerSchema(Exception):
    """The database file belongs to a later version."""


class Database:
    """SQLite in WAL mode, synchronous=FULL: what was committed is on disk."""

    def __init__(self, path: Path, wait_ms: int) -> None:
        """Open or make the file. Raises NewerSchema, Busy, OSError."""
        self.path = path
        self._wait_s = wait_ms / 1000
        # SQLite's own waiting sleeps and is unfair; threads of one process queue here instead.
        self._writer = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            pool_size=_POOL_KEPT,
            max_overflow=_POOL_EXTRA,
            pool_timeout=self._wait_s,
            connect_args={"timeout": self._wait_s},
            hide_parameters=True,  # names and codes of people do not belong into a log
        )
        self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        with ExitStack() as when_failing:
            when_failing.callback(self.close)
            self._make_tables()
            when_failing.pop_all()

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view. Raises Busy."""
        with _busy_as_busy(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing, nobody else writes meanwhile. Raises Busy."""
        if not self._writer.acquire(timeout=self._wait_s):
            reason = f"no turn to write within {self._wait_s} s"
            raise Busy(reason)
        try:
            with _busy_as_busy(), self._writing.begin() as connection:
                yield connection
        finally:
            self._writer.release()

    def _make_tables(self) -> None:
        # Going to WAL does not wait for other openers as everything else does: one at a time.
        with self.path.with_name(self.path.name + ".open").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self.read() as connection:
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version > SCHEMA_VERSION:
                reason = (
                    f"{self.path}: has schema {version}, this program knows {SCHEMA_VERSION}: "
                    "use a newer boxback"
                )
                raise NewerSchema(reason)
            if version == SCHEMA_VERSION:
                return
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA journal_mode=WAL")
            finally:
                raw.close()
            with self.write() as connection:
                metadata.create_all(connection)
                for guard in GUARDS:
                    connection.exec_driver_sql(guard)
                if connection.execute(select(accounts.c.id).limit(1)).first() is None:
                    connection.execute(insert(accounts).values(id=ISSUED))
                connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")


@contextmanager
def _busy_as_busy() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Busy(str(error)) from error
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) in {
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        }:
            raise Busy(str(error.orig)) from error
        raise


def _prepare(raw: Any, _record: object) -> None:
    # The driver must not begin by itself: _begin does, with the right word.
    raw.isolation_level = None
    cursor = raw.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
