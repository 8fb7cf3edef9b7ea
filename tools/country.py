"""`boxback try`: a small country on one machine, to touch.

Broker, gateway and points run as `boxback run` runs them; beside them one station with one virtual
bin, which is the real firmware on the real interpreter, and one member. Everything is kept in one
folder, so the next start goes on where the last one ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.config import Settings, load
from gateway.fleet.register import add_bin
from gateway.site import Site
from gateway.store import open_store
from tools.virtual.identity import Identity, IdentityError, load_identity
from tools.virtual.page.serve import PageServer
from tools.virtual.page.server import EnrolError, create_app
from tools.virtual.supervisor import VirtualBin

HOST = "127.0.0.1"
STATION = "S-DEMO"
BIN_NAME = "The bin on your desk"
MEMBER_NAME = "Lin"
HTTP_TIMEOUT_S = 10.0
PORT_DRAWS_MAX = 20
# A person who tries things pulls plugs and waits for what happens next: half a minute of jitter is
# for a nation's bins, not for one.
BIN_SETTINGS = {"reconnect_ms": 2_000, "reconnect_max_ms": 10_000, "health_ms": 10_000}

PORTS = {"page": 8080, "points": 8081, "broker": 1883}

Say = Callable[[str], None]


class CountryError(Exception):
    """The country cannot be set up; the text says why and what to do."""


def choose_ports(wanted: dict[str, int | None]) -> dict[str, int]:
    """The ports to use: one that was asked for must be free, a default gives way to a free one.

    Raises CountryError that names the port that is taken.
    """
    chosen: dict[str, int] = {}
    for name in PORTS:
        asked = wanted.get(name)
        if asked is not None and (asked in chosen.values() or not _free(asked)):
            raise CountryError(
                f"port {asked} for the {name} is taken: stop what runs there, or choose another "
                f"with --{name}-port (0 takes a free one)"
            )
        if asked:
            chosen[name] = asked
    for name, default in PORTS.items():
        if name not in chosen:
            usable = wanted.get(name) is None and default not in chosen.values() and _free(default)
            chosen[name] = default if usable else _any_free(set(chosen.values()))
    return chosen


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _any_free(but: set[int]) -> int:
    for _ in range(PORT_DRAWS_MAX):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in but:
            return port
    raise CountryError(f"no free port in {PORT_DRAWS_MAX} draws: stop some programs")


def _keep(path: Path, text: str) -> None:
    """Write a file that only its owner may read; it is there whole or not at all."""
    aside = path.with_suffix(".aside")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # keys lie in it
    except OSError as error:
        raise CountryError(
            f"{folder} cannot be made or used: {error.strerror}; choose another --data-dir"
        ) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the kernel lets go of it however the process ends."""
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise CountryError(
                f"{folder} is in use by another `boxback try` (process {file.read().strip()}): "
                "use that one, stop it, or choose another folder with --data-dir"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class Country:
    """Everything that `boxback try` runs. Use it as a context manager, then `wait`.

    `bin`, `page_url` and `points_url` are there inside the block. `say` gets a line for each step.
    `stopping`, when it is set, ends the start of broker, gateway and points.
    """

    def __init__(
        self,
        folder: Path,
        ports: dict[str, int],
        say: Say = lambda _: None,
        stopping: threading.Event | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.ports = ports
        self.points_url = f"http://{HOST}:{ports['points']}"
        self.page_url = f"http://{HOST}:{ports['page']}/"
        self._say = say
        self._stopping = stopping
        self._stack = ExitStack()
        self.settings: Settings
        self.site: Site
        self.bin: VirtualBin

    def __enter__(self) -> Self:
        """Start everything. Raises CountryError and what its parts raise, with nothing left."""
        with ExitStack() as stack:
            _make_private(self.folder)
            stack.enter_context(_alone(self.folder))
            config = self._write_config()
            self.settings = load(config)
            identity = self._identity()
            log = self.folder / "country.log"
            self._say("broker, gateway and points backend")
            self.site = stack.enter_context(Site(self.settings, config, log, self._stopping))
            self._say("the firmware, compiled, and a bin that runs it")
            files = {"/settings.json": json.dumps(BIN_SETTINGS).encode()}
            self.bin = stack.enter_context(VirtualBin(identity, self.folder / "bin", files=files))
            self._say("the page")
            app = create_app(self.bin, phone_url=self.points_url + "/", enrol=self.enrol)
            stack.enter_context(PageServer(app, self.ports["page"]))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything; what is kept stays in the folder."""
        self._stack.close()

    def enrol(self) -> str:
        """A fresh link that makes a phone the member's. Raises EnrolError when points is away."""
        made = self._ask("POST", f"/v1/members/{self._member()}/enrolments")
        return f"{self.points_url}/#enrol={made['code']}"

    def _write_config(self) -> Path:
        """The settings of this country, as a file that all its programs read."""
        path = self.folder / "boxback.toml"
        page = f"http://{HOST}:{self.ports['page']}"
        _keep(
            path,
            f"# Written anew by each `boxback try`; every setting: boxback run --print-config\n"
            f"data_dir = {json.dumps(str(self.folder))}\n\n"
            f"[broker]\nport = {self.ports['broker']}\n\n"
            f"[relay]\nurl = {json.dumps(self.points_url)}\n\n"
            f"[points]\nport = {self.ports['points']}\nframe_ancestors = [{json.dumps(page)}]\n",
        )
        return path

    def _identity(self) -> Identity:
        """The bin's identity: issued by the fleet once, then kept."""
        path = self.folder / "bin.json"
        if not path.exists():
            self._say("a station and a bin with keys of its own")
            store = open_store(
                self.settings.database_path, wait_ms=self.settings.gateway.database_wait_ms
            )
            try:
                made = add_bin(store, self.settings.broker, station=STATION, name=BIN_NAME)
            finally:
                store.close()
            _keep(path, json.dumps(made.as_json()))
        try:
            identity = load_identity(path)
        except IdentityError as error:
            raise CountryError(f"{error}; delete {path} to get another bin") from None
        return Identity(identity.bin, identity.key, identity.label_key, HOST, self.ports["broker"])

    def _member(self) -> str:
        path = self.folder / "member.txt"
        if not path.exists():
            _keep(path, str(self._ask("POST", "/v1/members", {"name": MEMBER_NAME})["id"]))
        return path.read_text()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        keys = tomllib.loads((self.folder / "points" / "keys.toml").read_text())
        try:
            reply = httpx.request(
                method,
                self.points_url + path,
                json=body,
                headers={"Authorization": f"Bearer {keys['operator_key']}"},
                timeout=HTTP_TIMEOUT_S,
            ).raise_for_status()
        except httpx.HTTPError as error:
            raise EnrolError(f"the points backend gave no phone: {error}") from None
        found: dict[str, Any] = reply.json()
        return found
