"""The service over HTTP: statuses, keys, bounds, cookies."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.points import REQUEST_S, deposit_item, points_service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.points import PointsService

OPERATOR_PATHS = ("/v1/members", "/v1/members/M-00000000/enrolments")


def post(points: PointsService, path: str, **more: object) -> httpx.Response:
    """Post without any key."""
    return httpx.post(points.url + path, timeout=REQUEST_S, **more)  # type: ignore[arg-type]


def test_the_whole_way(points: PointsService) -> None:
    phone = points.enrol_phone("林晓雨")
    item = deposit_item(phone)
    answers = points.deposit([item, {**item, "g": 1}, deposit_item(phone, 2, label="")])
    assert [answer["code"] for answer in answers] == ["", "id_conflict", "label_missing"]
    assert set(answers[0]) == {"id", "status", "points", "balance", "code", "why"}
    assert points.deposit([item]) == answers[:1]
    me = phone.me()
    assert (me["name"], me["balance"], me["more"]) == ("林晓雨", 10, False)
    (entry,) = me["history"]
    assert entry["code"] == "deposit.credited"
    assert entry["details"] == {
        "bin": "B-7K2QA",
        "station": "S-DEMO",
        "mass_g": 312,
        "deposit": item["id"],
        "clock_poor": False,
    }


def test_refusals_of_a_true_pass_are_in_the_history(points: PointsService) -> None:
    phone = points.enrol_phone()
    first = deposit_item(phone, 1, epoch="aaaaaaaa")
    points.deposit([first, deposit_item(phone, 2, epoch="aaaaaaaa", label=first["label"])])
    me = phone.me()
    assert [entry["code"] for entry in me["history"]] == ["deposit.label_seen", "deposit.credited"]
    assert [entry["points"] for entry in me["history"]] == [0, 10]


def test_history_is_paged_by_row(points: PointsService) -> None:
    phone = points.enrol_phone()
    points.deposit([deposit_item(phone, n, epoch="bbbbbbbb") for n in range(1, 8)])
    first = phone.me(limit=3)
    assert first["more"]
    # What comes meanwhile shifts nothing.
    points.deposit([deposit_item(phone, 8, epoch="bbbbbbbb")])
    second = phone.me(limit=3, before=first["history"][-1]["seq"])
    third = phone.me(limit=3, before=second["history"][-1]["seq"])
    rows = [*first["history"], *second["history"], *third["history"]]
    assert [row["balance"] for row in rows] == [70, 60, 50, 40, 30, 20, 10]
    assert not third["more"]


def test_members_see_only_their_own(points: PointsService) -> None:
    one, two = points.enrol_phone("One"), points.enrol_phone("Two")
    points.deposit([deposit_item(one, 1, epoch="cccccccc")])
    assert (one.me()["balance"], two.me()["balance"], two.me()["history"]) == (10, 0, [])


@pytest.mark.parametrize("key", ["wrong", "ключ", "Bearer"])
def test_wrong_gateway_key(points: PointsService, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}".encode()}
    answer = post(points, "/v1/deposits", json={"items": [{}]}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "key_wrong")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_keys_open_only_their_own_door(points: PointsService) -> None:
    assert points.post_deposits({"items": [{}]}, key=points.operator_key).status_code == 401
    for path in OPERATOR_PATHS:
        headers = {"Authorization": f"Bearer {points.gateway_key}"}
        assert post(points, path, json={"name": "x"}, headers=headers).status_code == 401
        assert post(points, path, json={"name": "x"}).status_code == 401


@pytest.mark.parametrize("body", [None, [], {}, {"items": {}}, {"items": []}, {"items": "x"}, 7])
def test_malformed_body_as_a_whole(points: PointsService, body: object) -> None:
    answer = points.post_deposits(body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b'{"items": [1'])
def test_body_that_is_no_json(points: PointsService, content: bytes) -> None:
    headers = {"Authorization": f"Bearer {points.gateway_key}", "Content-Type": "application/json"}
    answer = post(points, "/v1/deposits", content=content, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.json()["why"]


def test_too_many_items(points: PointsService) -> None:
    answer = points.post_deposits({"items": [{}] * 501})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_items")


def test_too_large_body(points: PointsService) -> None:
    answer = points.post_deposits({"items": ["x" * 2_000_000]})
    assert answer.status_code == 413


def test_strange_letters_are_said_back_without_a_crash(points: PointsService) -> None:
    content = b'{"items": [{"id": "\\ud800"}, {"id": "B-7K2QA.5f3a9c01.77", "pass": "\\ud800"}]}'
    headers = {"Authorization": f"Bearer {points.gateway_key}", "Content-Type": "application/json"}
    answer = post(points, "/v1/deposits", content=content, headers=headers)
    assert answer.status_code == 200
    assert [result["code"] for result in answer.json()["results"]] == ["bad_item", "bad_item"]
    strange = post(points, "/v1/enrol", content=b'{"\\ud800": 1}', headers=headers)
    assert strange.status_code == 422


def test_unknown_member_and_bad_name(points: PointsService) -> None:
    headers = {"Authorization": f"Bearer {points.operator_key}"}
    answer = post(points, OPERATOR_PATHS[1], headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "member_unknown")
    answer = post(points, "/v1/members", json={"name": "\n"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_name")


def test_enrolment(points: PointsService) -> None:
    member = points.create_member("Lin")
    link = points.enrolment_link(member)
    base, _, code = link.partition("/#enrol=")
    assert base == points.url
    answer = post(points, "/v1/enrol", json={"code": code})
    assert answer.status_code == 200
    assert set(answer.json()) == {"handle", "secret", "name"}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    again = post(points, "/v1/enrol", json={"code": code})
    assert (again.status_code, again.json()["code"]) == (409, "code_used")
    assert "set-cookie" not in again.headers
    assert code not in points.log.read_text()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_cannot_enrol_a_phone(points: PointsService, headers: dict[str, str]) -> None:
    code = points.enrolment_code(points.create_member("Lin"))
    answer = post(points, "/v1/enrol", json={"code": code}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    own = {"Origin": points.url, "Sec-Fetch-Site": "same-origin"}
    assert post(points, "/v1/enrol", json={"code": code}, headers=own).status_code == 200


def test_form_post_cannot_enrol(points: PointsService) -> None:
    """A form of another site can send text/plain without a preflight; it is not read as JSON."""
    content = b'{"code": "ABCD-EFGH-JKMN"}'
    answer = post(points, "/v1/enrol", content=content, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/v1/me", "/v1/me/events"])
@pytest.mark.parametrize("cookies", [{}, {"boxback_points": "forged"}])
def test_without_a_session(points: PointsService, path: str, cookies: dict[str, str]) -> None:
    answer = httpx.get(points.url + path, cookies=cookies, timeout=REQUEST_S)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_enrolled")


@pytest.mark.parametrize(
    "query", ["before=x", "before=-1", "limit=0", "limit=101", f"before={2**70}"]
)
def test_bad_query(points: PointsService, query: str) -> None:
    phone = points.enrol_phone()
    url = f"{points.url}/v1/me?{query}"
    assert httpx.get(url, cookies=phone.cookies, timeout=REQUEST_S).status_code == 422


def test_tries_are_bounded(tmp_path: Path) -> None:
    with points_service(tmp_path, enrol_tries_per_minute=3) as few:
        statuses = [post(few, "/v1/enrol", json={"code": "x"}).status_code for _ in range(4)]
        assert statuses == [404, 404, 404, 429]


def test_secure_cookie_is_a_setting(tmp_path: Path) -> None:
    with points_service(tmp_path, cookie_secure=True) as secure:
        code = secure.enrolment_code(secure.create_member("Lin"))
        answer = post(secure, "/v1/enrol", json={"code": code})
        assert "; secure" in answer.headers["set-cookie"].lower()


def test_public_address_is_the_pages_own(tmp_path: Path) -> None:
    with points_service(tmp_path, public_url="https://boxback.example") as behind:
        member = behind.create_member("Lin")
        base, _, code = behind.enrolment_link(member).partition("/#enrol=")
        assert base == "https://boxback.example"
        answer = post(behind, "/v1/enrol", json={"code": code}, headers={"Origin": base})
        assert answer.status_code == 200


def test_busy_database_means_later(tmp_path: Path) -> None:
    """Somebody else holds the lock: 503, nothing changed, and the same item goes in afterwards."""
    with points_service(tmp_path, database_wait_ms=50) as hurried:
        phone = hurried.enrol_phone()
        item = deposit_item(phone)
        lock = sqlite3.connect(hurried.data_dir / "points" / "points.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        answer = hurried.post_deposits({"items": [item]})
        assert (answer.status_code, answer.json()["code"]) == (503, "later")
        assert answer.headers["retry-after"] == "1"
        assert phone.me()["balance"] == 0  # readers are not held up
        lock.execute("ROLLBACK")
        lock.close()
        assert hurried.deposit([item])[0]["status"] == "credited"


def test_health_and_description(points: PointsService) -> None:
    assert httpx.get(f"{points.url}/healthz", timeout=REQUEST_S).json() == {"status": "ok"}
    description = httpx.get(f"{points.url}/openapi.json", timeout=REQUEST_S).json()
    wanted = {"/v1/deposits", "/v1/members", "/v1/enrol", "/v1/me", "/v1/me/events"}
    assert wanted <= set(description["paths"])
    schemas = description["components"]["schemas"]
    kinds = schemas["Deposits"]["properties"]["items"]["items"]["anyOf"]
    assert [kind["properties"]["kind"]["const"] for kind in kinds] == ["deposit", "withdrawn"]
    assert {"id", "of", "g"} <= set(kinds[1]["required"])
    said = schemas["Answer"]["properties"]["status"]["enum"]
    assert said == ["credited", "refused", "withdrawn"]
    for gone in ("/docs", "/redoc"):
        assert httpx.get(points.url + gone, timeout=REQUEST_S).status_code == 404


def test_restart_remembers_everything(tmp_path: Path) -> None:
    with points_service(tmp_path) as service:
        phone = service.enrol_phone()
        items = [deposit_item(phone, n) for n in (1, 2)]
        before = service.deposit(items)
        service.kill()
        service.start()
        assert service.deposit(items) == before
        assert phone.me()["balance"] == 20


def test_two_services_on_one_database(tmp_path: Path) -> None:
    """As workers of one site: the same items through both at once, each credited once."""
    with points_service(tmp_path / "a") as one:
        shared = {"data_dir": str(one.data_dir)} | {
            name: one._settings[name] for name in ("gateway_key", "operator_key", "pepper")
        }
        with points_service(tmp_path / "b", **shared) as two:
            phone = one.enrol_phone()
            items = [deposit_item(phone, n) for n in range(1, 61)]
            gate, heard = threading.Barrier(6), list[dict[str, object]]()

            def send(service: PointsService, cut: int) -> None:
                gate.wait()
                for at in range(0, len(items), cut):
                    answer = httpx.post(
                        f"{service.url}/v1/deposits",
                        json={"items": items[at : at + cut]},
                        headers={"Authorization": f"Bearer {one.gateway_key}"},
                        timeout=60,
                    )
                    heard.extend(answer.raise_for_status().json()["results"])

            threads = [
                threading.Thread(target=send, args=(service, cut))
                for service in (one, two)
                for cut in (7, 20, 60)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(90)
            assert len(heard) == 6 * 60
            assert {(said["status"], said["points"]) for said in heard} == {("credited", 10)}
            assert len({(said["id"], said["balance"]) for said in heard}) == 60
            assert phone.me()["balance"] == 600
