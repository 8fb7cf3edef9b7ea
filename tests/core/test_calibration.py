from boxbin.core import calibration
from boxbin.core.settings import row


def points(counts_per_g, zero, grams, misfits=()):
    """(mass_mg, counts) of a scale; `misfits` in counts are added to the points in turn."""
    made = [(g * 1000, zero + g * counts_per_g) for g in grams]
    return [(m, c + (misfits[i] if i < len(misfits) else 0)) for i, (m, c) in enumerate(made)]


def refused(*arguments):
    try:
        calibration.fit(*arguments)
    except calibration.CalibrationError as error:
        return error.args[0]
    return ""


def test_scales_of_every_kind_are_found_exactly():
    for counts_per_g in (10, 26, 420):
        for zero in (84_210, 0, -1_234_567, 7_000_000):
            for grams in ((0, 500), (100, 1000), (0, 500, 1000, 2000, 0), (2000, 0, 500)):
                found = calibration.fit(points(counts_per_g, zero, grams))
                assert found == (counts_per_g * 1000, zero, 0), found


def test_the_line_is_the_best_one_and_its_misfit_is_told():
    # By hand: 0, 13, 0 counts off at 0, 500, 1000 g. The best line lies a third of 13 higher.
    per_kg, zero, residual_mg = calibration.fit(points(26, 1000, (0, 500, 1000), (0, 13, 0)))
    assert (per_kg, zero) == (26_000, 1004)
    assert residual_mg == 346  # 9 counts of 26 a gram: 346 mg, as the bin will weigh it


def test_rounding_is_to_the_nearest_also_below_zero():
    for numerator, denominator, nearest in (
        (7, 2, 4),
        (-7, 2, -3),
        (-8, 3, -3),
        (8, 3, 3),
        (1, 3, 0),
    ):
        assert calibration._round_div(numerator, denominator) == nearest
    assert calibration.mass_mg(974, 26_000, 1000) == -1000
    assert calibration.mass_mg(1001, 26_000, 1000) == 38


def test_large_numbers_are_exact_on_every_interpreter():
    # Many points far out: the sums pass 64 bits, and a float would lose the last counts.
    far = [(m * 100_000, -8_388_608 + m * 83_886) for m in range(200)]
    per_kg, zero, residual_mg = calibration.fit(far)
    assert (per_kg, zero, residual_mg) == (838_860, -8_388_608, 0)
    huge = [(mass * 10**12, counts * 10**12) for mass, counts in points(26, 84_210, (0, 1, 2, 3))]
    assert calibration.fit(huge) == (26_000, 84_210 * 10**12, 0)


def test_a_calibration_that_cannot_be_trusted_is_refused():
    assert refused([]) == "masses"
    assert refused([(0, 5)]) == "masses"
    assert refused([(500_000, 5), (500_000, 9000)]) == "masses"
    assert refused([(0, 84_210), (500_000, 84_210)]) == "sensitivity"
    assert refused(points(-26, 84_210, (0, 500))) == "sensitivity"
    _, least, most = row("counts_per_kg")
    for per_kg, reason in (
        (least - 1, "sensitivity"),
        (least, ""),
        (most, ""),
        (most + 1, "sensitivity"),
    ):
        assert refused([(0, 0), (1_000_000, per_kg)]) == reason, per_kg
    assert refused(points(26, 0, (0, 100)), 26) == ""
    assert refused(points(26, 0, (0, 100)), 27) == "noise"
    assert refused(points(10, 0, (0, 200)), 24) == "noise"


def test_masses_in_the_wrong_order_are_found_out_by_the_residual():
    swapped = [(0, 84_210), (1_000_000, 84_210 + 13_000), (500_000, 84_210 + 26_000)]
    assert refused(swapped) == "residual"
    # 2 g are let pass up to 400 g, half a percent of the largest mass above.
    assert calibration.residual_max_mg([(0, 0), (400_000, 0)]) == 2_000
    assert calibration.residual_max_mg([(0, 0), (2_000_000, 0)]) == 10_000
    for off_g, reason in ((7, ""), (8, "residual")):  # the middle of three: two thirds are left
        assert refused(points(1000, 0, (0, 500, 1000), (0, off_g * 1000, 0))) == reason, off_g
