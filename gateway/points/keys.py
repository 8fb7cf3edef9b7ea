"""The service's keys: given in the settings, or made once and kept in keys.toml (mode 0600)."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.points.config import MIN_KEY_CHARS, ConfigError

if TYPE_CHECKING:
    from gateway.points.config import PointsSettings

_NAMES = ("gateway_key", "operator_key", "pepper")
_KEY_BYTES = 32


@dataclass(frozen=True)
class Keys:
    """Kept out of repr, so that a log of the object shows nothing."""

    gateway_key: str = field(repr=False)
    operator_key: str = field(repr=False)
    pepper: bytes = field(repr=False)

    def label_hash(self, label: str) -> bytes:
        """32 bytes that stand for a label in the database."""
        return hmac.digest(self.pepper, label.encode(), hashlib.sha256)


def same_key(given: str, wanted: str) -> bool:
    """Compare two keys in a time that does not tell how much of them agrees."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def resolve_keys(settings: PointsSettings) -> Keys:
    """Take the keys from the settings, and what they lack from keys.toml, which is made if missing.

    Raises ConfigError when the file is unreadable, incomplete, or open to other users.
    """
    found = {
        name: secret.get_secret_value()
        for name in _NAMES
        if (secret := getattr(settings, name)) is not None
    }
    if len(found) < len(_NAMES):
        found = {**_read_or_make(settings.keys_path), **found}
    return Keys(found["gateway_key"], found["operator_key"], found["pepper"].encode())


def _read_or_make(path: Path) -> dict[str, str]:
    try:
        if not path.exists():
            _make(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"{path}: the keys cannot be read or made: {error.strerror}"
        raise ConfigError(reason) from None
    if mode & 0o077:
        reason = f"{path}: mode is {mode:04o}, so other users may read the keys: chmod 600 {path}"
        raise ConfigError(reason)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason = f"{path}: is not TOML: {error}"
        raise ConfigError(reason) from None
    for name in _NAMES:
        if not isinstance(table.get(name), str) or len(table[name]) < MIN_KEY_CHARS:
            reason = f"{path}: {name} is missing or shorter than {MIN_KEY_CHARS} characters"
            raise ConfigError(reason)
    return {name: table[name] for name in _NAMES}


def _make(path: Path) -> None:
    """Write the file aside and link it into place: two processes that start at once agree."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = ["# Keys of the points backend. Keep this file: without the pepper labels earn twice."]
    lines += [f'{name} = "{secrets.token_urlsafe(_KEY_BYTES)}"' for name in _NAMES]
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return  # the other process was first: its keys are the keys
    finally:
        aside.unlink()
