"""The bench: a bin on the table, switched on and ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin

IDLE = "Return a carton:"


@pytest.fixture
def make_bin(tmp_path: Path) -> Iterator[Callable[..., VirtualBin]]:
    """Makes bins that have no network: nothing here needs one."""
    with ExitStack() as stack:

        def make(name: str = "bin", **options: object) -> VirtualBin:
            identity = Identity("B-7K2QM", bytes(range(32)), bytes(32), broker_port=1)
            made = VirtualBin(identity, tmp_path / name, virtual_time=True, **options)  # type: ignore[arg-type]
            return stack.enter_context(made)

        yield make


@pytest.fixture
def ready_bin(make_bin: Callable[..., VirtualBin]) -> VirtualBin:
    """A bin that invites."""
    bin_ = make_bin()
    bin_.wait_for_text(IDLE)
    return bin_
