"""`GET /v1/me/events`: balance and new entries, pushed as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from gateway.points import members, statement
from gateway.points.api import entry_out
from gateway.points.live import TooManyStreams
from gateway.points.members import Member, Refusal
from gateway.points.service import Service, Session, Svc

router = APIRouter(prefix="/v1")

RETRY_MS = 1_000
_MAX_SEQ = 2**53
_SEQ_DIGITS = 16


def _member(svc: Svc, session: Session = None) -> tuple[Member, int]:
    """Who listens, and the newest row now. Raises Refusal before the stream begins."""
    with svc.db.read() as connection:
        member = members.session_member(connection, session, svc.now_ms())
        return member, statement.last_seq(connection)


async def _woken(
    svc: Svc, who: Annotated[tuple[Member, int], Depends(_member)]
) -> AsyncIterator[asyncio.Event]:
    """Hold one of the bounded places for as long as the response lives."""
    try:
        with svc.live.stream(who[0].id) as woken:
            yield woken
    except TooManyStreams as error:
        raise Refusal(503, "too_many_streams", str(error)) from None


@router.get("/me/events", response_class=EventSourceResponse)
async def events(
    svc: Svc,
    who: Annotated[tuple[Member, int], Depends(_member)],
    woken: Annotated[asyncio.Event, Depends(_woken)],
    after: Annotated[int | None, Query(ge=0, le=_MAX_SEQ)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Begin after Last-Event-ID, or `after`, or now. Events: `balance`, `entry`. FastAPI sends
    a comment every 15 s as heartbeat.
    """
    member, newest = who
    cursor = newest if after is None else after
    if last_event_id and last_event_id.isdecimal() and len(last_event_id) <= _SEQ_DIGITS:
        cursor = int(last_event_id)
    ends_s = asyncio.get_running_loop().time() + svc.settings.stream_life_s
    yield ServerSentEvent(event="balance", data={"balance": member.balance}, retry=RETRY_MS)
    while not svc.live.closing:
        woken.clear()  # before looking: what is committed after the look wakes us again
        rows = await anyio.to_thread.run_sync(_feed, svc, member.id, cursor)
        for row in rows:
            cursor = row.seq
            yield ServerSentEvent(event="entry", id=str(row.seq), data=entry_out(row))
        if len(rows) < statement.FEED_ROWS:
            try:
                async with asyncio.timeout_at(ends_s):
                    await woken.wait()
            except TimeoutError:
                return


def _feed(svc: Service, member: str, after: int) -> list[statement.Entry]:
    with svc.db.read() as connection:
        return statement.feed(connection, member, after)
