"""Log lines that a person reads and a program can split: time, level, part, event, key=value.

    2026-11-24T05:47:09.123Z INFO  intake stored line=B-7K2QM.5f3a9c01.42 new=1

Call sites say `log.info("stored", extra=fields(line=…, new=1))`. Never put a key or password in.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+:/,@%")
VALUE_MAX_CHARS: Final = 300


def fields(**values: object) -> dict[str, object]:
    """Make the `extra` of a log call from named values."""
    return {"fields": values}


class LineFormatter(logging.Formatter):
    """One record, one line: whatever a value holds, it cannot begin a second one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        part = record.name.removeprefix("gateway.")
        text = f"{at}.{int(record.msecs):03d}Z {record.levelname:<7} {part} {record.getMessage()}"
        for name, value in getattr(record, "fields", {}).items():
            text += f" {name}={_shown(value)}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _shown(value: object) -> str:
    text = str(value)[:VALUE_MAX_CHARS]
    if text and _BARE.issuperset(text):
        return text
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def set_up(level: str) -> None:
    """Send the log of this process to standard error, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # One request a second would hide what matters; the relay logs what came of each.
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
