"""Everything on one machine: broker, gateway and points, as `boxback run` starts them.

Points is a program of its own that meets the gateway over HTTP only; it is started by its command
line, and nothing of it is imported here.
"""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from gateway.broker import HOST, EmbeddedBroker
from gateway.config import ConfigError
from gateway.log import fields
from gateway.processes import Child, Port, Supervisor, Told, python

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType, TracebackType

    from gateway.config import Settings
    from gateway.processes import Running

log = logging.getLogger("gateway.site")

_HTTP_PORT: Final = 80
_STOP_SPARE_S: Final = 2.0


class Site:
    """Broker (unless another one is configured), points and gateway. Use it as a context manager.

    `config` is the file that the children read: the one `settings` came from. `output` is a file
    for what they write; without it they write where we write. `stopping` ends the start when it is
    set. More children can be started with `children.start`.
    """

    def __init__(
        self,
        settings: Settings,
        config: Path | None,
        output: Path | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        self.settings = settings
        self.children = Supervisor(stopping)
        self.broker = EmbeddedBroker(settings, stopping) if settings.broker.embedded else None
        self._config = ["--config", str(config.absolute())] if config is not None else []
        self._output = output

    def __enter__(self) -> Self:
        """Start all and return when all are ready.

        Raises BrokerError, ChildError, ConfigError, StoreError or Stopped, after stopping what has
        started.
        """
        self._check_points()
        with ExitStack() as undo:
            undo.callback(self.stop)
            if self.broker is not None:
                self.broker.start()
            self.children.start(self._points())
            self.children.start(self._gateway())
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all."""
        self.stop()

    def addresses(self) -> dict[str, str]:
        """What listens where."""
        broker = self.settings.broker
        scheme = "mqtt" if broker.tls_ca is None else "mqtts"
        return {
            "broker": f"{scheme}://{HOST if broker.embedded else broker.host}:{broker.port}",
            "points": self.settings.relay.url,
        }

    def wait(self, stopping: threading.Event) -> Running | None:
        """Wait until `stopping` is set (None) or a child ends by itself (that child).

        Raises BrokerError when the embedded broker ends by itself or does not come back, Stopped
        when we are to stop while it restarts.
        """
        return self.children.wait(stopping, self.broker.refresh if self.broker else None)

    def stop(self) -> None:
        """Stop all, bounded in time. Safe to call twice."""
        self.children.stop()
        if self.broker is not None:
            self.broker.stop()

    def _check_points(self) -> None:
        """Find the slip of changing one of two settings that belong together."""
        port = self.settings.points.get("port")
        if port is not None and port != self._points_address().port:
            reason = (
                f"[points] port = {port} and [relay] url = {self.settings.relay.url!r} do not "
                f"agree: set url to http://{HOST}:{port}"
            )
            raise ConfigError(reason)

    def _points_address(self) -> Port:
        address = urlsplit(self.settings.relay.url)
        return Port(address.hostname or HOST, address.port or _HTTP_PORT)

    def _points(self) -> Child:
        return Child(
            "points",
            python("-m", "gateway.points", "serve", *self._config),
            ready=self._points_address(),
            output=self._output,
        )

    def _gateway(self) -> Child:
        return Child(
            "gateway",
            python("-m", "gateway", "serve", *self._config),
            ready=Told(),
            stop_timeout_s=self.settings.gateway.stop_timeout_s + _STOP_SPARE_S,
            output=self._output,
        )


def stop_on_signals() -> threading.Event:
    """Give an event that SIGTERM and SIGINT set. Only from the main thread."""
    stopping = threading.Event()

    def end(number: int, _frame: FrameType | None) -> None:
        log.info("stopping", extra=fields(signal=signal.Signals(number).name))
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stopping
