from boxbin.core import rules

from tests.core.visits import KEY_CODE, PASS, Bin, deposit, settled


def order(b, name, seconds=30):
    actions, done = b.visit.order(b.now_ms, name, seconds, "B-7K2QM")
    b.do(actions)
    return done


def test_an_operator_opens_the_flap_from_afar_for_a_while():
    b = Bin()
    assert order(b, "open", 20)
    assert b.visit.state == rules.SERVICE and b.last() == "service" and b.moves[-1] is True
    b.scan(PASS)
    assert b.visit.state == rules.SERVICE
    settled(b, 300)
    settled(b, -300)
    assert b.kinds() == ["unattended", "unattended"]
    b.wait(20_000)
    assert b.visit.state == rules.IDLE and b.last() == "idle" and b.moves[-1] is False
    b.to_drop()
    b.rest(300)
    assert b.kinds()[-1] == "deposit"


def test_nobody_is_disturbed_by_an_order():
    for name in ("open", "tare", "identify", "collect"):
        b = Bin()
        b.scan(PASS)
        assert not order(b, name) and b.visit.state == rules.LABEL, name


def test_a_closed_bin_is_opened_by_an_order_and_closed_again():
    b = Bin()
    b.do(b.visit.scanner(b.now_ms, False))
    assert order(b, "open") and b.visit.state == rules.SERVICE
    b.do(b.visit.not_written(b.now_ms))
    assert b.visit.state == rules.SERVICE and b.visit.faults == ["scanner", "journal"]
    b.do(b.visit.journal(b.now_ms, True))
    assert b.last() == "service"
    b.do(b.visit.button(b.now_ms))
    assert b.visit.state == rules.CLOSED and b.last() == "closed_scanner" and b.moves[-1] is False


def test_a_collection_begins_and_ends_by_order():
    b = Bin()
    deposit(b)
    b.wait(60_000)
    assert order(b, "collect") and b.visit.state == rules.COLLECT
    b.rest(-300)
    assert order(b, "collect") and b.kinds()[-1] == "collection"


def test_tare_says_that_it_is_empty_now():
    b = Bin()
    settled(b, 400)
    assert b.visit.container.content_mg == 400_000
    assert order(b, "tare") and b.visit.container.content_mg == 0
    b.flap_works = False
    b.do(b.visit.flap(b.now_ms, False))
    assert not order(b, "tare"), "not with an open flap"


def test_identify_shows_who_it_is_and_then_what_was_there():
    b = Bin()
    assert order(b, "identify", 60)
    assert b.said[-1] == ("identify", "B-7K2QM")
    b.wait(59_000)
    assert b.last() == "identify"
    b.wait(2_000)
    assert b.last() == "idle"
    b.do(b.visit.scanner(b.now_ms, False))
    assert order(b, "identify", 5)
    b.wait(6_000)
    assert b.last() == "closed_scanner"


def look(b, *percents):
    for percent in percents:
        b.wait(60_000)
        b.do(b.visit.level(b.now_ms, percent))


def test_a_full_container_closes_the_bin_until_it_is_emptied():
    b = Bin()
    look(b, 94, 94, 95)
    assert b.visit.state == rules.IDLE and b.last() == "idle"
    look(b, 97)
    assert b.visit.state == rules.CLOSED and b.last() == "closed_full"
    assert b.lines == [("fault", {"what": "full", "detail": "97"})]
    b.scan(PASS)
    assert b.last() == "closed_full" and b.moves[-1] is False
    look(b, 99, 90, -1)
    assert b.visit.state == rules.CLOSED and len(b.lines) == 1
    b.scan(KEY_CODE)
    assert b.last() == "collect"
    look(b, 100, 100)
    b.rest(-4_000)
    b.scan(KEY_CODE)
    b.rest()
    assert b.visit.state == rules.IDLE and b.kinds()[-1] == "collection"
    b.to_drop()


def test_a_container_that_is_still_full_after_a_collection_closes_again():
    b = Bin()
    look(b, 100, 100)
    b.scan(KEY_CODE)
    b.rest(-100)
    b.scan(KEY_CODE)
    b.rest()
    assert b.visit.state == rules.IDLE
    look(b, 100)
    assert b.visit.state == rules.CLOSED and b.last() == "closed_full"


def test_what_settles_by_itself_opens_the_bin():
    b = Bin()
    look(b, 96, 96, 80)
    assert b.visit.state == rules.CLOSED
    look(b, 79)
    assert b.visit.state == rules.IDLE and b.last() == "idle"


def test_one_look_closes_nothing_and_a_missing_sensor_neither():
    b = Bin()
    look(b, 100, -1, 100, 50, 100, -1, -1, -1, -1)
    assert b.visit.state == rules.IDLE and b.lines == []


def test_a_visit_is_not_cut_off_by_a_full_container():
    b = Bin()
    b.to_drop()
    for _ in range(3):
        b.do(b.visit.level(b.now_ms, 100))
    b.rest(300)
    assert b.kinds() == ["deposit"]
    b.visit.button(b.now_ms)
    b.wait(1)
    b.do(b.visit.level(b.now_ms, 100))
    assert "fault" not in b.kinds(), "the goodbye is read first"
    look(b, 100)
    assert b.last() == "closed_full"


def test_full_and_another_fault_each_end_for_themselves():
    b = Bin()
    look(b, 100, 100)
    b.do(b.visit.scanner(b.now_ms, False))
    assert b.last() == "closed_scanner"
    look(b, 10)
    assert b.visit.state == rules.CLOSED and b.last() == "closed_scanner"
    b.do(b.visit.scanner(b.now_ms, True))
    assert b.visit.state == rules.IDLE
