"""Fault codes of bins: which of them close the bin, and what an operator does about each.

A code that is not here (a newer bin tells it) is shown as it is, as one that does not close.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CLOSING: Final = ("scale", "scanner", "flap", "journal", "full", "restarts")
"""With one of these nobody can drop a carton."""

ADVICE: Final[Mapping[str, str]] = {
    "scale": "The scale gives no reading: check the cable of the load cells, then do `tare`.",
    "scanner": "The scanner does not answer: check its cable and supply, clean its window.",
    "flap": "The flap does not move: look for what jams it; the bin tries again by itself.",
    "journal": "Lines cannot be kept: bring the network back if it is away; if it is there, the "
    "flash is worn out, and the board has to be replaced.",
    "full": "The container is full: send somebody to empty it.",
    "restarts": "It started again and again without lasting, and rests before it tries anew: do "
    "`report`, look at its supply, then do `restart`.",
    "flap_shut": "The flap did not shut by itself: look for a carton that sticks out.",
    "display": "The display does not answer: check its cable; the bin works on without it.",
    "level": "The level sensor gives no reading: clean it; until then mass alone tells the fill.",
    "near_full": "The container is nearly full: plan a collection.",
    "journal_near": "The journal is nearly full: the bin was long without a gateway; if it is "
    "online, look at the gateway's log.",
    "journal_mended": "The journal was damaged and mended itself: watch whether it comes again; if "
    "so, replace the board.",
    "clock": "It does not know the time: see that it reaches a time server; passes are judged by "
    "when the gateway hears of them.",
    "settings": "It refused the newest settings or went back from them, and works with those "
    "before: `show` says why; give it others with `set`.",
    "memory": "It is short of memory: do `report` and send it to who makes the firmware.",
    "late": "One of its tasks does not get on: do `report`, then `restart`.",
}


def is_closing(code: str) -> bool:
    """Whether the bin is closed because of it."""
    return code in CLOSING


def advice(code: str) -> str:
    """One sentence on what to do."""
    return ADVICE.get(code, "This program does not know that code: a newer one may.")
