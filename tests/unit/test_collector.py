"""The collector of tests on MicroPython: a test that fails there fails here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import HEAP, MicroPythonFailure, MicroPythonFile, MicroPythonItem

TESTS = """
import gc
import sys


def test_good():
    assert sys.implementation.name == "micropython"


def test_heap():
    gc.collect()
    total = gc.mem_free() + gc.mem_alloc()
    assert 180 * 1024 < total <= 192 * 1024, total


def test_firmware_is_compiled():
    from boxbin.core import visit
    assert visit.__file__.endswith(".mpy"), visit.__file__


def test_bad():
    assert 1 == 2


async def test_bad_later():
    import asyncio
    await asyncio.sleep_ms(1)
    raise ValueError("later")


def helper():
    pass
"""


@pytest.fixture
def items(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, MicroPythonItem]:
    path = tmp_path / "test_sample.py"
    path.write_text(TESTS)
    file = MicroPythonFile.from_parent(request.session, path=path)
    return {item.originalname: item for item in file.collect()}


def test_every_test_function_is_found(items: dict[str, MicroPythonItem]) -> None:
    assert set(items) == {
        *("test_good", "test_heap", "test_firmware_is_compiled", "test_bad", "test_bad_later")
    }


@pytest.mark.parametrize("name", ["test_good", "test_heap", "test_firmware_is_compiled"])
def test_good_ones_pass(items: dict[str, MicroPythonItem], name: str) -> None:
    assert HEAP == "192K"
    items[name].runtest()


@pytest.mark.parametrize(
    ("name", "words"), [("test_bad", "AssertionError"), ("test_bad_later", "ValueError: later")]
)
def test_bad_ones_fail_with_the_interpreters_words(
    items: dict[str, MicroPythonItem], name: str, words: str
) -> None:
    with pytest.raises(MicroPythonFailure, match=words):
        items[name].runtest()
