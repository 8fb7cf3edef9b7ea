"""Double entry: points move from one account to another, and nothing is ever changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, func, insert, select, update

from gateway.points.tables import ISSUED, accounts, deposits, entries, transfers, withdrawals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Transfer:
    """`points` (> 0) go from the programme to a member, or `back`. `id` can be used once, ever."""

    id: str
    kind: str
    member: str
    points: int
    back: bool = False


def member_account(member: str) -> str:
    """Name the account of a member."""
    return f"member:{member}"


def open_account(connection: Connection, member: str) -> None:
    """Open a member's account with nothing in it."""
    connection.execute(insert(accounts).values(id=member_account(member), member=member, balance=0))


def balances(connection: Connection, members: set[str]) -> dict[str, int]:
    """Read the kept balances."""
    rows = connection.execute(
        select(accounts.c.member, accounts.c.balance).where(accounts.c.member.in_(members))
    )
    return {row.member: row.balance for row in rows}


def issue(connection: Connection, moves: Sequence[Transfer], at_ms: int) -> None:
    """Write transfers, their two entries each, and the members' balances, in bulk.

    A transfer id that was used before raises IntegrityError and the caller's transaction is
    lost as a whole, which is the last fence behind the checks before it.
    """
    if not moves:
        return
    connection.execute(
        insert(transfers), [{"id": move.id, "kind": move.kind, "at_ms": at_ms} for move in moves]
    )
    rows: list[dict[str, object]] = []
    gains: dict[str, int] = {}
    for move in moves:
        account = member_account(move.member)
        giver, taker = (account, ISSUED) if move.back else (ISSUED, account)
        rows.append({"transfer": move.id, "account": giver, "debit": move.points, "credit": 0})
        rows.append({"transfer": move.id, "account": taker, "debit": 0, "credit": move.points})
        gain = -move.points if move.back else move.points
        gains[account] = gains.get(account, 0) + gain
    connection.execute(insert(entries), rows)
    connection.execute(
        update(accounts)
        .where(accounts.c.id == bindparam("account_id"))
        .values(balance=accounts.c.balance + bindparam("gain")),
        # Always in the same order: a database with row locks then cannot deadlock.
        [{"account_id": account, "gain": gains[account]} for account in sorted(gains)],
    )


def audit(connection: Connection) -> list[str]:
    """Check what must always hold; each broken promise is one sentence. Reads everything."""
    slips: list[str] = []
    debit, credit = (
        func.coalesce(func.sum(entries.c.debit), 0),
        func.coalesce(func.sum(entries.c.credit), 0),
    )
    debits, credits_ = connection.execute(select(debit, credit)).one()
    if debits != credits_:
        slips.append(f"debits are {debits}, credits are {credits_}")
    uneven = (
        select(transfers.c.id)
        .select_from(transfers.outerjoin(entries))
        .group_by(transfers.c.id)
        .having((debit != credit) | (debit == 0))
    )
    slips += [f"transfer {row.id} does not balance" for row in connection.execute(uneven)]
    kept = (
        select(accounts.c.id, accounts.c.balance, (credit - debit).label("total"))
        .select_from(accounts.outerjoin(entries))
        .where(accounts.c.balance.is_not(None))
        .group_by(accounts.c.id, accounts.c.balance)
        .having(accounts.c.balance != credit - debit)
    )
    slips += [
        f"account {row.id} keeps {row.balance}, its entries sum to {row.total}"
        for row in connection.execute(kept)
    ]
    slips += _promises_kept(connection)
    return slips


def _promises_kept(connection: Connection) -> list[str]:
    """Compare what answers say with what was moved for them."""
    slips: list[str] = []
    for kind, table, points in (
        ("deposit", deposits, deposits.c.points),
        ("withdrawn", withdrawals, -withdrawals.c.points),
    ):
        said, count = connection.execute(
            select(
                func.coalesce(func.sum(points), 0),
                func.coalesce(func.sum(case((points > 0, 1), else_=0)), 0),
            ).select_from(table)
        ).one()
        moves, moved = connection.execute(
            select(
                func.count(transfers.c.id.distinct()), func.coalesce(func.sum(entries.c.debit), 0)
            )
            .select_from(transfers.join(entries))
            .where(transfers.c.kind == kind)
        ).one()
        words = "deposits are credited" if kind == "deposit" else "withdrawals took points back"
        if count != moves:
            slips.append(f"{count} {words}, {moves} transfers were made for them")
        if said != moved:
            slips.append(f"answers of {kind} promise {said} points, the ledger moved {moved}")
    return slips + _reversals_kept(connection)


def _reversals_kept(connection: Connection) -> list[str]:
    """Compare each withdrawal with the deposit that it took back."""
    uneven = (
        select(withdrawals.c.id)
        .join(deposits, withdrawals.c.reverses == deposits.c.id)
        .where(
            (withdrawals.c.owed - withdrawals.c.points != deposits.c.points)
            | (withdrawals.c.member != deposits.c.member)
        )
    )
    return [
        f"withdrawal {row.id} took back something else than its deposit gave"
        for row in connection.execute(uneven)
    ]
