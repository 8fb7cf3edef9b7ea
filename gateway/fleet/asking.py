"""Waiting for what a bin answers to an order that was just written into the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from gateway.clihelp import LATER, plain, span
from gateway.fleet.listing import QUIET_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.store import Store

WAIT_MAX_S: Final = 3_600
_POLL_S: Final = 0.2
_WAITING_TOLD_S: Final = 3.0
"""An order that a running gateway has not sent after this long is told of: is its broker there?"""

WaitOption = Annotated[
    float,
    typer.Option(
        min=0, max=WAIT_MAX_S, help="Longest wait for the bin's answer, in seconds; 0: do not wait."
    ),
]


_T = TypeVar("_T")


def say(text: str) -> None:
    """Tell on standard error how it goes."""
    typer.echo(plain(text), err=True)


def there_hint(store: Store, bin_id: str) -> str:
    """Say that the bin is not there; "" when it is."""
    from gateway.store import fleet  # noqa: PLC0415

    with store.reading() as connection:
        state = fleet.before(connection, bin_id)
    if state is None or state.last_seen_ms is None:
        return f"{bin_id} was never heard"
    for_s = int(time.time()) - state.last_seen_ms // 1000
    if not state.online:
        return f"{bin_id} is offline, last heard {span(for_s)} ago"
    return f"{bin_id} was last heard {span(for_s)} ago" if for_s > QUIET_S else ""


def wait_for(
    look: Callable[[], _T],
    state: Callable[[_T], str],
    wait_s: float,
    sent: str = "sent; waiting for the bin's answer",
) -> _T:
    """Look until the state is none of waiting and sent, or the time is up; tell when it changes."""
    begun = time.monotonic()
    told = ""
    while True:
        found = look()
        now = state(found)
        waited_s = time.monotonic() - begun
        if now not in {"waiting", "sent"} or waited_s >= wait_s:
            return found
        if now == "sent" and told != "sent":
            say(sent)
            told = now
        elif now == "waiting" and not told and waited_s > _WAITING_TOLD_S:
            say("not sent yet: the bin is not there, or the gateway has no broker (see its log)")
            told = now
        time.sleep(min(_POLL_S, max(0.0, wait_s - waited_s)))


def later(text: str) -> typer.Exit:
    """Say that the order waits; the exit to raise."""
    say(text)
    return typer.Exit(LATER)
