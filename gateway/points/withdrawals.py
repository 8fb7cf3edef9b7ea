"""A deposit taken back: its points return to the programme, once, whatever comes in which order.

A withdrawal that comes before its deposit is remembered, and the deposit is then refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.points.batch import Answer
from gateway.points.ledger import Transfer
from gateway.points.tables import withdrawals

if TYPE_CHECKING:
    from gateway.points.batch import Batch
    from gateway.points.items import WithdrawalItem

CODE = "withdrawn"  # why a deposit is refused that was taken back before it came
TAKEN_BACK = f"deposit.{CODE}"  # the row in the member's history, in either order
WHY = {
    "": "The deposit's points were taken back.",
    "points_spent": "The deposit's points were spent in part or whole; what was left is taken.",
    "deposit_refused": "The deposit had earned no points.",
    "deposit_unknown": "The deposit has not come yet; it will earn no points.",
    "withdrawn_before": "The deposit was taken back before.",
}


def take_back(batch: Batch, item: WithdrawalItem, fingerprint: bytes) -> Answer:
    """Bring the batch forward by one withdrawal."""
    given = batch.given.get(item.of)
    member = given.member if given is not None else None
    points = taken = 0
    if item.of in batch.withdrawn:
        code = "withdrawn_before"
    elif given is None:
        code = "deposit_unknown"
    elif member is None or not given.points:
        code = "deposit_refused"
    else:
        points = given.points
        taken = min(points, batch.balances[member])  # nothing is below zero: see `owed`
        code = "" if taken == points else "points_spent"
        batch.balances[member] -= taken
        if taken:
            # Named after the deposit: the ledger itself lets it be taken back only once.
            move = Transfer(f"withdrawn:{item.of}", "withdrawn", member, taken, back=True)
            batch.transfers.append(move)
    batch.withdrawn.add(item.of)
    balance = batch.balances[member] if member is not None else 0
    answer = Answer(item.id, "withdrawn", -taken, balance, code, WHY[code])
    batch.stored[item.id] = (fingerprint, answer)
    row = _row(answer, fingerprint, item, batch.now_ms)
    reverses = item.of if points else None
    batch.add(withdrawals, {**row, "reverses": reverses, "owed": points - taken, "member": member})
    if points and member is not None:
        batch.tell(member, TAKEN_BACK, answer, item.of)
    return answer


def _row(
    answer: Answer, fingerprint: bytes, item: WithdrawalItem, now_ms: int
) -> dict[str, object]:
    return {
        "id": answer.id,
        "of": item.of,
        "body_hash": fingerprint,
        "decided_ms": now_ms,
        "status": answer.status,
        "code": answer.code,
        "why": answer.why,
        "points": answer.points,
        "balance": answer.balance,
        "bin": item.bin,
        "station": item.station,
        "t_ms": item.t,
        "clock": item.clock,
        "clock_poor": item.clock != "ntp",
        "mass_g": item.g,
    }
