"""The chip's non-volatile store, as a JSON file beside the flash image, seen from outside.

``overlay/esp32.py`` reads and writes the same file: numbers are i32, texts are blobs in hex. A
certificate has a file of its own, ``nvs.json.<key>``, and the mark IN_FILE in the JSON: on a chip
it does not lie in the heap either.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

NAMESPACE = "boxback"
KEY_CHARACTERS = 15
LONG_BYTES = 128
IN_FILE = "@"


def read_nvs(path: Path, namespace: str = NAMESPACE) -> dict[str, int | bytes]:
    """Everything committed in `namespace`; empty when the file does not exist."""
    if not path.exists():
        return {}
    stored: dict[str, int | str] = json.loads(path.read_text()).get(namespace, {})
    return {
        key: (_own(path, key).read_bytes() if value == IN_FILE else bytes.fromhex(value))
        if isinstance(value, str)
        else value
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
        if isinstance(value, bytes) and len(value) > LONG_BYTES:
            _write(_own(path, key), value)
            store[key] = IN_FILE
    _write(path, json.dumps(everything).encode())


def _own(path: Path, key: str) -> Path:
    return path.with_name(f"{path.name}.{key}")


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + f".{os.getpid()}.tmp")
    temporary.touch(mode=0o600)  # keys lie in it
    temporary.write_bytes(data)
    temporary.replace(path)
