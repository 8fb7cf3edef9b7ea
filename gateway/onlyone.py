"""A lock on a folder, so that two gateways do not work on one; freed however the process ends."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

from gateway.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


_TRIES: Final = 5
_TRY_AGAIN_S: Final = 0.02
"""Those who only look (`held`) have the lock for a moment."""


def held(path: Path) -> bool:
    """Whether a process works on the folder of this lock. A look makes no file."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class OnlyOne:
    """Held from its making until `release`."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises ConfigError when another process has it or it cannot be made."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            reason = f"{path}: cannot be made or opened: {error.strerror}"
            raise ConfigError(reason) from error
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if left:
                    time.sleep(_TRY_AGAIN_S)
                    continue
                os.close(self._handle)
                reason = (
                    f"{path}: another gateway works on this folder; stop it, or give this one a "
                    "data_dir of its own in boxback.toml"
                )
                raise ConfigError(reason) from error
            return

    def release(self) -> None:
        """Free the lock."""
        os.close(self._handle)
