"""The page's small server: state out by SSE, hands in by POST, for one bin on this machine only."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from tools.virtual.page.record import add_record
from tools.virtual.page.snapshot import engineer, snapshot
from tools.virtual.page.tricks import add_tricks
from tools.virtual.supervisor import VirtualBin
from tools.virtual.world.camera import MAX_IMAGE_BYTES, PictureError, decode, qr_png
from tools.virtual.world.hands import MAX_CARTON_G, Refused

STATIC = Path(__file__).parent / "static"
LOOK_S = 0.15
KEEP_ALIVE_S = 15.0
MAX_WATCHERS = 50
HOSTS = {"127.0.0.1", "localhost", "[::1]"}
LABEL_CHARACTERS = 64
SHAKE_MS = 2500

Enrol = Callable[[], str]


class EnrolError(Exception):
    """No phone can be enrolled now; the text says why."""


class Carton(BaseModel):
    """A carton to put in."""

    mass_g: float = Field(gt=0, le=MAX_CARTON_G)


class Take(BaseModel):
    """The carton to take out; the last one when no number is given."""

    n: int | None = None


class Switch(BaseModel):
    """On or off."""

    on: bool


def create_app(
    virtual_bin: VirtualBin, *, phone_url: str | None = None, enrol: Enrol | None = None
) -> FastAPI:
    """The application for `virtual_bin` (which must be started).

    `phone_url`: the member's page, shown in a frame beside the bin. `enrol`: makes a fresh link
    that enrols a new phone; ``GET /phone`` sends there.
    """
    app = FastAPI(title="Boxback virtual bin", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.watchers = 0
    app.state.closing = threading.Event()
    _guard(app, phone_url)
    _errors(app)
    _eyes(app, virtual_bin, phone_url, with_phone=enrol is not None)
    _scanner(app, virtual_bin)
    _hands(app, virtual_bin)
    add_tricks(app, virtual_bin)
    _mains(app, virtual_bin)
    _phone(app, enrol)
    add_record(app, virtual_bin)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _guard(app: FastAPI, phone_url: str | None) -> None:
    """Only this machine's own page may move the bin, and nothing foreign is loaded."""
    frames = f"'self' {_origin(phone_url)}" if phone_url else "'self'"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
        f"frame-src {frames}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )

    @app.middleware("http")
    async def guard(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        host = request.headers.get("host", "")
        if host.rsplit(":", 1)[0] not in HOSTS:
            return _error(421, "host", f"this page is served to this machine only, not to {host!r}")
        origin = request.headers.get("origin")
        if request.method == "POST" and origin and urlsplit(origin).netloc != host:
            return _error(403, "origin", f"{origin} may not move this bin")
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        if not request.url.path.startswith("/static"):
            response.headers["Cache-Control"] = "no-store"
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response


def _error(status: int, code: str, why: str) -> JSONResponse:
    return JSONResponse({"code": code, "why": why}, status)


def _errors(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return _error(409, error.code, str(error))

    @app.exception_handler(EnrolError)
    async def no_phone(_: Request, error: EnrolError) -> JSONResponse:
        return _error(503, "phone", str(error))

    @app.exception_handler(PictureError)
    async def picture(_: Request, error: PictureError) -> JSONResponse:
        return _error(422, "picture", str(error))


def _eyes(
    app: FastAPI, virtual_bin: VirtualBin, phone_url: str | None, *, with_phone: bool
) -> None:
    @app.get("/")
    async def index() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/favicon.ico")
    async def icon() -> FileResponse:
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    @app.get("/api/config")
    async def config() -> dict[str, Any]:
        return {
            "bin": virtual_bin.identity.bin,
            "phone_url": phone_url,
            "phone": with_phone,
            "max_image_bytes": MAX_IMAGE_BYTES,
        }

    @app.get("/api/state")
    async def state() -> dict[str, Any]:
        return snapshot(virtual_bin)

    @app.get("/api/engineer")
    async def engineers() -> dict[str, Any]:
        return engineer(virtual_bin)

    @app.get("/api/display.png")
    async def display(scale: Annotated[int, Query(ge=1, le=16)] = 4) -> Response:
        return Response(virtual_bin.display_png(scale), media_type="image/png")

    @app.get("/api/qr.png")
    async def qr(
        text: Annotated[str, Query(min_length=1, max_length=LABEL_CHARACTERS)],
    ) -> Response:
        return Response(qr_png(text), media_type="image/png")

    @app.get("/api/events", response_model=None)
    async def events() -> Response:
        if app.state.watchers >= MAX_WATCHERS:
            return _error(503, "watchers", f"{MAX_WATCHERS} pages are watching this bin already")
        return StreamingResponse(_stream(app, virtual_bin), media_type="text/event-stream")


async def _stream(app: FastAPI, virtual_bin: VirtualBin) -> AsyncIterator[str]:
    """The state, whenever it differs from what was sent last."""
    app.state.watchers += 1
    last = ""
    quiet_s = 0.0
    try:
        while virtual_bin.engine.is_alive() and not app.state.closing.is_set():
            now = json.dumps(snapshot(virtual_bin), ensure_ascii=False, separators=(",", ":"))
            if now != last:
                last, quiet_s = now, 0.0
                yield f"data: {now}\n\n"
            elif quiet_s >= KEEP_ALIVE_S:
                quiet_s = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(LOOK_S)
            quiet_s += LOOK_S
    finally:
        app.state.watchers -= 1


def _scanner(app: FastAPI, virtual_bin: VirtualBin) -> None:
    @app.post("/api/scan", response_model=None)
    async def scan(request: Request) -> Response | dict[str, Any]:
        declared = int(request.headers.get("content-length") or 0)
        if declared > MAX_IMAGE_BYTES:
            return _error(413, "picture", f"the picture has more than {MAX_IMAGE_BYTES} bytes")
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_IMAGE_BYTES:
                return _error(413, "picture", f"the picture has more than {MAX_IMAGE_BYTES} bytes")
        # Decoding a large photograph takes a while: not in the server's own thread.
        codes = await asyncio.to_thread(decode, bytes(data))
        with virtual_bin.world() as world:
            world.show(codes)
            powered = world.powered
        return {"codes": len(codes), "powered": powered}


def _hands(app: FastAPI, virtual_bin: VirtualBin) -> None:
    @app.post("/api/drop")
    async def drop(carton: Carton) -> dict[str, int]:
        return {"n": virtual_bin.drop(carton.mass_g)}

    @app.post("/api/take")
    async def take(what: Take) -> dict[str, float]:
        return {"g": virtual_bin.take_out(what.n)}

    @app.post("/api/empty")
    async def empty() -> dict[str, int]:
        return {"cartons": virtual_bin.empty()}

    @app.post("/api/button")
    async def button() -> dict[str, bool]:
        virtual_bin.press_button()
        return {"pressed": True}

    @app.post("/api/shake")
    async def shake() -> dict[str, bool]:
        virtual_bin.shake(SHAKE_MS)
        return {"shaken": True}


def _mains(app: FastAPI, virtual_bin: VirtualBin) -> None:
    @app.post("/api/power")
    async def power(switch: Switch) -> dict[str, str]:
        if switch.on:
            virtual_bin.power_on()
        else:
            virtual_bin.power_off()
        return {"state": virtual_bin.state()}

    @app.post("/api/wifi")
    async def wifi(switch: Switch) -> dict[str, bool]:
        virtual_bin.wifi(switch.on)
        return {"on": switch.on}


def _phone(app: FastAPI, enrol: Enrol | None) -> None:
    @app.get("/phone", response_model=None)
    def phone() -> Response:
        if enrol is None:
            return _error(404, "phone", "no points backend runs beside this bin")
        return RedirectResponse(enrol(), 303)
