"""The embedded broker of one machine: rumqttd, in a child process, on 127.0.0.1 only.

What it enforces: user and password of every client (`[broker] authenticate`), payload size,
number of clients. What it does not: topic rights (a bin may read and write every topic; lines,
receipts and outcomes are signed, so it can forge none of them, but `online` it can) and
encryption. It keeps messages in memory only; what is lost with it the bins send again. Bins over a
network want mosquitto or larger, with TLS and topic rights a bin.

    BrokerError     it cannot start or ended by itself; the text says why and what to do
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import exc

from gateway import secretfile, wire
from gateway.backoff import Backoff
from gateway.config import ConfigError
from gateway.log import fields
from gateway.processes import Child, ChildError, Port, Supervisor, python
from gateway.store import fleet, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config import Settings
    from gateway.processes import Running
    from gateway.store import Store

log = logging.getLogger("gateway.broker")

HOST: Final = "127.0.0.1"
WINDOW_MESSAGES: Final = 100
"""Unacknowledged messages rumqttd 0.20 sends to one client: a constant in it (measured), whatever
max_inflight_count says."""
_SEGMENT_BYTES: Final = 1 << 20
_OUTGOING_PACKETS: Final = 200
_CONNECT_TIMEOUT_MS: Final = 5_000
_STOP_TIMEOUT_S: Final = 5.0
_RUNNING_POLL_S: Final = 0.2
_RESTART_TRIES: Final = 5
_RESTART_FIRST_S: Final = 0.2
_RESTART_WAIT_MAX_S: Final = 2.0


class BrokerError(Exception):
    """The broker cannot start or ended by itself; the text says why and what to do."""


def broker_toml(settings: Settings, users: dict[str, str]) -> str:
    """Give the configuration of rumqttd. `users` is name to password; empty lets everybody in."""
    broker = settings.broker
    parts = [
        "id = 0",
        "[router]",
        "id = 0",
        f"max_connections = {broker.connections_max}",
        f"max_outgoing_packet_count = {_OUTGOING_PACKETS}",
        f"max_segment_size = {_SEGMENT_BYTES}",
        f"max_segment_count = {max(2, broker.held_max_mb * (1 << 20) // _SEGMENT_BYTES)}",
        "[v4.1]",
        'name = "bins"',
        f'listen = "{HOST}:{broker.port}"',
        "next_connection_delay_ms = 1",
        "[v4.1.connections]",
        f"connection_timeout_ms = {_CONNECT_TIMEOUT_MS}",
        f"max_payload_size = {broker.payload_max_bytes}",
        f"max_inflight_count = {WINDOW_MESSAGES}",
        "dynamic_filters = true",  # a journal before the first gateway must not cost the connection
    ]
    if users:
        parts.append("[v4.1.connections.auth]")
        parts += [f"{json.dumps(name)} = {json.dumps(word)}" for name, word in users.items()]
    return "\n".join(parts) + "\n"


class EmbeddedBroker:
    """rumqttd as a child of this process; it ends with us, also when we are killed.

    A bin that is added to the fleet needs a password in rumqttd's configuration, which rumqttd
    reads only once; so it is restarted then (`refresh`). That costs a reconnect, never a line.
    """

    def __init__(self, settings: Settings, stopping: threading.Event | None = None) -> None:
        """`stopping`, when it is set, ends a start that has not come to its end."""
        self._settings = settings
        self._toml: Path = settings.gateway_dir / "rumqttd.toml"
        self._stopping = stopping or threading.Event()
        self._children = Supervisor(stopping)
        self._running: Running | None = None
        self._store: Store | None = None
        self._mark: tuple[int, int] | None = None
        self._looked_at = 0.0

    def start(self) -> None:
        """Start and return when it listens.

        Raises BrokerError, ConfigError, StoreError or Stopped. Only from a thread that lives as
        long as the broker should (gateway/processes.py).
        """
        if self._settings.broker.authenticate and self._store is None:
            self._store = open_store(self._settings.database_path)
        try:
            mark, users = self._fleet()
        except exc.DBAPIError as error:
            raise BrokerError(f"{self._settings.database_path}: {error.orig}") from error
        self._write_toml(users)
        self._launch(users, tries=1)
        self._mark = mark

    def stop(self) -> None:
        """Stop it, wait for its end and release what is held. Safe to call twice."""
        self._children.stop()
        self._running = None
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def pid(self) -> int:
        """Process id of the child, 0 when there is none."""
        return self._running.pid if self._running is not None else 0

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._running is not None and self._running.code is None

    def refresh(self) -> bool:
        """Restart when bins were added since the start; whether it did.

        Looks at the fleet at most every users_poll_s, so it can be called often. While the fleet
        or the disk is in trouble the broker runs on as it is. Raises BrokerError when it has ended
        by itself, or did not start again after a few tries; Stopped when we are to stop meanwhile.
        """
        if not self.running:
            how = self._running.ending() if self._running is not None else "was never started"
            reason = f"the embedded broker {how}"
            raise BrokerError(reason)
        now = time.monotonic()
        if self._store is None or now - self._looked_at < self._settings.broker.users_poll_s:
            return False
        self._looked_at = now
        try:
            with self._store.reading() as connection:
                if fleet.bins_mark(connection) == self._mark:
                    return False
            mark, users = self._fleet()
            self._write_toml(users)
        except (exc.DBAPIError, BrokerError, ConfigError) as error:
            why = error.orig if isinstance(error, exc.DBAPIError) else error
            log.error("no restart for added bins: runs on as it is", extra=fields(reason=why))  # noqa: TRY400
            return False
        log.info("fleet has changed: restarting", extra=fields(users=len(users)))
        self._children.stop()
        self._launch(users, tries=_RESTART_TRIES)
        self._mark = mark
        return True

    def run(self, stopping: threading.Event) -> None:
        """Keep it running until `stopping` is set. Raises BrokerError when it ends by itself."""
        while not stopping.wait(_RUNNING_POLL_S):
            self.refresh()

    def _launch(self, users: dict[str, str], tries: int) -> None:
        """Start the child on what _write_toml wrote, with waits between the tries."""
        backoff = Backoff(_RESTART_FIRST_S, _RESTART_WAIT_MAX_S)
        try:
            while True:
                try:
                    self._running = self._children.start(self._child())
                    break
                except ChildError as error:
                    if backoff.tries + 1 >= tries:
                        raise BrokerError(str(error)) from error
                    log.warning("not started, trying again", extra=fields(reason=error))
                self._stopping.wait(backoff.next_s())
        finally:
            self._toml.unlink(missing_ok=True)  # read by now, and it holds every password
        log.info(
            "listening",
            extra=fields(at=f"{HOST}:{self._settings.broker.port}", users=len(users) or "anybody"),
        )

    def _child(self) -> Child:
        broker = self._settings.broker
        return Child(
            "broker",
            python("-m", "gateway.rumqttd", str(self._toml)),
            ready=Port(HOST, broker.port),
            ready_timeout_s=broker.start_timeout_s,
            stop_timeout_s=_STOP_TIMEOUT_S,
        )

    def _write_toml(self, users: dict[str, str]) -> None:
        try:
            self._toml.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._toml, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(broker_toml(self._settings, users))
        except OSError as error:
            self._toml.unlink(missing_ok=True)  # a part of it holds passwords too
            reason = f"{self._toml}: cannot be written: {error.strerror}"
            raise BrokerError(reason) from error

    def _fleet(self) -> tuple[tuple[int, int] | None, dict[str, str]]:
        """Give the mark of the fleet and everybody's password; (None, {}) lets everybody in."""
        if self._store is None:
            return None, {}
        gateway = self._settings.gateway
        password = secretfile.read_or_make(self._settings.broker_password_path)
        users = {gateway.user or "boxback-gateway": password}
        with self._store.reading() as connection:
            mark = fleet.bins_mark(connection)
            for row in fleet.all_bins(connection):
                users[row.bin] = wire.mqtt_password(row.key)
        return mark, users
