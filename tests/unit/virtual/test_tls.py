"""TLS of a program on the interpreter, with real servers: asyncio, the Wi-Fi gate, and who is refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from tests.support.virtual import said, scripted
from tools.virtual.identity import SSID, WIFI_KEY
from tools.virtual.supervisor import VirtualBin

NAME = "broker.boxback.test"
LIMIT_S = 30
SHORT_AGO = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
HEAD = f"""
import asyncio, gc, machine, network, ssl, time
w = network.WLAN(network.STA_IF)
w.active(True)
if SET_CLOCK:
    machine.RTC().datetime((2026, 11, 24, 1, 12, 0, 0, 0))
async def join():
    w.connect({SSID!r}, {WIFI_KEY!r})
    while not w.isconnected():
        await asyncio.sleep_ms(100)
def context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with open('/ca.der', 'rb') as f:
        c.load_verify_locations(cadata=f.read())
    try:
        with open('/cert.der', 'rb') as f:
            cert = f.read()
        with open('/key.der', 'rb') as f:
            c.load_cert_chain(cert, f.read())
    except OSError:
        pass
    c.verify_mode = ssl.CERT_REQUIRED
    return c
async def connect(name={NAME!r}):
    return await asyncio.open_connection('127.0.0.1', PORT, ssl=context(), server_hostname=name)
"""
ONCE = """
async def main():
    await join()
    r, wr = await connect()
    try:
        wr.write(b'hello\\n')
        await asyncio.wait_for(wr.drain(), 5)
        print(await asyncio.wait_for(r.readline(), 5))
    except asyncio.TimeoutError:
        print('timeout')
    except (OSError, ValueError) as e:
        print(type(e).__name__, e.args)
    await wr.wait_closed()
    while True:
        await asyncio.sleep(1)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def der(pem: trustme.Blob) -> bytes:
    return load_pem_x509_certificate(pem.bytes()).public_bytes(Encoding.DER)


def key_der(pem: trustme.Blob) -> bytes:
    key = load_pem_private_key(pem.bytes(), None)
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


class Server(threading.Thread):
    """Serves one connection after another by `serve(plain socket, context)`; keeps what befell."""

    def __init__(
        self,
        certificate: trustme.LeafCert,
        serve: Callable[[ssl.SSLSocket], None],
        *,
        clients_of: trustme.CA | None = None,
        raw: Callable[[socket.socket], None] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.context)
        if clients_of is not None:
            clients_of.configure_trust(self.context)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ended = threading.Semaphore(0)  # one for each connection that the other side closed
        self.errors: list[str] = []
        self._serve, self._raw = serve, raw

    def run(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            plain.settimeout(LIMIT_S)
            with plain:
                try:
                    if self._raw is not None:
                        self._raw(plain)
                    else:
                        with self.context.wrap_socket(plain, server_side=True) as secured:
                            self._serve(secured)
                except (OSError, ssl.SSLError) as error:
                    self.errors.append(str(error))
                self.ended.release()

    def close(self) -> None:
        # A blocked accept() does not end when another thread closes its socket.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(LIMIT_S)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.close()


def upper(connection: ssl.SSLSocket) -> None:
    while data := connection.recv(1000):
        connection.sendall(data.upper())


def until_closed(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        while connection.recv(1000):
            pass


def tls_bin(
    tmp_path: Path,
    server: Server,
    ca: trustme.CA,
    main: str = ONCE,
    *,
    clock: bool = True,
    client: trustme.LeafCert | None = None,
    virtual_time: bool = True,
) -> VirtualBin:
    head = HEAD.replace("PORT", str(server.port)).replace("SET_CLOCK", str(clock))
    bin_ = scripted(tmp_path, head + main, virtual_time=virtual_time)
    bin_._files = {**(bin_._files or {}), "/ca.der": der(ca.cert_pem)}
    if client is not None:
        bin_._files["/cert.der"] = der(client.cert_chain_pems[0])
        bin_._files["/key.der"] = key_der(client.private_key_pem)
    return bin_


def first_words(bin_: VirtualBin, server: Server) -> str:
    """What the script says first; then the connection must really be closed."""
    with bin_:
        bin_.wait_for(lambda: said(bin_), 30, "a word")
        assert server.ended.acquire(timeout=LIMIT_S), "the bin's socket was not closed"
        return said(bin_)[0]


@pytest.mark.parametrize("virtual_time", [True, False], ids=["virtual", "real"])
def test_the_right_authority(tmp_path, ca, virtual_time):
    with running(Server(ca.issue_cert(NAME), upper)) as server:
        bin_ = tls_bin(tmp_path, server, ca, virtual_time=virtual_time)
        assert first_words(bin_, server) == "b'HELLO\\n'"


def test_the_wrong_authority(tmp_path, ca):
    with running(Server(trustme.CA().issue_cert(NAME), upper)) as server:
        words = first_words(tls_bin(tmp_path, server, ca), server)
        assert words.startswith("ValueError")
        assert "not correctly signed by the trusted CA" in words


def test_the_wrong_host_name(tmp_path, ca):
    with running(Server(ca.issue_cert("elsewhere.test"), upper)) as server:
        words = first_words(tls_bin(tmp_path, server, ca), server)
        assert words.startswith("ValueError")
        assert "does not match" in words


def test_an_expired_certificate(tmp_path, ca):
    certificate = ca.issue_cert(NAME, not_before=SHORT_AGO, not_after=SHORT_AGO)
    with running(Server(certificate, upper)) as server:
        assert "validity has expired" in first_words(tls_bin(tmp_path, server, ca), server)


def test_a_certificate_means_nothing_to_a_bin_without_a_clock(tmp_path, ca):
    certificate = ca.issue_cert(NAME, not_before=SHORT_AGO)
    with running(Server(certificate, upper)) as server:
        bin_ = tls_bin(tmp_path, server, ca, clock=False)
        assert "starts in the future" in first_words(bin_, server)


def test_client_certificate(tmp_path, ca):
    for name, client, ok in (("none", None, False), ("good", ca.issue_cert("B-7K2QM"), True)):
        folder = tmp_path / name
        folder.mkdir()
        with running(Server(ca.issue_cert(NAME), upper, clients_of=ca)) as server:
            words = first_words(tls_bin(folder, server, ca, client=client), server)
            assert (words == "b'HELLO\\n'") == ok, words
            assert bool(server.errors) != ok


def test_a_server_that_is_silent_in_mid_handshake(tmp_path, ca):
    with running(Server(ca.issue_cert(NAME), upper, raw=until_closed)) as server:
        assert first_words(tls_bin(tmp_path, server, ca), server) == "timeout"


def test_a_server_that_closes_in_mid_handshake(tmp_path, ca):
    with running(Server(ca.issue_cert(NAME), upper, raw=lambda s: s.recv(100))) as server:
        assert first_words(tls_bin(tmp_path, server, ca), server).startswith("OSError")


BURST = """
async def main():
    await join()
    r, wr = await connect()
    wr.write(b'go\\n')
    await wr.drain()
    got = 0
    while got < 20000:
        # Few at a time: most of a record lies decrypted where no socket shows it.
        got += len(await asyncio.wait_for(r.read(100), 5))
    print('all', got)
    wr.write(b'x' * 20000)
    await wr.drain()
    print('sent')
    await wr.wait_closed()
    await asyncio.sleep(100)
asyncio.run(main())
"""


@pytest.mark.parametrize("virtual_time", [True, False], ids=["virtual", "real"])
def test_decrypted_data_that_no_socket_shows(tmp_path, ca, virtual_time):
    got = bytearray()

    def burst(connection: ssl.SSLSocket) -> None:
        connection.recv(100)
        connection.sendall(b"y" * 20000)
        while data := connection.recv(5000):
            got.extend(data)

    with running(Server(ca.issue_cert(NAME), burst)) as server:
        bin_ = tls_bin(tmp_path, server, ca, BURST, virtual_time=virtual_time)
        assert first_words(bin_, server) == "all 20000"
    assert got == b"x" * 20000


GATE = """
async def main():
    await join()
    r, wr = await connect()
    n = 0
    while True:
        n += 1
        wr.write(b'a%d\\n' % n)
        try:
            await asyncio.wait_for(wr.drain(), 2)
            print((await asyncio.wait_for(r.readline(), 2)).decode().strip())
        except asyncio.TimeoutError:
            print('hangs', w.isconnected())
        while not w.isconnected():
            await asyncio.sleep_ms(100)
        await asyncio.sleep_ms(300)
asyncio.run(main())
"""


@pytest.mark.parametrize("virtual_time", [True, False], ids=["virtual", "real"])
def test_no_byte_moves_without_wifi(tmp_path, ca, virtual_time):
    with running(Server(ca.issue_cert(NAME), upper)) as server:
        bin_ = tls_bin(tmp_path, server, ca, GATE, virtual_time=virtual_time)
        with bin_:
            bin_.wait_for_console("A2", 30)
            bin_.wifi(False)
            bin_.wait_for_console("hangs False", 30)
            before = len(said(bin_))
            bin_.wifi(True)
            bin_.wait_for(lambda: len(said(bin_)) > before + 2, 30, "words after the pause")
        assert server.ended.acquire(timeout=LIMIT_S)


REST = """
button = machine.Pin(33, machine.Pin.IN)
async def main():
    await join()
    r, wr = await connect()
    wr.write(b'hello\\n')
    await wr.drain()
    print(await r.readline())
    button.irq(lambda p: print('pressed') if not p() else None)
    print(await r.readline())
asyncio.run(main())
"""


def child_cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_a_quiet_link_costs_nothing_and_the_world_is_heard(tmp_path, ca):
    with running(Server(ca.issue_cert(NAME), upper)) as server:
        bin_ = tls_bin(tmp_path, server, ca, REST, virtual_time=False)
        with bin_:
            bin_.wait_for_console("HELLO", 30)
            with bin_.engine.lock:
                pid = bin_.engine._child.process.pid
            before = child_cpu_s(pid)
            time.sleep(2)
            # A loop that polls each millisecond takes about a second of this.
            assert child_cpu_s(pid) - before < 0.3
            bin_.press_button()
            bin_.wait_for_console("pressed", 30)
