from boxbin.core.settings import CHOICES, TABLE, Settings, SettingsError


def test_defaults_lie_within_their_bounds():
    s = Settings()
    for name, (default, least, most) in TABLE.items():
        assert least <= default <= most, name
        assert getattr(s, name) == default
    assert s.label_policy == CHOICES["label_policy"][0] == "required"
    assert Settings({"label_policy": "none"}).label_policy == "none"


def test_a_bad_document_is_refused_whole_with_the_value():
    for changes, words in (
        ({"mass_min_mg": 50_000, "colour": 1}, "unknown setting colour"),
        ({"rest_ms": 10}, "rest_ms is 10, allowed 200 to 4000"),
        ({"rest_ms": "800"}, "rest_ms must be an integer"),
        ({"rest_ms": True}, "rest_ms must be an integer"),
        ({"label_policy": "maybe"}, "label_policy is 'maybe', allowed: required, optional, none"),
        ({"label_policy": 1}, "label_policy is 1, allowed: required"),
        ({"mass_min_mg": 900_000, "mass_max_mg": 100_000}, "below mass_max_mg"),
    ):
        try:
            Settings(changes)
        except SettingsError as error:
            assert words in str(error), str(error)
        else:
            raise AssertionError(changes)
