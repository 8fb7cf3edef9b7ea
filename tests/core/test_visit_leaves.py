from boxbin.core import rules, scale, settings, visit, wire

from tests.core.visits import KEY, KEY_CODE, LABEL, OTHER, PASS, Bin, deposit, settled


def test_the_operator_empties_the_bin():
    b = Bin()
    deposit(b)
    b.wait(60_000)
    b.scan(KEY_CODE)
    assert b.last() == "collect"
    settled(b, -5_300)
    b.scan(KEY_CODE)
    assert b.lines[-1] == ("collection", {"g": 5_300}) and b.last() == "collected"
    b.rest()
    assert b.visit.container.content_mg == 0
    settled(b, 0)
    assert b.kinds() == ["deposit", "collection"], "nobody's carton was taken back"


def test_a_collection_ends_by_itself_and_knows_no_scale_fault():
    b = Bin()
    b.scan(KEY_CODE)
    b.do(b.visit.weigh(b.now_ms, scale.MISSING, None))
    settled(b, -4_000, 12_000)
    assert b.lines == [("collection", {"g": 4_000})]
    b = Bin()
    b.scan(KEY_CODE)
    b.move(-3_000)
    b.scan(KEY_CODE)
    assert b.lines == [], "it waits for rest"
    b.rest(-4_000)
    assert b.lines == [("collection", {"g": 4_000})]
    b = Bin()
    b.scan(KEY_CODE)
    b.wait(600_000)
    assert b.lines == [("collection", {"g": 0})]


def test_another_code_is_no_key():
    b = Bin()
    b.scan("BBC1.0123456789ABCDEG")
    assert b.last() == "pass_first" and b.visit.state == rules.IDLE


def test_labels_may_be_optional_or_nobodys_business():
    for policy in ("optional", "none"):
        b = Bin(label_policy=policy)
        b.scan(PASS)
        b.rest()
        assert b.last() == "drop" and b.moves[-1] is True
        b.rest(300)
        assert b.lines[0][1]["label"] == "" and b.said[-1] == ("thanks", 300)
        b.wait(2_000)
        assert b.last() == "drop", "the flap stays open for the next one"
        b.scan(LABEL)
        b.wait(700)
        b.rest(150)
        expected = wire.label_code(KEY, LABEL) if policy == "optional" else ""
        assert b.lines[1][1]["label"] == expected
        b.wait(33_000)
        assert b.last() == "bye" and b.moves[-1] is False


def test_two_people_and_a_left_visit_share_nothing():
    b = Bin()
    b.to_drop()
    b.scan(OTHER)
    b.wait(33_000)
    assert b.visit.state == rules.LABEL and b.moves[-1] is False, "the second one's turn has come"
    b.scan("SF9999999999")
    b.rest()
    b.rest(300)
    assert b.lines[0][1]["pass"] == OTHER


def test_a_full_journal_is_not_forgotten_in_a_collection():
    b = Bin()
    b.do(b.visit.journal(b.now_ms, False))
    assert b.visit.state == rules.CLOSED
    b.scan(KEY_CODE)
    assert b.visit.state == rules.COLLECT
    b.scan(KEY_CODE)
    assert b.visit.state == rules.CLOSED and b.kinds() == ["collection"]
    b.do(b.visit.journal(b.now_ms, True))
    assert b.visit.state == rules.IDLE


def test_a_line_that_is_never_told_to_be_written_closes_the_bin():
    v = visit.Visit(settings.Settings(), KEY)
    b = Bin()
    b.visit = v
    b.do(v.start(b.now_ms))
    b.rest()
    b.to_drop()
    b.now_ms += 900
    actions = v.weigh(b.now_ms, scale.STABLE, b.mass_mg + 300_000)
    assert actions[-1][:2] == ("line", "deposit") and v.state == rules.WRITE
    b.wait(5_000)
    assert v.state == rules.CLOSED and b.last() == "closed_journal"
    b.do(v.journal(b.now_ms, True))
    assert v.state == rules.IDLE


def test_a_fault_inside_a_collection_is_told_after_it():
    b = Bin()
    b.scan(KEY_CODE)
    b.do(b.visit.scanner(b.now_ms, False))
    b.scan(KEY_CODE)
    assert b.last() == "closed_scanner" and b.visit.state == rules.CLOSED
    b = Bin()
    b.scan(KEY_CODE)
    b.do(b.visit.weigh(b.now_ms, scale.MISSING, None))
    b.scan(KEY_CODE)
    b.wait(20_000)
    b.do(b.visit.weigh(b.now_ms, scale.MISSING, None))
    assert b.last() == "closed_scale"


def test_whoever_comes_next_ends_a_collection():
    b = Bin()
    b.scan(KEY_CODE)
    settled(b, -4_000, 2_000)
    b.scan(PASS)
    assert b.lines == [("collection", {"g": 4_000})] and b.visit.state == rules.LABEL
    b.scan(LABEL)
    b.rest(300)
    assert b.kinds() == ["collection", "deposit"]


def test_the_second_scan_of_a_key_that_comes_late_opens_no_new_collection():
    b = Bin()
    b.scan(KEY_CODE)
    settled(b, -4_000, 12_000)
    assert b.kinds() == ["collection"]
    b.scan(KEY_CODE)
    assert b.visit.state == rules.IDLE and b.last() == "collected"


def test_an_open_flap_is_no_fault_while_the_operator_is_there():
    b = Bin()
    b.do(b.visit.flap(b.now_ms, False))
    b.scan(KEY_CODE)
    b.wait(120_000)
    assert b.lines == []
    b.flap_works = False
    b.scan(KEY_CODE)
    assert b.moves[-1] is False, "now it is asked to shut"


def test_something_light_keeps_the_label_for_the_carton():
    b = Bin()
    b.to_drop()
    settled(b, 20)
    assert b.lines == [("refused", {"why": "too_light", "g": 20})] and b.visit.state == rules.DROP
    b.rest(300)
    assert b.kinds()[-1] == "deposit" and b.lines[-1][1]["g"] == 300
    b = Bin()
    b.to_drop()
    settled(b, 20)  # a finger
    b.rest(-20)
    b.rest(300)
    assert b.lines[-1][1]["g"] == 300, "what was light has left again"


def test_a_hand_that_left_while_the_flap_is_open_leaves_the_label_armed():
    b = Bin()
    b.to_drop()
    b.flap_works = False
    b.rest(55)
    settled(b, -55)
    b.stay(1_000)
    b.rest(300)
    assert b.kinds() == ["deposit", "withdrawn", "deposit"] and b.lines[-1][1]["g"] == 300


def test_who_leans_on_the_bin_and_goes_undoes_nobody():
    b = Bin()
    deposit(b)
    b.wait(60_000)
    settled(b, 290)
    settled(b, -290)
    assert b.kinds() == ["deposit", "unattended", "unattended"]


def test_a_label_that_comes_just_before_its_pass_is_kept():
    b = Bin()
    b.scan(LABEL)
    assert b.last() == "pass_first"
    b.scan(PASS)
    b.rest(300)
    assert b.kinds() == ["deposit"] and b.lines[0][1]["label"] == wire.label_code(KEY, LABEL)


def test_a_reed_switch_that_never_says_open_costs_nobody_a_carton():
    b = Bin()
    b.flap_works = False
    b.scan(PASS)
    b.scan(LABEL)
    b.rest(300)
    assert b.kinds() == ["deposit"]


def test_another_carton_that_falls_as_one_is_pulled_out():
    for grams in (280, 298, 340, 600):
        b = Bin()
        deposit(b)
        b.wait(60_000)
        b.scan(OTHER)
        b.scan("SF9999999999")
        b.rest()
        b.rest(-300)  # pulled out, and a second later
        b.rest(grams)
        if grams == 298:
            assert b.kinds() == ["deposit"], "as if it had been lifted and put back"
        else:
            assert b.kinds() == ["deposit", "withdrawn", "deposit"], grams
            assert b.lines[-1][1]["g"] == grams and b.lines[-1][1]["pass"] == OTHER
