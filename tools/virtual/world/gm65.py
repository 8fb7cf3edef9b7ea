"""A GM65-class scanner: its serial protocol at the pace of the line, and when it reads a code."""

from __future__ import annotations

import binascii
from collections.abc import Callable

from tools.virtual.world.kernel import Kernel, Pending

READ, WRITE, SAVE = 0x07, 0x08, 0x09
MODE, TRIGGER, INTERVAL, TIMEOUT = 0x0000, 0x0002, 0x0005, 0x0006
OUTPUT, SAME_CODE, BAUD, TAIL = 0x000D, 0x0013, 0x002A, 0x0060
FACTORY, VERSION = 0x00D9, 0x00E2
MANUAL, COMMAND, CONTINUOUS, INDUCTION = 0, 1, 2, 3

NO_CHECK = b"\xab\xcd"
GAP_US = 400_000  # a longer pause drops the frame
START_US = 350_000  # from power to the first answer
ANSWER_US = 8_000
DECODE_US = 120_000
BAUD_BASE = 3_000_000
CHUNK_BYTES = 4  # bytes that reach the board's driver together
HOLD_US = 1_500_000  # how long a shown picture stays in front of the window
QUEUE_BYTES = 4096

# From the box: light and sound as delivered, mode manual, so that a firmware must set what it
# needs; 5 s reading time, 1 s between readings, tail CR.
DEFAULTS = {MODE: 0xD4, INTERVAL: 0x0A, TIMEOUT: 0x32, BAUD: 0x39, BAUD + 1: 0x01, VERSION: 0x87}
TAILS = {0: b"\r", 1: b"\r\n", 2: b"\t", 3: b""}


def crc(data: bytes) -> bytes:
    """CRC-16/XMODEM, big-endian."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")


class Gm65:
    """`transmit` gets bytes as the board's UART receives them, already at their time.

    `heard` gets each text that was read aloud, when its last byte has arrived.
    """

    def __init__(
        self,
        kernel: Kernel,
        transmit: Callable[[bytes], None],
        heard: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self.connected = True
        self.quirky = False  # some units end every reply in 33 31
        self.chunk_bytes = CHUNK_BYTES
        self.dropped_frames = 0
        self.sent: list[bytes] = []  # what it has read aloud, newest last, for tests and the page
        self._kernel = kernel
        self._transmit = transmit
        self._heard = heard
        self._saved = dict(DEFAULTS)
        self._registers = dict(DEFAULTS)
        self._frame = bytearray()
        self._last_byte_us = 0
        self._line_in_us = 0
        self._line_out_us = 0
        self._ready_us = START_US
        self._view: list[bytes] = []
        self._view_until_us = 0
        self._armed_until_us = 0
        self._busy_until_us = 0
        self._last_text = b""
        self._last_text_us = 0
        self._look: Pending | None = None

    # -- power and line --------------------------------------------------------------------------

    def power_on(self) -> None:
        """Registers as they were saved; it takes a moment before it answers."""
        self._registers = dict(self._saved)
        self._frame.clear()
        self._ready_us = self._kernel.now_us + START_US
        self._line_in_us = self._line_out_us = self._kernel.now_us
        self._armed_until_us = 0

    def baud(self) -> int:
        """The speed it listens and speaks at."""
        divisor = self._registers.get(BAUD, 0) | self._registers.get(BAUD + 1, 0) << 8
        return BAUD_BASE // divisor if divisor else 9600

    def receive(self, data: bytes, baud: int) -> None:
        """Bytes the board begins to send now at `baud`; they arrive at the pace of the line."""
        if not self.connected:
            return
        byte_us = 10_000_000 // max(baud, 300)
        begin = max(self._kernel.now_us, self._line_in_us)
        self._line_in_us = begin + byte_us * len(data)
        # 9600 in truth is 9585 by the divisor: what counts is whether the speeds fit within 3 %.
        if abs(baud - self.baud()) * 100 > 3 * self.baud():
            data = bytes(0xFF for _ in data)

        def arrive() -> None:
            for index, byte in enumerate(data):
                self._byte(byte, begin + byte_us * (index + 1))

        self._kernel.at(self._line_in_us, arrive)

    def _byte(self, byte: int, at_us: int) -> None:
        if self._frame and at_us - self._last_byte_us > GAP_US:
            self._drop()
        self._last_byte_us = at_us
        self._frame.append(byte)
        if self._frame[0] != 0x7E or (len(self._frame) > 1 and self._frame[1] != 0):
            keep = bytes([0x7E]) if byte == 0x7E else b""
            self._frame[:] = keep
            return
        if len(self._frame) >= 4 and len(self._frame) == self._frame_length():
            frame = bytes(self._frame)
            self._frame.clear()
            self._command(frame)

    def _frame_length(self) -> int:
        return 8 + self._data_length()

    def _data_length(self) -> int:
        """A read carries one byte (how many), whatever its length field says."""
        return 1 if self._frame[2] == READ else self._frame[3]

    def _drop(self) -> None:
        self.dropped_frames += 1
        self._frame.clear()

    # -- registers -------------------------------------------------------------------------------

    def _command(self, frame: bytes) -> None:
        body, check = frame[2:-2], frame[-2:]
        if self._kernel.now_us < self._ready_us:
            return
        if check not in (NO_CHECK, crc(body)) or body[1] == 0:
            self.dropped_frames += 1
            return
        kind, address, data = body[0], body[2] << 8 | body[3], body[4:]
        if kind == READ:
            count = data[0] or 256
            self._answer(bytes(self._registers.get(address + n, 0) for n in range(count)))
        elif kind == WRITE:
            self._answer(b"\0")
            self._kernel.at(self._line_out_us, lambda: self._store(address, data))
        elif kind == SAVE:
            self._saved = dict(self._registers)
            self._answer(b"\0")
        else:
            self.dropped_frames += 1

    def _answer(self, data: bytes) -> None:
        body = b"\0" + bytes([len(data) & 0xFF]) + data
        self._send(b"\x02\0" + body + (b"\x33\x31" if self.quirky else crc(body)), ANSWER_US)

    def _store(self, address: int, data: bytes) -> None:
        for index, byte in enumerate(data):
            self._registers[address + index] = byte
        if address == FACTORY and data[:1] == b"\x55":
            self._registers = dict(DEFAULTS)
            self._saved = dict(DEFAULTS)
        elif address <= TRIGGER < address + len(data) and self._registers[TRIGGER] & 1:
            self._registers[TRIGGER] = 0
            tenths = self._registers.get(TIMEOUT, 0)
            span_us = tenths * 100_000 if tenths else 3_600_000_000
            self._armed_until_us = self._kernel.now_us + span_us
            self._consider()

    def _send(self, data: bytes, delay_us: int) -> None:
        byte_us = 10_000_000 // self.baud()
        begin = max(self._kernel.now_us + delay_us, self._line_out_us)
        if begin - self._kernel.now_us > QUEUE_BYTES * byte_us + delay_us:
            return  # nobody has such a queue: the module loses what it cannot send
        for at in range(0, len(data), self.chunk_bytes):
            chunk = data[at : at + self.chunk_bytes]
            end = begin + byte_us * (at + len(chunk))
            self._kernel.at(end, lambda chunk=chunk: self._transmit(chunk))  # type: ignore[misc]
        self._line_out_us = begin + byte_us * len(data)

    # -- reading codes ---------------------------------------------------------------------------

    def show(self, codes: list[bytes], hold_us: int = HOLD_US) -> None:
        """A picture with these codes is held to the window for `hold_us`."""
        self._view = list(codes)
        self._view_until_us = self._kernel.now_us + hold_us
        self._consider()

    def mode(self) -> int:
        """0 manual, 1 command, 2 continuous, 3 induction."""
        return self._registers.get(MODE, 0) & 3

    def _consider(self) -> None:
        if self._look is not None:
            self._look.cancel()
        wait_us = max(DECODE_US, self._busy_until_us - self._kernel.now_us)
        self._look = self._kernel.after(wait_us, self._read)

    def _read(self) -> None:
        self._look = None
        now = self._kernel.now_us
        if not self.connected or not self._view or now > self._view_until_us:
            return
        mode = self.mode()
        if mode in (MANUAL, COMMAND) and now > self._armed_until_us:
            return
        if mode == CONTINUOUS:
            self._busy_until_us = now + self._registers.get(INTERVAL, 0) * 100_000
            self._consider()
        text = self._view[0]
        if self._same_code_waits(text):
            return
        self._last_text, self._last_text_us = text, now
        self._armed_until_us = 0
        self.sent.append(text)
        del self.sent[:-20]
        if self._registers.get(OUTPUT, 0) & 3 == 0:  # 1 and 3 speak over USB, which nobody hears
            tail = TAILS[self._registers.get(TAIL, 0) >> 5 & 3]
            self._send(text + tail, 0)
            self._kernel.at(self._line_out_us, lambda: self._heard(text))

    def _same_code_waits(self, text: bytes) -> bool:
        setting = self._registers.get(SAME_CODE, 0)
        if not setting & 0x80 or text != self._last_text:
            return False
        tenths = setting & 0x7F
        return tenths == 0 or self._kernel.now_us - self._last_text_us < tenths * 100_000
