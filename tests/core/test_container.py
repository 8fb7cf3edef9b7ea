from boxbin.core import container, rules
from boxbin.core.settings import Settings


class Box:
    """A container that is looked at ten times a second."""

    def __init__(self, visiting=False, **changes):
        self.box = container.Container(Settings(changes))
        self.now_ms = 0
        self.visiting = visiting
        self.shut = not visiting
        self.look(5_000)

    def leave(self, handle="ANNA"):
        """What was looked at last has left for good; returns the n of the lines it undoes."""
        undone = self.box.account.leave(self.now_ms, -self.box.change_mg, self.shut, handle)
        self.box.explain()
        return [line.n for line in undone]

    def look(self, grams, count=1):
        for _ in range(count):
            self.now_ms += 100
            kind = self.box.look(self.now_ms, int(grams * 1000), 0, self.visiting, self.shut)
        return kind


def test_a_change_has_a_name():
    for grams, kind in (
        (0, rules.NOTHING),
        (2, rules.NOTHING),
        (-2, rules.NOTHING),
        (5, rules.LIGHT),
        (39, rules.LIGHT),
        (40, rules.CARTON),
        (2_000, rules.CARTON),
        (2_001, rules.HEAVY),
        (-31, rules.LESS),
        (-20, rules.NOTHING),
    ):
        b = Box()
        assert b.look(5_000 + grams) == kind, grams
        assert b.box.change_mg == grams * 1000


def test_the_noise_of_the_scale_is_not_something_light():
    b = Box()
    assert b.box.look(200, 5_004_500, 10_000, True, False) == rules.NOTHING


def test_the_level_follows_drift_and_the_zero_with_it():
    b = Box()
    for i in range(600):
        b.look(5_000 - i * 0.05)  # half a gram a second
    assert b.box.kind == rules.NOTHING and abs(b.box.level_mg - 4_970_000) < 4_000
    assert b.box.content_mg == 0, "drift is no content"


def test_zero_stays_while_somebody_visits_or_the_flap_is_open():
    for visiting, shut in ((True, True), (False, False)):
        b = Box()
        b.visiting, b.shut = visiting, shut
        for i in range(100):
            b.look(5_000 + i * 0.05)
        assert b.box.zero_mg == 5_000_000, "only the level has moved"
        assert b.box.level_mg > 5_001_000


def test_a_container_that_is_lifted_slowly_within_a_visit_is_where_it_was():
    b = Box(visiting=True)
    b.box.begin_visit(b.now_ms, "ANNA")
    for i in range(800):
        kind = b.look(5_000 - i * 0.06)  # 0.6 g a second: it could be drift
        if kind == rules.LESS and b.box.held_ms > 1_000:
            b.leave()
    assert b.look(5_000, 5) in (rules.NOTHING, rules.LIGHT), b.box.change_mg


def test_a_container_that_was_held_up_before_the_visit_is_no_carton_when_it_is_let_go():
    for rate in (1.5, 3, 50):
        b = Box()
        grams = 5_000
        while grams > 4_800:
            grams -= rate / 10
            if b.look(grams) == rules.LESS and b.box.held_ms >= 1_000:
                b.leave()
        if b.look(grams, 12) == rules.LESS:
            b.leave()
        b.visiting, b.shut = True, False
        b.box.begin_visit(b.now_ms, "ANNA")
        assert b.look(5_000, 3) == rules.NOTHING, rate
        assert b.look(5_300) == rules.CARTON, "and a carton is one again"


def test_what_left_long_ago_or_is_another_mass_does_not_cost_a_carton():
    for wait, grams in ((1, 4_750 + 600), (1_900, 5_000)):
        b = Box()
        b.look(4_750, 12)
        b.leave()
        b.look(4_750, wait)
        b.visiting, b.shut = True, False
        b.box.begin_visit(b.now_ms, "ANNA")
        assert b.look(grams) == rules.CARTON


def test_what_was_taken_out_must_come_back_before_anything_counts():
    b = Box(visiting=True)
    b.box.begin_visit(b.now_ms, "ANNA")
    assert b.look(4_700) == rules.LESS
    b.leave()
    assert b.look(4_850) == rules.NOTHING and abs(b.box.account.gone_mg - 150_000) < 200, (
        "half of it is back"
    )
    assert b.look(5_000) == rules.NOTHING and b.box.account.gone_mg == 0
    assert b.look(5_300) == rules.CARTON and abs(b.box.change_mg - 300_000) < 200


def test_something_more_than_what_was_taken_counts_with_its_own_mass():
    b = Box(visiting=True)
    b.box.begin_visit(b.now_ms, "ANNA")
    b.look(4_900)
    b.leave()
    assert b.look(5_300) == rules.CARTON and abs(b.box.change_mg - 400_000) < 200


def test_how_long_a_change_rests():
    b = Box()
    b.look(5_300)
    assert b.box.held_ms == 0
    b.look(5_300, 10)
    assert b.box.held_ms == 1_000
    b.look(5_340)
    assert b.box.held_ms == 0, "it moved on"
