"""A broker of the field with its fleet and gateway, and hands for the bins there.

Brokers are kept for all tests of a worker, so each test takes a new bin.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config import Settings
from gateway.fleet.register import Provisioning
from gateway.run import Gateway
from tests.support.brokers import (
    Certificates,
    Fleet,
    Peer,
    leave,
    make_certificates,
    running_peer,
)
from tests.support.country import BIN_SETTINGS, IDLE, LIMIT_S
from tests.support.gateway import PointsStub, rows, running_gateway, topic_of, wait_for
from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin

BINS = 24
"""More than there are tests with one broker."""


@dataclass
class Field:
    """A broker, the bins it knows, and the gateway's settings there."""

    broker: Peer
    fleet: Fleet
    certificates: Certificates

    @contextmanager
    def bin(
        self, folder: Path, made: Provisioning, port: int = 0, **identity: Any
    ) -> Iterator[VirtualBin]:
        key = identity.pop("key", made.key)
        known = Identity(
            made.bin, key, made.label_key, "127.0.0.1", port or self.broker.port, **identity
        )
        files = {"/settings.json": json.dumps(BIN_SETTINGS).encode()}
        with VirtualBin(known, folder / "bin", files=files) as bin_:
            yield bin_

    @contextmanager
    def gateway(self) -> Iterator[Gateway]:
        with PointsStub() as points, running_gateway(self.settings(points.url)) as gateway:
            yield gateway

    def settings(self, points_url: str = "http://127.0.0.1:9") -> Settings:
        return self.fleet.settings(self.broker, points_url)

    def lines(self, made: Provisioning) -> list[tuple[int, str]]:
        found = rows(self.settings(), "select bin, n, kind from lines order by n")
        return [(n, kind) for bin_id, n, kind in found if bin_id == made.bin]

    def wait_lines(self, made: Provisioning, *kinds: str) -> None:
        """Exactly these lines, in order, each once."""
        expected = list(enumerate(kinds, 1))
        wait_for(f"lines {expected}", lambda: self.lines(made) == expected, LIMIT_S)


class Fields:
    """The brokers of a whole test run, each started when it is first asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._found: dict[str, Field] = {}

    def get(self, kind: str) -> Field:
        if kind not in self._found:
            folder = self._folder / kind
            for name in ("gateway", "broker"):
                (folder / name).mkdir(parents=True)
            fleet = Fleet(folder / "gateway", BINS)
            certificates = make_certificates(folder)
            broker = self._stack.enter_context(
                running_peer(kind, folder / "broker", fleet.users, certificates)
            )
            self._found[kind] = Field(broker, fleet, certificates)
        return self._found[kind]


def give_back(bin_: VirtualBin, label: str) -> None:
    """One carton, from the pass to thanks."""
    bin_.wait_for_text(IDLE, LIMIT_S)
    bin_.show_text(f"BB1.0A1B2C3D.{int(time.time()) // 30}.ABCDEFGHJKMNPQRS")
    bin_.wait_for_text("Hello!", LIMIT_S)
    bin_.show_text(label)
    bin_.wait_for_text("Put the carton", LIMIT_S)
    bin_.wait_for(lambda: bin_.flap() == "open", LIMIT_S, "an open flap")
    bin_.drop(312)
    bin_.wait_for_text("Thank you!", LIMIT_S)


def said(bin_: VirtualBin, text: str) -> int:
    return sum(text in line for line in bin_.console_tail(500))


def wait_said(bin_: VirtualBin, text: str, times: int) -> None:
    bin_.wait_for(lambda: said(bin_, text) >= times, LIMIT_S, f"{times} times {text!r}")


@dataclass
class Watch:
    """What a client of the gateway's user hears of one bin: leaf and payload."""

    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def of(self, leaf: str) -> list[bytes]:
        return [payload for heard, payload in self.heard if heard == leaf]


@contextmanager
def watching(
    a_field: Field, made: Provisioning, *leaves: str, tls: bool = False
) -> Iterator[Watch]:
    watch = Watch()
    certificates = a_field.certificates if tls else None
    client = a_field.fleet.client(
        a_field.broker, "boxback-gateway", f"watch-{made.bin}", certificates
    )
    client.on_message = lambda _c, _u, message: watch.heard.append(
        (message.topic.rpartition("/")[2], bytes(message.payload))
    )
    try:
        client.subscribe([(topic_of(made.bin, leaf), 1) for leaf in leaves])
        yield watch
    finally:
        leave(client)
