"""Intake, relay and sender in one process: `boxback gateway serve` and `python -m gateway`."""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from gateway import secretfile, wire
from gateway.config import is_loopback
from gateway.fleet.keys import Keys
from gateway.fleet.sender import Sender
from gateway.intake.link import Link
from gateway.intake.worker import Worker
from gateway.log import fields
from gateway.onlyone import OnlyOne
from gateway.processes import READY_FD
from gateway.relay.service import Relay
from gateway.store import Store, open_store

if TYPE_CHECKING:
    from types import FrameType

    import httpx

    from gateway.config import Settings
    from gateway.intake.judge import Message
    from gateway.store.outbox import Outcome

log = logging.getLogger("gateway.run")

_WATCH_S: Final = 0.1


class Gateway:
    """The gateway of one process. `start`, then `stop`; it can be started once."""

    worker_class: type[Worker] = Worker

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        """Open the store and read the secrets.

        Raises StoreError or ConfigError. `transport` replaces the relay's network in tests.
        """
        self.settings = settings
        password = None
        if settings.gateway.user:
            password = secretfile.read_or_make(settings.broker_password_path)
        with ExitStack() as undo:
            self._lock = OnlyOne(settings.gateway_dir / "serve.lock")
            undo.callback(self._lock.release)
            self.store: Store = open_store(
                settings.database_path, wait_ms=settings.gateway.database_wait_ms
            )
            undo.callback(self.store.close)
            inbox: queue.Queue[Message] = queue.Queue(settings.gateway.queue_messages)
            self.link = Link(settings, password, inbox)
            undo.pop_all()
        self._keys = Keys(self.store)
        self.relay = Relay(settings, self.store, self._tell, transport, self.link.ready)
        self.sender = Sender(self.store, self.link)
        self.worker = self.worker_class(
            settings.gateway, self.store, self._keys, self.link, inbox, self.relay.wake
        )

    def start(self) -> None:
        """Start the threads and return; the link connects for as long as it takes."""
        log.info(
            "starting",
            extra=fields(
                broker=f"{self.settings.broker.host}:{self.settings.broker.port}",
                points=self.settings.relay.url,
                database=self.settings.database_path,
                window_messages=self.settings.gateway.window_messages,
                batch_messages=self.worker.batch_messages,
                batch_lines=self.settings.gateway.batch_lines,
                batch_wait_ms=self.settings.gateway.batch_wait_ms,
            ),
        )
        broker = self.settings.broker
        if broker.tls_ca is None and not is_loopback(broker.host):
            log.warning(
                "the broker is reached without TLS: our password can be read on the way",
                extra=fields(host=broker.host, do="set broker.tls_ca"),
            )
        self.worker.start()
        self.relay.start()
        self.sender.start()
        self.link.start()

    def stop(self) -> bool:
        """Finish the batch in hand and end all threads; False when one did not end in time."""
        until = time.monotonic() + self.settings.gateway.stop_timeout_s
        threads = (self.worker, self.relay, self.sender)
        for part in threads:
            part.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        clean = self.link.stop() and not any(thread.is_alive() for thread in threads)
        if clean:
            self.store.close()
            self._lock.release()
        return clean

    @property
    def broken(self) -> str:
        """Name of a thread that ended by itself, or ""."""
        if self.worker.failed.is_set():
            return "intake"
        if self.relay.failed.is_set():
            return "relay"
        if self.sender.failed.is_set():
            return "sender"
        return "" if self.link.alive else "link"

    def _tell(self, outcome: Outcome) -> None:
        """Publish a stored outcome to its bin; if that is lost, the display stays without it."""
        keys = self._keys.find(outcome.bin)
        if keys is not None:
            body = wire.outcome_body(
                outcome.epoch,
                outcome.n,
                status=outcome.status,
                points=outcome.points,
                balance=outcome.balance,
                why=outcome.code,
            )
            self.link.publish(outcome.bin, "outcome", keys.outcome.sign(body), 0)


def serve(gateway: Gateway) -> int:
    """Run until SIGTERM or SIGINT; the exit code: 0, or 1 when a part failed.

    Only from the main thread, for it takes the two signals.
    """
    wanted = threading.Event()

    def end(number: int, _frame: FrameType | None) -> None:
        log.info("stopping", extra=fields(signal=signal.Signals(number).name))
        wanted.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    gateway.start()
    told = False
    code = 0
    try:
        while not wanted.wait(_WATCH_S):
            if not told and gateway.link.ready.is_set():
                told = True
                _say_ready()
            if gateway.broken:
                log.critical("a part ended by itself", extra=fields(part=gateway.broken))
                code = 1
                break
    finally:
        if not gateway.stop():
            log.warning("not everything ended in time; nothing is lost by that")
        for number, handler in before.items():
            signal.signal(number, handler)
    log.info("stopped", extra=fields(code=code))
    return code


def _say_ready() -> None:
    """Tell the process that started us, if it asked to be told."""
    descriptor = os.environ.pop(READY_FD, "")
    if descriptor.isdigit():
        with os.fdopen(int(descriptor), "wb") as pipe:
            pipe.write(b"ready\n")
