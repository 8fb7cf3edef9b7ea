"""The gateway's database: opened, set up, and entered for reading or for writing.

    StoreError      the database cannot be opened or is of another version

Queries raise SQLAlchemy's own errors: OperationalError is one that may pass (disk full, locked).
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from gateway.store import tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WAL_LIMIT_BYTES: Final = 64 << 20
IN_MAX: Final = 500
"""Values in one IN (…): SQLite's oldest limit is 999."""
_POOL_CONNECTIONS: Final = 6
"""One for each thread of a gateway, and some to spare for those who look."""
_ONLY_LACKS_TABLES: Final = 1
"""Version of the tables to which nothing but new tables was added since."""


class StoreError(Exception):
    """The database cannot be used; the text says which file, why and what to do."""


def now_ms() -> int:
    """Unix ms of this machine."""
    return time.time_ns() // 1_000_000


class Store:
    """An open database. Safe to share between threads; each block has its own connection."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one state of the database for the length of the block."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a connection in a write transaction: durable after the block, undone if it raises.

        On SQLite the write lock is taken at once, so what the block reads stays true until then.
        """
        with (
            self._engine.connect().execution_options(boxback_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()


def open_store(path: Path, *, wait_ms: int = 5_000) -> Store:
    """Open the SQLite file, made with its folder (0600, 0700) when missing.

    `wait_ms` bounds the wait for another process's lock. Raises StoreError.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made here rather than by SQLite so that the keys in it are never readable by others;
        # -wal and -shm take over the mode of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        reason = f"{path}: cannot be made or opened: {error.strerror}"
        raise StoreError(reason) from error
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        pool_size=_POOL_CONNECTIONS,
        max_overflow=0,
        hide_parameters=True,  # errors end in logs, and parameters are passes and keys
        connect_args={"timeout": wait_ms / 1000, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    store = Store(engine)
    try:
        _set_up(store, path)
    except sa.exc.DBAPIError as error:
        store.close()
        reason = f"{path}: is not a usable database: {error.orig}"
        raise StoreError(reason) from error
    except StoreError:
        store.close()
        raise
    return store


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own BEGIN comes late and deferred; _begin sends ours.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"journal_size_limit = {_WAL_LIMIT_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("boxback_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up(store: Store, path: Path) -> None:
    with store.writing() as connection:
        tables.metadata.create_all(connection)
        version = connection.scalar(sa.select(tables.schema.c.version))
        if version is None:
            connection.execute(tables.schema.insert().values(version=tables.SCHEMA_VERSION))
        elif version == _ONLY_LACKS_TABLES:
            connection.execute(tables.schema.update().values(version=tables.SCHEMA_VERSION))
        elif version != tables.SCHEMA_VERSION:
            reason = (
                f"{path}: has tables of version {version}, this program knows "
                f"{tables.SCHEMA_VERSION}: run the program that wrote it"
            )
            raise StoreError(reason)


def insert_new(connection: sa.Connection, table: sa.Table) -> Any:
    """Begin an INSERT that lets rows be whose identity is there already (both dialects have it)."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - only where it is used

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(table).on_conflict_do_nothing()
