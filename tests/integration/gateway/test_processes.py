"""Children: started, awaited, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.processes import (
    Child,
    ChildError,
    Port,
    Running,
    Stopped,
    Supervisor,
    Told,
    python,
)
from tests.support.gateway import LIMIT_S, free_port, wait_for

ROOT = Path(__file__).parents[3]
SLEEPER = "import time; time.sleep(600)"
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with os.fdopen(int(os.environ["BOXBACK_READY_FD"]), "w") as pipe:
    pipe.write("ready")
print(grandchild.pid, flush=True)
time.sleep(600)
"""
LISTENER = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""
PARENT = """
import sys, time
from gateway.processes import Child, Supervisor, python
with Supervisor() as children:
    running = children.start(Child("sleeper", python("-c", "import time; time.sleep(600)")))
    print(running.pid, flush=True)
    time.sleep(600)
"""


def gone(pid: int) -> bool:
    """The process has ended (a zombie that nobody reaps counts: it runs no more)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return text.rsplit(")", 1)[1].split()[0] == "Z"


def test_a_child_is_ready_when_its_port_is_open_and_is_stopped_with_the_block() -> None:
    port = free_port()
    with Supervisor() as children:
        argv = python("-c", LISTENER, str(port))
        running = children.start(Child("listener", argv, ready=Port("127.0.0.1", port)))
        assert running.code is None
        assert children.ended() is None
    assert running.code == -signal.SIGTERM
    assert running.ending() == "was ended by SIGTERM"


def test_a_taken_port_is_told(unused_listener: int) -> None:
    with Supervisor() as children, pytest.raises(ChildError, match="is taken already"):
        children.start(Child("x", python("-c", SLEEPER), ready=Port("127.0.0.1", unused_listener)))


@pytest.fixture
def unused_listener() -> object:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with Supervisor() as children:
        running = children.start(
            Child(
                "stubborn",
                python("-c", STUBBORN),
                ready=Told(),
                stop_timeout_s=0.3,
                output=output,
            )
        )
        grandchild = int(wait_for("the grandchild's pid", output.read_text))
        assert not gone(grandchild)
    assert running.code == -signal.SIGKILL
    wait_for("the grandchild's end", lambda: gone(grandchild))


@pytest.mark.parametrize("ready", [Told(), Port("127.0.0.1", 1)])
def test_a_child_that_ends_before_it_is_ready(ready: Told | Port) -> None:
    with Supervisor() as children:
        child = Child("hasty", python("-c", "raise SystemExit(3)"), ready=ready)
        with pytest.raises(ChildError, match="hasty ended with code 3 before it was ready"):
            children.start(child)
        assert children.ended() is None


@pytest.mark.parametrize("ready", [Told(), Port("127.0.0.1", 1)])
def test_a_child_that_is_never_ready_is_stopped(ready: Told | Port) -> None:
    with Supervisor() as children:
        child = Child("slow", python("-c", SLEEPER), ready=ready, ready_timeout_s=0.3)
        with pytest.raises(ChildError, match=r"slow was not ready within 0\.3 s"):
            children.start(child)


@pytest.mark.parametrize("ready", [Told(), Port("127.0.0.1", 1)])
def test_a_start_can_be_called_off(tmp_path: Path, ready: Told | Port) -> None:
    stopping, output = threading.Event(), tmp_path / "pid"
    with Supervisor(stopping) as children:
        argv = python("-c", f"import os; print(os.getpid(), flush=True); {SLEEPER}")
        child = Child("slow", argv, ready=ready, ready_timeout_s=LIMIT_S, output=output)

        def call_off() -> None:
            wait_for("the child", lambda: output.exists() and output.read_text())
            stopping.set()

        caller = threading.Thread(target=call_off)
        caller.start()
        try:
            with pytest.raises(Stopped):
                children.start(child)
        finally:
            caller.join()
        assert gone(int(output.read_text()))


def test_a_command_that_is_not_there() -> None:
    with Supervisor() as children, pytest.raises(ChildError, match="cannot be started"):
        children.start(Child("ghost", ["/no/such/command"], ready=Told()))


def test_waiting_ends_with_a_child_or_when_asked() -> None:
    with Supervisor() as children:
        stopping = threading.Event()
        running = children.start(Child("brief", python("-c", "import sys; sys.stdin.read()")))
        ended: Running | None = children.wait(stopping)
        assert ended is running
        assert ended.ending() == "ended with code 0"
        stopping.set()
        assert children.wait(stopping) is None


def test_children_do_not_outlive_a_killed_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(LIMIT_S)
        wait_for("the child's end", lambda: gone(child))
    finally:
        if parent.poll() is None:
            parent.kill()
        parent.communicate(timeout=LIMIT_S)
