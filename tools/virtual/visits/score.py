"""Holds the bin's decisions against the truth, and counts.

A false accept is a credit (a deposit or a reuse that is not withdrawn later) that nobody earned:
too many of them, the wrong member or the wrong label. A false reject is a carton that was owed a
credit and has none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.virtual.visits.scene import Also, Due, Truth

Decision = Mapping[str, Any]
CREDITS = ("deposit", "reuse")
ERROR_G, ERROR_SHARE = 5.0, 0.03  # the limit of the mass error, whichever is more
TOLD_G, TOLD_SHARE = 15.0, 0.04  # of what was unattended or collected
OUTCOMES = ("right", "false accept", "false reject", "not told", "needless fault")
WORDS = ("deposit", "withdrawn", "refused", "reuse", "unattended", "collection", "fault")


@dataclass(frozen=True)
class Kept:
    """A credit that was owed and given: how far off its mass was, how long after rest it came."""

    error_g: float
    within: bool
    late_s: float


@dataclass(frozen=True)
class Score:
    """What one visit came to."""

    outcome: str
    owed: int
    kept: tuple[Kept, ...]
    excess: int
    missing: int
    words: frozenset[str]


def net_credits(decisions: Sequence[Decision]) -> list[Decision]:
    """Deposits and reuses that no later line takes back."""
    standing: dict[int, Decision] = {}
    for told in decisions:
        if told["event"] in CREDITS:
            standing[told["n"]] = told
        elif told["event"] == "withdrawn":
            standing.pop(told["of"], None)
    return list(standing.values())


def score(truth: Truth, decisions: Sequence[Decision]) -> Score:
    """Hold one visit's decisions against its truth."""
    open_due = list(truth.due)
    kept: list[Kept] = []
    excess = 0
    for credit in net_credits(decisions):
        owed = [due for due in open_due if _earns(due, credit)]
        if not owed:
            excess += 1
            continue
        due = min(owed, key=lambda one: abs(_error_g(one, credit)))
        open_due.remove(due)
        error_g = _error_g(due, credit)
        most_g = max(ERROR_G, ERROR_SHARE * (credit["g"] - error_g))
        kept.append(Kept(error_g, abs(error_g) <= most_g, credit["t"] / 1000 - due.rest_s))
    missing = sum(not due.optional for due in open_due)
    words = frozenset(str(told["event"]) for told in decisions)
    outcome = "right"
    if excess:
        outcome = "false accept"
    elif missing:
        outcome = "false reject"
    elif not all(_told(also, decisions) for also in truth.also):
        outcome = "not told"
    elif "fault" in words and all(also.event != "fault" for also in truth.also):
        outcome = "needless fault"
    owed_count = sum(not due.optional for due in truth.due)
    return Score(outcome, owed_count, tuple(kept), excess, missing, words)


def _earns(due: Due, credit: Decision) -> bool:
    return (
        credit["event"] == due.event
        and f".{due.handle}." in credit["pass"]
        and (not due.labels or credit["label"] in due.labels)
    )


def _error_g(due: Due, credit: Decision) -> float:
    return float(min((credit["g"] - mass_g for mass_g in due.masses_g), key=abs))


def _told(also: Also, decisions: Sequence[Decision]) -> bool:
    said = [told for told in decisions if told["event"] == also.event]
    if also.optional:
        return True
    if also.why:
        return any(told.get("why") in also.why for told in said)
    if also.g is None:
        return bool(said)
    error_g = abs(sum(told["g"] for told in said) - also.g)
    return bool(said) and error_g <= max(TOLD_G, TOLD_SHARE * abs(also.g))


@dataclass
class Tally:
    """Counts over many visits; masses and times are those of honest people's deposits."""

    visits: Counter[str] = field(default_factory=Counter)  # by kind
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and outcome
    words: Counter[tuple[str, str]] = field(default_factory=Counter)  # visits in which it was said
    tricks: int = 0  # visits that are not honest
    owed: int = 0
    missing: int = 0
    excess: int = 0
    errors_g: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    within: int = 0

    def add(self, truth: Truth, got: Score) -> None:
        """Count one visit."""
        self.visits[truth.kind] += 1
        self.outcomes[truth.kind, got.outcome] += 1
        for word in got.words:
            self.words[truth.kind, word] += 1
        self.tricks += not truth.fair
        self.owed += got.owed
        self.missing += got.missing
        self.excess += got.excess
        if truth.fair:
            for kept in got.kept:
                self.errors_g.append(kept.error_g)
                self.late_s.append(kept.late_s)
                self.within += kept.within

    def figures(self) -> dict[str, float]:
        """The headline figures: shares of 1, grams, seconds."""
        errors = [abs(error_g) for error_g in self.errors_g]
        return {
            "visits": self.visits.total(),
            "owed": self.owed,
            "false_accepts": self.excess,
            "false_accept": self.excess / max(1, self.tricks),
            "false_rejects": self.missing,
            "false_reject": self.missing / max(1, self.owed),
            "mass_within": self.within / max(1, len(errors)),
            "mass_error_p50_g": quantile(errors, 0.5),
            "mass_error_p99_g": quantile(errors, 0.99),
            "mass_error_max_g": quantile(errors, 1),
            "late_p50_s": quantile(self.late_s, 0.5),
            "late_p99_s": quantile(self.late_s, 0.99),
            "late_max_s": quantile(self.late_s, 1),
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of all do not exceed; 0 when there is none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked) - 1e-9) - 1)]
