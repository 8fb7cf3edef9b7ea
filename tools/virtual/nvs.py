"""The chip's non-volatile store, as a JSON file beside the flash image, seen from outside.

``overlay/esp32.py`` reads and writes the same file: numbers are i32, texts are blobs in hex.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

NAMESPACE = "boxback"
KEY_CHARACTERS = 15


def read_nvs(path: Path, namespace: str = NAMESPACE) -> dict[str, int | bytes]:
    """Everything committed in `namespace`; empty when the file does not exist."""
    if not path.exists():
        return {}
    stored: dict[str, int | str] = json.loads(path.read_text()).get(namespace, {})
    return {
        key: bytes.fromhex(value) if isinstance(value, str) else value
        for key, value in stored.items()
    }


def update_nvs(path: Path, values: dict[str, int | bytes], namespace: str = NAMESPACE) -> None:
    """Set `values` in `namespace` and leave the rest, in one rename. The bin must be off."""
    for key in values:
        if not 0 < len(key) <= KEY_CHARACTERS:
            raise ValueError(f"NVS key {key!r} has {len(key)} characters, allowed are 1 to 15")
    everything = json.loads(path.read_text()) if path.exists() else {}
    store = everything.setdefault(namespace, {})
    for key, value in values.items():
        store[key] = value.hex() if isinstance(value, bytes) else value
    temporary = path.with_name(path.name + f".{os.getpid()}.tmp")
    temporary.touch(mode=0o600)  # keys lie in it
    temporary.write_text(json.dumps(everything))
    temporary.replace(path)
