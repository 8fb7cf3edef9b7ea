"""Tests on two interpreters.

`tests/core/` runs twice: on CPython as usual and on the real MicroPython. `tests/firmware/` runs
on MicroPython only. Each such test is one interpreter process with a 192 KB heap that loads the
same `.mpy` files that a bin's flash holds.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tools.technician.build import build_firmware

HERE = Path(__file__).parent
HEAP = "192K"
LIMIT_S = 60
MICROPYTHON = Path(sys.executable).with_name("micropython")

# The threshold is the bin's (firmware/main.py).
_RUN = """
import gc, sys
gc.threshold(8 * 1024)
import {module} as tests
result = tests.{name}()
if hasattr(result, "send"):
    import asyncio
    asyncio.run(result)
"""


class MicroPythonFailure(Exception):
    """The interpreter ended with an error; the text is its output."""


class MicroPythonItem(pytest.Item):
    """One test function, run in one interpreter process."""

    def runtest(self) -> None:
        firmware = build_firmware()
        env = dict(os.environ, MICROPYPATH=f"{firmware}:{self.path.parent}:{HERE.parent}:.frozen")
        done = subprocess.run(
            [
                str(MICROPYTHON),
                "-X",
                f"heapsize={HEAP}",
                "-c",
                _RUN.format(module=self.path.stem, name=self.originalname),
            ],
            env=env,
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode != 0:
            raise MicroPythonFailure(f"{done.stdout}{done.stderr}exit code {done.returncode}")

    @property
    def originalname(self) -> str:
        return self.name.removesuffix("[micropython]")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:  # type: ignore[override]
        if isinstance(excinfo.value, MicroPythonFailure):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name}::{self.name}"


class MicroPythonFile(pytest.File):
    """The top-level `test_*` functions of a file, found without importing it."""

    def collect(self) -> Iterable[MicroPythonItem]:
        for node in ast.parse(self.path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
                "test_"
            ):
                yield MicroPythonItem.from_parent(self, name=f"{node.name}[micropython]")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.parent == HERE / "core" and file_path.match("test_*.py"):
        return MicroPythonFile.from_parent(parent, path=file_path)
    return None


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    if module_path.parent == HERE / "firmware":
        return MicroPythonFile.from_parent(parent, path=module_path)
    return None
