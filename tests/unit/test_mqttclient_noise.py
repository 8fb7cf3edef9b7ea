"""A broker that sends rubbish, on real sockets, to the bin's client in what heap a bin has left.

Whatever comes, the connection ends with LinkDown, never with anything else, and the next one to a
good broker works.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tools.technician.build import build_firmware

MICROPYTHON = Path(sys.executable).with_name("micropython")
LEFT_BYTES = 16 * 1024
CONNACK = b"\x20\x02\x00\x00"
GOOD = CONNACK + b"\x90\x03\x00\x01\x01\x32\x07\x00\x01t\x00\x09ok\x40\x02\x00\x05\xd0\x00"
READ = "[(9, 1, b'\\x01'), (3, 't', b'ok', 9, False), (4, 5), (13,)]"
ENOUGH_S = 60

SCRIPT = """
import asyncio, gc, sys, time
gc.threshold(8 * 1024)
sys.modules["esp32"] = type("esp32", (), {"NVS": None})  # asked for certificates, which none has
from boxbin.mqttclient import Client, LinkDown

kept = []

async def one(port):
    client = Client(time.ticks_ms)
    got = 0
    try:
        await client.connect("127.0.0.1", port, "B-7K2QM", "p", "t/online", True, None, None)
        while True:
            await client.receive()
            got += 1
    except LinkDown as error:
        print("down", got, error.args[0][:80])
    finally:
        await client.close()

async def last(port):
    client = Client(time.ticks_ms)
    await client.connect("127.0.0.1", port, "B-7K2QM", "p", "t/online", True, None, None)
    packets = []
    for _ in range(4):
        packets.append(await client.receive())
    print(packets)
    await client.close()

async def main(port, times, left_bytes):
    await one(port)  # loads all that is needed
    gc.collect()
    while gc.mem_free() > left_bytes:
        kept.append(bytearray(512))
    before = gc.mem_alloc()
    for _ in range(times - 1):
        await one(port)
    gc.collect()
    print("grew", gc.mem_alloc() - before)
    await last(port)

asyncio.run(main(*[int(word) for word in sys.argv[1:]]))
"""


def packet(first: int, body: bytes) -> bytes:
    size, digits = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        digits += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([first]) + digits + body


def rubbish(seed: int) -> Iterator[bytes]:
    """What one connection brings, piece by piece, before it is closed."""
    chance = random.Random(seed)
    stories: list[Callable[[], list[bytes]]] = [
        lambda: [chance.randbytes(2_000)],
        lambda: [CONNACK, chance.randbytes(5_000)],
        lambda: [CONNACK, *(bytes([byte]) for byte in chance.randbytes(40))],
        lambda: [CONNACK[:3]],
        list,
        lambda: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        lambda: [b"\x20\x02\x00" + bytes([chance.randrange(1, 256)])],
        lambda: [b"\xd0\x00"],
        lambda: [CONNACK, b"\xd0\x00" * 2_000],
        lambda: [CONNACK, b"\x30\x03\x00\x01t" * 2_000],
        lambda: [CONNACK, packet(0x32, b"\0\1t\0\1x") * 500],
        lambda: [CONNACK, packet(0x30, b"\0\1t" + bytes(9_000))],
        lambda: [CONNACK, packet(0x30, b"\0\1t" + bytes(2_200)) * 20],
        lambda: [CONNACK, packet(0x30, b"\0\1t" + bytes(2_200))[:-1]],
        lambda: [CONNACK, packet(0x30, b"\xff\xff" + bytes(2_200))],
        lambda: [CONNACK, packet(0x90, b"\0\1" + b"\x80" * 2_000)],
        lambda: [CONNACK, bytes(a ^ (chance.random() < 0.02) for a in GOOD[4:] * 30)],
    ]
    yield from stories[seed % len(stories)]()


STORIES = 17


@contextmanager
def broker(seeds: list[int]) -> Iterator[int]:
    """One connection of rubbish for each seed, then good ones; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        waiting = [list(rubbish(seed)) for seed in seeds]
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(ENOUGH_S)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(512)  # CONNECT
                for piece in waiting.pop(0) if waiting else [GOOD]:
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):  # its PUBACKs, up to its end
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(ENOUGH_S)


@pytest.mark.parametrize("first", [0, 100, 200])
def test_rubbish_ends_the_connection_and_nothing_else(first: int) -> None:
    seeds = [*range(first, first + 2 * STORIES)]
    with broker(seeds) as port:
        done = subprocess.run(
            [
                *(str(MICROPYTHON), "-X", "heapsize=192K", "-c", SCRIPT),
                *map(str, (port, len(seeds), LEFT_BYTES)),
            ],
            env=dict(os.environ, MICROPYPATH=f"{build_firmware()}:.frozen"),
            capture_output=True,
            text=True,
            timeout=ENOUGH_S,
            check=False,
        )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(line.startswith("down") for line in lines) == len(seeds)
    assert lines[-1] == READ
    grew = next(line for line in lines if line.startswith("grew"))
    assert int(grew.split()[1]) <= 1024, grew
