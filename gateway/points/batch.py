"""One batch of items under the write lock: what was known, brought forward, and what to write.

A batch is decided in memory from a few look-ups and written in bulk, so that five hundred items
cost about a dozen statements. The rules that decide are in credits.py and withdrawals.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import Select, exists, insert, select, tuple_, union_all

from gateway.points.items import DepositItem, Item, WithdrawalItem, item_id
from gateway.points.ledger import Transfer, balances, issue
from gateway.points.passes import read_pass
from gateway.points.tables import (
    deposits,
    handles,
    labels,
    labels_again,
    pass_bindings,
    statement,
    withdrawals,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row, Table

    from gateway.points.keys import Keys

Status = Literal["credited", "refused", "withdrawn"]


@dataclass(frozen=True)
class Rules:
    """What the programme decides: points for a carton, and whether a label must be there."""

    points_per_carton: int
    label_required: bool


@dataclass(frozen=True)
class Answer:
    """What the gateway is told about one item. The same for ever once it is stored."""

    id: str
    status: Status
    points: int
    balance: int
    code: str
    why: str


class Given(NamedTuple):
    """What an answered deposit gave: `points` to `member`; 0 when it was refused."""

    member: str | None
    points: int


@dataclass
class Batch:
    """What the database knew before, brought forward with each decision; and the rows to write."""

    keys: Keys
    rules: Rules
    now_ms: int
    stored: dict[str, tuple[bytes, Answer]] = field(default_factory=dict)
    secrets: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # handle: member, secret
    bound: dict[tuple[str, int], str] = field(default_factory=dict)  # handle, step: bin
    uses: dict[bytes, int] = field(default_factory=dict)  # label: how often it has earned
    holders: dict[bytes, str] = field(default_factory=dict)  # label: deposit that has its points
    given: dict[str, Given] = field(default_factory=dict)  # deposit: what it gave
    withdrawn: set[str] = field(default_factory=set)  # deposits taken back, known or not yet
    balances: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[dict[str, object]]] = field(default_factory=dict)  # by table, to write
    transfers: list[Transfer] = field(default_factory=list)

    def add(self, table: Table, row: dict[str, object]) -> None:
        """Leave a row to be written with the batch."""
        self.rows.setdefault(table.name, []).append(row)

    def tell(self, member: str, code: str, answer: Answer, deposit: str) -> None:
        """Leave a row for the member's history."""
        row = {"member": member, "at_ms": self.now_ms, "code": code, "deposit": deposit}
        self.add(statement, {**row, "points": answer.points, "balance": answer.balance})

    def is_taken(self, label: bytes) -> bool:
        """Whether a deposit that still stands has earned with this label."""
        return label in self.holders and self.holders[label] not in self.withdrawn

    def use_label(self, label: bytes, deposit: str) -> None:
        """Let a deposit have earned with this label, for the first time or after a withdrawal."""
        turn = self.uses.get(label, 0)
        row: dict[str, object] = {"label_hash": label, "deposit": deposit}
        if turn:
            self.add(labels_again, {**row, "turn": turn})
        else:
            self.add(labels, row)
        self.uses[label] = turn + 1
        self.holders[label] = deposit


def look_up(
    connection: Connection, batch: Batch, raws: Sequence[object], read: Sequence[Item | str]
) -> None:
    """Fetch what the decisions need, one statement for each table."""
    ids = {found for raw in raws if (found := item_id(raw)) is not None}
    named = ids | {item.of for item in read if isinstance(item, WithdrawalItem)}
    for row in connection.execute(select(deposits).where(deposits.c.id.in_(named))):
        batch.given[row.id] = Given(row.member, row.points)
        if row.id in ids:
            batch.stored[row.id] = (row.body_hash, _answer_in(row))
    for row in connection.execute(select(withdrawals).where(withdrawals.c.id.in_(ids))):
        batch.stored[row.id] = (row.body_hash, _answer_in(row))
    taken_back = select(withdrawals.c.of).where(withdrawals.c.of.in_(named))
    batch.withdrawn = set(connection.execute(taken_back).scalars())
    items = [item for item in read if isinstance(item, DepositItem)]
    _look_up_passes(connection, batch, items)
    members = {member for member, _ in batch.secrets.values()}
    members |= {given.member for given in batch.given.values() if given.member is not None}
    batch.balances = balances(connection, members)
    hashes = {batch.keys.label_hash(item.label) for item in items if item.label}
    for row in connection.execute(_uses_of(hashes)):
        batch.uses[row.label_hash] = batch.uses.get(row.label_hash, 0) + 1
        if not row.taken_back:
            batch.holders[row.label_hash] = row.deposit


def _answer_in(row: Row[Any]) -> Answer:
    """Read the answer in a row of deposits or withdrawals."""
    return Answer(row.id, row.status, row.points, row.balance, row.code, row.why)


def _look_up_passes(connection: Connection, batch: Batch, items: Sequence[DepositItem]) -> None:
    passes = [shown for item in items if (shown := read_pass(item.pass_)) is not None]
    known = select(handles).where(handles.c.handle.in_({shown.handle for shown in passes}))
    for row in connection.execute(known):
        batch.secrets[row.handle] = (row.member, row.secret)
    steps = {(shown.handle, shown.step) for shown in passes if shown.handle in batch.secrets}
    bindings = select(pass_bindings).where(
        # By itself the pair makes SQLite read the whole table; the handle finds the index.
        pass_bindings.c.handle.in_({handle for handle, _ in steps}),
        tuple_(pass_bindings.c.handle, pass_bindings.c.step).in_(steps),
    )
    for row in connection.execute(bindings):
        batch.bound[row.handle, row.step] = row.bin


def _uses_of(hashes: set[bytes]) -> Select[tuple[bytes, str, bool]]:
    """Every deposit that earned with one of these labels, and whether it was taken back since."""
    used = union_all(
        *(
            select(table.c.label_hash, table.c.deposit).where(table.c.label_hash.in_(hashes))
            for table in (labels, labels_again)
        )
    ).subquery()
    taken_back = exists().where(withdrawals.c.reverses == used.c.deposit)
    return select(used.c.label_hash, used.c.deposit, taken_back.label("taken_back"))


def write(connection: Connection, batch: Batch) -> None:
    """Write the rows and move the points, in the caller's transaction."""
    for table in (deposits, withdrawals, labels, labels_again, pass_bindings, statement):
        if rows := batch.rows.get(table.name):
            connection.execute(insert(table), rows)
    issue(connection, batch.transfers, batch.now_ms)
