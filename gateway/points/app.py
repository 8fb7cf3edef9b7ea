"""The FastAPI application, put together."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from gateway.points import api, stream
from gateway.points.batch import Rules
from gateway.points.database import Busy, Database
from gateway.points.headers import SecurityHeaders
from gateway.points.keys import resolve_keys
from gateway.points.limits import Rate
from gateway.points.live import Live
from gateway.points.members import Refusal
from gateway.points.service import Service, Svc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.points.config import PointsSettings

log = logging.getLogger(__name__)

PAGES = Path(__file__).with_name("pages")
RETRY_AFTER_S = 1
_CODES = {404: "not_found", 405: "wrong_method", 413: "too_large"}


def create_app(settings: PointsSettings) -> FastAPI:
    """Open the database and build the app. Raises ConfigError, NewerSchema, Busy, OSError."""
    keys = resolve_keys(settings)
    db = Database(settings.database_path, settings.database_wait_ms)
    service = Service(
        settings=settings,
        keys=keys,
        db=db,
        rules=Rules(settings.points_per_carton, settings.label_required),
        live=Live(db, settings.stream_poll_ms, settings.stream_limit),
        enrol_rate=Rate(settings.enrol_tries_per_minute),
    )
    app = FastAPI(
        title="Boxback points",
        version="1",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere; ours stay here
        redoc_url=None,
        lifespan=_lifespan,
        max_body_size=settings.body_limit_bytes,
    )
    app.state.service = service
    app.add_middleware(SecurityHeaders, frame_ancestors=settings.frame_ancestors)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Busy, _later)
    app.add_exception_handler(OperationalError, _later)
    app.include_router(api.router)
    app.include_router(stream.router)
    app.add_api_route("/healthz", _health, methods=["GET"])
    app.mount("/", StaticFiles(directory=PAGES, html=True), name="pages")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    watcher = asyncio.create_task(service.live.run(), name="points-live")
    try:
        yield
    finally:
        service.live.close()
        await watcher
        service.db.close()


def _health(svc: Svc) -> dict[str, str]:
    with svc.db.read() as connection:
        connection.execute(text("SELECT 1 FROM accounts LIMIT 1"))
    return {"status": "ok"}


def _error(status: int, code: str, why: str, headers: dict[str, str] | None = None) -> Response:
    # A name in `why` may come from the request; half a surrogate pair could not be sent back.
    sendable = why.encode(errors="replace").decode()
    return JSONResponse({"code": code, "why": sendable}, status_code=status, headers=headers)


def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    headers = {"WWW-Authenticate": "Bearer"} if error.code == "key_wrong" else None
    return _error(error.status, error.code, error.why, headers)


def _malformed(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    slip = error.errors()[0]  # never its input: that may be an enrolment code
    where = ".".join(str(part) for part in slip["loc"])
    return _error(422, "bad_request", f"{where}: {slip['msg']}")


def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = _CODES.get(error.status_code, "bad_request")
    return _error(error.status_code, code, str(error.detail), dict(error.headers or {}))


def _later(_request: Request, error: Exception) -> Response:
    # The driver's own words: SQLAlchemy adds the statement, and with it what a person typed.
    said = error.orig if isinstance(error, OperationalError) else error
    log.warning("answered 503, the database is not to be had: %s", said)
    why = "The database is busy. Try again."
    return _error(503, "later", why, {"Retry-After": str(RETRY_AFTER_S)})
