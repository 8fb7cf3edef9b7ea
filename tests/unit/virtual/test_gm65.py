"""The scanner: the vectors of its protocol, its manners, and that no bytes can break it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.virtual.world.gm65 import BAUD, FACTORY, MODE, SAME_CODE, START_US, TRIGGER, Gm65, crc
from tools.virtual.world.kernel import Kernel

# facts/hardware.md, "7E 00 family".
VECTORS = [
    ("7E 00 08 01 00 0A 3E 4C CF", "02 00 00 01 00 33 31"),
    ("7E 00 09 01 00 00 00 DE C8", "02 00 00 01 00 33 31"),
    ("7E 00 08 01 00 02 01 02 DA", "02 00 00 01 00 33 31"),
]


class Bench:
    """A scanner on a line at 9600, and the time it needs."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.received = bytearray()
        self.times: list[int] = []
        self.scanner = Gm65(self.kernel, self._take)
        self.scanner.power_on()
        self.wait(START_US)

    def _take(self, data: bytes) -> None:
        self.received += data
        self.times.append(self.kernel.now_us)

    def wait(self, us: int) -> None:
        self.kernel.run_to(self.kernel.now_us + us)

    def send(self, data: bytes, baud: int = 9600, wait_us: int = 300_000) -> bytes:
        self.received.clear()
        self.scanner.receive(data, baud)
        self.wait(wait_us)
        return bytes(self.received)

    def write(self, address: int, *data: int) -> bytes:
        body = bytes([8, len(data)]) + address.to_bytes(2, "big") + bytes(data)
        return self.send(b"\x7e\0" + body + crc(body))

    def read(self, address: int, count: int = 1) -> bytes:
        body = bytes([7, 1]) + address.to_bytes(2, "big") + bytes([count])
        return self.send(b"\x7e\0" + body + crc(body))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(("sent", "reply"), VECTORS)
def test_vectors(bench, sent, reply):
    assert bench.send(bytes.fromhex(sent)) == bytes.fromhex(reply)


def test_read_vector_after_write(bench):
    bench.send(bytes.fromhex(VECTORS[0][0]))
    reply = bench.send(bytes.fromhex("7E 00 07 01 00 0A 01 EE 8A"))
    assert reply == bytes.fromhex("02 00 00 01 3E E4 AC")


def test_abcd_skips_the_check(bench):
    assert bench.send(bytes.fromhex("7E 00 08 01 00 0A 3E AB CD")) != b""


def test_a_wrong_check_gets_no_reply(bench):
    assert bench.send(bytes.fromhex("7E 00 08 01 00 0A 3E 4C CE")) == b""
    assert bench.scanner.dropped_frames == 1
    assert bench.read(0x0A) == bytes.fromhex("02 00 00 01 00 33 31")


def test_a_gap_drops_the_frame(bench):
    frame = bytes.fromhex(VECTORS[0][0])
    bench.send(frame[:4], wait_us=500_000)
    assert bench.send(frame[4:]) == b""
    assert bench.send(frame) != b""


def test_a_short_gap_does_not(bench):
    frame = bytes.fromhex(VECTORS[0][0])
    bench.send(frame[:4], wait_us=300_000)
    assert bench.send(frame[4:]) != b""


def test_bytes_come_at_the_pace_of_the_line(bench):
    bench.scanner.chunk_bytes = 1
    before = bench.kernel.now_us
    bench.send(bytes.fromhex(VECTORS[0][0]))
    assert len(bench.times) == 7
    steps = {b - a for a, b in zip(bench.times, bench.times[1:], strict=False)}
    assert steps <= {1043, 1044}  # ten bits at 3,000,000 / 0x139 baud
    assert bench.times[0] - before > 9 * 1041


def test_two_frames_at_once_are_answered_in_order(bench):
    frame = bytes.fromhex("7E 00 07 01 00 2A 02") + crc(bytes.fromhex("07 01 00 2A 02"))
    reply = bench.send(frame + bytes.fromhex(VECTORS[0][0]))
    assert reply[:6] == bytes.fromhex("02 00 00 02 39 01")
    assert reply[8:] == bytes.fromhex(VECTORS[0][1])


def test_baud_changes_after_its_reply_and_survives_power_only_when_saved(bench):
    assert bench.write(BAUD, 0x1A, 0x00) != b""
    assert bench.scanner.baud() == 3_000_000 // 0x1A
    assert bench.read(0) == b"" or bench.scanner.dropped_frames  # 9600 is noise to it now
    body = bytes([9, 1, 0, 0, 0])
    assert bench.send(b"\x7e\0" + body + crc(body), baud=115_200) != b""
    bench.scanner.power_on()
    assert bench.scanner.baud() == 3_000_000 // 0x1A


def test_without_save_the_power_switch_restores(bench):
    bench.write(MODE, 0xD6)
    bench.scanner.power_on()
    assert bench.scanner.mode() == 0


def test_factory_reset(bench):
    bench.write(MODE, 0xD6)
    bench.write(FACTORY, 0x55)
    assert bench.scanner.mode() == 0


def test_it_does_not_answer_before_it_has_started():
    bench = Bench()
    bench.scanner.power_on()
    assert bench.send(bytes.fromhex(VECTORS[0][0]), wait_us=100_000) == b""


def test_manual_mode_reads_only_when_triggered(bench):
    bench.scanner.show([b"X"])
    bench.wait(1_000_000)
    assert bench.received == b""
    bench.write(TRIGGER, 1)
    bench.scanner.show([b"X"])
    bench.wait(1_000_000)
    assert bench.received.endswith(b"X\r")


def test_continuous_mode_repeats_unless_the_same_code_waits(bench):
    bench.write(MODE, 0xD6)
    bench.received.clear()
    bench.scanner.show([b"SF1"], 2_500_000)
    bench.wait(4_000_000)
    assert bench.received == b"SF1\rSF1\rSF1\r"
    bench.write(SAME_CODE, 0x80 | 50)
    bench.received.clear()
    bench.scanner.show([b"SF1"], 2_500_000)
    bench.wait(4_000_000)
    assert bench.received in (b"", b"SF1\r")
    bench.scanner.show([b"SF2"])
    bench.wait(2_000_000)
    assert bench.received.endswith(b"SF2\r")


def test_quirk_of_some_units(bench):
    bench.scanner.quirky = True
    assert bench.read(BAUD, 2) == bytes.fromhex("02 00 00 02 39 01 33 31")


def test_a_dead_scanner_says_nothing(bench):
    bench.scanner.connected = False
    assert bench.send(bytes.fromhex(VECTORS[0][0])) == b""


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_after_any_noise_and_a_pause_it_answers_again(noise):
    bench = Bench()
    bench.send(noise, wait_us=2_000_000)
    body = bytes([7, 1]) + BAUD.to_bytes(2, "big") + b"\2"
    reply = bench.send(b"\x7e\0" + body + crc(body), bench.scanner.baud(), wait_us=800_000)
    assert reply.startswith(b"\x02\0\0\2")
