from boxbin.core import codes

PASS = "BB1.7K2QM0AB.56604004.ABCDEFGHJKMNPQRS"


def test_a_pass_has_four_parts_of_fixed_form():
    assert codes.parse_pass(PASS) == ("7K2QM0AB", 56604004)
    for bad in (
        "",
        "BB1",
        "BB2" + PASS[3:],
        PASS.lower(),
        PASS + ".X",
        PASS[:-1],
        PASS.replace("56604004", "-5"),
        PASS.replace("56604004", ""),
        PASS.replace("56604004", "12345678901"),
        PASS.replace("7K2QM0AB", "7K2QM0AI"),  # I is not in Crockford's alphabet
        PASS.replace("ABCDEFGH", "ABCDEFG "),
    ):
        assert codes.parse_pass(bad) is None, bad


def test_age_is_judged_only_with_a_clock():
    step = 1000
    for steps, fresh in ((-3, False), (-2, True), (0, True), (2, True), (3, False)):
        assert codes.pass_is_fresh(step, (step + steps) * 30) == fresh, steps
    assert codes.pass_is_fresh(step, 0)


def test_labels_are_waybill_numbers():
    assert codes.is_label("SF1234567890123")
    assert codes.is_label("jd-0012-3456")
    for bad in (
        "",
        "SHORT",
        "https://example.com/x",
        "SF 1234567",
        "x" * 41,
        PASS,
        "运单123456789",
    ):
        assert not codes.is_label(bad), bad
