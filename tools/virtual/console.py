"""The bin's serial console: a bounded ring in memory and a bounded file."""

from __future__ import annotations

from collections import deque
from pathlib import Path

RING_LINES = 500
LINE_CHARACTERS = 400
FILE_BYTES = 1_000_000


class Console:
    """Takes bytes as they come, keeps whole lines."""

    def __init__(self, path: Path) -> None:
        self.lines: deque[str] = deque(maxlen=RING_LINES)
        self.total = 0
        self._path = path
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Bytes of stdout and stderr."""
        if self._path.exists() and self._path.stat().st_size > FILE_BYTES:
            self._path.replace(self._path.with_suffix(".old.log"))
        with self._path.open("ab") as file:
            file.write(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_CHARACTERS:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._keep(line)

    def mark(self, text: str) -> None:
        """A line of the supervisor's own (power, resets), told apart by its dashes."""
        if self._rest:
            self.feed(b"\n")
        self.feed(f"--- {text}\n".encode())

    def _keep(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")[:LINE_CHARACTERS]
        self.lines.append("".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text))
        self.total += 1
