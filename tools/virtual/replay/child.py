"""One interpreter with player.py in it, as a child process: frames go in, answers come out."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import struct
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.virtual.process import INTERPRETER, interpreter_library
from tools.virtual.replay import player

HEAP = "512K"  # a bin has 192 KB; more only makes the garbage collector rarer
WORDS = 20  # lines kept of what an interpreter said last


class ReplayError(Exception):
    """A trace that was not played to its end; the text names it and says why."""


class PlayerProcess:
    """One interpreter that plays traces, one after another. For one thread at a time.

    `say` gets each line that the firmware prints by itself. The kernel ends the process with the
    thread that made it.
    """

    def __init__(self, firmware: Path, say: Callable[[str], None], limit_s: float) -> None:
        self.ended = False  # killed, or seen to be gone
        self._say, self._limit_s = say, limit_s
        self._unsent = bytearray()
        self._heard = bytearray()
        self._words: deque[str] = deque(maxlen=WORDS)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-S", "-I", str(INTERPRETER)),
                *(str(interpreter_library()), str(os.getpid())),
                *("-X", f"heapsize={HEAP}", player.__file__),
            ],
            env={"PATH": "/usr/bin:/bin", "MICROPYPATH": f"{firmware}:.frozen"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us
        )
        assert self._process.stdin is not None  # noqa: S101  (for mypy: both were asked for)
        assert self._process.stdout is not None  # noqa: S101
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)

    def send(self, text: dict[str, Any], events: array[int]) -> None:
        """Begin to send a frame; each has one answer()."""
        body = json.dumps(text, ensure_ascii=False).encode()
        data = events.tobytes()
        self._unsent += struct.pack(player.HEAD, len(body), len(data)) + body + data
        self._write()

    def answer(self, take: Callable[[list[Any]], None]) -> list[Any]:
        """Wait for the next answer; `take` gets its journal lines, the end of it is returned.

        Raises ReplayError when the process ends, or does nothing for too long.
        """
        deadline = time.monotonic() + self._limit_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            if self._unsent:
                selector.register(self._to, selectors.EVENT_WRITE)
            while True:
                found = self._next_line()
                if found is not None and len(found) < player.LINE_PARTS:
                    return found
                if found is not None:
                    take(found)
                    continue
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready or time.monotonic() > deadline:
                    self.kill()
                    raise ReplayError(f"the firmware hung: no answer within {self._limit_s:g} s")
                for key, _ in ready:
                    if key.fd == self._from:
                        self._read()
                    elif self._write():
                        selector.unregister(self._to)

    def _write(self) -> bool:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # an end is seen by reading
            while self._unsent:
                del self._unsent[: os.write(self._to, self._unsent[:65536])]
        return not self._unsent

    def _read(self) -> None:
        data = os.read(self._from, 65536)
        if not data:
            self.kill()
            raise ReplayError(f"the interpreter ended by itself. It said last:\n{self.words()}")
        self._heard += data

    def _next_line(self) -> list[Any] | None:
        while (end := self._heard.find(b"\n")) >= 0:
            line = self._heard[:end].decode(errors="replace").rstrip("\r")
            del self._heard[: end + 1]
            if line.startswith(player.MARK):
                found: list[Any] = json.loads(line[1:])
                return found
            self._words.append(line)
            self._say(line)
        return None

    def words(self) -> str:
        """What it printed last, besides answers."""
        return "\n".join(self._words) + self._heard.decode(errors="replace")

    def kill(self) -> None:
        """End it, from any thread."""
        self.ended = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """End it and give everything back."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
