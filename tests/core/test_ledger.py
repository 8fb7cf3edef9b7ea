from boxbin.core.ledger import HISTORY_MAX, LIMIT, TEXT_BYTES_MAX, Ledger


def again(ledger):
    text = ledger.to_text()
    assert len(text) <= TEXT_BYTES_MAX
    return Ledger(text)


def test_causes_are_counted_and_kept_with_what_is_known():
    ledger = Ledger()
    assert ledger.start("power") == "power"
    ledger = again(ledger)
    ledger.remember("crash ValueError link.py:12")
    ledger = again(ledger)
    assert ledger.start("reset") == "crash"
    ledger.remember("late link")
    ledger = again(ledger)
    assert ledger.start("watchdog") == "watchdog"
    ledger.mean("command")
    ledger = again(ledger)
    assert ledger.start("reset") == "command"
    assert ledger.history == [
        "power",
        "crash ValueError link.py:12",
        "watchdog late link",
        "command",
    ]
    counts = ledger.counts
    assert (counts["total"], counts["power"], counts["crash"], counts["watchdog"]) == (4, 1, 1, 1)
    assert counts["meant"] == 1 and counts["score"] == 5


def test_a_loop_of_crashes_is_one_after_six_and_of_plugs_after_eleven():
    for cause, count in (("watchdog", 6), ("power", 11)):
        ledger = Ledger()
        for start in range(count):
            assert not ledger.is_loop, (cause, start)
            ledger.start(cause)
            ledger = again(ledger)
        assert ledger.is_loop


def test_starts_that_were_meant_or_lasted_are_no_loop():
    ledger = Ledger()
    for _ in range(50):
        ledger.start("watchdog")
        ledger.settled()
        ledger.mean("settings")
        ledger = again(ledger)
        ledger.start("reset")
    assert not ledger.is_loop and ledger.counts["total"] == 100


def test_one_crash_after_a_retry_is_safe_again_and_a_good_start_is_not():
    ledger = Ledger()
    while not ledger.is_loop:
        ledger.start("watchdog")
    ledger.mean("retry")
    ledger = again(ledger)
    assert ledger.start("reset") == "retry"
    assert not ledger.is_loop
    good = again(ledger)
    ledger.start("watchdog")
    assert ledger.is_loop
    good.settled()
    good.start("watchdog")
    assert not good.is_loop and LIMIT > 2


def test_it_stays_small_and_anything_unreadable_begins_a_new_one():
    ledger = Ledger()
    for _ in range(300):
        ledger.remember("crash \n\u4e2d" + "x" * 500)
        ledger.start("reset")
        ledger = again(ledger)
    assert len(ledger.history) == HISTORY_MAX
    assert ledger.counts["total"] == 300 and ledger.counts["score"] == 99
    for text in (
        "garbage",
        "total x\nscore",
        "\x00\xff",
        "total 99999999999999999999",
        "-\n- \n-x",
    ):
        Ledger(text).start("power")
