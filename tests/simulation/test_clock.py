"""A time that nobody was asked for does not set the bin's clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tools.load.street import street
from tools.virtual.engine import NTP_NAME, NTP_PORT
from tools.virtual.world.world import World


def spoof(world: World, real: Callable[[bytes], bytes | None]) -> None:
    """Answer every question about the time as one does who has not seen it."""

    def answer(request: bytes) -> bytes | None:
        reply = real(request)
        return reply and reply[:24] + bytes(8) + reply[32:]

    world.net.datagrams(NTP_NAME, NTP_PORT, answer)


def test_an_answer_without_the_mark_of_the_question_is_no_time(tmp_path: Path) -> None:
    with street(tmp_path, 1, lambda: None) as place:
        spoof(place.world, place.bin.engine._answer_time)
        place.bin.advance(20_000)
        assert place.gateway.record.health[-1]["clock"] == "none"
        place.world.net.datagrams(NTP_NAME, NTP_PORT, place.bin.engine._answer_time)
        place.bin.advance(90_000)
        assert place.gateway.record.health[-1]["clock"] == "ntp"
