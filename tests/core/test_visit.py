from boxbin.core import rules, scale, settings, visit, wire

from tests.core.visits import KEY, LABEL, OTHER, PASS, UNIX_S, Bin, deposit, settled


def test_one_carton():
    b = Bin()
    assert b.said == [("idle",)] and b.moves == [False]
    b.scan(PASS)
    assert b.last() == "label"
    b.scan(LABEL)
    b.rest()
    assert b.said[-2:] == [("opening",), ("drop",)] and b.moves[-1] is True
    b.now_ms += 3_000
    b.move(150)
    assert b.last() == "weighing"
    b.move(340)
    b.rest(312)
    kind, d = b.lines[0]
    assert kind == "deposit"
    assert d["pass"] == PASS and d["g"] == 312 and d["ms"] == 1_000 and d["age"] == 4_900 + 100
    assert d["label"] == wire.label_code(KEY, LABEL)
    assert b.last() == "thanks" and b.said[-1] == ("thanks", 312)
    assert b.moves[-1] is False
    b.do(b.visit.outcome(b.now_ms, 1, "credited", 10, 120))
    assert b.last() == "thanks", "thanks stay readable before the outcome"
    b.wait(2_000)
    assert b.said[-1] == ("credited", 10, 120)
    b.wait(45_000)
    assert b.last() == "bye"
    b.wait(5_000)
    assert b.last() == "idle" and b.visit.state == rules.IDLE


def test_several_cartons_in_one_visit():
    b = Bin(visit_cartons=3)
    b.to_drop()
    b.rest(200)
    for i in range(2):
        b.scan("SF000000000%d" % i)
        b.rest()
        b.rest(150)
    assert b.kinds() == ["deposit"] * 3
    assert [d["pass"] for _, d in b.lines] == [PASS] * 3
    assert b.visit.state == rules.IDLE and b.said[-1] == ("thanks_end", 150)


def test_age_counts_from_the_scan_of_the_pass():
    b = Bin()
    b.to_drop()
    b.rest(200)
    b.wait(20_000)
    b.scan("SF0000000002")
    b.rest()
    b.rest(150)
    assert b.lines[1][1]["age"] > 20_000


def test_every_stop_has_a_sentence_and_no_deposit():
    def nothing(b):
        b.to_drop()
        b.wait(35_000)

    def light(b):
        b.to_drop()
        b.rest(5)
        b.stay(3_000)

    def light_with_a_bump(b):
        b.to_drop()
        b.move(40)
        b.rest(20)
        b.stay(3_000)

    def heavy(b):
        b.to_drop()
        b.move(4_000)
        b.rest(4_000)

    def no_label(b):
        b.scan(PASS)
        b.wait(45_000)

    def heavy_left(b):
        heavy(b)
        b.wait(30_000)

    def restless(b):
        b.to_drop()
        b.move(300)
        b.wait(15_000)

    def shaking(b):
        b.scan(PASS)
        b.move(50)
        b.scan(LABEL)
        b.wait(6_000)

    def leaves(b):
        b.to_drop()
        b.do(b.visit.button(b.now_ms))

    def unknown_code(b):
        b.scan(PASS)
        b.scan("https://example.com")

    def no_pass(b):
        b.scan(LABEL)

    def forged_form(b):
        b.scan("BB1.nonsense")

    def old_pass(b):
        b.scan(PASS, UNIX_S + 120)

    for story, sentence, refused in (
        (nothing, "nothing", None),
        (light, "too_light", None),
        (light_with_a_bump, "too_light", "too_light"),
        (heavy, "too_heavy", "too_heavy"),
        (heavy_left, "not_taken", "too_heavy"),
        (no_label, "no_label", None),
        (restless, "unstable", "unstable"),
        (shaking, "not_steady", None),
        (leaves, "bye", None),
        (unknown_code, "label_bad", None),
        (no_pass, "pass_first", None),
        (forged_form, "pass_bad", None),
        (old_pass, "pass_old", None),
    ):
        b = Bin()
        story(b)
        assert b.last() == sentence, (sentence, b.said)
        assert "deposit" not in b.kinds(), sentence
        if refused:
            assert b.lines[-1][0] == "refused" and b.lines[-1][1]["why"] == refused
        else:
            assert b.lines == [], sentence
        b.wait(700_000)
        b.rest()
        assert b.last() == "idle" and b.visit.state == rules.IDLE, (sentence, b.said)
        assert b.moves[-1] is False


def test_too_heavy_keeps_the_flap_open_until_it_is_out():
    b = Bin()
    b.to_drop()
    b.rest(5_000)
    assert b.last() == "too_heavy" and b.moves[-1] is True
    b.rest(-5_000)
    assert b.moves[-1] is False and b.visit.state == rules.LABEL


def test_drift_while_waiting_is_not_a_carton():
    b = Bin()
    b.to_drop()
    for _ in range(20):
        b.now_ms += 900
        b.mass_mg += 500  # half a gram a second, 33 g a minute: warming up
        b.do(b.visit.weigh(b.now_ms, scale.STABLE, b.mass_mg))
    assert b.visit.state == rules.DROP
    b.rest(200)
    assert 198 <= b.lines[-1][1]["g"] <= 202


def test_something_light_is_seen_while_the_window_fills_with_it():
    """A running mean creeps from nothing to 5 g; the baseline must not creep along."""
    b = Bin()
    b.to_drop()
    for _ in range(40):
        b.now_ms += 100
        b.do(b.visit.weigh(b.now_ms, scale.STABLE, b.mass_mg))
    for i in range(1, 9):
        b.now_ms += 100
        b.do(b.visit.weigh(b.now_ms, scale.STABLE, b.mass_mg + i * 625))
    b.mass_mg += 5_000
    b.stay(3_000)
    assert ("too_light",) in b.said
    b.rest(300)
    assert b.lines == [("deposit", b.lines[0][1])] and b.lines[0][1]["g"] == 300


def test_a_carton_that_a_hand_still_holds_is_not_too_light():
    """It rests 9 g, then 30 g on the container while it is lowered, then it is let go."""
    b = Bin()
    b.to_drop()
    b.rest(9)
    b.stay(1_500)
    b.move(40)
    b.rest(21)
    b.stay(1_500)
    b.move(200)
    b.rest(282)
    assert b.kinds() == ["deposit"] and b.lines[0][1]["g"] == 312


def test_a_hand_that_presses_does_not_cost_a_carton():
    b = Bin()
    b.to_drop()
    b.move(3_300)
    b.rest(3_300)
    assert b.last() == "too_heavy"
    b.rest(-3_000)
    assert b.said[-1] == ("thanks", 300)


def test_a_carton_in_the_wind_is_weighed_when_its_label_is_scanned_again():
    b = Bin()
    b.to_drop()
    b.move(300)
    b.mass_mg += 300_000
    b.wait(15_000)
    assert b.last() == "unstable"
    b.rest()
    b.scan(LABEL)
    b.rest()
    assert b.said[-1] == ("thanks", 300)
    # Another label does not bring it back: what lies there then is the new baseline.
    b = Bin()
    b.to_drop()
    b.move(300)
    b.mass_mg += 300_000
    b.wait(15_000)
    b.rest()
    b.scan("SF0000000002")
    b.rest()
    assert b.visit.state == rules.DROP and "deposit" not in b.kinds()


def test_what_falls_in_while_the_flap_shuts_is_weighed():
    b = Bin()
    b.to_drop()
    b.wait(30_000)
    assert b.moves[-1] is False and b.visit.state == rules.DROP
    b.move(200)
    b.rest(200)
    assert b.said[-1] == ("thanks", 200)


def test_a_touch_that_leaves_nothing_is_no_carton_and_wins_no_time():
    b = Bin()
    b.to_drop()
    for _ in range(12):
        b.move(500)
        b.rest()
    assert b.lines == []
    b.wait(30_000 - 12_000 + 3_000)
    assert b.last() == "nothing"


def test_a_label_is_used_once_here():
    b = Bin()
    b.to_drop()
    b.rest(200)
    b.scan(LABEL)
    assert b.last() == "label_seen" and b.visit.state == rules.LABEL
    b.scan(OTHER)
    b.scan(LABEL)
    assert b.last() == "label_seen", "another member does not make it new"
    for i in range(b.visit._settings.labels_remembered):
        b.scan(OTHER)
        b.scan("JD%010d" % i)
        b.rest()
        b.rest(100)
    b.scan(LABEL)
    assert b.visit.state != rules.LABEL, "so many others later it is forgotten"


def test_the_same_pass_again_changes_nothing_and_another_takes_over():
    b = Bin()
    b.scan(PASS)
    before = list(b.said)
    b.scan(PASS)
    assert b.said == before
    b.scan(OTHER)
    b.scan(LABEL)
    b.rest()
    b.rest(100)
    assert b.lines[0][1]["pass"] == OTHER


def test_another_pass_while_the_flap_is_open_waits_for_this_carton():
    b = Bin()
    b.to_drop()
    b.scan(OTHER)
    b.rest(300)
    assert b.lines[0][1]["pass"] == PASS
    assert b.lines[0][1]["label"] == wire.label_code(KEY, LABEL)
    assert b.said[-1] == ("thanks", 300), "thanks are read first"
    b.wait(2_000)
    assert b.last() == "label"
    b.scan("SF9999999999")
    b.rest(200)
    assert b.lines[1][1]["pass"] == OTHER


def test_another_pass_and_label_end_a_visit_that_was_left():
    b = Bin()
    b.to_drop()
    b.scan(OTHER)
    b.scan("SF9999999999")
    b.wait(700)
    b.rest(300)
    assert b.kinds() == ["deposit"] and b.lines[0][1]["pass"] == OTHER
    assert b.lines[0][1]["label"] == wire.label_code(KEY, "SF9999999999")


def test_the_last_label_before_the_drop_counts():
    b = Bin()
    b.to_drop()
    b.scan("SF9999999999")
    b.wait(700)
    b.rest(300)
    assert b.lines[0][1]["label"] == wire.label_code(KEY, "SF9999999999")
    b.scan(LABEL)
    assert b.last() == "drop", "the first one is not used up"


def test_without_flash_no_thanks_and_no_more_visits():
    b = Bin()
    b.to_drop()
    b.flash_works = False
    b.rest(200)
    assert b.last() == "closed_journal" and b.visit.state == rules.CLOSED
    assert "thanks" not in [said[0] for said in b.said]
    assert b.moves[-1] is False
    b.scan(PASS)
    assert b.last() == "closed_journal"
    b.do(b.visit.journal(b.now_ms, False))
    assert b.last() == "closed_journal"
    b.do(b.visit.journal(b.now_ms, True))
    assert b.last() == "idle"


def test_a_full_bin_does_not_invite():
    b = Bin()
    b.do(b.visit.journal(b.now_ms, False))
    assert b.last() == "closed_journal" and b.lines == []
    # A visit that has begun has its room; it is asked for again when nobody is there.
    b = Bin()
    b.to_drop()
    b.do(b.visit.journal(b.now_ms, False))
    b.rest(200)
    assert b.last() == "thanks"


def test_a_fault_before_the_start_is_not_forgotten_at_the_start():
    v = visit.Visit(settings.Settings(), KEY)
    v.not_written(1_000)
    assert v.start(2_000) == () and v.state == rules.CLOSED


def test_the_bin_opens_again_only_when_every_fault_is_gone():
    b = Bin()
    b.do(b.visit.scanner(b.now_ms, False))
    b.do(b.visit.weigh(b.now_ms, scale.MISSING, None))
    assert b.last() == "closed_scale"
    b.rest()
    assert b.last() == "closed_scanner" and b.visit.state == rules.CLOSED
    b.do(b.visit.scanner(b.now_ms, True))
    assert b.last() == "idle" and b.visit.state == rules.IDLE


def test_a_scale_that_goes_missing_while_a_label_is_awaited_closes_the_bin():
    b = Bin()
    b.scan(PASS)
    b.do(b.visit.weigh(b.now_ms, scale.MISSING, None))
    assert b.last() == "closed_scale"


def test_without_a_scale_the_flap_is_shut_and_says_so():
    for state in (scale.MISSING, scale.SATURATED):
        b = Bin()
        b.to_drop()
        b.do(b.visit.weigh(b.now_ms, state, None))
        assert b.last() == "closed_scale" and b.moves[-1] is False
        assert b.lines == [("fault", {"what": "scale", "detail": state})]
        b.do(b.visit.weigh(b.now_ms, state, None))
        assert len(b.lines) == 1, "one fault, one line"
        b.scan(PASS)
        assert b.last() == "closed_scale"
        b.rest()
        assert b.last() == "idle"


def test_a_flap_that_does_not_open_is_a_fault_and_is_tried_again():
    b = Bin()
    b.flap_works = False
    b.scan(PASS)
    b.scan(LABEL)
    b.rest()
    assert b.visit.state == rules.OPENING
    b.wait(3_000)
    assert b.moves[-2:] == [True, True] and b.visit.state == rules.OPENING, "it is tried again"
    b.wait(9_000)
    assert b.last() == "closed_flap" and b.lines[-1][1] == {"what": "flap", "detail": "open"}
    b.flap_works = True
    b.wait(30_000)
    assert b.visit.state == rules.IDLE


def test_a_flap_that_does_not_shut_is_told_and_the_bin_goes_on():
    """The scale sees what goes in and out all the same."""
    b = Bin()
    b.to_drop()
    b.flap_works = False
    b.rest(200)
    assert b.last() == "thanks"
    b.wait(3_000)
    assert b.last() == "flap_held"
    b.wait(40_000)
    assert "fault" not in b.kinds(), "somebody may be holding it"
    b.wait(60_000)
    assert b.lines[-1] == ("fault", {"what": "flap", "detail": "shut"})
    b.wait(600_000)
    assert b.kinds().count("fault") == 1 and b.moves[-1] is False
    b.scan(OTHER)
    b.scan("SF9999999999")
    b.rest()
    b.rest(300)
    assert b.kinds()[-1] == "deposit"
    b.do(b.visit.flap(b.now_ms, True))
    b.wait(60_000)
    assert b.last() == "idle"


def test_a_flap_that_is_opened_by_hand_is_asked_to_shut():
    b = Bin()
    moves = len(b.moves)
    b.do(b.visit.flap(b.now_ms, False))
    assert b.moves[moves:] == [False]


def test_a_visit_has_an_end_whatever_happens_in_it():
    b = Bin(visit_ms=60_000)
    b.scan(PASS)
    for i in range(40):
        b.scan("SF%010d" % i)
        b.rest()
        b.wait(5_000)
        b.rest(100)
        if b.visit.state == rules.IDLE:
            break
    assert b.now_ms < 75_000 and b.visit.state == rules.IDLE
    assert b.last() in ("thanks_end", "bye")


def test_an_outcome_of_somebody_else_is_not_shown():
    b = Bin()
    b.to_drop()
    b.rest(200)
    b.wait(40_000)
    b.scan(OTHER)
    b.do(b.visit.outcome(b.now_ms, 1, "credited", 10, 120))
    b.wait(3_000)
    assert "credited" not in [said[0] for said in b.said]
    b2 = Bin()
    b2.to_drop()
    b2.rest(200)
    b2.wait(2_500)
    b2.do(b2.visit.outcome(b2.now_ms, 1, "refused", 0, 0))
    assert b2.last() == "no_points"


def test_readings_without_value_do_nothing():
    b = Bin()
    b.to_drop()
    b.do(b.visit.weigh(b.now_ms, scale.UNSTABLE, None))
    assert b.visit.state == rules.DROP


def test_a_carton_that_is_pulled_out_again_is_taken_back():
    for seconds in (0, 20, 200):  # in the visit, after it, long after it
        b = Bin()
        deposit(b)
        b.wait(seconds * 1_000)
        settled(b, -298)
        assert b.lines[-1] == ("withdrawn", {"of": 1, "g": 300}), seconds
        assert b.said[-1] == ("withdrawn",)
        b.wait(60_000)
        assert b.last() == "idle"


def test_after_five_minutes_it_is_nobodys_any_more():
    b = Bin()
    deposit(b)
    b.wait(400_000)
    settled(b, -300)
    assert b.lines[-1] == ("unattended", {"g": -300})


def test_a_carton_that_is_lifted_and_put_back_at_once_stays():
    b = Bin()
    deposit(b)
    b.rest(-300)
    b.rest(300)
    b.stay(5_000)
    assert b.kinds() == ["deposit"]


def test_the_label_of_a_carton_taken_back_may_be_used_again():
    b = Bin()
    deposit(b)
    settled(b, -300)
    b.scan(LABEL)
    b.rest(300)
    assert b.kinds() == ["deposit", "withdrawn", "deposit"]


def test_it_is_taken_back_in_the_next_visits_first_seconds_only():
    for wait_ms, line in ((3_000, ("withdrawn", {"of": 1, "g": 300})), (15_000, None)):
        b = Bin()
        deposit(b)
        b.wait(60_000)
        b.scan(OTHER)
        b.scan("SF9999999999")
        b.rest()
        b.wait(wait_ms)
        settled(b, -300)
        assert b.lines[-1] == (line or ("refused", {"why": "taken_out", "g": 300}))
        b.rest(300)
        if line:
            assert b.kinds()[-1] == "deposit" and b.lines[-1][1]["pass"] == OTHER
        else:
            assert b.kinds()[-1] == "refused", "it was there before"


def test_swapping_an_old_carton_for_itself_earns_nothing():
    b = Bin()
    b.to_drop()
    settled(b, -250)
    assert b.said[-1] == ("put_back",)
    settled(b, 250)
    assert "deposit" not in b.kinds()


def test_a_hand_that_was_weighed_with_the_carton_is_taken_off_again():
    b = Bin()
    b.to_drop()
    b.flap_works = False  # the flap cannot shut: the hand is in it
    b.rest(712)
    settled(b, -400)
    assert b.kinds() == ["deposit", "withdrawn", "deposit"]
    assert b.lines[-1][1]["g"] == 312 and b.lines[-1][1]["label"] == b.lines[0][1]["label"]
    assert b.said[-1] == ("thanks", 312)


def test_a_carton_that_a_hand_still_held_is_weighed_again():
    b = Bin()
    b.to_drop()
    b.flap_works = False
    b.rest(60)
    settled(b, 252)
    assert b.kinds() == ["deposit", "withdrawn", "deposit"] and b.lines[-1][1]["g"] == 312


def test_a_second_drop_needs_a_second_label():
    b = Bin()
    deposit(b)
    b.stay(4_000)
    settled(b, 200)
    assert b.lines[-1] == ("refused", {"why": "no_label", "g": 200}) and b.last() == "label_first"
    b.scan("SF9999999999")
    b.rest(150)
    assert b.lines[-1][1]["g"] == 150, "only what came with the label counts"


def test_a_label_and_a_pass_scanned_while_a_carton_settles_are_for_the_next_one():
    b = Bin()
    b.to_drop()
    b.move(300)
    b.scan(OTHER)
    b.scan("SF9999999999")
    b.rest(300)
    assert b.lines[-1][1]["pass"] == PASS
    b.rest()
    b.rest(150)
    assert b.lines[-1][1]["pass"] == OTHER and b.lines[-1][1]["g"] == 150


def test_a_label_scanned_as_a_carton_lands_is_not_that_cartons():
    b = Bin()
    b.to_drop()
    b.scan("SF9999999999")
    b.move(300)
    b.rest(300)
    b.rest(150)
    labels = [d["label"] for _, d in b.lines]
    assert labels == [wire.label_code(KEY, LABEL), wire.label_code(KEY, "SF9999999999")]


def test_mass_with_no_visit_is_told_both_ways():
    b = Bin()
    settled(b, 300)
    settled(b, -500)
    assert b.lines == [("unattended", {"g": 300}), ("unattended", {"g": -500})]


def test_a_prankster_does_not_fill_the_journal():
    b = Bin()
    for _ in range(100):
        settled(b, 300)
        settled(b, -300)
    assert 20 <= len(b.lines) <= 45, len(b.lines)


def test_reuse_is_confirmed_by_the_mass_that_left():
    b = Bin()
    b.scan(PASS)
    b.do(b.visit.button(b.now_ms))
    assert b.last() == "reuse" and b.moves[-1] is True
    settled(b, -420)
    kind, d = b.lines[0]
    assert kind == "reuse" and d["g"] == 420 and d["pass"] == PASS
    assert b.said[-1] == ("reused", 420) and b.moves[-1] is False
    settled(b, 415)
    assert b.lines[-1] == ("withdrawn", {"of": 1, "g": 420}), "it was put back"


def test_reuse_with_the_button_first():
    b = Bin()
    b.do(b.visit.button(b.now_ms))
    assert b.last() == "reuse_pass"
    b.scan(PASS)
    settled(b, -420)
    assert b.kinds() == ["reuse"]


def test_reuse_of_nothing_of_ones_own_deposit_and_of_too_much():
    b = Bin()
    b.scan(PASS)
    b.do(b.visit.button(b.now_ms))
    b.wait(30_000)
    assert b.last() == "nothing_out" and b.moves[-1] is False
    b = Bin()
    b.scan(PASS)
    b.do(b.visit.button(b.now_ms))
    settled(b, -5_000)
    assert b.lines == [("refused", {"why": "taken_out", "g": 5_000})]
    b = Bin()
    deposit(b)
    b.do(b.visit.button(b.now_ms))
    assert b.last() == "bye", "who has given something is done"
