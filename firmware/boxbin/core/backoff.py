"""How long to wait before the next try: full jitter, so that bins never come back together.

The wait is drawn evenly from zero to a window that doubles with each failure ("Exponential Backoff
And Jitter", AWS Architecture Blog, 2015). The first window alone must hold a whole fleet: 1,000
bins over 75 s are 13 a second on average. `boxback load reconnect` draws the curve.
"""

DOUBLINGS_MAX = 8
RANDOM_BITS = 30


def window_ms(failures, first_ms, most_ms):
    """The window after so many failures in a row (0: the link had been good)."""
    return min(first_ms << min(failures, DOUBLINGS_MAX), most_ms)


def wait_ms(failures, first_ms, most_ms, random_bits):
    """The wait itself; `random_bits` are RANDOM_BITS random bits."""
    return window_ms(failures, first_ms, most_ms) * random_bits >> RANDOM_BITS
