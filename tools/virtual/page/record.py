"""The page's stream for `boxback record`: a trace of what the bin's inputs get, as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, StreamingResponse

from tools.virtual.replay.record import STREAM, Recording
from tools.virtual.supervisor import VirtualBin

LOOK_S = 0.1
STILL_HERE_S = 1.0  # an empty line so often: the other side sees that nothing is stuck
MAX_RECORDINGS = 5


def add_record(app: FastAPI, virtual_bin: VirtualBin) -> None:
    """Serve recordings of `virtual_bin`; `app.state.closing` ends them."""
    app.state.recordings = 0

    @app.get(STREAM, response_model=None)
    async def record() -> Response:
        if app.state.recordings >= MAX_RECORDINGS:
            why = f"{MAX_RECORDINGS} recordings are being made already"
            return JSONResponse({"code": "recordings", "why": why}, 503)
        return StreamingResponse(_stream(app, virtual_bin), media_type="application/x-ndjson")


async def _stream(app: FastAPI, virtual_bin: VirtualBin) -> AsyncIterator[bytes]:
    """The header, then each event within a tenth of a second, until somebody leaves."""
    recording = await asyncio.to_thread(Recording, virtual_bin)
    app.state.recordings += 1
    quiet_s = 0.0
    try:
        while virtual_bin.engine.is_alive() and not app.state.closing.is_set():
            lines = recording.take()
            if lines or quiet_s >= STILL_HERE_S:
                quiet_s = 0.0
                yield lines or b"\n"
            if recording.overflow:
                return
            await asyncio.sleep(LOOK_S)
            quiet_s += LOOK_S
    finally:
        recording.stop()
        app.state.recordings -= 1
