"""Draw firmware/VISIT.md from firmware/boxbin/core/rules.py: the visit's rules for people.

Run it after each change of the rules: `python -m tools.technician.rules`. A test holds that the
page is the one that this file would write.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from boxbin.core import rules
from boxbin.core.settings import row as setting

from tools.technician.build import FIRMWARE

SOURCE = FIRMWARE / "boxbin" / "core" / "rules.py"
PAGE = FIRMWARE / "VISIT.md"

HEAD = """# The rules of a visit

Drawn from [boxbin/core/rules.py](boxbin/core/rules.py) by `python -m tools.technician.rules`; do
not edit this page. What each rule does is the method of its name in `deeds.py`; what "a carton" or
"mass has left" means is in `container.py`; "at rest" is in `scale.py`. An event that has no row in
a state changes nothing there. Where several states may follow, the words say when; **stay** means
that the state stays as it is.

Three things to know first:

- **The container's mass is the evidence.** A change counts from one rest to another, in the light
  of what is explained already. Nothing is thanked before its line is in flash.
- **In front of the open flap a carton counts as soon as it rests.** Whatever leaves, and whatever
  comes when nobody announced it, must stay so for a moment.
- **What was thanked can be taken back.** When a deposit's mass leaves again - in the same visit,
  after it, or in the first seconds of the next one - its line is withdrawn.
"""
NEARLY_ALL = 10  # so many states are named by those that are missing


@dataclass(frozen=True)
class Row:
    """One rule, in names: states, events, what is done, the states that may follow, in words."""

    states: tuple[str, ...]
    events: tuple[str, ...]
    deed: str
    then: tuple[str, ...]
    words: str


def _comments(text: str) -> dict[int, str]:
    """The comments of a source text by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def _named(text: str, first: str, last: str) -> dict[int, tuple[str, str]]:
    """Map a bit to (name, comment) of the constants from `first` to `last` in the source."""
    comments = _comments(text)
    found: dict[int, tuple[str, str]] = {}
    inside = False
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            inside = inside or name == first
            if inside and isinstance(node.value, ast.Constant):
                found[getattr(rules, name)] = (name, comments.get(node.lineno, ""))
            if name == last:
                break
    return found


def states(text: str) -> dict[int, tuple[str, str]]:
    """Each state's bit with its name and what it waits for."""
    return {
        bit: (rules.name(bit), words)
        for bit, (_, words) in _named(text, "STARTING", "SERVICE").items()
    }


def events(text: str) -> dict[int, str]:
    """Each event's bit in words."""
    return {
        bit: re.sub(r" *# noqa.*", "", words)
        for bit, (_, words) in _named(text, "PASS", "ORDERED").items()
    }


def every_rule() -> Iterator[tuple[int, int, str, int]]:
    """The table row by row, as a bin has it."""
    flat = iter(rules.RULES)
    return zip(flat, flat, flat, flat, strict=True)


def rows(text: str) -> list[Row]:
    """The table of the source, with the words above each row."""
    comments = _comments(text)
    table = next(
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RULES"
    )
    if not isinstance(table, ast.Tuple):
        raise TypeError("RULES is not a tuple")
    names, happen = states(text), events(text)
    found = []
    for node, (where, on, deed, then) in zip(table.elts[:: rules.ROW], every_rule(), strict=True):
        follow = [name for bit, (name, _) in names.items() if then & bit]
        found.append(
            Row(
                states=tuple(name for bit, (name, _) in names.items() if where & bit),
                events=tuple(words for bit, words in happen.items() if on & bit),
                deed=deed,
                then=tuple(follow + (["stay"] if then & rules.STAY else [])),
                words=comments[node.lineno - 1],
            )
        )
    return found


def _picture(table: list[Row]) -> list[str]:
    """The way of an ordinary visit and its turnings, as a Mermaid state diagram."""
    left_out = {"fault", "last fault ended", "technician's key"}
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> starting"]
    drawn: dict[tuple[str, str], list[str]] = {}
    for row in table:
        if left_out & set(row.events):
            continue
        only_first = "a pass" in row.events  # from then on it is the next person's
        for state in row.states:
            if only_first and state != "idle":
                continue
            for then in row.then:
                if then not in ("stay", state):
                    labels = drawn.setdefault((state, then), [])
                    labels += [event for event in row.events if event not in labels]
    lines += [f"    {a} --> {b}: {' / '.join(words)}" for (a, b), words in drawn.items()]
    return [*lines, "```"]


def _times() -> dict[int, str]:
    return {
        bit: f"`{name}`, {setting(name)[0] / 1000:g} s" for bit, name in sorted(rules.TIMES.items())
    }


def page() -> str:
    """The whole page."""
    text = SOURCE.read_text()
    table = rows(text)
    times = _times()
    times[rules.CLOSED] = (
        f"a flap fault is tried again after {setting('flap_retry_ms')[0] / 1000:g} s"
    )
    times[rules.DROP] = f"`drop_ms`, {setting('drop_ms')[0] / 1000:g} s"
    times[rules.OPENING] = f"`flap_ms` times `flap_tries`, {_flap_s():g} s"
    lines = [HEAD, "## The states", "", "| state | waits for | at most |", "|---|---|---|"]
    lines += [
        f"| **{name}** | {words} | {times.get(bit, '')} |"
        for bit, (name, words) in states(text).items()
    ]
    lines += [
        "",
        "## The table",
        "",
        "| in | on | what happens | rule | then |",
        "|---|---|---|---|---|",
    ]
    lines += [_line(row, [name for name, _ in states(text).values()]) for row in table]
    lines += [
        "",
        "## The picture",
        "",
        "Without faults, the technician's key and the next person's pass, which the table has.",
        "",
        *_picture(table),
        "",
    ]
    return "\n".join(lines)


def _line(row: Row, names: list[str]) -> str:
    where = ", ".join(row.states)
    if len(row.states) >= NEARLY_ALL:
        where = "all but " + ", ".join(name for name in names if name not in row.states)
    deed = f"`{row.deed}`" if row.deed else ""
    then = ", ".join(f"**{name}**" for name in row.then)
    return f"| {where} | {' / '.join(row.events)} | {row.words} | {deed} | {then} |"


def _flap_s() -> float:
    return float(setting("flap_ms")[0] * setting("flap_tries")[0] / 1000)


if __name__ == "__main__":
    PAGE.write_text(page())
