"""Whatever comes doubled, late, in whatever batches: members have the points of what still stands.

The only order that the relay promises, and that points rests on: nothing with a label that a
withdrawal frees comes before that withdrawal does (gateway/relay/feed.py).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.points.config import PointsSettings
from gateway.points.credits import Rules
from gateway.points.database import Database
from gateway.points.ledger import balances
from gateway.points.tables import ISSUED, entries
from tests.support.points import Phone

from .conftest import Desk, back, item

PHONES = 2
PER_CARTON = 10
SUMS = select(entries.c.account, func.sum(entries.c.credit - entries.c.debit)).group_by(
    entries.c.account
)


@dataclass(frozen=True)
class Carton:
    """A label, weighed so often in one bin's journal; the last weighing stands or was taken out."""

    owner: int
    weighings: int
    stands: bool
    doubled_back: bool
    """Whether the last withdrawal was written twice, under two ids."""


@dataclass(frozen=True)
class Sent:
    """An item, and the ids that must have come before it."""

    body: dict[str, Any]
    needs: frozenset[str] = field(default=frozenset())

    @property
    def id(self) -> str:
        return str(self.body["id"])


CARTONS = st.lists(
    st.builds(Carton, st.integers(0, PHONES - 1), st.integers(1, 3), st.booleans(), st.booleans()),
    min_size=1,
    max_size=4,
)


def lines_of(
    phones: list[Phone], cartons: list[Carton], epoch: str = "5f3a9c01"
) -> tuple[list[Sent], dict[str, int]]:
    """Write the journal of one bin: the items, and the points that each member must get."""
    wanted = {phone.member: 0 for phone in phones}
    found: list[Sent] = []
    for number, carton in enumerate(cartons):
        needs: frozenset[str] = frozenset()
        for weighing in range(1, carton.weighings + 1):
            n = len(found) + 1
            made = item(phones[carton.owner], n, epoch=epoch, label=f"{number}" * 22)
            found.append(Sent(made, needs))
            last = weighing == carton.weighings
            if not last or not carton.stands:
                taken = back(made, n + 1)
                found.append(Sent(taken))
                needs |= {str(taken["id"])}
            if last and not carton.stands and carton.doubled_back:
                found.append(Sent(back(made, n + 2)))
        wanted[phones[carton.owner].member] += PER_CARTON * carton.stands
    return found, wanted


def in_some_order(data: st.DataObject, journal: list[Sent]) -> list[dict[str, Any]]:
    """Shuffle, with every item once or more, and hold back what must not overtake."""
    more = data.draw(st.lists(st.sampled_from(journal), max_size=len(journal)), "again")
    waiting = list(data.draw(st.permutations(journal + more), "order"))
    come: set[str] = set()
    found = []
    while waiting:
        at = next(n for n, one in enumerate(waiting) if one.needs <= come)
        one = waiting.pop(at)
        come.add(one.id)
        found.append(one.body)
    return found


@settings(max_examples=60, deadline=None)
@given(st.data(), CARTONS)
def test_members_have_the_points_of_deposits_not_withdrawn(
    data: st.DataObject, cartons: list[Carton]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        setup = PointsSettings(data_dir=Path(folder))
        db = Database(setup.database_path, setup.database_wait_ms)
        desk = Desk(db, setup, Rules(PER_CARTON, label_required=True))
        journal, wanted = lines_of([desk.phone(f"member {n}") for n in range(PHONES)], cartons)
        rest = in_some_order(data, journal)
        answers: dict[str, set[object]] = {}
        while rest:
            size = data.draw(st.integers(1, len(rest)), "batch")
            for answer in desk.settle(*rest[:size]):
                answers.setdefault(answer.id, set()).add(answer)
            rest = rest[size:]
        with db.read() as connection:
            kept = balances(connection, set(wanted))
            sums = dict(connection.execute(SUMS).all())
        slips = desk.audit()
        db.close()
    assert all(len(said) == 1 for said in answers.values())  # the same for ever
    assert kept == wanted
    assert sum(sums.values()) == 0
    assert -sums.get(ISSUED, 0) == sum(wanted.values())
    assert slips == []
