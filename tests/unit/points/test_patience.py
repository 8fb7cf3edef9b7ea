"""Clients that keep the server waiting lose their places; clients that only rest do not."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.points.config import PointsSettings
from gateway.points.patience import Impatient
from tests.support.points import REQUEST_S, deposit_item, points_service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Send

    from tests.support.points import PointsService

PLACES = 8
CLOSED_S = 12  # below uvicorn's own keep-alive and far above `request_wait_s` here
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_POST = (
    b"POST /v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"code'
)
# Refused before its body is there: the answer is out, the request is not yet in.
HALF_LARGE = b"POST /v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n{"


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointsService]:
    """A service of few places, where two seconds are long."""
    folder = tmp_path_factory.mktemp("hurried")
    with points_service(folder, connection_limit=PLACES, request_wait_s=2) as service:
        yield service
        assert "Traceback" not in service.log.read_text()


def connect(points: PointsService, sent: bytes = b"") -> socket.socket:
    """Connect and send some bytes."""
    where = urlsplit(points.url)
    made = socket.create_connection((where.hostname, where.port), timeout=REQUEST_S)
    made.sendall(sent)
    return made


def read_until_closed(peer: socket.socket, drip: bytes = b"") -> bytes:
    """Read to the end, sending `drip` in every pause; fails when no end comes in CLOSED_S."""
    heard, ends_s = b"", time.monotonic() + CLOSED_S
    peer.settimeout(0.2)
    while time.monotonic() < ends_s:
        try:
            piece = peer.recv(65_536)
        except TimeoutError:
            if drip:
                try:
                    peer.sendall(drip)
                except (ConnectionResetError, BrokenPipeError):
                    return heard
            continue
        except ConnectionResetError:
            return heard
        if not piece:
            return heard
        heard += piece
    pytest.fail(f"still open after {CLOSED_S} s")


def hear_health(peer: socket.socket) -> None:
    """Read one answer to GET, all of it."""
    heard = b""
    while not heard.endswith(b'{"status":"ok"}'):
        piece = peer.recv(65_536)
        assert piece, heard
        heard += piece


def health(points: PointsService) -> int:
    """Ask on a connection of its own; the status."""
    with connect(points, GET) as peer:
        return int(peer.recv(65_536).split()[1])


def wait_for_health(points: PointsService, wanted: int) -> None:
    """Ask until the service answers so."""
    ends_s = time.monotonic() + REQUEST_S
    while health(points) != wanted:
        assert time.monotonic() < ends_s, f"no answer {wanted} in {REQUEST_S} s"


@pytest.mark.parametrize("sent", [b"", HALF_POST], ids=["nothing", "half a body"])
def test_places_of_idle_connections_come_free(hurried: PointsService, sent: bytes) -> None:
    with ExitStack() as idle:
        peers: list[socket.socket] = []
        while health(hurried) != 503:
            assert len(peers) < 3 * PLACES
            peers.append(idle.enter_context(connect(hurried, sent)))
        for peer in peers:
            read_until_closed(peer)
        wait_for_health(hurried, 200)


@pytest.mark.parametrize(
    ("sent", "drip"),
    [
        (b"", b""),
        (GET[:10], b""),
        (GET[:-2], b"a: b\r\n"),
        (HALF_POST, b" "),
        (HALF_LARGE, b" "),
        (GET + GET[:-2], b"a: b\r\n"),
    ],
    ids=[
        "nothing",
        "head",
        "head drips",
        "body drips",
        "refused body drips",
        "2nd drips",
    ],
)
def test_request_that_never_gets_whole_is_given_up(
    hurried: PointsService, sent: bytes, drip: bytes
) -> None:
    with connect(hurried, sent) as peer:
        heard = read_until_closed(peer, drip)
    assert heard.count(b"HTTP/1.1 200 OK") == sent.count(GET)


class Endless:
    """An app whose answer never ends; knows when its client is gone."""

    def __init__(self) -> None:
        service = SimpleNamespace(settings=PointsSettings(request_wait_s=1))
        self.state = SimpleNamespace(service=service)
        self.gone = asyncio.Event()

    async def __call__(self, _scope: object, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        sending = asyncio.create_task(self._send(send))
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
        await sending

    async def _send(self, send: Send) -> None:
        while not self.gone.is_set():
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})


def test_answer_that_nobody_reads_is_given_up() -> None:
    """Not over a real service: what it answers lies in the kernel's buffers, read or not."""

    async def scene() -> None:
        app = Endless()
        config = uvicorn.Config(app, http=Impatient, lifespan="off", log_config=None)  # type: ignore[arg-type]
        config.load()
        state, loop = ServerState(), asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Impatient(config=config, server_state=state, app_state={}), "127.0.0.1"
        )
        async with server:
            peer = socket.create_connection(server.sockets[0].getsockname(), timeout=REQUEST_S)
            with peer:
                peer.sendall(GET)
                await asyncio.wait_for(app.gone.wait(), CLOSED_S)
            await asyncio.gather(*state.tasks)
        assert not state.connections

    asyncio.run(scene())


def test_who_only_rests_or_listens_is_left_alone(hurried: PointsService) -> None:
    phone = hurried.enrol_phone()
    with phone.listen() as events, connect(hurried, GET) as resting:
        assert next(events)["data"] == {"balance": 0}
        hear_health(resting)
        with connect(hurried) as idle:  # begun later: when it is gone, the wait is over for all
            read_until_closed(idle)
        resting.sendall(GET)
        hear_health(resting)
        hurried.deposit([deposit_item(phone)])
        assert next(events)["data"]["balance"] == 10
