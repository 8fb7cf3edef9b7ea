from boxbin.core import account
from boxbin.core.settings import Settings


def filled(*masses_g, handle="ANNA"):
    """Lines 1, 2, 3 ... of these masses, in a visit that goes on; 0 before a mass: nobody's."""
    a = account.Account(Settings())
    a.begin(0, handle)
    n = 0
    for mass_g in masses_g:
        n += 1
        a.earn(n, mass_g * 1000, "L%d" % n, handle)
    return a


def leave(a, grams, now_ms=1_000, shut=False, handle="ANNA"):
    return [line.n for line in a.leave(now_ms, grams * 1000, shut, handle)]


def test_a_fall_of_one_lines_mass_is_that_lines():
    a = filled(300, 200, 500)
    for grams, n in ((505, 3), (196, 2), (311, 1), (-300, None), (400, None)):
        line = a.exact(-grams * 1000)
        assert (line and line.n) == n, grams


def test_what_came_last_leaves_first():
    a = filled(300, 200, 500)
    assert leave(a, 600) == [3, 2] and a.gone_mg == 0
    assert [line.n for line in a.lines if line.n] == [1]


def test_two_lines_that_leave_together_need_not_be_neighbours():
    a = filled(300, 200, 500)
    assert leave(a, 798) == [3, 1]


def test_a_line_is_undone_in_several_pulls():
    a = filled(300)
    assert leave(a, 100) == [] and a.gone_mg == 100_000
    assert leave(a, 80) == [1] and a.gone_mg == 0
    assert leave(a, 120) == [], "what was still inside has left as well"
    assert a.gone_mg == 0 and a.lines == []


def test_pulls_that_are_minutes_apart_are_not_one():
    a = filled(300)
    leave(a, 100)
    assert leave(a, 100, now_ms=1_000 + account.GONE_MS + 1) == []


def test_a_neighbour_that_goes_along_saves_nobody():
    a = filled(300)
    assert leave(a, 700) == [1] and a.gone_mg == 400_000


def test_mass_that_earned_nothing_pays_first():
    a = filled(300)
    a.come(1_000, 250_000)  # somebody leans on the bin
    assert leave(a, 250) == [] and a.gone_mg == 0
    assert a.lines[-1].n == 1


def test_an_operator_without_a_key_undoes_nobody():
    a = filled(300)
    assert leave(a, 12_000, handle="") == [] and a.gone_mg == 0 and a.lines == []


def test_what_is_gone_is_paid_back_in_parts():
    a = filled()
    leave(a, 400)
    for grams, left in ((100, 300), (100, 200), (250, 0)):
        a.come(2_000, grams * 1000)
        assert a.gone_mg == left * 1000
    assert a.lines[-1].mass_mg == 50_000 and not a.lines[-1].n


def test_gone_with_the_flap_shut_is_the_containers_whoever_comes_next():
    a = filled()
    leave(a, 400, shut=True, handle="")
    a.begin(2_000, "BERT")
    assert a.gone_mg == 400_000
    a.begin(2_000 + account.GONE_MS, "CARL")
    assert a.gone_mg == 0


def test_gone_in_ones_own_visit_is_owed_in_the_next_one_too():
    a = filled()
    leave(a, 400)
    a.begin(2_000, "ANNA")
    assert a.gone_mg == 400_000


def test_gone_in_anothers_visit_is_only_just_that_mass():
    a = filled()
    leave(a, 400)
    a.begin(2_000, "BERT")
    assert a.gone_mg == 0
    assert a.is_back(3_000, 404_000, 700, 60_000) and not a.is_back(3_000, 300_000, 700, 60_000)


def test_a_slow_lift_that_passed_for_drift_in_part():
    a = filled()
    leave(a, 100, now_ms=1_000, shut=True)
    leave(a, 40, now_ms=41_000, shut=True)
    assert a.is_back(60_000, 200_000, 700, 60_000)
    assert not a.is_back(60_000, 300_000, 700, 60_000)
    assert not a.is_back(60_000, 120_000, 700, 60_000)


def test_others_can_be_taken_back_for_a_short_time_however_many_come():
    a = filled(300)
    a.end(5_000)
    a.begin(10_000, "BERT")
    a.begin(12_000, "CARL")
    a.forget_until(19_900)
    assert [line.n for line in a.lines] == [1]
    a.forget_until(20_100)
    assert a.lines == []


def test_ones_own_lines_stay_ones_own():
    a = filled(300)
    a.end(5_000)
    a.begin(60_000, "ANNA")
    a.forget_until(100_000)
    assert a.last() is a.lines[0]
    a.end(100_000)
    a.forget_until(399_000)
    assert a.lines
    a.forget_until(401_000)
    assert a.lines == []


def test_who_takes_by_right_undoes_nobody():
    a = filled(300)
    a.end(5_000)
    a.begin(6_000, "BERT")
    a.earn(2, 200_000, "", "BERT")
    a.take_by_right()
    assert leave(a, 200) == []


def test_what_is_remembered_is_bounded():
    a = filled(*range(100, 300))
    assert len(a.lines) == account.LINES_MAX


def test_others_are_forgotten_in_time_though_ones_own_come_first():
    a = filled(300)
    a.end(5_000)
    a.begin(6_000, "BERT")
    a.earn(2, 200_000, "", "BERT")
    a.end(7_000)
    a.begin(8_000, "ANNA")
    a.forget_until(18_100)
    assert [line.n for line in a.lines] == [1]


def test_something_light_that_leaves_touches_no_line():
    a = filled(60)
    leave(a, 20)
    a.gone_mg = 20_000
    assert not a.light_leaves(15_000), "a line does not pay for that"
    a.gone_mg = 0
    a.come(1_000, 10_000)
    a.gone_mg = 20_000
    assert a.light_leaves(15_000) and [line.n for line in a.lines] == [1]
    assert a.gone_mg == 20_000
