"""Helpers around the gateway: real brokers on free ports, a small bin, a small points backend.

The bin signs with hashlib and hmac by hand, not with gateway/wire.py: it is the other side.
Everything waits for the thing itself with LIMIT_S, and is stopped by its own process id. Four parts
in one long file (waits, brokers, bin, points), for tests want them from one place.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import queue
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from gateway.broker import BrokerError, EmbeddedBroker
from gateway.config import Settings, settings_from
from gateway.fleet.register import Provisioning, add_bin
from gateway.run import Gateway
from gateway.store import open_store

LIMIT_S = 20.0
"""Longest wait for anything: generous, for it is only used up when something is broken."""
EPOCH = "5f3a9c01"
PASS = "BB1.0A1B2C3D.1.X"
_POLL_S = 0.02
_PORT_TRIES = 5


def wait_for(what: str, check: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Wait until `check` returns something true and give it; AssertionError after the limit."""
    until = time.monotonic() + limit_s
    while not (found := check()):
        if time.monotonic() > until:
            message = f"waited {limit_s:g} s for: {what}"
            raise AssertionError(message)
        time.sleep(_POLL_S)
    return found


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def settings_for(
    folder: Path, port: int, points_url: str = "http://127.0.0.1:9", **gateway: object
) -> Settings:
    """Settings with short waits. Keyword arguments go into [gateway]."""
    key_file = folder / "relay.key"
    if not key_file.exists():
        key_file.touch(mode=0o600)
        key_file.write_text("the-gateway's-key\n")
    return settings_from(
        {
            "data_dir": str(folder / "data"),
            "broker": {"port": port, "users_poll_s": 0.1},
            "gateway": {
                "reconnect_max_s": 0.3,
                "commit_retry_max_s": 0.1,
                "log_level": "debug",
                **gateway,
            },
            "relay": {
                "url": points_url,
                "key_file": str(key_file),
                "poll_ms": 50,
                "retry_max_s": 0.2,
                "refused_retry_s": 0.2,
                "timeout_s": 5,
            },
        },
        "the test",
    )


def issue_bin(settings: Settings, station: str = "S-DEMO") -> Provisioning:
    """Add a bin to the fleet of these settings."""
    store = open_store(settings.database_path)
    try:
        return add_bin(store, settings.broker, station=station, name="Test bin")
    finally:
        store.close()


# --- brokers ----------------------------------------------------------------------------------


class Broker:
    """A broker on 127.0.0.1 that can be killed and started again on the same port."""

    name = ""
    port = 0

    def start(self) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        """SIGKILL: whatever it had in memory is gone."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


class Mosquitto(Broker):
    """Debian's mosquitto, in memory only, with the window and queue that Boxback asks for."""

    name = "mosquitto"

    def __init__(self, folder: Path, lines: str = "") -> None:
        """`lines` are added to its configuration, such as those of its certificates."""
        self._folder = folder
        self._lines = lines
        self._process: subprocess.Popen[bytes] | None = None
        for _ in range(_PORT_TRIES):
            self.port = free_port()
            try:
                self.start()
            except AssertionError:
                continue
            return
        message = f"mosquitto found no free port in {_PORT_TRIES} tries"
        raise AssertionError(message)

    def start(self) -> None:
        config = self._folder / f"mosquitto-{self.port}.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            "max_inflight_messages 100\nmax_queued_messages 0\npersistence false\n" + self._lines
        )
        log = config.with_suffix(".log")
        with log.open("ab") as output:
            process = subprocess.Popen(
                [_mosquitto(), "-c", str(config)], stdout=output, stderr=subprocess.STDOUT
            )
        self._process = process
        try:
            wait_for(
                "mosquitto to listen",
                lambda: process.poll() is not None or port_listens(self.port),
            )
            assert process.poll() is None, log.read_text()
        except AssertionError:
            self.stop()
            raise

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _mosquitto() -> str:
    for path in ("/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"):
        if os.access(path, os.X_OK):
            return path
    message = "mosquitto is not installed: sudo apt-get install mosquitto"
    raise AssertionError(message)


class Embedded(Broker):
    """The embedded broker as `boxback run` starts it, users and passwords included."""

    name = "iotcore"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._broker: EmbeddedBroker | None = None
        for _ in range(_PORT_TRIES):
            self.port = free_port()
            try:
                self.start()
            except BrokerError:
                continue
            return
        message = f"the embedded broker found no free port in {_PORT_TRIES} tries"
        raise AssertionError(message)

    def start(self) -> None:
        broker = EmbeddedBroker(settings_for(self._folder, self.port))
        try:
            broker.start()
        except BrokerError:
            broker.stop()
            raise
        self._broker = broker

    def refresh(self) -> None:
        """Let it see bins that were added since."""
        assert self._broker is not None
        wait_for("the embedded broker to see the new bin", self._broker.refresh)

    def kill(self) -> None:
        broker = self._broker
        assert broker is not None
        os.kill(broker.pid, signal.SIGKILL)
        wait_for("the embedded broker's end", lambda: not broker.running)
        self.stop()

    def stop(self) -> None:
        if self._broker is not None:
            self._broker.stop()
            self._broker = None


BROKERS: dict[str, type[Mosquitto | Embedded]] = {"mosquitto": Mosquitto, "iotcore": Embedded}


@contextlib.contextmanager
def running_broker(kind: str, folder: Path) -> Iterator[Mosquitto | Embedded]:
    """A broker of that kind for the block. Issue bins before, so that the embedded one knows them."""
    broker = BROKERS[kind](folder)
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def running_gateway(
    settings: Settings, kind: type[Gateway] = Gateway, **more: Any
) -> Iterator[Gateway]:
    """A gateway in this process for the block, subscribed when it begins."""
    gateway = kind(settings, **more)
    gateway.start()
    try:
        wait_for("the gateway's subscription", gateway.link.ready.is_set)
        yield gateway
    finally:
        assert gateway.stop(), "the gateway did not end in time"


def rows(gateway_or_settings: Gateway | Settings, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the gateway's database, read past the gateway."""
    given = gateway_or_settings
    settings = given.settings if isinstance(given, Gateway) else given
    database = sqlite3.connect(settings.database_path, timeout=LIMIT_S)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


# --- the bin ----------------------------------------------------------------------------------


def sign(bin_id: str, key: bytes, leaf: str, body: bytes) -> bytes:
    """`<mac> <json>`."""
    message = f"boxback/1/{bin_id}/{leaf}\n".encode() + body
    digest = hmac.new(key, message, hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(digest).rstrip(b"=") + b" " + body


def password_of(key: bytes) -> str:
    digest = hmac.new(key, b"boxback/1/mqtt", hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def topic_of(bin_id: str, leaf: str) -> str:
    shard = hashlib.sha256(bin_id.encode()).hexdigest()[:2]
    return f"boxback/1/{shard}/{bin_id}/{leaf}"


@dataclass(frozen=True)
class Receipt:
    epoch: str
    n: int
    raw: bytes


class SimBin:
    """A bin in Python: a journal in memory, MQTT over paho, go-back-N, receipts with a right MAC.

    with SimBin(port, made.bin, made.key) as box:
        box.write("boot", {"fw": "0.1.0", "cause": "power"})
        n = box.deposit(pass_="BB1.…", label="…")
        box.deliver()                    # sends until a receipt covers the journal
        outcome = box.wait_outcome(n)
    """

    def __init__(self, port: int, bin_id: str, key: bytes, epoch: str = EPOCH) -> None:
        self.port, self.bin, self.key, self.epoch = port, bin_id, key, epoch
        self.journal: list[bytes] = []
        """Every line with its newline; the line with n is at n - 1."""
        self.receipts: list[Receipt] = []
        self.outcomes: dict[int, list[dict[str, Any]]] = {}
        self.strange: list[tuple[str, bytes]] = []
        """Messages whose MAC was wrong, or of an unknown leaf."""
        self.durable = 0
        """Highest n a receipt of this epoch told."""
        self.orders: list[tuple[str, dict[str, Any]]] = []
        """Commands and settings with a right MAC, each time they came: (leaf, body)."""
        self.deeds: list[dict[str, Any]] = []
        """Commands that were done, each once."""
        self.deaf = False
        """Take no orders, as a bin that crashes before it gets to them."""
        self.newest = 0
        """Id of the newest command that was done or refused."""
        self.in_force: tuple[int, dict[str, Any]] = (0, {})
        self.refused_version = 0
        self.refuses: Callable[[str, dict[str, Any]], str] = lambda *_: ""
        """Given leaf and body it says why an order is refused, "" takes it."""
        self.report: dict[str, Any] = {
            "health": {"fw": "0.2.0", "faults": [], "heap": 22144},
            "boots": {"total": 2, "last": ["power", "reset"]},
        }
        self._last_done: bytes = b""
        self._heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._client: mqtt.Client | None = None

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # the journal

    def line(
        self,
        n: int,
        kind: str = "boot",
        data: dict[str, Any] | None = None,
        t_ms: int = 1668153600123,
        clock: str = "ntp",
    ) -> bytes:
        """A signed line with its newline; it is not put into the journal."""
        body = {"e": self.epoch, "n": n, "t": t_ms, "c": clock, "k": kind, "d": data or {}}
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        return sign(self.bin, self.key, "journal", text) + b"\n"

    def write(self, kind: str, data: dict[str, Any] | None = None, **more: Any) -> int:
        """Append a line to the journal and give its n."""
        n = len(self.journal) + 1
        self.journal.append(self.line(n, kind, data, **more))
        return n

    def withdraw(self, of: int, g: int = 312, **more: Any) -> int:
        """Append the line that takes the deposit `of` back."""
        return self.write("withdrawn", {"of": of, "g": g}, **more)

    def deposit(self, pass_: str = PASS, label: str = "A" * 22, g: int = 312, **more: Any) -> int:
        """Append a deposit."""
        data = {"pass": pass_, "label": label, "g": g, "ms": 1840, "age": 5230}
        return self.write("deposit", data, **more)

    # the network

    def connect(self) -> None:
        """Connect with the bin's user and password and subscribe; waits for the SUBACK."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self.bin, protocol=mqtt.MQTTv311
        )
        client.username_pw_set(self.bin, password_of(self.key))
        client.will_set(topic_of(self.bin, "online"), b"0", qos=1, retain=True)
        client.reconnect_delay_set(1, 1)
        client.connect_timeout = 2
        subscribed = threading.Event()
        leaves = ("receipt", "outcome", "command", "settings")
        client.on_connect = lambda c, *_: c.subscribe([(topic_of(self.bin, x), 1) for x in leaves])
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda _c, _u, message: self._heard.put(
            (message.topic.rsplit("/", 1)[1], bytes(message.payload))
        )
        self._client = client
        wait_for("the broker to take the bin's connection", self._open)
        client.loop_start()
        if not subscribed.wait(LIMIT_S):
            self.close()
            message = f"bin {self.bin} got no SUBACK"
            raise AssertionError(message)
        self.publish("online", b"1", retain=True)

    def _open(self) -> bool:
        assert self._client is not None
        try:
            self._client.connect("127.0.0.1", self.port, keepalive=30)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Say good-bye as a bin does that is switched off by its technician."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def publish(self, leaf: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Send one message and, for QoS 1, wait for the broker's PUBACK.

        Raises ConnectionError while the broker is away (paho connects again by itself).
        """
        assert self._client is not None, "not connected"
        info = self._client.publish(topic_of(self.bin, leaf), payload, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN:
            raise ConnectionError(self.bin)
        wait_for(f"the broker's PUBACK for {leaf}", info.is_published)

    def send(self, *numbers: int) -> None:
        """Send these lines of the journal in one message."""
        self.publish("journal", b"".join(self.journal[n - 1] for n in numbers))

    def health(self, **values: Any) -> None:
        """Send a signed health message."""
        body = json.dumps(values, separators=(",", ":")).encode()
        self.publish("health", sign(self.bin, self.key, "health", body), qos=0)

    def deliver(self, *, window: int = 32, resend_s: float = 0.5, limit_s: float = LIMIT_S) -> None:
        """Go-back-N: send from the oldest line without a receipt until the journal is durable."""
        until = time.monotonic() + limit_s
        while self.durable < len(self.journal):
            if time.monotonic() > until:
                message = f"{self.bin}: durable to {self.durable} of {len(self.journal)}"
                raise AssertionError(message)
            first = self.durable + 1
            last = min(len(self.journal), self.durable + window)
            with contextlib.suppress(ConnectionError):  # the broker is away: sent again
                self.send(*range(first, last + 1))
            self._listen_until(partial(self._covers, first), resend_s)

    def _covers(self, n: int) -> bool:
        return self.durable >= n

    def wait_receipt(self, n: int, count: int = 1) -> Receipt:
        """Wait until `count` receipts have told `n` or more; the last of them."""
        found = [r for r in self.receipts if r.n >= n]
        until = time.monotonic() + LIMIT_S
        while len(found) < count:
            if not self._listen_until(lambda: False, _POLL_S) and time.monotonic() > until:
                message = f"{self.bin}: no {count} receipts to {n}, only {self.receipts}"
                raise AssertionError(message)
            found = [r for r in self.receipts if r.n >= n]
        return found[-1]

    def wait_outcome(self, n: int) -> dict[str, Any]:
        """Wait for the outcome of line n."""
        if not self._listen_until(lambda: n in self.outcomes, LIMIT_S):
            message = f"{self.bin}: no outcome for line {n}"
            raise AssertionError(message)
        return self.outcomes[n][-1]

    def listen(self) -> None:
        """Take in what has come so far."""
        while True:
            try:
                self._take(*self._heard.get_nowait())
            except queue.Empty:
                return

    def _listen_until(self, check: Callable[[], bool], limit_s: float) -> bool:
        until = time.monotonic() + limit_s
        while not check():
            try:
                self._take(*self._heard.get(timeout=max(0.001, until - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= until:
                    return check()
        return True

    def _take(self, leaf: str, payload: bytes) -> None:
        body = payload[23:]
        if payload != sign(self.bin, self.key, leaf, body):
            self.strange.append((leaf, payload))
            return
        found = json.loads(body)
        if leaf == "receipt":
            self.receipts.append(Receipt(found["e"], found["n"], payload))
            if found["e"] == self.epoch:
                self.durable = max(self.durable, found["n"])
        elif leaf == "outcome" and found["e"] == self.epoch:
            self.outcomes.setdefault(found["n"], []).append(found)
        elif leaf in {"command", "settings"}:
            self.orders.append((leaf, found))
            if not self.deaf:
                (self._command if leaf == "command" else self._settings)(found)
        else:
            self.strange.append((leaf, payload))

    # orders

    def _command(self, found: dict[str, Any]) -> None:
        """An id is done once for ever; the newest is answered again, one below it never done."""
        if found["id"] < self.newest:
            self.done(id=found["id"], status="refused", why="before", data={})
        elif found["id"] > self.newest:
            why = "late" if found["until"] < time.time() * 1000 else self.refuses("command", found)
            self.newest = found["id"]
            if not why:
                self.deeds.append(found)
            status = "refused" if why else "done"
            data = self.report if found["do"] == "report" and not why else {}
            self._last_done = self.done(id=found["id"], status=status, why=why, data=data)
        else:
            self.publish("done", self._last_done)

    def _settings(self, found: dict[str, Any]) -> None:
        """A version only grows; it is taken whole or refused whole, and answered once."""
        if found["v"] <= max(self.in_force[0], self.refused_version):
            return
        why = self.refuses("settings", found["s"])
        if why:
            self.refused_version = found["v"]
        else:
            self.in_force = (found["v"], found["s"])
        self.done(settings=found["v"], status="refused" if why else "done", why=why)

    def done(self, **body: Any) -> bytes:
        """Answer an order; the payload that was sent."""
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        payload = sign(self.bin, self.key, "done", text)
        self.publish("done", payload)
        return payload

    def tell_health(self, **more: Any) -> None:
        """Send health that says what the bin knows of its orders."""
        told = {"settings": self.in_force[0], "refused_settings": self.refused_version}
        self.health(**told, done=self.newest, **more)

    @contextlib.contextmanager
    def living(self) -> Iterator[Self]:
        """Take in what comes, in a thread, for the block."""
        ended = threading.Event()
        thread = threading.Thread(target=lambda: self._listen_while(ended))
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join(LIMIT_S)

    def _listen_while(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self._listen_until(ended.is_set, 2 * _POLL_S)


# --- the points backend -----------------------------------------------------------------------


class PointsStub:
    """A points backend of the contract's shape: permanent ids, 10 points a deposit, over real HTTP.

    A withdrawal is answered and takes nothing: tests of what it takes have the real backend.
    `mode`: "up"; "down" answers 503; "drop" does the work, then hangs up without a reply.
    A pass "REFUSE" is refused; an item with g = 666 makes the whole body a 422.
    """

    def __init__(self) -> None:
        self.mode = "up"
        self.key = "the-gateway's-key"
        self.done: dict[str, dict[str, Any]] = {}
        """Item id to its stored answer."""
        self.items: dict[str, dict[str, Any]] = {}
        self.asked: Counter[str] = Counter()
        self.order: list[str] = []
        """Ids in the order in which they were done."""
        self.requests = 0
        self._lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                stub.answer(self, json.loads(self.rfile.read(length)))

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        """Decide one request; called on the server's threads."""
        with self._lock:
            self.requests += 1
            items = body["items"]
            if request.path != "/v1/deposits":
                self._reply(request, 404, {})
            elif request.headers["Authorization"] != f"Bearer {self.key}":
                self._reply(request, 401, {"why": "wrong key"})
            elif self.mode == "down":
                self._reply(request, 503, {})
            elif any(item["g"] == 666 for item in items):
                self._reply(request, 422, {"code": "bad", "why": "g is the number of the beast"})
            else:
                results = [self._decide(item) for item in items]
                if self.mode == "drop":
                    request.close_connection = True
                    return
                self._reply(request, 200, {"results": results})

    def _decide(self, item: dict[str, Any]) -> dict[str, Any]:
        name = item["id"]
        self.asked[name] += 1
        if name not in self.done:
            self.order.append(name)
            refused = item.get("pass") == "REFUSE"
            if item["kind"] == "withdrawn":
                self.items[name] = item
                self.done[name] = {"id": name, "status": "withdrawn", "points": 0, "balance": 0}
                self.done[name] |= {"code": "deposit_unknown", "why": "Noted."}
                return self.done[name]
            credited = sum(1 for answer in self.done.values() if answer["status"] == "credited")
            self.items[name] = item
            self.done[name] = {
                "id": name,
                "status": "refused" if refused else "credited",
                "points": 0 if refused else 10,
                "balance": 10 * (credited + (not refused)),
                "code": "pass_forged" if refused else "",
                "why": "The pass is forged." if refused else "Thank you.",
            }
        elif self.items[name] != item:
            return {**self.done[name], "status": "refused", "code": "id_conflict", "points": 0}
        return self.done[name]

    def _reply(self, request: BaseHTTPRequestHandler, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)
