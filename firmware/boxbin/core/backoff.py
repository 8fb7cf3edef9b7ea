<<<<<<< HEAD
"""How long to wait before the next try: full jitter, so that bins never come back together.

The wait is drawn evenly from zero to a window that doubles with each failure ("Exponential Backoff
And Jitter", AWS Architecture Blog, 2015). The first window alone must hold a whole fleet: 1,000
bins over 60 s are 17 a second on average. `boxback load reconnect` draws the curve.
"""

DOUBLINGS_MAX = 8
RANDOM_BITS = 30


def window_ms(failures, first_ms, most_ms):
    """The window after so many failures in a row (0: the link had been good)."""
    return min(first_ms << min(failures, DOUBLINGS_MAX), most_ms)


def wait_ms(failures, first_ms, most_ms, random_bits):
    """The wait itself; `random_bits` are RANDOM_BITS random bits."""
=======
"""How long to wait before the next try: a random time out of the whole of a window ("full jitter").

The window doubles with each failure up to a limit. Full jitter and not a part of it: after a
broker's restart all bins of a country begin to wait in the same second, and only the whole window
spreads them evenly. `boxback load reconnect` shows what a first window does to a broker.
"""

RANDOM_BITS = 30  # random.getrandbits gives no more than 32
_DOUBLINGS_MAX = 8


def window_ms(failures, first_ms, most_ms):
    """The window after so many failures in a row (0: the link was good until now)."""
    return min(first_ms << min(failures, _DOUBLINGS_MAX), most_ms)


def wait_ms(failures, first_ms, most_ms, random_bits):
    """A time of at least 0 and less than the window; `random_bits` are RANDOM_BITS random bits."""
>>>>>>> beb69b271842968d51aefb0aff311a1c8d2222dc
    return window_ms(failures, first_ms, most_ms) * random_bits >> RANDOM_BITS
