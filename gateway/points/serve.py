"""Run the service in this process."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn

from gateway.points.app import create_app
from gateway.points.config import ConfigError
from gateway.points.patience import Impatient

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

    from gateway.points.config import PointsSettings

log = logging.getLogger(__name__)

SHUTDOWN_S = 5
KEEP_ALIVE_S = 15
_BACKLOG = 256


class PointsServer(uvicorn.Server):
    """Ends the live streams first when it stops; they would be waited for otherwise."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, after the streams were told to end."""
        app: FastAPI = self.config.app  # type: ignore[assignment]  # never a name or a factory here
        app.state.service.live.close()
        await super().shutdown(sockets)


def bind(settings: PointsSettings) -> socket.socket:
    """Take the address before anything else is done. Raises ConfigError that says what to do."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            reason = (
                f"{where} is in use: another boxback may be running. Stop it, or choose another "
                "port with --port or `port` under [points] in boxback.toml"
            )
        else:
            reason = f"{where} cannot be listened on: {error.strerror or error}"
        raise ConfigError(reason) from None
    return listener


def address(listener: socket.socket) -> str:
    """Return the base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(settings: PointsSettings) -> PointsServer:
    """Build the server; run it with `.run(sockets=[bind(settings)])` or `await .serve(…)`."""
    config = uvicorn.Config(
        create_app(settings),
        loop="asyncio",
        http=Impatient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        limit_concurrency=settings.connection_limit,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    return PointsServer(config)


def run(server: PointsServer, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then return."""
    # uvicorn raises the signal once more after a clean stop; here that is the end of it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _nothing_more)
    server.run(sockets=[listener])


def _nothing_more(number: int, _frame: FrameType | None) -> None:
    log.debug("stopped by signal %s", number)
