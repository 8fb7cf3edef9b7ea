"""Recorded or made visits, played through the firmware's own decisions in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any


def replay_files(
    paths: Iterable[Path | str], jobs: int | None = None
) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Play traces; yield each path and its decisions, in the order of `paths`.

    `jobs`: how many at once, every core when None. Raises TraceError or ReplayError in its turn
    for a trace that cannot be read or played; pool.play_all() goes on behind it.
    """
    from tools.virtual.replay.pool import play_all  # noqa: PLC0415  (who only records needs it not)

    with closing(play_all(paths, jobs)) as every:
        for played in every:
            if played.error is not None:
                raise played.error
            yield played.path, played.decisions
