"""Secrets in files of their own, mode 0600, made once."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from gateway.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SECRET_MAX_BYTES: Final = 65_536
_MADE_BYTES: Final = 32


def read(path: Path) -> str:
    """Text of a secret file. Raises ConfigError when it is missing, too big or open to others."""
    try:
        status = path.stat()
        if stat.S_IMODE(status.st_mode) & 0o077:
            reason = f"{path}: other users may read this secret: chmod 600 {path}"
            raise ConfigError(reason)
        if status.st_size > SECRET_MAX_BYTES:
            reason = f"{path}: is larger than {SECRET_MAX_BYTES} bytes: is this the right file?"
            raise ConfigError(reason)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"{path}: the secret cannot be read: {error.strerror}"
        raise ConfigError(reason) from error
    except UnicodeDecodeError as error:
        reason = f"{path}: is not UTF-8 text"
        raise ConfigError(reason) from error


def read_or_make(path: Path) -> str:
    """Text of the file, drawn at random when it is missing. Raises ConfigError.

    Two processes that start at once agree: the file is written aside and linked into place.
    """
    if not path.exists():
        _make(path)
    text = read(path).strip()
    if not text:
        reason = f"{path}: is empty; delete it and a new secret is made"
        raise ConfigError(reason)
    return text


def _make(path: Path) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(_MADE_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(aside, path)
            except FileExistsError:
                return  # the other process was first: its secret is the secret
        finally:
            aside.unlink()
    except OSError as error:
        reason = f"{path}: the secret cannot be made: {error.strerror}"
        raise ConfigError(reason) from error
