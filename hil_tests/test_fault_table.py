"""Each fault of firmware/FAULTS.md, produced: seen at the bin, told to the gateway, gone again.

Broker and gateway are the stand-in inside the virtual world (tools/virtual/world/gateway.py).
Longer than most files: one table, one file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from boxbin.core import texts

from gateway import wire
from gateway.fleet.faults import CLOSING
from hil_tests.conftest import IDLE
from hil_tests.test_faults import full_journal
from hil_tests.test_visit import begin
from tools.technician.faults import FAULTS
from tools.technician.font import sentences
from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin
from tools.virtual.world.gateway import Gateway
from tools.virtual.world.stream import Connection, Host
from tools.virtual.world.world import World

BIN, KEY = "B-7K2QM", bytes(range(32))
BROKER, PORT = "broker.test", 1883
LOOK_MS = 5_000
SETTINGS = {"level_ms": LOOK_MS, "reconnect_ms": 200, "reconnect_max_ms": 2_000}
HEARD_S = 12  # a change of faults is told at once, health at most every 5 s
STEP_MS, TONE_STEP_MS = 250, 50
SAYS = {fault.code: fault.says for fault in FAULTS}


@dataclass
class Place:
    """A bin, its stand-in of a gateway, and the journal's lines as they came in."""

    bin: VirtualBin
    gateway: Gateway
    host: Host
    address: int
    lines: list[dict[str, Any]] = field(default_factory=list)
    commands: int = 0

    def codes(self) -> list[str]:
        """Faults as the gateway knows them."""
        health = self.gateway.record.health
        return list(health[-1]["faults"]) if health else ["not heard"]

    def wait(
        self, what: str, check: Callable[[], Any], limit_s: float, step_ms: int = STEP_MS
    ) -> None:
        """Let time pass until `check()` is true."""
        for _ in range(int(limit_s * 1000 / step_ms)):
            if check():
                return
            self.bin.advance(step_ms)
        assert check(), (what, self.bin.display_text(), self.codes(), self.bin.console_tail(10))

    def wait_well(self, limit_s: float = 60) -> None:
        """Until it invites, and the gateway knows of no fault."""
        self.wait("the invitation", lambda: IDLE in self.bin.display_text(), limit_s)
        self.wait("no fault", lambda: self.codes() == [], limit_s)

    def wait_told(self, code: str, limit_s: float = HEARD_S) -> None:
        """Until health at the gateway has the code."""
        self.wait(f"{code} at the gateway", lambda: code in self.codes(), limit_s)

    def wait_said(self, key: str, limit_s: float) -> None:
        """Until a sentence sounds; then display and lamp must say the same."""
        rows = sentences()[key]
        hz = texts.SOUNDS[rows[5]][0][0]
        self.wait(f"the sound of {key}", lambda: self.bin.buzzer() == hz, limit_s, TONE_STEP_MS)
        assert self.bin.display_text() == rows[:4]
        assert set(self.bin.lamp()) == {texts.LAMPS[rows[4]]}

    def fault_lines(self) -> list[tuple[str, str]]:
        """(what, detail) of each `fault` line so far."""
        return [
            (d["what"], d["detail"])
            for line in self.lines
            if line["k"] == "fault"
            for d in [line["d"]]
        ]

    def heard(self, words: str) -> int:
        """How often the console has said that lately."""
        return sum(words in line for line in self.bin.console_tail(500))

    def command(self, do: str, **args: int) -> None:
        """As the operator's `boxback fleet do`."""
        self.commands += 1
        until = int(self.bin.unix_s() + 60) * 1000
        with self.bin.world():
            self.gateway.send(
                "command", {"id": self.commands, "do": do, "args": args, "until": until}
            )


@contextmanager
def place(folder: Path, files: dict[str, bytes] | None = None, **settings: int) -> Iterator[Place]:
    """A bin whose world has a broker."""
    local = json.dumps(SETTINGS | settings).encode()
    bin_ = VirtualBin(
        Identity(BIN, KEY, bytes(32), BROKER, PORT),
        folder,
        virtual_time=True,
        files={"/settings.json": local, **(files or {})},
    )
    lines: list[dict[str, Any]] = []
    with bin_.world() as world:
        gateway = Gateway(
            world.kernel,
            BIN,
            KEY,
            lambda line: lines.append(json.loads(line.raw[wire.MAC_CHARS + 1 :])),
        )
        host = world.net.listen(BROKER, PORT, gateway.accept)
        address = world.net.name(BROKER)
    with bin_:
        yield Place(bin_, gateway, host, address, lines)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One bin for many faults: each test leaves it as it found it."""
    with place(tmp_path_factory.mktemp("street") / "bin") as made:
        yield made


# -- parts -----------------------------------------------------------------------------------------


@contextmanager
def broken(made: Place, part: Callable[..., None]) -> Iterator[None]:
    """A part that is broken for the block, and whole afterwards whatever comes."""
    with made.bin.world() as world:
        part(world, broken=True)
    try:
        yield
    finally:
        with made.bin.world() as world:
            part(world, broken=False)


def scale(world: World, *, broken: bool) -> None:
    world.scale.connected = not broken


def scanner(world: World, *, broken: bool) -> None:
    world.scanner.connected = not broken
    world.scanner.power_on()


def flap(world: World, *, broken: bool) -> None:
    world.flap.jammed = broken


def full(world: World, *, broken: bool) -> None:
    world.level.distance_mm = 310 if broken else None


def near_full(world: World, *, broken: bool) -> None:
    world.level.distance_mm = 400 if broken else None


def level(world: World, *, broken: bool) -> None:
    world.level.fault = "silent" if broken else ""


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (scale, ("scale", "missing")),
        (scanner, ("scanner", "no answer")),
        (flap, ("flap", "open")),
        (full, ("full", "98")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_part_that_closes_the_bin(
    street: Place, part: Callable[..., None], line: tuple[str, str]
) -> None:
    code = part.__name__
    assert code in CLOSING
    street.wait_well()
    before = len(street.fault_lines())
    with broken(street, part):
        if part is flap:  # nobody knows of it before somebody comes
            begin(street.bin)
            street.bin.show_text("SF1234567890")
        street.wait_said(SAYS[code], 60)
        street.wait_told(code)
        street.wait("a shut flap", lambda: street.bin.flap() == "shut", 5)
    new = street.fault_lines()[before:]
    assert [what for what, _ in new] == [code]
    assert new == [line] or (part is full and int(new[0][1]) >= 95)
    street.wait_well()
    assert len(street.fault_lines()) == before + 1


def test_of_two_that_close_the_newest_is_shown_and_both_are_told(street: Place) -> None:
    street.wait_well()
    with broken(street, scale):
        street.wait_told("scale", 60)
        with broken(street, scanner):
            street.wait_said(SAYS["scanner"], 60)
            street.wait("both", lambda: street.codes() == ["scale", "scanner"], HEARD_S)
        street.wait_said(SAYS["scale"], 30)
    street.wait_well()


@pytest.mark.parametrize("part", [level, near_full], ids=lambda part: part.__name__)
def test_a_part_that_only_warns(street: Place, part: Callable[..., None]) -> None:
    street.wait_well()
    before = len(street.fault_lines())
    with broken(street, part):
        street.wait_told(part.__name__, 60)
        assert IDLE in street.bin.display_text()
    street.wait_well()
    assert len(street.fault_lines()) == before


def test_a_flap_that_is_held_open(street: Place) -> None:
    street.wait_well()
    before = len(street.fault_lines())
    street.command("open", s=1)
    street.wait("an open flap", lambda: street.bin.flap() == "open", 10)
    with broken(street, flap):
        street.wait_said(SAYS["flap_shut"], 10)
        street.wait_told("flap_shut", 60)
        assert street.fault_lines()[before:] == [("flap", "shut")]
        begin(street.bin)  # visits go on
    street.wait_well(120)
    assert street.bin.flap() == "shut"


def test_a_display_that_is_gone(street: Place) -> None:
    """An idle bin notices; lamp and sound go on; one that lost its supply is not left dark."""
    street.wait_well()
    with street.bin.world() as world:
        world.connect_display(on=False)
    street.wait_told("display", 60)
    street.bin.show_text("BB1.nonsense")
    street.wait("the sound of a no", lambda: street.bin.buzzer() == 300, 5, TONE_STEP_MS)
    assert street.bin.lamp()[0] == texts.LAMPS["no"]
    with street.bin.world() as world:
        world.connect_display(on=True)
    street.wait_well()
    with street.bin.world() as world:
        world.connect_display(on=False)
        world.connect_display(on=True)
    assert IDLE not in street.bin.display_text()
    street.wait_well()


# -- time, settings, memory, starts ----------------------------------------------------------------


def test_a_bin_that_does_not_know_the_time(street: Place) -> None:
    street.bin.power_off()
    street.bin.engine.sntp.on = False
    street.bin.power_on()
    street.wait_told("clock", 60)
    street.wait("the invitation", lambda: IDLE in street.bin.display_text(), 30)
    street.bin.engine.sntp.on = True
    street.wait_well()


def test_settings_that_are_refused(street: Place) -> None:
    street.wait_well()
    for v, least_mg in ((1, 3), (2, 50_000)):
        with street.bin.world():
            document = {"v": v, "s": {"mass_min_mg": least_mg}}
            street.gateway.send("settings", document, retain=True)
        if v == 1:
            street.wait_told("settings")
            assert street.gateway.record.done[-1]["status"] == "refused"
            assert IDLE in street.bin.display_text()
    street.wait("them in force", lambda: street.gateway.record.health[-1]["settings"] == 2, 60)
    street.wait_well()


def test_starts_that_do_not_last(tmp_path: Path) -> None:
    """Somebody plays with the plug: the bin rests, and says so on both sides."""
    with place(tmp_path / "bin") as made:
        for _ in range(11):
            made.wait("a start", lambda: bool(made.bin.lamp()), 10, TONE_STEP_MS)
            made.bin.power_off()
            made.bin.power_on()
        made.wait_said(SAYS["restarts"], 10)
        made.wait_told("restarts", 60)
        assert made.codes() == ["restarts"]
        assert made.bin.flap() == "shut"
        made.command("restart")
        made.wait_well()
        assert made.fault_lines() == []


SICK_LEVEL = b"""
import asyncio
import gc


class Level:
    def __init__(self, trigger, echo):
        self._looks = 0
        self._hog = []

    async def read(self, count):
        self._looks += 1
        if self._looks == 3:
            gc.collect()
            while gc.mem_free() > %d:
                self._hog.append(bytearray(256))
        elif self._looks == 9:
            self._hog = []
        elif self._looks == 11:
            await asyncio.sleep(30)
        return [900] * count
"""


def test_a_program_that_is_short_of_memory_or_hangs(tmp_path: Path) -> None:
    """A driver that takes the heap for half a minute, and later does not come back for as long."""
    files = {"/app/a/boxbin/drivers/level.py": SICK_LEVEL % 3_500}
    with place(tmp_path / "bin", files) as made:
        made.wait_told("memory", 60)
        assert IDLE in made.bin.display_text()
        made.wait_well()
        made.wait_told("late", 60)
        assert IDLE in made.bin.display_text()
        made.wait_well()
        assert made.bin.engine.resets == 0
        assert made.fault_lines() == []


# -- the journal -----------------------------------------------------------------------------------


def test_a_journal_that_is_full_and_damaged(tmp_path: Path) -> None:
    files = full_journal(BIN, KEY)
    name = min(files)
    files[name] = files[name].replace(b"xxxx", b"xxyx", 1)
    with place(tmp_path / "bin", files) as made:
        made.gateway.receipting = False
        made.wait_said(SAYS["journal"], 30)
        made.wait_told("journal", 30)
        made.wait_told("journal_near")
        assert made.bin.flap() == "shut"
        made.gateway.receipting = True
        made.wait_told("journal_mended", 60)
        made.wait("a line in place of the damaged one", made.fault_lines, 60)
        assert made.fault_lines() == [("journal", "line damaged")]
        made.wait("room", lambda: made.codes() == ["journal_near", "journal_mended"], 60)
        made.wait("more room", lambda: made.codes() == ["journal_mended"], 300)
        assert IDLE in made.bin.display_text()
        made.command("restart")
        made.wait_well()


# -- the link itself -------------------------------------------------------------------------------


class Refusing:
    """A broker that does not like the password (MQTT 3.1.1: return code 4)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def data(self, _data: bytes) -> None:
        self._connection.send(b"\x20\x02\x00\x04")

    def closed(self) -> None:
        pass


def wifi(made: Place, *, broken: bool) -> None:
    made.bin.wifi(on=not broken)


def name(made: Place, *, broken: bool) -> None:
    with made.bin.world() as world:
        if broken:
            del world.net.names[BROKER]
        else:
            world.net.names[BROKER] = made.address
    made.host.drop_all()


def nobody(made: Place, *, broken: bool) -> None:
    made.host.mode = "refuse" if broken else "up"
    made.host.drop_all()


def silence(made: Place, *, broken: bool) -> None:
    made.host.mode = "silent" if broken else "up"


def password(made: Place, *, broken: bool) -> None:
    made.host.accept = Refusing if broken else made.gateway.accept
    made.host.drop_all()


def short(made: Place, *, broken: bool) -> None:
    """The broker restarts."""
    if broken:
        made.host.drop_all()


@pytest.mark.parametrize(
    ("link", "words", "why"),
    [
        (wifi, "not joined in 20000 ms", "wifi"),
        (name, f"link: {BROKER}:", "name"),
        (nobody, "write: OSError(111", "connect"),
        (silence, "no answer from", "connect"),
        (password, "refused: user name or password", "refused"),
        (short, "closed by the broker", "session"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_link_that_is_gone_is_explained_afterwards(
    street: Place, link: Callable[..., None], words: str, why: str
) -> None:
    street.wait_well()
    with street.bin.world():
        link(street, broken=True)
    said = street.heard(words)
    try:
        street.wait(words, lambda: street.heard(words) > said, 120)
        if link is not short:
            street.wait("the last will", lambda: street.gateway.online is False, 90)
        assert IDLE in street.bin.display_text()
    finally:
        with street.bin.world():
            link(street, broken=False)
            told = len(street.gateway.record.health)
    street.wait("the link", lambda: street.gateway.online, 60)
    street.wait("health", lambda: len(street.gateway.record.health) > told, 10)
    assert street.gateway.record.health[-1]["offline_why"] == why
