from boxbin.core import scale
from boxbin.core.settings import Settings

PER_G = 26


def feed(s, now_ms, grams, count, noise=(0, 9, -13, 4, -20, 17, 2, -6), period_ms=100):
    """`count` readings of a mass in grams with a repeating noise in counts; returns the time."""
    for i in range(count):
        now_ms += period_ms
        s.add(now_ms, 84_210 + int(grams * PER_G) + noise[i % len(noise)])
    return now_ms


def make():
    return scale.Scale(Settings(), 84_210)


def test_median_of_three():
    for a, b, c in ((1, 2, 3), (3, 2, 1), (2, 3, 1), (2, 1, 3), (1, 3, 2), (3, 1, 2)):
        assert scale.median3(a, b, c) == 2
    assert scale.median3(5, 5, 1) == 5


def test_rest_is_found_within_a_second_and_the_mass_is_right():
    s = make()
    now_ms = feed(s, 0, 0, 20)
    assert s.state == scale.STABLE and abs(s.mass_mg) < 1_000
    start_ms = now_ms
    while True:
        now_ms = feed(s, now_ms, 312, 1)
        if s.state == scale.STABLE and s.mass_mg > 100_000:
            break
        assert now_ms - start_ms < 1_500
    assert abs(s.mass_mg - 312_000) < 1_500, s.mass_mg


def test_at_80_samples_a_second_as_well():
    s = make()
    feed(s, 0, 150, 100, period_ms=12)
    assert s.state == scale.STABLE and abs(s.mass_mg - 150_000) < 1_500


def test_a_lone_spike_changes_nothing():
    s = make()
    now_ms = feed(s, 0, 200, 20)
    s.add(now_ms + 100, 84_210 + 7_000_000)
    assert s.state == scale.STABLE and abs(s.mass_mg - 200_000) < 1_500


def test_movement_and_a_slow_slide_are_not_rest():
    s = make()
    now_ms = feed(s, 0, 0, 20)
    for i in range(30):
        now_ms = feed(s, now_ms, 300 + (60 if i % 4 < 2 else -60), 1)
        assert s.state == scale.UNSTABLE or abs(s.mass_mg) < 1_000
    s = make()
    now_ms = feed(s, 0, 0, 20)
    for i in range(40):
        now_ms = feed(s, now_ms, i, 1, noise=(0,))  # 10 g a second
    assert s.state == scale.UNSTABLE


def test_missing_readings_are_no_value():
    s = make()
    now_ms = feed(s, 0, 200, 20)
    assert s.add(now_ms + 300, None) == scale.UNSTABLE
    assert s.mass_mg is None, "the last value is not repeated"
    assert s.add(now_ms + 1_001, None) == scale.MISSING
    assert s.mass_mg is None
    now_ms = feed(s, now_ms + 5_000, 200, 2)
    assert s.state == scale.UNSTABLE and s.mass_mg is None
    feed(s, now_ms, 200, 12)
    assert s.state == scale.STABLE


def test_saturation_is_named():
    s = make()
    now_ms = feed(s, 0, 0, 20)
    for raw in (0x7FFFFF, -0x800000):
        assert s.add(now_ms + 100, raw) == scale.SATURATED
        assert s.mass_mg is None
