"""The rules of the house that no linter holds."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tools.technician.font import FONT, characters

ROOT = Path(__file__).parents[2]
TOP = {
    *("README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml", "requirements.lock"),
    *("firmware", "gateway", "hil_tests", "tests", "tools"),
}
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 70


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository, those that are new and not ignored too."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def core_files() -> list[Path]:
    return sorted((ROOT / "firmware" / "boxbin" / "core").glob("*.py"))


def test_nothing_lies_beside_the_house() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} == TOP


def test_each_room_says_what_lives_there() -> None:
    for room in ("firmware", "gateway", "hil_tests", "tests", "tools"):
        assert len((ROOT / room / "README.md").read_text().splitlines()) > 5, room


@pytest.mark.parametrize("path", core_files(), ids=lambda p: p.name)
def test_core_has_no_floats(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), node.lineno
        assert not isinstance(node, ast.Div), "true division makes a float"
        assert not (isinstance(node, ast.Name) and node.id in ("float", "open", "print", "input"))


def test_ticks_are_never_subtracted() -> None:
    for path in tracked("firmware/*.py"):
        assert not re.search(r"ticks_[mu]s\(\)\s*-|-\s*time\.ticks_", path.read_text()), path


def test_no_native_code_in_the_firmware() -> None:
    for path in tracked("firmware/*.py"):
        assert not re.search(r"micropython\.(native|viper|asm)", path.read_text()), path


@pytest.mark.parametrize(
    "path", tracked("firmware/*.py", "gateway/*.py", "tools/*.py"), ids=lambda p: p.name
)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        assert re.search(r"[Ll]ong(er)? (than|file)|its length", text[:900]), (
            f"{len(lines)} lines and no reason"
        )
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= FUNCTION_LINES_MAX, f"{node.name} has {size} lines"


def test_no_registry_is_named_in_a_committed_file() -> None:
    hosts = re.compile(
        "|".join(["py" + r"pi\.org", "python" + "hosted", "npm" + r"js\.", "debian" + r"\.org"])
    )
    for path in tracked():
        if path.suffix in {".py", ".toml", ".lock", ".json", ".md", ".mk", ".yml", ""}:
            assert not hosts.search(path.read_text(errors="replace")), path


def test_the_font_has_every_character_that_the_bin_can_say() -> None:
    data = FONT.read_bytes()
    count = int.from_bytes(data[4:6], "little")
    codes = [int.from_bytes(data[6 + 2 * i : 8 + 2 * i], "little") for i in range(count)]
    assert data[:4] == b"BXF1"
    assert len(data) == 6 + 34 * count
    assert codes == sorted(set(codes))
    assert set(characters()) <= set(codes), "make it anew: see tools/technician/font.py"
    blank = [c for i, c in enumerate(codes) if not any(data[6 + 2 * count + 32 * i :][:32])]
    assert blank == [0x20]


def test_the_lock_files_hold_one_version_of_each_package() -> None:
    def pins(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+) ", path.read_text(), re.MULTILINE))

    run = pins(ROOT / "requirements.lock")
    test = pins(ROOT / "tests" / "locks" / "test.lock")
    assert len(run) > 20
    assert {name: test.get(name) for name in run} == run
