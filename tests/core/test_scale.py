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


def test_a_swing_that_peaks_in_every_third_reading_is_not_rest():
    """3.3 Hz at 10 a second: a median of three would see 300 g at rest, and 20 g too little."""
    s = make()
    now_ms = feed(s, 0, 0, 20)
    for i in range(20):
        now_ms = feed(s, now_ms, 360 if i % 3 == 0 else 300, 1, noise=(0, 5, -5))
        assert s.state == scale.UNSTABLE or s.mass_mg < 10_000 or i < 2, i


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
    assert s.add(now_ms + scale.MISSING_MS + 1, None) == scale.MISSING
    assert s.mass_mg is None
    now_ms = feed(s, now_ms + 5_000, 200, 2)
    assert s.state == scale.UNSTABLE
    feed(s, now_ms, 200, 12)
    assert s.state == scale.STABLE


def test_a_scale_that_never_answered_is_missing():
    s = make()
    s.add(9_000, None)
    assert s.state == scale.MISSING, "until it has answered"
    s.add(9_300, None)
    assert s.add(9_000 + scale.MISSING_MS + 300, None) == scale.MISSING


def test_what_lies_on_both_sides_of_a_gap_is_not_one_window():
    s = make()
    now_ms = feed(s, 0, 200, 20)
    feed(s, now_ms + 600, 200, 4)
    assert s.state == scale.UNSTABLE


def test_saturation_is_named_and_a_lone_one_is_a_spike():
    for raw in (0x7FFFFF, -0x800000):
        s = make()
        now_ms = feed(s, 0, 0, 20)
        assert s.add(now_ms + 100, raw) == scale.STABLE
        now_ms = feed(s, now_ms + 100, 0, 10)
        assert s.state == scale.STABLE
        for i in range(6):
            s.add(now_ms + 100 * (i + 1), raw)
        assert s.state == scale.SATURATED and s.mass_mg is None
        feed(s, now_ms + 600, 0, 12)
        assert s.state == scale.STABLE


def test_a_stuck_converter_is_named():
    for period_ms in (12, 100):
        s = make()
        now_ms = feed(s, 0, 200, 200, period_ms=period_ms)
        s.learn()
        end_ms = now_ms + 8_000
        while now_ms < end_ms:
            assert s.state != scale.STUCK, "a quiet one is not stuck yet"
            now_ms = feed(s, now_ms, 200, 1, noise=(3,), period_ms=period_ms)
        feed(s, now_ms, 200, 1, noise=(3,), period_ms=period_ms)
        feed(s, now_ms, 200, 2, noise=(3,), period_ms=period_ms)
        assert s.state == scale.STUCK and s.mass_mg is None
        feed(s, now_ms, 200, 120, period_ms=period_ms)
        assert s.state == scale.STABLE


def test_a_scale_that_never_made_noise_is_given_more_time():
    s = make()
    now_ms = feed(s, 0, 200, 250, noise=(3,))
    s.learn()
    assert s.state == scale.STABLE and s.noise_mg == 0
    feed(s, now_ms, 200, 60, noise=(3,))
    assert s.state == scale.STUCK


def test_a_window_without_noise_is_no_rest_once_there_was_some():
    s = make()
    now_ms = feed(s, 0, 0, 20)
    s.learn()
    now_ms = feed(s, now_ms, 300, 3)
    feed(s, now_ms, 333, 15, noise=(3,))
    assert s.state == scale.UNSTABLE, "frozen in the middle of a swing"


def test_noise_is_learned_only_from_what_is_accepted_as_rest():
    s = make()
    gusts = [sign * grams * PER_G for grams in (35, 20, 2, 28, 12) for sign in (1, -1)]
    now_ms = feed(s, 0, 0, 20)
    s.learn()
    noise_mg = s.noise_mg
    for _ in range(100):
        now_ms = feed(s, now_ms, 0, 1, noise=[gusts[(now_ms // 100) % 10]])
        if s.state == scale.STABLE:
            s.learn()
    assert s.noise_mg == noise_mg


def test_a_half_clocked_converter_is_erratic():
    s = make()
    now_ms = feed(s, 0, 0, 20)
    for i in range(50):
        now_ms += 100
        s.add(now_ms, (84_210 + 13 * i) << (i * 7 % 5))
    assert s.state == scale.ERRATIC and s.mass_mg is None
    now_ms = feed(s, now_ms, 0, 20)
    assert s.state == scale.ERRATIC, "two calm seconds do not make it trustworthy"
    feed(s, now_ms, 0, 60)
    assert s.state == scale.STABLE


def test_a_person_who_kicks_the_bin_is_no_fault():
    s = make()
    now_ms = feed(s, 0, 0, 20)
    for i in range(20):
        now_ms = feed(s, now_ms, (900, -900, 400, -100)[i % 4], 1)
        assert s.state not in scale.FAULTS


def test_in_the_wind_the_mean_is_found_within_seconds():
    """Gusts of 15 g around the mass: nothing is ever within a band of 8 g."""
    s = make()
    gusts = [sign * grams * PER_G for grams in (15, 9, 2, 12, 6) for sign in (1, -1)]
    now_ms = feed(s, 0, 0, 40, noise=gusts)
    start_ms = now_ms
    while s.state != scale.STABLE or s.mass_mg < 200_000:
        now_ms = feed(s, now_ms, 300, 1, noise=[gusts[(now_ms // 100) % 10]])
        assert now_ms - start_ms < 4_000
    assert abs(s.mass_mg - 300_000) < 5_000, s.mass_mg


def test_the_band_widens_only_by_what_the_idle_container_showed():
    noisy = (-60, 140, 30, -200, 95, -15, 180, -110, 5, -75, 220, -140, 60, -30, 110, -180, 20)
    s = make()
    now_ms = feed(s, 0, 0, 40, noise=noisy)
    assert s.noise_mg == 0
    for _ in range(200):
        now_ms = feed(s, now_ms, 0, 1, noise=[noisy[(now_ms // 100) % 17]])
        if s.state == scale.STABLE:
            s.learn()
    assert 5_000 < s.noise_mg < 20_000, s.noise_mg
    start_ms = now_ms
    while s.state != scale.STABLE or s.mass_mg < 200_000:
        now_ms = feed(s, now_ms, 300, 1, noise=[noisy[(now_ms // 100) % 17]])
    assert now_ms - start_ms <= 1_500, "found fast, now that the noise is known"
