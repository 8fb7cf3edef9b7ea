"""Every kind of visit by name, and which one a seed is."""

from __future__ import annotations

from tools.virtual.visits import honest, tricks, troubles
from tools.virtual.visits.physics import chance

FAIR, TRICKS = honest.STORIES, {**tricks.STORIES, **troubles.STORIES}
KINDS = {**FAIR, **TRICKS}


def kind_of(seed: int) -> str:
    """The kind that this seed stands for in a mixed lot: half of them honest."""
    rng = chance("kind", seed)
    return rng.choice(list(FAIR if rng.random() < 0.5 else TRICKS))
