"""Put integer constants in place of their names before the firmware is compiled.

A name in a module's table costs a bin's heap some 50 bytes, in each module that imports it again,
and a look-up each time it is used. MicroPython's own `const()` does this within one module only,
and CPython, which runs core/ too, has none. So the build does it; every line stays in its place:
`_WAIT_MS = 5 * 1000` becomes `_WAIT_MS = const(5 * 1000)`, which leaves no name
behind; `rules.IDLE`, and IDLE after `from .rules import IDLE`, become `(2)`.

A constant is a name in capitals that a module gives one integer, at its top level and once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
ATOMS = (ast.Constant, ast.Name, ast.expr_context)
PARTS = (*ATOMS, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)

Edit = tuple[int, int, int, str]  # line, first and last column (in bytes), new text


class Constants:
    """The constants of all modules below `source`/boxbin, by the module's dotted name."""

    def __init__(self, source: Path) -> None:
        self._known = {
            _dotted(file.relative_to(source)): _integers(ast.parse(file.read_text()))
            for file in sorted((source / "boxbin").rglob("*.py"))
        }

    def compiled_in(self, file: PurePosixPath, text: str) -> str:
        """The text of `file` (a name relative to the firmware) with constants in place of names."""
        tree = ast.parse(text)
        modules, names = self._imported(tree, _dotted(file))
        own = self._known.get(_dotted(file), {})
        edits = list(_private(tree, own))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                edits += _import(node, names, modules, tree)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                value = self._known.get(modules.get(node.value.id, ""), {}).get(node.attr)
                if value is not None:
                    edits.append(_place(node, f"({value})"))
            elif isinstance(node, ast.Name) and node.id in names:
                edits.append(_place(node, f"({names[node.id]})"))
        return _apply(text, edits)

    def _imported(self, tree: ast.Module, dotted: str) -> tuple[dict[str, str], dict[str, int]]:
        """(names that stand for modules of ours, names that stand for constants)."""
        modules: dict[str, str] = {}
        names: dict[str, int] = {}
        package = dotted.rpartition(".")[0]
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            origin = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module
            for alias in node.names:
                whole = f"{origin}.{alias.name}"
                value = self._known.get(origin or "", {}).get(alias.name)
                if alias.asname is None and whole in self._known:
                    modules[alias.name] = whole
                elif alias.asname is None and value is not None:
                    names[alias.name] = value
        return modules, names


def _dotted(file: PurePosixPath | Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def _integers(tree: ast.Module) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target = node.targets[0]
        if not isinstance(target, ast.Name) or not CONSTANT.fullmatch(target.id):
            continue
        if all(isinstance(part, PARTS) for part in ast.walk(node.value)):
            try:
                value = eval(  # noqa: S307  (numbers and operators only, of our own source)
                    compile(ast.Expression(node.value), "", "eval"), {"__builtins__": {}}, found
                )
            except NameError:
                continue
            if type(value) is int:
                found[target.id] = value
    return found


def _private(tree: ast.Module, own: dict[str, int]) -> Iterator[Edit]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            if name.startswith("_") and name in own and value.lineno == value.end_lineno:
                yield _place(value, f"const({own[name]})")


def _import(
    node: ast.ImportFrom, names: dict[str, int], modules: dict[str, str], tree: ast.Module
) -> Iterator[Edit]:
    """An import without the constants, and without modules that only gave constants."""
    kept = [a.name for a in node.names if a.name not in names and not _spent(a.name, modules, tree)]
    if len(kept) == len(node.names) or any(alias.asname for alias in node.names):
        return
    origin = "." * node.level + (node.module or "")
    text = f"from {origin} import {', '.join(kept)}" if kept else "pass"
    lines = (node.end_lineno or node.lineno) - node.lineno
    yield (node.lineno, node.col_offset, -1 if lines else node.end_col_offset or 0, text)
    for line in range(node.lineno + 1, node.lineno + lines + 1):
        yield (line, 0, -1, "")


def _spent(name: str, modules: dict[str, str], tree: ast.Module) -> bool:
    """Whether nothing but constants is used of that module: then it need not be loaded for it."""
    if modules.get(name) != "boxbin.board":  # others do something when they are loaded
        return False
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


def _place(node: ast.expr, text: str) -> Edit:
    if node.lineno != node.end_lineno:
        raise ValueError(f"line {node.lineno}: a constant's name over several lines")
    return node.lineno, node.col_offset, node.end_col_offset or 0, text


def _apply(text: str, edits: list[Edit]) -> str:
    lines = text.split("\n")
    for number, start, end, new in sorted(edits, reverse=True):
        line = lines[number - 1].encode()
        tail = b"" if end < 0 else line[end:]
        lines[number - 1] = (line[:start] + new.encode() + tail).decode()
    return "\n".join(lines)
