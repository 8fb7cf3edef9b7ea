"""Constants compiled in: the same program with fewer names, and every line in its place."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tools.technician.build import FIRMWARE
from tools.technician.constants import Constants

RULES = """
IDLE = 2
CLOSED = 1 << 11
BOTH = IDLE | CLOSED
NAME = "no integer"
lower = 3
_PRIVATE = 5
"""
USER = """
from . import board, rules, scale
from .rules import (
    BOTH,
    NAME,
    IDLE as OTHER,
)
from .rules import CLOSED, IDLE

_WAIT_MS = 5 * 2  # why
TUPLE = (IDLE, rules.CLOSED)


def f(state=IDLE):
    return state & BOTH, rules.NAME, rules.lower, _WAIT_MS, OTHER, scale.IDLE, board.PIN
"""


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    folder = tmp_path / "boxbin"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "rules.py").write_text(RULES)
    (folder / "board.py").write_text("PIN = 4\n")
    (folder / "scale.py").write_text("IDLE = []\n")
    (folder / "user.py").write_text(USER)
    return tmp_path


def test_integers_take_the_place_of_their_names(firmware: Path) -> None:
    made = Constants(firmware).compiled_in(PurePosixPath("boxbin/user.py"), USER)
    lines = made.split("\n")
    assert len(lines) == len(USER.split("\n"))
    assert lines[1] == "from . import rules, scale", "a module of constants alone is not loaded"
    assert lines[7] == "pass"
    assert lines[9] == "_WAIT_MS = const(10)  # why"
    assert lines[10] == "TUPLE = ((2), (2048))"
    assert lines[13] == "def f(state=(2)):"
    assert lines[14].startswith(
        "    return state & (2050), rules.NAME, rules.lower, _WAIT_MS, OTHER"
    )
    assert lines[14].endswith("scale.IDLE, (4)")
    own = Constants(firmware).compiled_in(PurePosixPath("boxbin/rules.py"), RULES)
    assert own.split("\n")[1:4] == ["IDLE = 2", "CLOSED = 1 << 11", "BOTH = IDLE | CLOSED"]
    assert "_PRIVATE = const(5)" in own


def test_the_whole_firmware_stays_a_program_of_as_many_lines() -> None:
    constants = Constants(FIRMWARE)
    changed = 0
    for file in sorted((FIRMWARE / "boxbin").rglob("*.py")):
        text = file.read_text()
        made = constants.compiled_in(PurePosixPath(file.relative_to(FIRMWARE)), text)
        compile(made, str(file), "exec")
        assert made.count("\n") == text.count("\n")
        changed += made != text
    assert changed > 30
