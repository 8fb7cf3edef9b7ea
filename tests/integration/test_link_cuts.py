"""The link cut at every byte of a conversation: the bin comes back, nothing is lost or doubled.

What is cut is the firmware's own link, clock and flash on MicroPython (tests/firmware/link_alone.py)
against a real mosquitto and a real gateway, through a proxy that counts bytes. One process makes a
thousand connections.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.run import Gateway
from tests.support.brokers import Fleet, make_certificates, running_peer
from tests.support.chaos import (
    BYTES,
    CLOSE,
    CONNACK,
    DOWN,
    JOINED,
    NONE,
    PUBACK,
    PUBLISH,
    RESET,
    STALL,
    SWALLOW,
    UP,
    Chaos,
    Fault,
    Packet,
    Passage,
    chaos,
)
from tests.support.gateway import rows, running_gateway, wait_for
from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin

MAIN = Path(__file__).parents[1] / "firmware" / "link_alone.py"
LIMIT_S = 60.0
HEAP_GROWTH_BYTES = 4096  # 8 bytes a connection
SOCKETS_MAX = 3  # to the world, to the broker, and one that may just be on its way out


@dataclass
class Alone:
    """A bin that is nothing but its link, its gateway, and the proxy between."""

    bin: VirtualBin
    gateway: Gateway
    proxy: Chaos

    def lines(self) -> list[int]:
        return [n for (n,) in rows(self.gateway, "select n from lines order by n")]

    def written(self) -> int:
        return sum(line.startswith("line ") for line in self._console())

    def heaps(self) -> list[int]:
        return [int(line.split()[1]) for line in self._console() if line.startswith("heap ")]

    def noticed(self) -> int:
        return sum("broker silent for" in line for line in self.bin.console_tail(500))

    def _console(self) -> list[str]:
        log = self.bin.workdir / "console.log"
        return re.findall(r"(?:line|heap) \d+", log.read_text() if log.exists() else "")

    def sockets(self) -> int:
        child = self.bin.engine._child
        assert child is not None
        found = 0
        for link in Path(f"/proc/{child.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += "socket" in str(link.readlink())
        return found

    def check_all_there(self) -> None:
        """The link goes on without faults; then every line is at the gateway once."""
        before = self.written()
        self.proxy.plan = lambda _: NONE
        self.proxy.reset()
        wait_for("two more lines", lambda: self.written() >= before + 2, LIMIT_S)
        top = self.written()
        wait_for(f"line {top} at the gateway", lambda: len(self.lines()) >= top, LIMIT_S)
        found = self.lines()
        assert found == list(range(1, len(found) + 1))
        assert rows(self.gateway, "select count(*) from quarantine") == [(0,)]
        wait_for("closed sockets", lambda: self.sockets() <= SOCKETS_MAX, LIMIT_S)


@contextlib.contextmanager
def alone(
    folder: Path,
    plan: Callable[[int], Fault],
    watch: Callable[[Passage, Packet], None] = lambda _passage, _packet: None,
    main: bytes = MAIN.read_bytes(),
) -> Iterator[Alone]:
    for name in ("gateway", "broker"):
        (folder / name).mkdir()
    fleet = Fleet(folder / "gateway", 1)
    made = fleet.next_bin()
    certificates = make_certificates(folder)
    with (
        running_peer("mosquitto", folder / "broker", fleet.users, certificates) as broker,
        running_gateway(fleet.settings(broker)) as gateway,
        chaos(broker.port, plan=plan, watch=watch) as proxy,
    ):
        identity = Identity(made.bin, made.key, made.label_key, "127.0.0.1", proxy.port)
        with VirtualBin(identity, folder / "bin", files={"/main.py": main}) as bin_:
            yield Alone(bin_, gateway, proxy)


class Sweep:
    """Cuts the n-th connection after n bytes of one way, until whole conversations pass uncut."""

    def __init__(self, way: str, step: int = 1, ends: tuple[str, ...] = (CLOSE, RESET)) -> None:
        self._way, self._step, self._ends = way, step, ends
        self.proxy: Chaos | None = None
        self.cuts = 0
        self.done = threading.Event()

    def plan(self, number: int) -> Fault:
        if self.done.is_set():
            return NONE
        self.cuts = number
        end = self._ends[number % len(self._ends)]
        return Fault(self._way, at_byte=number * self._step, end=end)

    def wait(self, bin_: VirtualBin) -> None:
        wait_for("the last cut", lambda: self.done.is_set() or bin_.state() == "halted", LIMIT_S)
        assert self.done.is_set(), f"after {self.cuts} cuts: {bin_.console_tail(12)}"

    def watch(self, passage: Passage, packet: Packet) -> None:
        """The receipt's PUBACK is the last word of the conversation."""
        if packet.way == UP and packet.kind == PUBACK and not passage.failed.is_set():
            passage.failed.set()
            if passage.passed[self._way] < (passage.fault.at_byte or 0):
                self.done.set()
            # From a thread of its own, for this one still has the packet in its hands.
            assert self.proxy is not None
            threading.Timer(0.01, self.proxy.end, (passage,)).start()


@pytest.mark.parametrize(("way", "least"), [(UP, 440), (DOWN, 80)])
def test_cut_at_every_byte(tmp_path: Path, way: str, least: int) -> None:
    """Closed and reset in turn. The way up ends later than its own packets do, for what was on its
    way is sent again first."""
    sweep = Sweep(way)
    with alone(tmp_path, sweep.plan, sweep.watch) as a:
        sweep.proxy = a.proxy
        sweep.wait(a.bin)
        assert sweep.cuts >= least
        a.check_all_there()
        # It comes and goes with the moment at which it is looked at, but it does not grow.
        heaps = a.heaps()
        half = len(heaps) // 2
        assert half == 0 or min(heaps[half:]) - min(heaps[:half]) < HEAP_GROWTH_BYTES, heaps


@pytest.mark.parametrize(("way", "step"), [(UP, 23), (DOWN, 7)])
def test_a_stream_that_stops_in_the_middle_of_a_packet(tmp_path: Path, way: str, step: int) -> None:
    """Nothing is closed: the bin must find out by itself."""
    sweep = Sweep(way, step, (STALL,))
    with alone(tmp_path, sweep.plan, sweep.watch) as a:
        sweep.proxy = a.proxy
        sweep.wait(a.bin)
        a.check_all_there()


def test_a_broker_that_goes_silent_is_left(tmp_path: Path) -> None:
    """It takes everything and answers nothing: from the first word on, or after the greeting."""
    faults = [Fault(DOWN, at_byte=at, end=SWALLOW) for at in (0, 4, 8, 14)]
    with alone(tmp_path, lambda n: faults[n] if n < len(faults) else NONE) as a:
        wait_for("a good connection", lambda: len(a.proxy.passages) > len(faults), LIMIT_S)
        a.bin.wait_for_console("no answer from", LIMIT_S)
        a.bin.wait_for_console("broker silent for", LIMIT_S)
        a.check_all_there()


@pytest.mark.parametrize("puback", [1, 2])
def test_closed_before_a_puback_it_is_sent_again_as_a_duplicate(
    tmp_path: Path, puback: int
) -> None:
    """The first PUBACK is that of `online`, the second that of the journal."""
    fault = Fault(DOWN, before=PUBACK, count=puback)
    with alone(tmp_path, lambda n: fault if n == 1 else NONE) as a:

        def again() -> list[Packet]:
            return [
                p for after in a.proxy.passages[2:3] for p in after.seen(UP, PUBLISH, "journal")
            ]

        wait_for("a line", lambda: a.written() == 1, LIMIT_S)
        wait_for("its receipt", lambda: a.proxy.passages[0].seen(UP, PUBACK), LIMIT_S)
        a.proxy.reset()
        wait_for("what is sent again", again, LIMIT_S)
        cut, after = a.proxy.passages[1:3]
        assert cut.failed.is_set()
        sent = cut.seen(UP, PUBLISH, "journal")
        if sent and after.seen(DOWN, CONNACK)[0].data[2]:
            first = again()[0]
            assert (first.dup, first.packet_id) == (True, sent[-1].packet_id)
            assert first.payload == sent[-1].payload
        a.check_all_there()


@pytest.mark.parametrize("pieces", [BYTES, JOINED])
def test_packets_may_arrive_byte_by_byte_or_several_at_once(tmp_path: Path, pieces: str) -> None:
    with alone(tmp_path, lambda _: Fault(pieces=pieces)) as a:
        wait_for("six lines", lambda: len(a.lines()) >= 6, LIMIT_S)
        assert len(a.proxy.passages) == 1
        a.check_all_there()


def test_a_network_that_is_cut_without_a_word(tmp_path: Path) -> None:
    """Half-open: the bin's old connection hangs at the broker when the bin comes again."""
    with alone(tmp_path, lambda _: NONE) as a:
        for turn in range(1, 4):
            passed = len(a.proxy.passages)
            wait_for("a connection", lambda n=turn: len(a.proxy.passages) == n, LIMIT_S)
            wait_for("a line", lambda n=passed: len(a.lines()) > n, LIMIT_S)
            a.proxy.freeze()
            wait_for("the bin to notice", lambda n=turn: a.noticed() >= n, LIMIT_S)
            a.proxy.heal()
        a.check_all_there()


CLOSED = b"""
import asyncio, sys
sys.path.insert(0, "/app/a")
from boxbin.clock import Clock
from boxbin.core import wire
from boxbin.identity import Identity
from boxbin.mqttclient import Client
from boxbin.wifi import Wifi

async def ended(what, work):
    try:
        while True:
            await work()
    except Exception as error:
        print(what, "ended:", type(error).__name__)

async def main():
    i = Identity()
    await Wifi(i.wifi_ssid, i.wifi_key).join()
    topic = wire.topic(i.bin_id, "online")
    client = Client(Clock().uptime_ms)
    await client.connect(i.broker_host, i.broker_port, i.bin_id, wire.mqtt_password(i.key),
                         topic, True, None, None)
    async with client._lock:
        asyncio.create_task(ended("send", lambda: client.publish(topic, b"1", 1)))
        await asyncio.sleep_ms(100)
        await client.close()
    await asyncio.sleep_ms(1000)
    print("looked")

asyncio.run(main())
"""


def closed_under_its_users(folder: Path) -> list[str]:
    """What a sender that waits for its turn says when the connection is closed."""
    with alone(folder, lambda _: NONE, main=CLOSED) as a:
        a.bin.wait_for_console("looked", LIMIT_S)
        return a.bin.console_tail()


def test_a_sender_that_waits_learns_that_the_connection_is_closed(tmp_path: Path) -> None:
    """It looks again with the lock in hand: an AttributeError there would restart the bin."""
    assert "send ended: LinkDown" in closed_under_its_users(tmp_path)
