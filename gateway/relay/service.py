"""The relay's thread: it empties the outbox, and waits when it must."""

from __future__ import annotations

import logging
import threading
import time
import tomllib
from typing import TYPE_CHECKING, Final

import httpx
from sqlalchemy import exc

from gateway import secretfile
from gateway.backoff import Backoff
from gateway.config import ConfigError
from gateway.log import fields
from gateway.relay.client import Later, Mend, Reply, post
from gateway.relay.feed import Feed
from gateway.relay.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.config import Settings
    from gateway.store import Store
    from gateway.store.outbox import Outcome

log = logging.getLogger("gateway.relay")

_RETRY_FIRST_S: Final = 0.2
TELL_WAIT_S: Final = 5.0
"""Longest wait at the start for a way to tell outcomes; credits must not depend on the broker."""
_TELL_POLL_S: Final = 0.05


class Relay(threading.Thread):
    """Pass the outbox on. It ends when asked to; `failed` tells when it ended by itself."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        tell: Callable[[Outcome], None],
        transport: httpx.BaseTransport | None = None,
        can_tell: threading.Event | None = None,
    ) -> None:
        """Wire it up.

        `tell` publishes a stored outcome, which is lost while `can_tell` is not set; `transport`
        stands in for the network in tests.
        """
        super().__init__(name="boxback-relay", daemon=True)
        self._settings = settings.relay
        self._key_path = settings.relay_key_path
        self._client = httpx.Client(
            timeout=self._settings.timeout_s, transport=transport, trust_env=False
        )
        self._feed = Feed(store, Sender(store, self._post, tell), self._settings.batch_items)
        self._can_tell = can_tell
        self._backoff = Backoff(_RETRY_FIRST_S, self._settings.retry_max_s)
        self._key = ""
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.failed = threading.Event()

    def wake(self) -> None:
        """Say that the outbox has something new."""
        self._wake.set()

    def stop(self) -> None:
        """Ask for the end, after the request in hand (bounded by timeout_s)."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Work until asked to stop."""
        try:
            self._await_listener()
            while not self._stopping.is_set():
                self._wake.clear()
                wait_s = self._pass()
                if wait_s > 0:
                    self._stopping.wait(wait_s)
                elif wait_s < 0:
                    self._wake.wait(self._settings.poll_ms / 1000)
        finally:
            self._client.close()
            if not self._stopping.is_set():
                self.failed.set()

    def _await_listener(self) -> None:
        """After a restart the outbox may be full: its outcomes should find their bins."""
        until = time.monotonic() + TELL_WAIT_S
        while self._can_tell is not None and not self._can_tell.is_set():
            if time.monotonic() > until or self._stopping.wait(_TELL_POLL_S):
                return

    def _pass(self) -> float:
        """Send one batch. Seconds to wait: 0 for more to do, below 0 for nothing to do."""
        try:
            held = self._feed.pass_on()
        except (exc.DBAPIError, exc.TimeoutError) as error:
            wait_s = self._backoff.next_s()
            reason = getattr(error, "orig", None) or type(error).__name__
            log.error("store failed", extra=fields(reason=reason, wait_s=f"{wait_s:.2f}"))  # noqa: TRY400
            return wait_s
        if isinstance(held, Later | Mend):
            return self._hold(held)
        if not held:
            return -1
        self._backoff.reset()
        return 0

    def _hold(self, held: Later | Mend) -> float:
        if isinstance(held, Mend):
            log.error(
                "points refuses the relay, an operator must mend this; nothing is lost",
                extra=fields(reason=held.reason, url=self._settings.url, key_file=self._key_path),
            )
            self._key = ""  # read again: perhaps it is mended
            return self._settings.refused_retry_s
        wait_s = max(self._backoff.next_s(), held.at_least_s)
        log.warning(
            "points backend away",
            extra=fields(reason=held.reason, tries=self._backoff.tries, wait_s=f"{wait_s:.2f}"),
        )
        return wait_s

    def _post(self, ids: Sequence[str], body: bytes) -> Reply:
        if not self._key:
            if not self._key_path.exists():
                return Later(f"no key yet at {self._key_path} (points makes it at its first start)")
            try:
                self._key = read_key(self._key_path)
            except ConfigError as error:
                return Mend(str(error))
        return post(self._client, self._settings.url, self._key, ids, body)


def read_key(path: Path) -> str:
    """Read the gateway's key at the points backend: the key alone or TOML with gateway_key.

    Raises ConfigError.
    """
    text = secretfile.read(path)
    key = text.strip()
    if "gateway_key" in text:
        try:
            key = str(tomllib.loads(text).get("gateway_key", ""))
        except tomllib.TOMLDecodeError as error:
            reason = f"{path}: is not TOML: {error}"
            raise ConfigError(reason) from error
    if not key or not key.isascii() or not key.isprintable():
        reason = f"{path}: holds no key: one line of ASCII, or TOML with gateway_key"
        raise ConfigError(reason)
    return key
