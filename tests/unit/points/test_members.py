"""Members, one-time codes, phones, sessions: rules without HTTP."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from gateway.points import members
from gateway.points.members import Refusal
from gateway.points.tables import enrolments, handles, sessions

from .conftest import NOW_MS, Desk

TTL_S = 900


def code_of(desk: Desk, member: str | None = None) -> str:
    """Make a code for a member, or for a new one."""
    whose = member or members.create_member(desk.db, "Lin", NOW_MS).id
    return members.create_enrolment(desk.db, whose, NOW_MS, TTL_S)[0]


@pytest.mark.parametrize("name", ["林晓雨", " Ada  Lin ", "👩‍👩‍👧", "x" * 60])
def test_name_is_kept(desk: Desk, name: str) -> None:
    member = members.create_member(desk.db, name, NOW_MS)
    assert member.name == name.strip()
    assert members.list_members(desk.db, 9) == [member]


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\nb", "a\x00b", "\ud800"])
def test_bad_name(desk: Desk, name: str) -> None:
    with pytest.raises(Refusal) as caught:
        members.create_member(desk.db, name, NOW_MS)
    assert (caught.value.code, caught.value.status) == ("bad_name", 422)
    assert members.list_members(desk.db, 9) == []


def test_code_enrols_once(desk: Desk) -> None:
    code = code_of(desk)
    got = members.enrol(desk.db, code, None, NOW_MS, 60)
    assert (len(got.handle), len(got.secret), got.name) == (8, 20, "Lin")
    with pytest.raises(Refusal) as caught:
        members.enrol(desk.db, code, None, NOW_MS, 60)
    assert (caught.value.code, caught.value.status) == ("code_used", 409)


def test_code_is_used_once_by_many_at_once(desk: Desk) -> None:
    code, gate = code_of(desk), threading.Barrier(8)
    won: list[str] = []

    def try_it() -> None:
        gate.wait()
        try:
            won.append(members.enrol(desk.db, code, None, NOW_MS, 60).handle)
        except Refusal as refusal:
            assert refusal.code == "code_used"  # noqa: PT017  in a thread

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) == 1
    with desk.db.read() as connection:
        assert connection.execute(select(handles.c.handle)).scalars().all() == won


def test_code_expires(desk: Desk) -> None:
    code = code_of(desk)
    with pytest.raises(Refusal) as caught:
        members.enrol(desk.db, code, None, NOW_MS + TTL_S * 1000, 60)
    assert (caught.value.code, caught.value.status) == ("code_expired", 410)
    assert members.enrol(desk.db, code, None, NOW_MS + TTL_S * 1000 - 1, 60).name == "Lin"


@pytest.mark.parametrize("code", ["", "ABCD-EFGH-JKMN", "林", "\ud800", "A" * 64, "' OR 1=1 --"])
def test_unknown_code(desk: Desk, code: str) -> None:
    code_of(desk)
    with pytest.raises(Refusal) as caught:
        members.enrol(desk.db, code, None, NOW_MS, 60)
    assert (caught.value.code, caught.value.status) == ("code_unknown", 404)


def test_code_as_people_type_it(desk: Desk) -> None:
    code = code_of(desk)
    typed = f" {code.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} "
    assert members.enrol(desk.db, typed, None, NOW_MS, 60).name == "Lin"


def test_unknown_member_gets_no_code(desk: Desk) -> None:
    with pytest.raises(Refusal) as caught:
        members.create_enrolment(desk.db, "M-00000000", NOW_MS, TTL_S)
    assert caught.value.code == "member_unknown"


def test_codes_and_tokens_are_not_stored(desk: Desk) -> None:
    code = code_of(desk)
    got = members.enrol(desk.db, code, None, NOW_MS, 60)
    stored = b"".join(path.read_bytes() for path in desk.settings.folder.glob("points.db*"))
    assert code.replace("-", "").encode() not in stored
    assert got.session.encode() not in stored


def test_session_tells_whose_it_is_until_it_ends(desk: Desk) -> None:
    got = members.enrol(desk.db, code_of(desk), None, NOW_MS, 60)
    with desk.db.read() as connection:
        assert members.session_member(connection, got.session, NOW_MS + 59_999).id == got.member
        for token, now_ms in ((got.session, NOW_MS + 60_000), ("x", NOW_MS), (None, NOW_MS)):
            with pytest.raises(Refusal) as caught:
                members.session_member(connection, token, now_ms)
            assert (caught.value.code, caught.value.status) == ("not_enrolled", 401)


def test_enrolling_again_ends_the_old_session(desk: Desk) -> None:
    first = members.enrol(desk.db, code_of(desk), None, NOW_MS, 60)
    second = members.enrol(desk.db, code_of(desk), first.session, NOW_MS, 60)
    with desk.db.read() as connection:
        assert connection.execute(select(sessions.c.handle)).scalars().all() == [second.handle]


def test_failed_enrolment_ends_no_session(desk: Desk) -> None:
    got = members.enrol(desk.db, code_of(desk), None, NOW_MS, 60)
    with pytest.raises(Refusal):
        members.enrol(desk.db, "WRONG", got.session, NOW_MS, 60)
    with desk.db.read() as connection:
        assert members.session_member(connection, got.session, NOW_MS).id == got.member


def test_old_codes_are_swept(desk: Desk) -> None:
    member = members.create_member(desk.db, "Lin", NOW_MS).id
    code_of(desk, member)
    members.create_enrolment(desk.db, member, NOW_MS + 3 * 86_400_000, TTL_S)
    with desk.db.read() as connection:
        assert connection.execute(select(func.count()).select_from(enrolments)).scalar_one() == 1


def test_secrets_do_not_show_in_a_log(desk: Desk) -> None:
    got = members.enrol(desk.db, code_of(desk), None, NOW_MS, 60)
    assert got.session not in repr(got)
    assert repr(got.secret) not in repr(got)
