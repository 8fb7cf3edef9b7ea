"""The shapes of what the gateway's relay sends: a deposit, and a deposit taken back."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

BIN_FORM = r"^B-[0-9A-HJKMNP-TV-Z]{5}$"
STATION_FORM = r"^S-[A-Z0-9-]{1,12}$"
LABEL_FORM = r"^([A-Za-z0-9_-]{22})?$"
PASS_CHARS = 128  # longer than any pass: what the form then refuses is a forgery, not bad shape
WITHDRAWN = "withdrawn"

_ID = re.compile(r"B-[0-9A-HJKMNP-TV-Z]{5}\.[0-9a-f]{8}\.[1-9][0-9]{0,9}")
_SAID_CHARS = 64
_TIME = Field(ge=-(2**53), le=2**53)  # SQLite holds 64 bits, JSON of browsers 53


class _Item(BaseModel):
    """What every line says. Keys it does not know pass by: a newer gateway meets an older backend.

    `received` is when the gateway made the line durable (Unix ms): how the line came, no part of
    what it says, so a retry may say it or not.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: StrictStr
    kind: str
    bin: Annotated[StrictStr, Field(pattern=BIN_FORM)]
    station: Annotated[StrictStr, Field(pattern=STATION_FORM)]
    t: Annotated[StrictInt, _TIME]
    clock: Literal["ntp", "rtc", "none"]
    g: Annotated[StrictInt, Field(ge=0, le=1_000_000)]
    received: StrictInt | None = None


class DepositItem(_Item):
    """One carton."""

    kind: Literal["deposit"]
    scanned_at: Annotated[StrictInt, _TIME]
    pass_: Annotated[StrictStr, Field(alias="pass", max_length=PASS_CHARS)]
    label: Annotated[StrictStr, Field(pattern=LABEL_FORM)]


class WithdrawalItem(_Item):
    """The mass of an earlier deposit left again; `of` is the deposit's id, of the same journal."""

    kind: Literal["withdrawn"]
    of: StrictStr


Item = DepositItem | WithdrawalItem


def _keys(model: type[_Item]) -> tuple[str, ...]:
    fields = model.model_fields.items()
    return tuple(field.alias or name for name, field in fields if name != "received")


_KNOWN = {False: _keys(DepositItem), True: _keys(WithdrawalItem)}


def item_id(raw: object) -> str | None:
    """Return the permanent id, or None when there is none of the right form to remember by."""
    found = raw.get("id") if isinstance(raw, dict) else None
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def given_id(raw: object) -> str:
    """Return what stands for an id, to say it back: cut short, and of letters that can be sent."""
    found = raw.get("id") if isinstance(raw, dict) else None
    return found[:_SAID_CHARS].encode(errors="replace").decode() if isinstance(found, str) else ""


def body_hash(raw: dict[str, object]) -> bytes:
    """Fingerprint the body, so that the same id with another body is found.

    Only keys of its kind known here count: a retry that says more is the same item.
    """
    known = {key: raw[key] for key in _KNOWN[raw.get("kind") == WITHDRAWN] if key in raw}
    text = json.dumps(known, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def read_item(raw: dict[str, object]) -> Item | str:
    """Check the shape; a string says in one English sentence what is wrong with it."""
    model = WithdrawalItem if raw.get("kind") == WITHDRAWN else DepositItem
    try:
        item = model.model_validate(raw)
    except ValidationError as error:
        slip = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"The item's {'.'.join(str(part) for part in slip['loc'])} is wrong: {slip['msg']}."
    if not item.id.startswith(item.bin + "."):
        return f"The item's id {item.id} does not belong to bin {item.bin}."
    if isinstance(item, WithdrawalItem) and not _is_earlier(item.of, item.id):
        return f"The item's of is wrong: no earlier line of the journal of {item.id}."
    return item


def _is_earlier(of: str, than: str) -> bool:
    """Whether one id names an earlier line of the same bin and epoch than the other, a right id."""
    if not _ID.fullmatch(of):
        return False
    (of_journal, _, of_n), (journal, _, n) = of.rpartition("."), than.rpartition(".")
    return of_journal == journal and int(of_n) < int(n)
