"""Makes traces by kind and seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from tools.virtual.replay.trace import SUFFIX, write_trace
from tools.virtual.visits.chip import TWENTY_KG, Model
from tools.virtual.visits.physics import chance
from tools.virtual.visits.scene import Scene, Truth
from tools.virtual.visits.stories import FAIR, KINDS

CHUNK = 25
Header = dict[str, Any]
Events = list[dict[str, Any]]


def make_visit(kind: str, seed: int, model: Model = TWENTY_KG) -> tuple[Header, Events, Truth]:
    """One visit: header and events of its trace, and the truth. Equal arguments, equal answer.

    Raises KeyError for a kind that is not in KINDS.
    """
    story = KINDS[kind]
    scene = Scene.draw(chance(kind, seed), model)
    story(scene)
    header, events = scene.finish(f"{kind} {seed}")
    return header, events, Truth(kind, seed, kind in FAIR, tuple(scene.due), tuple(scene.also))


def write_visits(
    wanted: Iterable[tuple[str, int]],
    folder: Path,
    pool: Executor | None = None,
    model: Model = TWENTY_KG,
) -> Iterator[tuple[Path, Truth]]:
    """Write the trace of each (kind, seed) into `folder`, with several processes given a pool."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(kind, seed, folder, model) for kind, seed in wanted]
    if pool is None:
        yield from map(_write, jobs)
    else:
        yield from pool.map(_write, jobs, chunksize=CHUNK)


def _write(job: tuple[str, int, Path, Model]) -> tuple[Path, Truth]:
    kind, seed, folder, model = job
    header, events, truth = make_visit(kind, seed, model)
    path = folder / f"{kind}-{seed}{SUFFIX}"
    write_trace(path, header, events)
    return path, truth
