"""Live updates over server-sent events."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from gateway.points.live import MEMBER_STREAMS
from tests.support.points import deposit_item, points_service, withdrawn_item

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.points import PointsService


def test_credit_arrives(points: PointsService) -> None:
    phone = points.enrol_phone()
    with phone.listen() as events:
        assert next(events)["data"] == {"balance": 0}
        points.deposit([deposit_item(phone, 1)])
        heard = next(events)
        assert (heard["event"], heard["id"]) == ("entry", str(heard["data"]["seq"]))
        assert (heard["data"]["points"], heard["data"]["balance"]) == (10, 10)
        assert heard["data"] == phone.me()["history"][0]
        # A second wake-up on the same stream.
        points.deposit([deposit_item(phone, 2), deposit_item(phone, 3)])
        assert [next(events)["data"]["balance"] for _ in range(2)] == [20, 30]


def test_points_taken_back_arrive(points: PointsService) -> None:
    phone = points.enrol_phone()
    with phone.listen() as events:
        next(events)
        carton = deposit_item(phone, 1, epoch="0000ba0c")
        points.deposit([carton, withdrawn_item(carton, 2, g=308)])
        assert next(events)["data"]["balance"] == 10
        heard = next(events)["data"]
    assert (heard["code"], heard["points"], heard["balance"]) == ("deposit.withdrawn", -10, 0)
    assert (heard["details"]["bin"], heard["details"]["mass_g"]) == ("B-7K2QA", 308)
    assert heard == phone.me()["history"][0]


def test_nobody_hears_of_others(points: PointsService) -> None:
    one, two = points.enrol_phone("One"), points.enrol_phone("Two")
    with two.listen() as events:
        next(events)
        points.deposit([deposit_item(one, 1, epoch="00000001")])
        points.deposit([deposit_item(two, 2, epoch="00000001", g=77)])
        assert next(events)["data"]["details"]["mass_g"] == 77


def test_resumes_after_the_last_event(points: PointsService) -> None:
    phone = points.enrol_phone()
    points.deposit([deposit_item(phone, n, epoch="00000002") for n in (1, 2, 3)])
    oldest = phone.me()["history"][-1]["seq"]
    with phone.listen(**{"Last-Event-ID": str(oldest)}) as events:
        assert next(events)["event"] == "balance"
        assert [next(events)["data"]["balance"] for _ in range(2)] == [20, 30]


def test_long_absence_is_sent_whole(points: PointsService) -> None:
    """More rows than one look fetches."""
    phone = points.enrol_phone()
    points.deposit([deposit_item(phone, n, epoch="00000003") for n in range(1, 251)])
    with phone.listen(**{"Last-Event-ID": "0"}) as events:
        next(events)
        assert [next(events)["data"]["balance"] for _ in range(250)] == list(range(10, 2_510, 10))


@pytest.mark.parametrize("bad", ["x", "-1", "9" * 40, "٣"])
def test_bad_last_event_id_means_now(points: PointsService, bad: str) -> None:
    phone = points.enrol_phone()
    points.deposit([deposit_item(phone, 1, epoch=f"{len(bad):08x}")])
    with httpx.Client(cookies=phone.cookies, timeout=20) as client:
        headers = {"Last-Event-ID": bad.encode()}
        with client.stream("GET", f"{points.url}/v1/me/events", headers=headers) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_lines()) == "event: balance"


def test_write_of_another_process_arrives(tmp_path: Path) -> None:
    with points_service(tmp_path / "a") as one:
        shared = {
            "data_dir": str(one.data_dir),
            "gateway_key": one.gateway_key,
            "pepper": one._settings["pepper"],
        }
        with points_service(tmp_path / "b", **shared) as two:
            phone = one.enrol_phone()
            with phone.listen() as events:
                next(events)
                two.deposit([deposit_item(phone)])
                assert next(events)["data"]["balance"] == 10


def test_streams_are_bounded_and_places_come_free(tmp_path: Path) -> None:
    with points_service(tmp_path, stream_limit=2) as few:
        phone = few.enrol_phone()
        with ExitStack() as open_streams:
            heard = [open_streams.enter_context(phone.listen()) for _ in range(2)]
            assert [next(events)["event"] for events in heard] == ["balance", "balance"]
            with pytest.raises(httpx.HTTPStatusError, match="503"), phone.listen():
                pass
        # The service notices that they are gone; until then it says "later".
        for _ in range(200):
            try:
                with phone.listen() as events:
                    assert next(events)["event"] == "balance"
                    return
            except httpx.HTTPStatusError as error:
                assert error.response.status_code == 503  # noqa: PT017
        pytest.fail("no place came free")


def test_one_member_cannot_take_all_places(points: PointsService) -> None:
    greedy, other = points.enrol_phone("Greedy"), points.enrol_phone("Other")
    second_phone = points.enrol_phone(member=greedy.member)
    with ExitStack() as open_streams:
        heard = [open_streams.enter_context(greedy.listen()) for _ in range(MEMBER_STREAMS)]
        assert {next(events)["event"] for events in heard} == {"balance"}
        for phone in (greedy, second_phone):
            with pytest.raises(httpx.HTTPStatusError, match="503"), phone.listen():
                pass
        with other.listen() as events:
            assert next(events)["event"] == "balance"


def test_stream_ends_after_its_life(tmp_path: Path) -> None:
    with points_service(tmp_path, stream_life_s=1) as short:
        phone = short.enrol_phone()
        with phone.listen() as events:
            assert [event["event"] for event in events] == ["balance"]


def test_service_stops_while_phones_listen(tmp_path: Path) -> None:
    with points_service(tmp_path) as service:
        phone = service.enrol_phone()
        with phone.listen() as events:
            next(events)
            assert service.stop() == 0
            assert list(events) == []
        log = service.log.read_text()
    assert "shutdown exceeded" not in log
    assert "Traceback" not in log
