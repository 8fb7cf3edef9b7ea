"""Wi-Fi, sockets and the time source, seen by a program on the interpreter."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from tests.support.virtual import run_to_end, said, scripted
from tools.virtual.identity import SSID, WIFI_KEY
from tools.virtual.world.sntp import UNIX_TO_NTP_S, answer

JOIN = f"""
import asyncio, network, time, socket
w = network.WLAN(network.STA_IF)
w.active(True)
async def join(key={WIFI_KEY!r}, ssid={SSID!r}):
    w.connect(ssid, key)
    while w.status() == network.STAT_CONNECTING:
        await asyncio.sleep_ms(100)
    return w.status()
"""


def test_joining_and_its_failures(tmp_path):
    main = (
        JOIN
        + """
async def main():
    print(w.isconnected(), w.ifconfig()[0])
    print(await join('wrong'))
    w.disconnect()
    print(await join(ssid='elsewhere'))
    w.disconnect()
    print(await join(), w.isconnected(), w.ifconfig()[0], w.status('rssi') < 0)
    w.disconnect()
    print(w.isconnected())
asyncio.run(main())
"""
    )
    assert run_to_end(scripted(tmp_path, main)) == [
        "False 0.0.0.0",
        "202",
        "201",
        "1010 True 127.0.0.1 True",
        "False",
    ]


def test_a_second_connect_while_connecting_fails_as_on_the_chip(tmp_path):
    main = (
        JOIN
        + """
w.connect('a', 'b')
try:
    w.connect('a', 'b')
except OSError as e:
    print(e)
"""
    )
    assert run_to_end(scripted(tmp_path, main)) == ["Wifi Internal State Error"]


def test_no_wifi_no_names_and_no_connections(tmp_path):
    main = (
        JOIN
        + """
for what in (lambda: socket.getaddrinfo('localhost', 80),
             lambda: socket.socket().connect(socket_address),
             lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', socket_address)):
    socket_address = b''
    try:
        what()
        print('went')
    except OSError as e:
        print(e.errno)
"""
    )
    assert run_to_end(scripted(tmp_path, main)) == ["-202", "113", "113"]


class Echo(threading.Thread):
    """Accepts one connection and sends back what it gets, until it ends."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        connection, _ = self.listener.accept()
        connection.settimeout(30)
        # The bin's end is cut without a word when its process is killed.
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(100):
                connection.sendall(data.upper())

    def close(self) -> None:
        self.listener.close()
        self.join(30)


ECHO = """
async def ask(r, wr, text):
    wr.write(text + b'\\n')
    await wr.drain()
    return await r.readline()
async def main():
    await join()
    r, wr = await asyncio.open_connection('127.0.0.1', PORT)
    print(await ask(r, wr, b'one'))
    try:
        while True:
            print(await asyncio.wait_for(ask(r, wr, b'again'), 2))
            await asyncio.sleep_ms(300)
    except asyncio.TimeoutError:
        print('hangs', w.isconnected())
    while not w.isconnected():
        await asyncio.sleep_ms(100)
    print('back')
    wr.close()
    await wr.wait_closed()
asyncio.run(main())
"""


def test_an_open_connection_hangs_while_wifi_is_off(tmp_path):
    echo = Echo()
    echo.start()
    bin_ = scripted(tmp_path, JOIN + ECHO.replace("PORT", str(echo.port)), virtual_time=False)
    try:
        with bin_:
            bin_.wait_for_console("b'AGAIN", 30)
            bin_.wifi(False)
            bin_.wait_for_console("hangs False", 30)
            bin_.wifi(True)
            bin_.wait_for_console("back", 30)
            bin_.wait_for_state("halted", 30)
            assert said(bin_)[0] == "b'ONE\\n'"
    finally:
        echo.close()


def test_a_real_socket_works_in_virtual_time(tmp_path):
    echo = Echo()
    echo.start()
    main = (
        JOIN
        + """
async def main():
    await join()
    r, wr = await asyncio.open_connection('127.0.0.1', PORT)
    wr.write(b'hello\\n')
    await wr.drain()
    print(await asyncio.wait_for(r.readline(), 20))
asyncio.run(main())
""".replace("PORT", str(echo.port))
    )
    try:
        assert run_to_end(scripted(tmp_path, main), 60) == ["b'HELLO\\n'"]
    finally:
        echo.close()


def test_the_time_source_is_real_sntp(tmp_path):
    main = (
        JOIN
        + """
import struct
from esp32 import NVS
async def main():
    await join()
    port = NVS('boxback').get_i32('ntp_port')
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    q = bytearray(48)
    q[0] = 0x23
    s.sendto(q, socket.getaddrinfo('127.0.0.1', port)[0][-1])
    a = s.recv(48)
    print(a[0] & 7, a[0] >> 3 & 7, struct.unpack('>I', a[40:44])[0] - 2208988800)
asyncio.run(main())
"""
    )
    bin_ = scripted(tmp_path, main)
    (line,) = run_to_end(bin_)
    mode, version, unix = line.split()
    assert (mode, version) == ("4", "4")
    assert 1_795_000_000 <= int(unix) < 1_795_000_100


def test_sntp_answers_only_clients():
    request = bytes([0x1B]) + bytes(39) + b"original"
    reply = answer(request, 1_668_153_600_500_000)
    assert reply is not None
    assert len(reply) == 48
    assert reply[24:32] == b"original"
    seconds, fraction = struct.unpack(">II", reply[40:48])
    assert seconds == 1_668_153_600 + UNIX_TO_NTP_S
    assert fraction == 1 << 31
    assert answer(reply, 0) is None
    assert answer(request[:47], 0) is None
