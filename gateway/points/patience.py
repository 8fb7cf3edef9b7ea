"""A client that keeps the server waiting loses its connection.

uvicorn bounds only the pause between two requests. Connections that send no request, half of one
byte by byte, or read no answer would keep their places for ever, and `connection_limit` of them
would shut everybody else out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from gateway.points.config import PointsSettings

_NOT_WHOLE = (h11.IDLE, h11.SEND_BODY)


class Impatient(H11Protocol):
    """Closes when a request is not whole, or an answer not read, within `request_wait_s`."""

    _owed: str = ""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request from the first moment on."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._expect("")
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Look, after each piece of a request and after each answer, what is still to come."""
        super().handle_events()
        self._watch()

    def pause_writing(self) -> None:
        """Expect the client to read: more than the buffers hold waits for it."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._watch()

    def _watch(self) -> None:
        # While uvicorn's own timer runs, the client rests between two requests.
        resting = self.timeout_keep_alive_task is not None
        if self.flow.write_paused:
            self._expect("reading")
        elif self.conn.their_state in _NOT_WHOLE and not resting:
            self._expect("request")
        else:
            self._expect("")

    def _expect(self, owed: str) -> None:
        """Start the time for something new; what is owed already gets no more of it."""
        if owed == self._owed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._owed, self._timer = owed, None
        if owed:
            # Never a name or a factory here: serve.py gives the app itself.
            settings: PointsSettings = self.config.app.state.service.settings  # type: ignore[union-attr]
            self._timer = self.loop.call_later(settings.request_wait_s, self.transport.abort)
