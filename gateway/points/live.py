"""Live updates: one cheap look at the database wakes the streams of those it concerns.

Looking (not an in-process signal) is what finds the writes of other processes too.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from gateway.points.database import Busy
from gateway.points.statement import last_seq, members_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.points.database import Database

log = logging.getLogger(__name__)

MEMBER_STREAMS = 5  # phones and pages of one member that listen at once
_LOOK_ROWS = 2_000


class TooManyStreams(Exception):
    """A limit of streams is reached, the message says which; try later."""


class Live:
    """Knows the open streams of this process and wakes them."""

    def __init__(self, db: Database, poll_ms: int, limit: int) -> None:
        """Do nothing yet: `run` is the task."""
        self._db = db
        self._poll_s = poll_ms / 1000
        self._limit = limit
        self._streams: dict[asyncio.Event, str] = {}
        self._wanted = asyncio.Event()
        self.closing = False

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @contextmanager
    def stream(self, member: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when the member may have news. Raises TooManyStreams."""
        if self.closing or len(self._streams) >= self._limit:
            raise TooManyStreams("Too many phones are listening. Try again in a minute.")
        if sum(one == member for one in self._streams.values()) >= MEMBER_STREAMS:
            reason = f"{MEMBER_STREAMS} pages of this member are listening. Close one of them."
            raise TooManyStreams(reason)
        woken = asyncio.Event()
        self._streams[woken] = member
        self._wanted.set()
        try:
            yield woken
        finally:
            del self._streams[woken]
            if not self._streams and not self.closing:
                self._wanted.clear()

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self.closing = True
        self._wanted.set()
        for woken in self._streams:
            woken.set()

    async def run(self) -> None:
        """Look while anybody listens; without listeners, sleep."""
        while not self.closing:
            await self._wanted.wait()
            seen: int | None = None
            while self._streams and not self.closing:
                seen = await self._look(seen)
                await asyncio.sleep(self._poll_s)

    async def _look(self, seen: int | None) -> int | None:
        try:
            grown, last = await anyio.to_thread.run_sync(self._news, seen)
        except (Busy, SQLAlchemyError):
            log.exception("live updates: the database did not answer, looking again")
            return seen
        for woken, member in self._streams.items():
            if grown is None or member in grown:
                woken.set()
        return last

    def _news(self, seen: int | None) -> tuple[set[str] | None, int]:
        """Whose news; None means anybody's, after a time in which nobody looked."""
        with self._db.read() as connection:
            if seen is None:
                return None, last_seq(connection)
            return members_after(connection, seen, _LOOK_ROWS)
