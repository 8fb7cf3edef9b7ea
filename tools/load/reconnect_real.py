"""The same as reconnect.py with a mosquitto that is really killed and started, and real TCP.

Each bin is a connection that speaks the firmware's own packets (boxbin.core.mqtt) and waits by its
own back-off. Time can be scaled: with a scale of 20 the windows, the outage and the second that is
looked at are a twentieth.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from boxbin.core import mqtt
from boxbin.core.backoff import RANDOM_BITS, wait_ms

from tools.load.reconnect import MOST_MS, Return, busiest

HOST: Final = "127.0.0.1"
KEEPALIVE_S: Final = 600
CONNECT_S: Final = 10.0
LISTEN_S: Final = 10.0
FIRST_BATCH: Final = 100
"""So many connect at once before the outage: mosquitto's queue of new connections is that long."""
_FILES_BESIDE: Final = 200


class LoadError(Exception):
    """The load cannot be made here; the text says why and what to do."""


class _Broker:
    """mosquitto on a free port of this machine, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            raise LoadError("mosquitto is not installed: sudo apt-get install mosquitto")
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = int(probe.getsockname()[1])
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\nuser root\npersistence false\n"
        )
        self._command = [program, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: ASYNC220  (a fork, and nothing else to serve yet)
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until_s = time.monotonic() + LISTEN_S
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, self.port)
            except OSError:
                if time.monotonic() > until_s or self._process.poll() is not None:
                    raise LoadError(f"mosquitto does not listen on port {self.port}") from None
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class _Bin:
    """One connection; `back_s` is when CONNACK came after the outage."""

    def __init__(self, name: str, port: int, first_ms: int, scale: float, seed: int) -> None:
        self._name, self._port, self._first_ms, self._scale = name, port, first_ms, scale
        self._random = random.Random(seed)  # noqa: S311  (repeatable, no secret)
        self.back_s = 0.0

    async def connect(self) -> asyncio.StreamReader:
        reader, self._writer = await asyncio.wait_for(
            asyncio.open_connection(HOST, self._port), CONNECT_S
        )
        try:
            self._writer.write(
                mqtt.connect(self._name, self._name, "x", KEEPALIVE_S, True, "w", b"0")
            )
            answer = await asyncio.wait_for(reader.readexactly(4), CONNECT_S)
        except BaseException:
            self._writer.close()
            raise
        if mqtt.Parser().feed(answer) != [(mqtt.CONNACK, False, 0)]:
            raise LoadError(f"{self._name}: the broker answered {answer.hex()}")
        return reader

    async def live(self, reader: asyncio.StreamReader) -> None:
        """From the first connection to the next."""
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
        self._writer.close()
        failures = 0
        while True:
            bits = self._random.getrandbits(RANDOM_BITS)
            wait = wait_ms(failures, self._first_ms, MOST_MS, bits)
            await asyncio.sleep(wait / 1000 / self._scale)
            try:
                await self.connect()
            except (OSError, EOFError, TimeoutError):
                failures += 1
            else:
                self.back_s = time.monotonic()
                return

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def _run(bins: int, outage_s: float, first_ms: int, scale: float, seed: int) -> Return:
    with tempfile.TemporaryDirectory(prefix="boxback-load-") as folder:
        broker = _Broker(Path(folder))
        try:
            await broker.start()
            fleet = [_Bin(f"b{n}", broker.port, first_ms, scale, seed + n) for n in range(bins)]
            readers: list[asyncio.StreamReader] = []
            for at in range(0, bins, FIRST_BATCH):
                group = fleet[at : at + FIRST_BATCH]
                readers += await asyncio.gather(*(one.connect() for one in group))
            lives = [
                asyncio.create_task(one.live(reader))
                for one, reader in zip(fleet, readers, strict=True)
            ]
            gone_s = time.monotonic()
            broker.kill()
            await asyncio.sleep(outage_s / scale)
            await broker.start()
            await asyncio.gather(*lives)
            for one in fleet:
                one.close()
        finally:
            broker.kill()
    back_s = np.sort([(one.back_s - gone_s) * scale for one in fleet])
    share = busiest(back_s) / bins
    return Return(outage_s, share, seed, share, back_s)


def run(bins: int, outage_s: float, seed: int, first_ms: int, scale: float) -> Return:
    """Connect all bins, kill the broker, start it again, and note when each is back.

    Times in the answer are scaled back. Raises LoadError.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = bins + _FILES_BESIDE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise LoadError(f"{wanted} open files are needed, {hard} allowed: ulimit -Hn {wanted}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return asyncio.run(_run(bins, outage_s, first_ms, scale, seed))
