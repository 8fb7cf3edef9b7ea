"""Keys of bins at hand: looked up once, with their hash states ready, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway import wire
from gateway.store import fleet

if TYPE_CHECKING:
    from gateway.store import Store

KEPT_MAX: Final = 4096
"""Bins whose keys are kept in memory (about 3 kB each)."""
UNKNOWN_KEPT_S: Final = 2.0
"""How long "no such bin" is believed: a stranger's flood must not become a flood of queries."""


class BinKeys(NamedTuple):
    """One bin: where it stands and a Signer for every leaf the gateway reads or writes, which is
    what each field from the third on is called after.
    """

    bin: str
    station: str
    journal: wire.Signer
    health: wire.Signer
    receipt: wire.Signer
    outcome: wire.Signer
    done: wire.Signer
    command: wire.Signer
    settings: wire.Signer


class Keys:
    """Find the keys of a bin. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[str, BinKeys] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, bin_id: str) -> BinKeys | None:
        """Give the keys, or None when the fleet has no such bin. Raises SQLAlchemy's errors."""
        with self._lock:
            found = self._kept.get(bin_id)
            if found is not None:
                self._kept.move_to_end(bin_id)
                return found
            until = self._unknown.get(bin_id)
            if until is not None and time.monotonic() < until:
                return None
            with self._store.reading() as connection:
                row = fleet.find_bin(connection, bin_id)
            if row is None:
                self._unknown[bin_id] = time.monotonic() + UNKNOWN_KEPT_S
                self._unknown.move_to_end(bin_id)
                while len(self._unknown) > KEPT_MAX:
                    self._unknown.popitem(last=False)
                return None
            found = keys_of(row)
            self._unknown.pop(bin_id, None)
            self._kept[bin_id] = found
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
            return found


def keys_of(row: fleet.BinRow) -> BinKeys:
    """Make the signers of one bin."""
    return BinKeys(
        row.bin,
        row.station,
        *(wire.Signer(row.bin, row.key, leaf) for leaf in BinKeys._fields[2:]),
    )
