"""Child processes of `boxback run` and `boxback try`: started, awaited, stopped, never orphaned.

    with Supervisor(stopping) as children:     # an event that ends a start, too
        children.start(Child("points", [...], ready=Port("127.0.0.1", 8081)))
        children.start(Child("gateway", [...], ready=Told()))
        ended = children.wait(stopping)        # a child that ended by itself, or None when asked

Leaving the block stops all, the newest first. If this process dies, even by kill -9, the kernel
kills the children (PR_SET_PDEATHSIG); start them from a thread that lives as long as they should,
for it is the death of the thread that counts.

    ChildError      a child could not be started or was not ready in time
    Stopped         we were asked to end before a child was ready: no failure
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final, Self

from gateway.log import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

log = logging.getLogger("gateway.processes")

READY_FD: Final = "BOXBACK_READY_FD"
READY_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 10.0
_KILL_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_PROBE_TIMEOUT_S: Final = 0.5
_PR_SET_PDEATHSIG: Final = 1
_ENDED_WITH_PARENT: Final = 70


class ChildError(Exception):
    """A child could not be started or was not ready in time; the text says which and why."""


class Stopped(Exception):
    """We were asked to end while something was being started: no failure."""


@dataclass(frozen=True)
class Port:
    """Ready when this TCP port accepts a connection."""

    host: str
    port: int


@dataclass(frozen=True)
class Told:
    """Ready when the child writes to the file descriptor that its environment names in READY_FD."""


@dataclass(frozen=True)
class Child:
    """What to start. Without `output` it writes where we write; `ready` None waits for nothing."""

    name: str
    argv: Sequence[str]
    ready: Port | Told | None = None
    ready_timeout_s: float = READY_TIMEOUT_S
    stop_timeout_s: float = STOP_TIMEOUT_S
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to our environment."""
    cwd: Path | None = None
    output: Path | None = None
    """File that standard output and error are appended to."""


class Running:
    """A child that was started."""

    def __init__(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        self.child = child
        self.process = process

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self.process.pid

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal, None while it runs.

        The process is not reaped by looking: its number stays its own until `stop` has cleared up
        its group, so nobody else's processes can be hit.
        """
        if self.process.returncode is not None:
            return self.process.returncode
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def ending(self) -> str:
        """How it ended, in words."""
        code = self.code
        if code is None:
            return "still runs"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with code {code}"


class Supervisor:
    """A handful of children, as a context manager. `stopping`, when set, ends a start as well."""

    def __init__(self, stopping: threading.Event | None = None) -> None:
        self._running: list[Running] = []
        self._stopping = stopping or threading.Event()

    def __enter__(self) -> Self:
        """Begin; nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all."""
        self.stop()

    def start(self, child: Child) -> Running:
        """Start a child and wait until it is ready.

        Raises ChildError when it cannot be started, ends before it is ready, or takes longer than
        ready_timeout_s; then it is stopped. So it is when we are to stop meanwhile: Stopped.
        """
        if isinstance(child.ready, Port) and port_open(child.ready.host, child.ready.port):
            reason = (
                f"{child.name}: port {child.ready.port} of {child.ready.host} is taken already; "
                "stop what runs there or set another port in boxback.toml"
            )
            raise ChildError(reason)
        running, told = _spawn(child)
        self._running.append(running)
        try:
            _await_ready(running, told, self._stopping)
        except (ChildError, Stopped):
            self._running.remove(running)
            _stop(running)
            raise
        finally:
            if told is not None:
                told.close()
        log.info("started", extra=fields(child=child.name, pid=running.pid))
        return running

    def ended(self) -> Running | None:
        """Give a child that has ended by itself, or None."""
        return next((running for running in self._running if running.code is not None), None)

    def wait(
        self, stopping: threading.Event, each: Callable[[], object] | None = None
    ) -> Running | None:
        """Wait until `stopping` is set (None) or a child ends by itself (that child).

        `each` is called a few times a second; what it raises ends the wait.
        """
        while not stopping.wait(_POLL_S):
            found = self.ended()
            if found is not None:
                return found
            if each is not None:
                each()
        return None

    def stop(self) -> None:
        """Stop all, the newest first: SIGTERM, a bounded wait, SIGKILL to what is left."""
        while self._running:
            _stop(self._running.pop())


def python(*arguments: str) -> list[str]:
    """Give the command that runs this very Python with -m and so on."""
    return [sys.executable, *arguments]


def port_open(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def _spawn(child: Child) -> tuple[Running, IO[bytes] | None]:
    """Start the process; also the reading end of its ready pipe, if it has one."""
    environment = {**os.environ, **child.env}
    passed: tuple[int, ...] = ()
    told: IO[bytes] | None = None
    with contextlib.ExitStack() as after:
        if isinstance(child.ready, Told):
            reading, writing = os.pipe()
            told = os.fdopen(reading, "rb", buffering=0)
            after.callback(os.close, writing)
            environment[READY_FD] = str(writing)
            passed = (writing,)
        try:
            output = after.enter_context(child.output.open("ab")) if child.output else None
            process = subprocess.Popen(
                list(child.argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                env=environment,
                cwd=child.cwd,
                pass_fds=passed,
                start_new_session=True,  # Ctrl-C reaches us only, and we can kill its whole group
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - one system call, no locks
            )
        except OSError as error:
            if told is not None:
                told.close()
            reason = f"{child.name}: cannot be started: {error}"
            raise ChildError(reason) from error
    return Running(child, process), told


def _die_with(parent: int) -> Callable[[], None] | None:
    """Make the call that ties a child's life to ours (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(_ENDED_WITH_PARENT)

    return tie


def _await_ready(running: Running, told: IO[bytes] | None, stopping: threading.Event) -> None:
    child = running.child
    until = time.monotonic() + child.ready_timeout_s
    while not _is_ready(child, told):
        if running.code is not None:
            reason = f"{child.name} {running.ending()} before it was ready"
            raise ChildError(reason)
        if time.monotonic() > until:
            reason = f"{child.name} was not ready within {child.ready_timeout_s:g} s"
            raise ChildError(reason)
        if stopping.is_set():
            raise Stopped
        if told is None:
            time.sleep(_POLL_S)


def _is_ready(child: Child, told: IO[bytes] | None) -> bool:
    if told is not None:
        readable, _, _ = select.select([told], [], [], _POLL_S)
        if not readable:
            return False
        if told.read(64):
            return True
        time.sleep(_POLL_S)  # it closed the pipe without a word: it is ending, or never will say
        return False
    if isinstance(child.ready, Port):
        return port_open(child.ready.host, child.ready.port)
    return True


def _stop(running: Running) -> None:
    until = time.monotonic() + running.child.stop_timeout_s
    if running.code is None:
        os.kill(running.pid, signal.SIGTERM)
    while running.code is None and time.monotonic() < until:
        time.sleep(_POLL_S)
    if running.code is None:
        log.warning("killing", extra=fields(child=running.child.name, pid=running.pid))
    # The group is killed in any case: a child's own children must not outlive it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.process.wait(_KILL_TIMEOUT_S)
    log.info("ended", extra=fields(child=running.child.name, how=running.ending()))
