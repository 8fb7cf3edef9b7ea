"""The points backend in a process of its own, and a phone to go with it, for anybody's tests.

with points_service(tmp_path) as points:
    phone = points.enrol_phone("Lin")
    points.deposit([deposit_item(phone, n=1)])
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import selectors
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S = 30
STOP_S = 15
REQUEST_S = 20
ROOT = Path(__file__).parents[2]
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def unix_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000


def plain_pass(secret: bytes, handle: str, step: int) -> str:
    """Make a pass by the contract's words, one bit at a time: a second opinion on passes.py."""
    said = f"BB1.{handle}.{step}"
    bits = "".join(
        f"{byte:08b}" for byte in hmac.new(secret, said.encode(), "sha256").digest()[:10]
    )
    letters = [CROCKFORD[int(bits[i : i + 5], 2)] for i in range(0, 80, 5)]
    return f"{said}.{''.join(letters)}"


def some_label() -> str:
    """Return a label hash that no test has used: 22 characters, as a bin sends it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()


@dataclass
class Phone:
    """An enrolled phone: what the member's page holds, and its session."""

    base_url: str
    member: str
    name: str
    handle: str
    secret: bytes = field(repr=False)
    cookies: dict[str, str] = field(repr=False)

    def show_pass(self, at_ms: int | None = None) -> str:
        """Return the text in the QR code at this time (now when None)."""
        return plain_pass(
            self.secret, self.handle, (unix_ms() if at_ms is None else at_ms) // 30_000
        )

    def me(self, **query: int) -> dict[str, Any]:
        """Return `GET /v1/me`."""
        answer = httpx.get(
            f"{self.base_url}/v1/me", params=query, cookies=self.cookies, timeout=REQUEST_S
        )
        return dict(answer.raise_for_status().json())

    @contextmanager
    def listen(self, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Open the live stream; yields its events as {event, id, data}, heartbeats left out."""
        with httpx.stream(
            "GET",
            f"{self.base_url}/v1/me/events",
            headers=headers,
            cookies=self.cookies,
            timeout=REQUEST_S,
        ) as answer:
            answer.raise_for_status()
            yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if not line and "data" in found:
            yield found
        if not line:
            found = {}
        elif name:
            found[name] = json.loads(value) if name == "data" else value


def deposit_item(
    phone: Phone | None,
    n: int = 1,
    *,
    bin_id: str = "B-7K2QA",
    epoch: str = "5f3a9c01",
    at_ms: int | None = None,
    label: str | None = None,
    **changes: object,
) -> dict[str, Any]:
    """Make an item as the relay sends it, right in every way until `changes` say otherwise."""
    t = unix_ms() if at_ms is None else at_ms
    scanned_at = t - 5_230
    item: dict[str, Any] = {
        "id": f"{bin_id}.{epoch}.{n}",
        "kind": "deposit",
        "bin": bin_id,
        "station": "S-DEMO",
        "t": t,
        "clock": "ntp",
        "scanned_at": scanned_at,
        "pass": phone.show_pass(scanned_at) if phone else "BB1.00000000.1.0000000000000000",
        "label": some_label() if label is None else label,
        "g": 312,
    }
    return {**item, **changes}


def withdrawn_item(
    deposit: dict[str, Any], n: int, *, at_ms: int | None = None, **changes: object
) -> dict[str, Any]:
    """Make the item of the line that takes a deposit back, as the relay sends it."""
    item: dict[str, Any] = {
        "id": f"{deposit['id'].rpartition('.')[0]}.{n}",
        "kind": "withdrawn",
        "of": deposit["id"],
        "bin": deposit["bin"],
        "station": deposit["station"],
        "t": unix_ms() if at_ms is None else at_ms,
        "clock": "ntp",
        "g": deposit["g"],
    }
    return {**item, **changes}


class PointsService:
    """`python -m gateway.points serve` on a port of its own; can be killed and started again."""

    def __init__(self, folder: Path, **settings: object) -> None:
        """Write settings and keys; `start` starts it. Settings are PointsSettings' names."""
        folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = folder / "data"
        self.gateway_key = str(settings.get("gateway_key", secrets.token_urlsafe(24)))
        self.operator_key = str(settings.get("operator_key", secrets.token_urlsafe(24)))
        self.log = folder / "points.log"
        self.url = ""
        self._config = folder / "points.toml"
        self._settings = {
            "data_dir": str(self.data_dir),
            "gateway_key": self.gateway_key,
            "operator_key": self.operator_key,
            "pepper": secrets.token_urlsafe(24),
            "port": 0,
            "enrol_tries_per_minute": 1_000,  # all test phones come from one address
            **settings,
        }
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running service."""
        if self._process is None:
            raise RuntimeError("the points service is not running")
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until it takes connections. A restart keeps the port."""
        # JSON strings, numbers, booleans and lists are TOML too.
        lines = [f"{name} = {json.dumps(value)}" for name, value in self._settings.items()]
        self._config.write_text("[points]\n" + "\n".join(lines) + "\n")
        command = [sys.executable, "-m", "gateway.points", "serve", "--json"]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--config", str(self._config)],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        said = self._first_line(self._process)
        if not said:
            self.stop()
            raise RuntimeError(f"the points service did not start:\n{self.log.read_text()}")
        self.url = json.loads(said)["url"]
        self._settings["port"] = int(self.url.rpartition(":")[2])

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        if process.stdout is None:
            raise RuntimeError("the service's output is not piped")
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if ready.select(START_S) else ""

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._gone(self._process)

    def stop(self) -> int:
        """End it as Ctrl-C does; return its exit code (0 when it was not running)."""
        if self._process is None:
            return 0
        process = self._process
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
        return self._gone(process)

    def wait(self) -> int:
        """Wait until it has ended by itself; return its exit code."""
        if self._process is None:
            raise RuntimeError("the points service is not running")
        return self._gone(self._process)

    def _gone(self, process: subprocess.Popen[str]) -> int:
        self._process = None
        code = process.wait(STOP_S)
        if process.stdout is not None:
            process.stdout.close()
        return code

    def create_member(self, name: str) -> str:
        """Make a member; returns the id."""
        return str(self._operator("/v1/members", {"name": name})["id"])

    def enrolment_code(self, member: str) -> str:
        """Make a one-time code."""
        return str(self._operator(f"/v1/members/{member}/enrolments", None)["code"])

    def enrolment_link(self, member: str) -> str:
        """Make a one-time link, to open in a browser."""
        return str(self._operator(f"/v1/members/{member}/enrolments", None)["link"])

    def enrol_phone(self, name: str = "Lin", member: str | None = None) -> Phone:
        """Make a member (or take one) and enrol a phone, all over HTTP."""
        whose = member or self.create_member(name)
        code = {"code": self.enrolment_code(whose)}
        answer = httpx.post(f"{self.url}/v1/enrol", json=code, timeout=REQUEST_S).raise_for_status()
        got = answer.json()
        secret = base64.urlsafe_b64decode(got["secret"] + "=" * (-len(got["secret"]) % 4))
        cookies = dict(answer.cookies.items())
        return Phone(self.url, whose, got["name"], got["handle"], secret, cookies)

    def post_deposits(self, body: object, key: str | None = None) -> httpx.Response:
        """`POST /v1/deposits` with any body; the raw answer."""
        headers = {"Authorization": f"Bearer {self.gateway_key if key is None else key}"}
        return httpx.post(f"{self.url}/v1/deposits", json=body, headers=headers, timeout=REQUEST_S)

    def deposit(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send items as the relay does; the answers."""
        return list(self.post_deposits({"items": items}).raise_for_status().json()["results"])

    def _operator(self, path: str, body: object) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.operator_key}"},
            timeout=REQUEST_S,
        )
        return dict(answer.raise_for_status().json())


@contextmanager
def points_service(folder: Path, **settings: object) -> Iterator[PointsService]:
    """Run the service for the length of a `with`; `folder` is a temporary one."""
    service = PointsService(folder, **settings)
    try:
        service.start()
        yield service
    finally:
        service.stop()
