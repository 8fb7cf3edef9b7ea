"""The HTTP interface of gateway, operator and phone. Thin: a shape in, a rule, an answer out."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.points import members, statement
from gateway.points.batch import Answer
from gateway.points.credits import MAX_ITEMS, settle
from gateway.points.items import DepositItem, WithdrawalItem
from gateway.points.limits import caller_at
from gateway.points.members import MAX_CODE_CHARS, NAME_CHARS, Refusal
from gateway.points.service import COOKIE, Session, Svc, gateway_only, operator_only, same_origin
from gateway.points.statement import Entry

router = APIRouter(prefix="/v1")

HISTORY_MAX = 100


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


# Told to readers of the description only: the rules check each item by itself.
_ITEM: Any = {"anyOf": [kind.model_json_schema() for kind in (DepositItem, WithdrawalItem)]}


class Deposits(BaseModel):
    """A batch of the relay. Each item is checked by itself: a bad one spoils no other."""

    items: list[Any] = Field(min_length=1, json_schema_extra={"items": _ITEM})


class Results(BaseModel):
    """One answer for each item, in the same order."""

    results: list[Answer]


class NewMember(_Body):
    """Who joins."""

    name: str = Field(max_length=NAME_CHARS * 4)


class MemberOut(BaseModel):
    """A member as the operator sees it."""

    id: str
    name: str


class EnrolmentOut(BaseModel):
    """A code that enrols one phone, once."""

    code: str
    link: str
    expires_at: int


class Code(_Body):
    """The code a member types or opens."""

    code: str = Field(max_length=MAX_CODE_CHARS)


class EnrolledOut(BaseModel):
    """Given out this once: the secret cannot be asked for again."""

    handle: str
    secret: str
    name: str


class EntryOut(BaseModel):
    """One row of the history. `code` names the sentence a page shows, in the reader's language."""

    seq: int
    at: int
    code: str
    points: int
    balance: int
    details: dict[str, str | int | bool | None]


class Me(BaseModel):
    """The member whose phone asks. `now` lets the phone find that its clock is wrong."""

    name: str
    balance: int
    history: list[EntryOut]
    more: bool
    latest: int
    now: int


def entry_out(entry: Entry) -> EntryOut:
    """Shape a row for the page."""
    return EntryOut(
        seq=entry.seq,
        at=entry.at_ms,
        code=entry.code,
        points=entry.points,
        balance=entry.balance,
        details={
            "bin": entry.bin,
            "station": entry.station,
            "mass_g": entry.mass_g,
            "deposit": entry.deposit,
            "clock_poor": entry.clock_poor,
        },
    )


@router.post("/deposits", dependencies=[Depends(gateway_only)])
def deposits(body: Deposits, svc: Svc) -> Results:
    """Credit or refuse cartons, or take one back; the same id is answered the same for ever."""
    if len(body.items) > MAX_ITEMS:
        raise Refusal(413, "too_many_items", f"{len(body.items)} items; at most {MAX_ITEMS}.")
    return Results(results=settle(svc.db, svc.keys, svc.rules, body.items, svc.now_ms()))


@router.post("/members", status_code=201, dependencies=[Depends(operator_only)])
def create_member(body: NewMember, svc: Svc) -> MemberOut:
    """Make a member with an empty account."""
    member = members.create_member(svc.db, body.name, svc.now_ms())
    return MemberOut(id=member.id, name=member.name)


@router.post("/members/{member}/enrolments", status_code=201, dependencies=[Depends(operator_only)])
def create_enrolment(member: str, svc: Svc, request: Request) -> EnrolmentOut:
    """Make a one-time code for a phone of this member."""
    code, expires_ms = members.create_enrolment(
        svc.db, member, svc.now_ms(), svc.settings.enrolment_ttl_s
    )
    base = svc.settings.public_url or str(request.base_url)
    # Behind '#', so that the code is never sent in a request line and lands in no log.
    link = f"{base.rstrip('/')}/#enrol={code}"
    return EnrolmentOut(code=code, link=link, expires_at=expires_ms)


@router.post("/enrol", dependencies=[Depends(same_origin)])
def enrol(
    body: Code, svc: Svc, request: Request, response: Response, session: Session = None
) -> EnrolledOut:
    """Use a code up: this phone gets its handle, its secret and a session."""
    caller = caller_at(request.client.host if request.client else "")
    if not svc.enrol_rate.allow(caller, svc.now_ms()):
        raise Refusal(429, "too_many_tries", "Too many tries. Wait a minute and try again.")
    got = members.enrol(svc.db, body.code, session, svc.now_ms(), svc.settings.session_ttl_s)
    response.set_cookie(
        COOKIE,
        got.session,
        max_age=svc.settings.session_ttl_s,
        path="/",
        httponly=True,
        samesite="lax",
        secure=svc.settings.cookie_secure or request.url.scheme == "https",
    )
    secret = base64.urlsafe_b64encode(got.secret).rstrip(b"=").decode()
    return EnrolledOut(handle=got.handle, secret=secret, name=got.name)


@router.get("/me")
def me(
    svc: Svc,
    session: Session = None,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=HISTORY_MAX)] = 20,
) -> Me:
    """Name, balance and a page of the history, newest first; `before` gives the page after it."""
    with svc.db.read() as connection:
        member = members.session_member(connection, session, svc.now_ms())
        rows = statement.history(connection, member.id, before, limit + 1)
        latest = statement.last_seq(connection)
    return Me(
        name=member.name,
        balance=member.balance,
        history=[entry_out(row) for row in rows[:limit]],
        more=len(rows) > limit,
        latest=latest,
        now=svc.now_ms(),
    )
