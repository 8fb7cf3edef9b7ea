"""The three brokers of the field, each started once a worker and only when a test wants it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.brokers import PEERS
from tests.support.field import Field, Fields


@pytest.fixture(scope="session")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fields]:
    with ExitStack() as stack:
        yield Fields(tmp_path_factory.mktemp("field"), stack)


@pytest.fixture(params=list(PEERS))
def a_field(request: pytest.FixtureRequest, fields: Fields) -> Field:
    """One after the other of all three."""
    return fields.get(request.param)
