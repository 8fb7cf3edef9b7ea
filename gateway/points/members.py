"""Members, their enrolment codes, their phones and sessions.

Refusal   a rule said no: `code` for programs, `why` for people, `status` for HTTP
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from gateway.points.ledger import balances, open_account
from gateway.points.passes import HANDLE_CHARS, SECRET_BYTES, random_crockford
from gateway.points.tables import enrolments, handles, members, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from gateway.points.database import Database

NAME_CHARS = 60
CODE_CHARS = 12  # 60 bits: beyond guessing within the life of a code
MAX_CODE_CHARS = 64
_GROUP = 4
_TOKEN_BYTES = 32
_KEEP_USED_CODES_MS = 86_400_000  # so that "used before" and "too late" can be told apart for a day
_MISREAD = str.maketrans("OIL", "011")  # Crockford: letters that people take for digits


class Refusal(Exception):
    """A rule said no; `status` is the HTTP status, `code` is stable, `why` is for a person."""

    def __init__(self, status: int, code: str, why: str) -> None:
        """Keep the three apart, for whoever turns them into an answer."""
        super().__init__(f"{code}: {why}")
        self.status, self.code, self.why = status, code, why


@dataclass(frozen=True)
class Member:
    """A person with points."""

    id: str
    name: str
    balance: int


@dataclass(frozen=True)
class Enrolled:
    """What a phone is given, once."""

    member: str
    name: str
    handle: str
    secret: bytes = field(repr=False)
    session: str = field(repr=False)


def create_member(db: Database, name: str, now_ms: int) -> Member:
    """Make a member with an empty account. Raises Refusal (bad_name)."""
    tidy = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(tidy) <= NAME_CHARS or any(
        unicodedata.category(letter) in {"Cc", "Cs"} for letter in tidy
    ):
        raise Refusal(422, "bad_name", f"A name has 1 to {NAME_CHARS} characters on one line.")
    member = Member(f"M-{random_crockford(8)}", tidy, 0)
    with db.write() as connection:
        connection.execute(insert(members).values(id=member.id, name=tidy, created_ms=now_ms))
        open_account(connection, member.id)
    return member


def list_members(db: Database, limit: int) -> list[Member]:
    """List members, oldest first, at most `limit`."""
    with db.read() as connection:
        rows = connection.execute(
            select(members).order_by(members.c.created_ms, members.c.id).limit(limit)
        ).all()
        kept = balances(connection, {row.id for row in rows})
    return [Member(row.id, row.name, kept[row.id]) for row in rows]


def get_member(connection: Connection, member: str) -> Member:
    """Find one member. Raises Refusal (member_unknown)."""
    row = connection.execute(select(members).where(members.c.id == member)).first()
    if row is None:
        raise Refusal(404, "member_unknown", "There is no member with this id.")
    return Member(row.id, row.name, balances(connection, {member})[member])


def create_enrolment(db: Database, member: str, now_ms: int, ttl_s: int) -> tuple[str, int]:
    """Make a code that enrols one phone, once; return it with its end (Unix ms).

    Raises Refusal (member_unknown).
    """
    code = random_crockford(CODE_CHARS)
    expires_ms = now_ms + ttl_s * 1000
    with db.write() as connection:
        get_member(connection, member)
        connection.execute(
            delete(enrolments).where(enrolments.c.expires_ms < now_ms - _KEEP_USED_CODES_MS)
        )
        connection.execute(
            insert(enrolments).values(
                code_hash=_hash(code), member=member, created_ms=now_ms, expires_ms=expires_ms
            )
        )
    return "-".join(code[i : i + _GROUP] for i in range(0, CODE_CHARS, _GROUP)), expires_ms


def enrol(
    db: Database, code: str, old_session: str | None, now_ms: int, session_ttl_s: int
) -> Enrolled:
    """Use a code up and make this phone's handle, secret and session.

    The session the phone had before ends. Raises Refusal (code_unknown, code_used, code_expired).
    """
    typed = re.sub(r"[\s-]", "", code[:MAX_CODE_CHARS]).upper().translate(_MISREAD)
    code_hash = _hash(typed) if typed.isascii() else b""
    handle, secret = random_crockford(HANDLE_CHARS), secrets.token_bytes(SECRET_BYTES)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with db.write() as connection:
        taken = connection.execute(
            update(enrolments)
            .where(
                enrolments.c.code_hash == code_hash,
                enrolments.c.used_ms.is_(None),
                enrolments.c.expires_ms > now_ms,
            )
            .values(used_ms=now_ms)
            .returning(enrolments.c.member)
        ).first()
        if taken is None:
            row = connection.execute(
                select(enrolments).where(enrolments.c.code_hash == code_hash)
            ).first()
            raise _why_not(row)
        member = get_member(connection, taken.member)
        connection.execute(
            insert(handles).values(
                handle=handle, member=member.id, secret=secret, created_ms=now_ms
            )
        )
        gone = sessions.c.expires_ms <= now_ms
        if old_session:
            gone |= sessions.c.token_hash == _hash(old_session)
        connection.execute(delete(sessions).where(gone))
        connection.execute(
            insert(sessions).values(
                token_hash=_hash(token),
                handle=handle,
                created_ms=now_ms,
                expires_ms=now_ms + session_ttl_s * 1000,
            )
        )
    return Enrolled(member.id, member.name, handle, secret, token)


def session_member(connection: Connection, token: str | None, now_ms: int) -> Member:
    """Find whose session this is. Raises Refusal (not_enrolled)."""
    row = None
    if token:
        row = connection.execute(
            select(handles.c.member)
            .join(sessions, sessions.c.handle == handles.c.handle)
            .where(sessions.c.token_hash == _hash(token), sessions.c.expires_ms > now_ms)
        ).first()
    if row is None:
        raise Refusal(401, "not_enrolled", "This phone is not enrolled, or not any more.")
    return get_member(connection, row.member)


def _why_not(row: Row[tuple[object, ...]] | None) -> Refusal:
    if row is None:
        return Refusal(404, "code_unknown", "There is no such enrolment code.")
    if row.used_ms is not None:
        return Refusal(409, "code_used", "This enrolment code was used before.")
    return Refusal(410, "code_expired", "This enrolment code is too old.")


def _hash(text: str) -> bytes:
    # Codes and tokens are random and long: a plain hash keeps them out of the database.
    return hashlib.sha256(text.encode()).digest()
