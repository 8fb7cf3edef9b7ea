"""Hosts inside the world: streams, datagrams and names in virtual time, and what can befall them."""

from __future__ import annotations

import pytest

from tests.support.virtual import said, scripted
from tools.virtual.identity import SSID, WIFI_KEY
from tools.virtual.world import dns
from tools.virtual.world.stream import Connection, Host

HEAD = f"""
import asyncio, network, socket, struct, time
w = network.WLAN(network.STA_IF)
w.active(True)
async def join():
    w.connect({SSID!r}, {WIFI_KEY!r})
    while not w.isconnected():
        await asyncio.sleep_ms(100)
"""
TALK = (
    HEAD
    + """
async def main():
    await join()
    t = time.ticks_ms()
    try:
        r, wr = await asyncio.wait_for(asyncio.open_connection('echo.test', 7), 3)
        n = 0
        while n < COUNT:
            n += 1
            wr.write(b'hello %d\\n' % n)
            await asyncio.wait_for(wr.drain(), 3)
            line = await asyncio.wait_for(r.readline(), 3)
            print(line)
            if not line:
                break
            await asyncio.sleep_ms(100)
        await wr.wait_closed()
    except asyncio.TimeoutError:
        print('timeout')
    except OSError as e:
        print('error', e.errno)
    print('end', time.ticks_diff(time.ticks_ms(), t) // 10)
asyncio.run(main())
"""
)


class Upper:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.ended = 0

    def data(self, data: bytes) -> None:
        self.connection.send(data.upper())

    def closed(self) -> None:
        self.ended += 1


def talk(tmp_path, count=3, setup=lambda _: None, during=None, seconds=30):
    bin_ = scripted(tmp_path, TALK.replace("COUNT", str(count)))
    handlers: list[Upper] = []

    def accept(connection: Connection) -> Upper:
        handlers.append(Upper(connection))
        return handlers[-1]

    with bin_.world() as world:
        host = world.net.listen("echo.test", 7, accept)
        setup(host)
    with bin_:
        if during is not None:
            bin_.wait_for_console("HELLO 2", 20)
            during(bin_, host)
        bin_.wait_for_state("halted", seconds)
        return said(bin_), handlers, bin_.log()


def test_a_stream(tmp_path):
    lines, handlers, _ = talk(tmp_path)
    assert lines[:3] == ["b'HELLO 1\\n'", "b'HELLO 2\\n'", "b'HELLO 3\\n'"]
    assert lines[3].startswith("end ")
    # One connect and three answers of 40 ms, and three pauses of 100 ms.
    assert 44 <= int(lines[3].split()[1]) <= 52
    assert [h.ended for h in handlers] == [1]


def test_equal_seeds_give_equal_logs(tmp_path):
    logs = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        logs.append(talk(tmp_path / run)[2])
    assert logs[0] == logs[1]
    assert any("net_send" in text for _, text in logs[0])


FAULTS = [
    ({"mode": "refuse"}, "error 111"),
    ({"mode": "gone"}, "timeout"),
    ({"mode": "silent"}, "timeout"),
    ({"mode": "half_open"}, "timeout"),
    ({"delay_us": 5_000_000}, "timeout"),
    ({"cut_at_byte": 4}, "b'HELL'"),
    ({"close_after_bytes": 8}, "b''"),
]


@pytest.mark.parametrize(("fault", "word"), FAULTS, ids=str)
def test_faults(tmp_path, fault, word):
    def setup(host: Host) -> None:
        for name, value in fault.items():
            setattr(host, name, value)

    lines, _, _ = talk(tmp_path, setup=setup)
    assert word in lines[:2]


def test_a_host_that_goes_away_in_mid_conversation(tmp_path):
    lines, _, _ = talk(tmp_path, 50, during=lambda _, host: host.drop_all())
    assert lines[-2] == "b''"
    (tmp_path / "reset").mkdir()
    lines, _, _ = talk(tmp_path / "reset", 50, during=lambda _, host: host.drop_all(reset=True))
    assert lines[-2] == "error 104"
    (tmp_path / "mute").mkdir()
    lines, handlers, _ = talk(
        tmp_path / "mute", 50, during=lambda _, host: setattr(host, "mode", "half_open")
    )
    assert lines[-2] == "timeout"
    assert handlers[0].ended == 0


def test_a_stream_waits_while_wifi_is_down_and_loses_nothing(tmp_path):
    def during(bin_, _):
        bin_.wifi(False)
        bin_.advance(800)
        bin_.wifi(True)

    lines, _, _ = talk(tmp_path, 8, during=during)
    assert lines[7] == "b'HELLO 8\\n'"


def test_a_board_that_is_reset_forgets_its_sockets_and_the_host_learns_it_late(tmp_path):
    seen = {}

    def during(bin_, host):
        bin_.power_off()
        bin_.power_on()
        bin_.wait_for_console("end", 20)
        seen["open"] = len(host.connections)

    _, handlers, _ = talk(tmp_path, 3, during=during, seconds=40)
    assert len(handlers) == 2
    assert handlers[0].ended == 0


BULK = (
    HEAD
    + """
async def main():
    await join()
    r, wr = await asyncio.open_connection('bulk.test', 9)
    wr.write(b'x' * 40000)
    await wr.drain()
    got = 0
    while got < 50000:
        got += len(await r.read(300))
    print('got', got)
asyncio.run(main())
"""
)


def test_a_lot_both_ways_within_the_window(tmp_path):
    class Bulk:
        def __init__(self, connection: Connection) -> None:
            self.connection = connection
            self.got = 0

        def data(self, data: bytes) -> None:
            self.got += len(data)
            if self.got == 40000:
                self.connection.send(bytes(50000))

        def closed(self) -> None:
            pass

    bin_ = scripted(tmp_path, BULK)
    with bin_.world() as world:
        world.net.listen("bulk.test", 9, Bulk)
    with bin_:
        bin_.wait_for_console("got 50000", 60)


NAMES = (
    HEAD
    + """
async def main():
    await join()
    print(w.ifconfig()[3], socket.getaddrinfo('echo.test', 7)[0][-1])
    try:
        socket.getaddrinfo('nobody.test', 7)
    except OSError as e:
        print('error', e.errno)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    for name in (b'\\4echo\\4test', b'\\6nobody\\4test'):
        q = b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + name + b'\\0\\0\\1\\0\\1'
        s.sendto(q, (w.ifconfig()[3], 53))
        try:
            s.recv(512)
        except OSError as e:
            print('wait', e.errno)
        await asyncio.sleep_ms(100)
        a, addr = s.recvfrom(512)
        print(a[:4] == b'\\x12\\x34\\x81\\x80', a[3] & 15, a[7], list(a[-4:]), addr)
    q = bytearray(48)
    q[0] = 0x23
    s.sendto(q, socket.getaddrinfo('ntp.test', 123)[0][-1])
    await asyncio.sleep_ms(100)
    print(struct.unpack('>I', s.recv(48)[40:44])[0] - 2208988800)
asyncio.run(main())
"""
)


def test_names_and_datagrams(tmp_path):
    bin_ = scripted(tmp_path, NAMES)
    with bin_.world() as world:
        world.net.listen("echo.test", 7, Upper)
    with bin_:
        bin_.wait_for_state("halted", 20)
        lines = said(bin_)
    ip = lines[0].split("'")[1]
    assert lines[0].startswith("10.77.0.1 ('10.77.")
    assert lines[1:3] == ["error -202", "wait 11"]
    assert lines[3] == f"True 0 1 {[int(p) for p in ip.split('.')]} ('10.77.0.1', 53)"
    assert lines[5].startswith("False 3 0 ")
    assert 1_795_000_000 <= int(lines[6]) < 1_795_000_100


def test_what_is_no_question_gets_no_answer():
    question = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\4echo\4test\0\0\1\0\1"
    assert dns.name_of(question) == "echo.test"
    for size in range(len(question)):
        assert dns.name_of(question[:size]) is None
        assert dns.answer(question[:size], 1) is None
    ipv6 = question[:-4] + b"\0\x1c\0\1"
    assert dns.answer(ipv6, 1)[3] & 15 == 3
