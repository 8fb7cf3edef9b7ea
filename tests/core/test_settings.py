from boxbin.core.settings import CHOICES, Settings, SettingsError, names, row


def test_defaults_lie_within_their_bounds():
    s = Settings()
    assert len(list(names())) > 30
    for name in names():
        default, least, most = row(name)
        assert least <= default <= most, name
        assert getattr(s, name) == default
    assert s.label_policy == CHOICES["label_policy"][0] == "required"
    assert Settings({"label_policy": "none"}).label_policy == "none"
    assert s.broker_host == "" and Settings({"broker_host": "b-2.example"}).broker_host
    assert row("rest") is None and row("") is None and row("colour") is None


def test_a_bad_document_is_refused_whole_with_the_value():
    for changes, words in (
        ({"mass_min_mg": 50_000, "colour": 1}, "unknown setting colour"),
        ({"rest_ms": 10}, "rest_ms is 10, allowed 200 to 4000"),
        ({"rest_ms": "800"}, "rest_ms must be an integer"),
        ({"rest_ms": True}, "rest_ms must be an integer"),
        ({"label_policy": "maybe"}, "label_policy is 'maybe', allowed: required, optional, none"),
        ({"label_policy": 1}, "label_policy is 1, allowed: required"),
        ({"": 1}, "unknown setting"),
        ({"ms": 1}, "unknown setting ms"),
        ({"labels_remembered": 200}, "allowed 0 to 64"),  # with 120 the heap was too short
        ({"mass_min": 1}, "unknown setting mass_min"),
        ({"counts_per_kg 26000": 1}, "unknown setting counts_per_kg 26000"),
        ({"counts_per_kg 26000 1000 1000000|zero_counts": 1}, "unknown setting"),
        ({"broker_host": "a b"}, "broker_host is 'a b', not a host name"),
        ({"ntp_host": 7}, "ntp_host is 7, not a host name"),
        ({"broker_host": "x" * 64}, "not a host name"),
        ({"mass_min_mg": 900_000, "mass_max_mg": 100_000}, "below mass_max_mg"),
    ):
        try:
            Settings(changes)
        except SettingsError as error:
            assert words in str(error), str(error)
        else:
            raise AssertionError(changes)
