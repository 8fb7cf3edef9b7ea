from boxbin.core import fill
from boxbin.core.settings import Settings, SettingsError


def look(*readings_mm, **changes):
    return fill.Fill(Settings(changes)).add(readings_mm)


def test_percent_of_the_way_from_empty_to_full():
    for mm, percent in ((1_000, 0), (825, 25), (300, 100), (335, 95), (100, 100), (1_100, 0)):
        assert look(mm, mm, mm, mm, mm) == percent, mm
    assert look(500, 500, 500, 500, 500, level_empty_mm=600, level_full_mm=400) == 50


def test_one_or_two_that_are_far_off_or_missing_change_nothing():
    for readings in (
        (650, 655, 648, None, None),
        (650, 655, 648, 30, 1_200),
        (300, 650, 655, 648, 5_000),
        (None, 0, 650, 650, 650),
    ):
        assert look(*readings) == 50, readings


def test_what_does_not_agree_is_no_value():
    for readings in (
        (),
        (None,) * 5,
        (650, 650, None, None, None),
        (300, 400, 500, 600, 700),
        (19, 19, 19, 19, 19),  # nearer than the sensor can hear
        (1_300,) * 5,  # farther than the floor: through a hole, or a wire that is off
    ):
        assert look(*readings) == fill.UNKNOWN, readings


def test_no_value_is_never_the_last_one():
    f = fill.Fill(Settings())
    assert f.percent == fill.UNKNOWN
    assert f.add((300,) * 5) == 100 and f.warning() == "near_full"
    assert f.add((None,) * 5) == fill.UNKNOWN and f.warning() == ""


def test_warnings():
    f = fill.Fill(Settings())
    for _ in range(fill.MISSES):
        assert f.warning() == ""
        f.add((None,) * 5)
    assert f.warning() == "level"
    f.add((1_000,) * 5)
    assert f.warning() == ""
    f.add((440,) * 5)
    assert f.percent == 80 and f.warning() == "near_full"


def test_full_lies_above_empty_is_refused():
    Settings({"level_empty_mm": 0})
    for changes in ({"level_empty_mm": 300}, {"level_full_mm": 1_000}):
        try:
            Settings(changes)
        except SettingsError as error:
            assert "level_full_mm must be below" in str(error)
        else:
            raise AssertionError(changes)
