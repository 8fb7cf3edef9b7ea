from boxbin.core import backoff


def test_the_window_doubles_up_to_its_limit():
    found = [backoff.window_ms(n, 60_000, 600_000) for n in range(6)]
    assert found == [60_000, 120_000, 240_000, 480_000, 600_000, 600_000]
    assert backoff.window_ms(10_000, 200, 3_600_000) == 200 << backoff.DOUBLINGS_MAX


def test_the_wait_takes_the_whole_window():
    top = (1 << backoff.RANDOM_BITS) - 1
    assert backoff.wait_ms(0, 60_000, 600_000, 0) == 0
    assert backoff.wait_ms(0, 60_000, 600_000, top) == 59_999
    assert backoff.wait_ms(3, 60_000, 600_000, (top + 1) // 2) == 240_000
    assert backoff.wait_ms(0, 1, 1, top) == 0
