"""The brokers that bins meet in the field: mosquitto, NATS and RabbitMQ, behind one face.

Each wants user and password, knows the users it is given at its start, keeps sessions as it would
in service, and listens on 127.0.0.1 only: plainly, and with TLS and a client's certificate.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
import trustme
from paho.mqtt.enums import CallbackAPIVersion

from gateway import secretfile
from gateway.config import Settings
from gateway.fleet.register import Provisioning
from tests.support.gateway import (
    Broker,
    free_port,
    issue_bin,
    password_of,
    port_listens,
    settings_for,
    wait_for,
)

START_S: Final = 60.0
"""RabbitMQ wants 7 s of a quiet machine."""
STOP_S: Final = 15.0
_PORT_TRIES: Final = 3
_RABBIT: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_ROUNDS: Final = 101  # mosquitto_passwd's own
BROKER_NAME: Final = "broker.boxback.example"


@dataclass(frozen=True)
class Certificates:
    """A CA, a broker's certificate and a client's: files for brokers, DER for bins."""

    ca: Path
    broker: Path
    broker_key: Path
    client: Path
    client_key: Path
    ca_der: bytes
    client_der: bytes
    client_key_der: bytes
    stranger_der: bytes
    """Another CA, which signed none of them."""

    def context(self) -> ssl.SSLContext:
        """What a client in Python connects with."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.client, self.client_key)
        return context


def make_certificates(folder: Path) -> Certificates:
    """Good for 127.0.0.1, localhost and BROKER_NAME."""
    ca = trustme.CA()
    broker = ca.issue_cert("127.0.0.1", "localhost", BROKER_NAME)
    client = ca.issue_cert("bin.boxback.example")
    stranger = trustme.CA()

    def put(name: str, pem: trustme.Blob) -> Path:
        path = folder / f"{name}.pem"
        pem.write_to_path(path)
        return path

    return Certificates(
        ca=put("ca", ca.cert_pem),
        broker=put("broker", broker.cert_chain_pems[0]),
        broker_key=put("broker-key", broker.private_key_pem),
        client=put("bin", client.cert_chain_pems[0]),
        client_key=put("bin-key", client.private_key_pem),
        ca_der=_der(ca.cert_pem),
        client_der=_der(client.cert_chain_pems[0]),
        client_key_der=_der(client.private_key_pem),
        stranger_der=_der(stranger.cert_pem),
    )


def _der(pem: trustme.Blob) -> bytes:
    return base64.b64decode(b"".join(pem.bytes().split(b"-----")[2].split()))


class Peer(Broker):
    """One broker. `users` is name to password; the ports stay the same over restarts."""

    programs: tuple[str, ...] = ()
    tls_port = 0

    def __init__(self, folder: Path, users: dict[str, str], certificates: Certificates) -> None:
        self._folder = folder
        self._users = users
        self._certificates = certificates
        self._processes: list[subprocess.Popen[bytes]] = []
        for program in self.programs:
            _find(program)
        for attempt in range(_PORT_TRIES):
            self.port, self.tls_port = free_port(), free_port()
            try:
                self.start()
            except AssertionError:
                if attempt + 1 == _PORT_TRIES:
                    raise
                continue
            return

    def start(self) -> None:
        try:
            self._launch()
            wait_for(f"{self.name} to listen", self._listens_or_ended, START_S)
            assert self._running(), self.log()[-2000:]
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def log(self) -> str:
        """What the broker wrote."""
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self._folder / f"{self.name}.log"

    def _launch(self) -> None:
        raise NotImplementedError

    def _run(self, *command: str, **environment: str) -> None:
        with self._log.open("ab") as output:
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | environment,
                    cwd=self._folder,
                    start_new_session=True,  # a whole family, ended as one
                )
            )

    def _running(self) -> bool:
        return all(process.poll() is None for process in self._processes)

    def _listens_or_ended(self) -> bool:
        return not self._running() or all(map(port_listens, (self.port, self.tls_port)))

    def _end(self, how: signal.Signals) -> None:
        processes, self._processes = self._processes, []
        for process in reversed(processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(how)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)
            with contextlib.suppress(ProcessLookupError):  # what it started and left behind
                os.killpg(process.pid, signal.SIGKILL)


class MosquittoPeer(Peer):
    """In memory only, with topic rights a bin: the site's broker of gateway/README.md."""

    name = "mosquitto"
    programs = ("mosquitto",)

    def _launch(self) -> None:
        folder, certificates = self._folder, self._certificates
        (folder / "users").write_text(
            "".join(f"{name}:{_mosquitto_hash(word)}\n" for name, word in self._users.items())
        )
        (folder / "rights").write_text(
            "user boxback-gateway\ntopic readwrite boxback/#\npattern readwrite boxback/1/+/%u/#\n"
        )
        config = folder / "mosquitto.conf"
        config.write_text(
            f"user root\npersistence false\nallow_anonymous false\nlog_type all\n"
            f"password_file {folder}/users\nacl_file {folder}/rights\n"
            f"max_inflight_messages 100\nmax_queued_messages 0\n"
            f"listener {self.port} 127.0.0.1\n"
            f"listener {self.tls_port} 127.0.0.1\nrequire_certificate true\n"
            f"cafile {certificates.ca}\ncertfile {certificates.broker}\n"
            f"keyfile {certificates.broker_key}\n"
        )
        self._run(_find("mosquitto"), "-c", str(config))


def _mosquitto_hash(password: str) -> str:
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


class NatsPeer(Peer):
    """Sessions on disk (JetStream). Two servers, for one has one MQTT port: plain or TLS."""

    name = "nats"
    programs = ("nats-server",)

    def _launch(self) -> None:
        certificates = self._certificates
        tls = (
            f"tls {{ cert_file: {json.dumps(str(certificates.broker))}, "
            f"key_file: {json.dumps(str(certificates.broker_key))}, "
            f"ca_file: {json.dumps(str(certificates.ca))}, verify: true }}"
        )
        users = [{"user": name, "password": word} for name, word in self._users.items()]
        for kind, port, more in (("plain", self.port, ""), ("tls", self.tls_port, tls)):
            config = self._folder / f"nats-{kind}.conf"
            config.write_text(
                f'host: "127.0.0.1"\nport: {free_port()}\nserver_name: "boxback-{kind}"\n'
                f'jetstream {{ store_dir: "{self._folder}/nats-{kind}" }}\n'
                f"authorization {{ users: {json.dumps(users)} }}\n"
                f'mqtt {{ host: "127.0.0.1", port: {port}\n'
                # Half a minute is its own: so long a message waits whose delivery was not confirmed.
                f'ack_wait: "2s"\n{more} }}\n'
            )
            self._run(_find("nats-server"), "-c", str(config))


class RabbitPeer(Peer):
    """Durable sessions. A node and a port mapper (epmd) of its own, in a folder of its own.

    Its start script for services (/usr/sbin/rabbitmq-server) changes user and folder; the script
    below it does neither. Told that systemd runs it, it becomes the Erlang machine instead of
    waiting beside it, so that a signal reaches the right process.
    """

    name = "rabbitmq"
    programs = ("epmd", str(_RABBIT))

    def _launch(self) -> None:
        folder = self._folder / "rabbitmq"
        folder.mkdir(exist_ok=True)
        (folder / "users.json").write_text(json.dumps(_definitions(self._users)))
        certificates = self._certificates
        (folder / "rabbitmq.conf").write_text(
            "listeners.tcp = none\n"
            f"mqtt.listeners.tcp.default = 127.0.0.1:{self.port}\n"
            f"mqtt.listeners.ssl.default = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {certificates.ca}\n"
            f"ssl_options.certfile = {certificates.broker}\n"
            f"ssl_options.keyfile = {certificates.broker_key}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            "mqtt.allow_anonymous = false\n"
            "mqtt.prefetch = 100\n"
            f"load_definitions = {folder}/users.json\n"
            "distribution.listener.interface = 127.0.0.1\n"
            "log.console = true\nlog.console.level = info\nlog.file = false\n"
        )
        (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        mapper = free_port()
        environment = {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": "boxback@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RUNNING_UNDER_SYSTEMD": "1",
        }
        # The Erlang machine would start a mapper that outlives it.
        self._run(_find("epmd"), "-port", str(mapper), "-address", "127.0.0.1", **environment)
        wait_for("epmd to listen", lambda: port_listens(mapper))
        # One scheduler that sleeps when there is nothing to do: two would spin beside the tests.
        self._run(str(_RABBIT), "+S", "1:1", "+sbwt", "none", **environment)


def _definitions(users: dict[str, str]) -> dict[str, object]:
    rights = {"vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            {
                "name": name,
                "password_hash": _rabbit_hash(word),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
            for name, word in users.items()
        ],
        "permissions": [{"user": name, **rights} for name in users],
    }


def _rabbit_hash(password: str) -> str:
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _find(program: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        message = f"{program} is not installed: {sys.executable} tools/setup_env.py test"
        raise AssertionError(message)
    return found


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (MosquittoPeer, NatsPeer, RabbitPeer)}


@contextlib.contextmanager
def running_peer(
    kind: str, folder: Path, users: dict[str, str], certificates: Certificates
) -> Iterator[Peer]:
    """A broker of that kind for the block."""
    peer = PEERS[kind](folder, users, certificates)
    try:
        yield peer
    finally:
        peer.kill()


class Fleet:
    """Bins issued before a broker starts, for a broker reads its users once; each is used once."""

    def __init__(self, folder: Path, bins: int) -> None:
        settings = settings_for(folder, 1883)
        self._folder = folder
        made = [issue_bin(settings) for _ in range(bins)]
        self._unused = iter(made)
        self.users = {one.bin: password_of(one.key) for one in made}
        self.users[settings.gateway.user] = secretfile.read_or_make(settings.broker_password_path)

    def next_bin(self) -> Provisioning:
        return next(self._unused)

    def settings(self, broker: Peer, points_url: str = "http://127.0.0.1:9") -> Settings:
        """The gateway's settings on that broker."""
        return settings_for(self._folder, broker.port, points_url)

    def client(
        self, broker: Peer, user: str, client_id: str, tls: Certificates | None = None
    ) -> mqtt.Client:
        """A client of that user, connected and running; stop it with `leave`."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        client.username_pw_set(user, self.users[user])
        if tls:
            client.tls_set_context(tls.context())
        client.connect("127.0.0.1", broker.tls_port if tls else broker.port)
        client.loop_start()
        # RabbitMQ lets fall what comes before it has let the client in.
        wait_for(f"{client_id} to be let in", client.is_connected)
        return client


def leave(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()
