"""A day of one bin in phases, for measuring what each of them needs: tools/load/limits.py.

Start-up without a link, a visit, connecting (plainly, or by TLS with certificates of both sides),
catching up with what was stored, a visit on the link, all in virtual time. TLS is the
interpreter's own against Python's, in front of the stand-in of tools/virtual/world/gateway.py.
"""

from __future__ import annotations

import base64
import shutil
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tools.load.people import People
from tools.virtual.identity import Identity
from tools.virtual.process import HEAP_KB
from tools.virtual.supervisor import VirtualBin, WaitedTooLong
from tools.virtual.world.gateway import Gateway
from tools.virtual.world.secured import Secured
from tools.virtual.world.stream import Connection, Handler

BIN, KEY, LABEL_KEY = "B-7K2QM", bytes(range(32)), bytes(32)
BROKER: Final = "broker.test"
PLAIN_PORT, TLS_PORT = 1883, 8883
INVITING: Final = "show your pass"
STEP_MS: Final = 500
REST_MS: Final = 3_000
LIMIT_S: Final = 240
SEED: Final = 1
MADE_S: Final = 1_790_000_000  # before the virtual world begins: a provisioned bin's clock
OUT_OF_MEMORY: Final = ("MemoryError", "memory allocation failed")
PHASES: Final = ("start", "visits", "connect", "catch-up", "visit online")
VISITS: Final = 33  # more than a bin remembers labels


class Failed(Exception):
    """A phase did not come to its end as it should; says why."""


@dataclass(frozen=True)
class Trust:
    """What both sides hold against each other: DER for the bin, a context for the broker."""

    ca: bytes
    certificate: bytes
    key: bytes
    context: ssl.SSLContext


def make_trust() -> Trust:
    """A CA (P-256), a broker's and a bin's certificate, as a site would have them."""
    import trustme  # noqa: PLC0415  (of the test extra)

    ca = trustme.CA()
    broker, client = ca.issue_cert(BROKER), ca.issue_cert(f"{BIN}.boxback.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    broker.configure_cert(context)
    ca.configure_trust(context)

    def der(pem: trustme.Blob) -> bytes:
        return base64.b64decode(b"".join(pem.bytes().split(b"-----")[2].split()))

    key = der(client.private_key_pem)
    return Trust(der(ca.cert_pem), der(client.cert_chain_pems[0]), key, context)


class Life:
    """One bin from power-on, with a stored journal when `image` is a folder made by `store`."""

    def __init__(
        self,
        folder: Path,
        trust: Trust | None = None,
        *,
        heap_kb: int = HEAP_KB,
        image: Path | None = None,
        firmware: Path | None = None,
    ) -> None:
        if image is not None:
            shutil.copytree(image, folder, dirs_exist_ok=True)
        port = TLS_PORT if trust else PLAIN_PORT
        who = Identity(BIN, KEY, LABEL_KEY, BROKER, port, made_s=MADE_S)
        if trust:
            who = replace(who, tls_ca=trust.ca, tls_cert=trust.certificate, tls_key=trust.key)
        self.bin = VirtualBin(
            who,
            folder,
            virtual_time=True,
            seed=SEED,
            heap=f"{heap_kb}K",
            firmware=firmware,
            power=False,
        )
        with self.bin.world() as world:
            self.world = world
            self.people = People(self.bin, world, SEED, lambda: None)
            self.gateway = Gateway(world.kernel, BIN, KEY, self.people.line)
            self.gateway.receipting = False

            def accept(connection: Connection) -> Handler:
                if trust is None:
                    return self.gateway.accept(connection)
                return Secured(trust.context, connection, self.gateway.accept)

            world.net.listen(BROKER, port, accept)

    def now_ms(self) -> int:
        """Virtual time."""
        return self.world.kernel.now_us // 1000

    def phases(self) -> Iterator[str]:
        """Live through PHASES, giving the name of each when it is over and the bin has rested a
        little. Raises Failed.
        """
        for name in PHASES:
            try:
                self._phase(name)
                self.bin.advance(REST_MS)
            except WaitedTooLong as error:
                raise Failed(f"{name}: {str(error)[:200]}") from None
            self._check(name)
            yield name

    def _phase(self, name: str) -> None:
        if name == "start":
            self.bin.wifi(on=False)
            self.bin.power_on()
            self.wait(lambda: INVITING in self.people.text(), "an invitation")
        elif name == "connect":
            self.bin.wifi(on=True)
            # With health sent and the first lines there, every part of the link was at work.
            heard = self.gateway.record
            self.wait(lambda: bool(heard.health and heard.upto and self.gateway.online), "the bin")
        elif name == "catch-up":
            self.gateway.receipting = True
            seen = self.gateway.record
            # The cartons of "visits" came after everything that was stored.
            self.wait(lambda: not self.people.tally.promised, "all lines")
            if seen.gaps or seen.changed or seen.bad:
                raise Failed(f"{name}: {seen.gaps} {seen.changed} {seen.bad}")
        else:
            for _ in range(VISITS if name == "visits" else 1):
                self.visit()

    def visit(self) -> None:
        """One person, one carton."""
        visits = self.people.tally.visits
        self.people.come(100_000)
        self.wait(
            lambda: self.people.tally.visits > visits and not self.people.busy, "a whole visit"
        )

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Let virtual time pass until it is so, or the bin is out of memory."""

        def so() -> bool:
            return condition() or self.out_of_memory() != "" or self.bin.engine.resets > 0

        self.bin.wait_for(so, LIMIT_S, what)

    def out_of_memory(self) -> str:
        """The line in which the bin said so, or ""."""
        for line in self.bin.console_tail(500):
            if any(word in line for word in OUT_OF_MEMORY):
                return line
        return ""

    def _check(self, name: str) -> None:
        line = self.out_of_memory()
        if line or self.bin.engine.resets or self.bin.state() != "running":
            last = " / ".join(self.bin.console_tail(3))
            raise Failed(f"{name}: {line or last}")


def store(folder: Path, visits: int) -> Path:
    """A bin's flash and NVS after so many visits without a network; returns `folder`."""
    life = Life(folder)
    with life.bin as bin_:
        bin_.wifi(on=False)
        bin_.power_on()
        for _ in range(visits):
            life.visit()
    for name in ("console.log",):
        (folder / name).unlink(missing_ok=True)
    return folder
