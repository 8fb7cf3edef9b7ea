"""From known masses to the scale's sensitivity and zero: a straight line by least squares.

Integers only and exact: the sums pass 32 bits and Python's integers do not mind. A calibration that
cannot be trusted is refused with a reason, for a wrong one makes every deposit wrong.
"""

from .settings import row

# A level's mean is known to about a third of the noise of one reading; a hundred times the noise
# between the lightest and the heaviest mass keeps the slope within half a percent.
_SPAN_NOISES_MIN = 100
_RESIDUAL_MIN_MG = 2_000
_RESIDUAL_SHARE = 200  # or half a percent of the largest mass, when that is more

_MG_PER_KG = 1_000_000


class CalibrationError(ValueError):
    """The points make no calibration; the first argument is a reason code.

    `masses`: fewer than two different masses. `sensitivity`: counts per kg out of the bounds of the
    settings, or falling. `noise`: too noisy for so small a span. `residual`: not on a line.
    """


def _round_div(a, b):
    """Divide to the nearest integer; b > 0."""
    return (2 * a + b) // (2 * b)


def mass_mg(counts, counts_per_kg, zero_counts):
    """What a calibrated scale makes of `counts`, to the nearest milligram."""
    return _round_div((counts - zero_counts) * _MG_PER_KG, counts_per_kg)


def residual_max_mg(points):
    """The largest misfit that is let pass."""
    return max(_RESIDUAL_MIN_MG, max(mass for mass, _ in points) // _RESIDUAL_SHARE)


def fit(points, noise_counts=0):
    """Return (counts_per_kg, zero_counts, residual_mg) of two or more (mass_mg, counts).

    `noise_counts` is the standard deviation of single readings at rest; `residual_mg` the largest
    absolute misfit of a point. Raises CalibrationError.
    """
    count = len(points)
    if len({mass for mass, _ in points}) < 2:
        raise CalibrationError("masses")
    sum_mass = sum(mass for mass, _ in points)
    sum_counts = sum(counts for _, counts in points)
    above = count * sum(mass * counts for mass, counts in points) - sum_mass * sum_counts
    below = count * sum(mass * mass for mass, _ in points) - sum_mass * sum_mass
    counts_per_kg = _round_div(above * _MG_PER_KG, below)
    _, least, most = row("counts_per_kg")
    if not least <= counts_per_kg <= most:
        raise CalibrationError("sensitivity", counts_per_kg)
    zero_counts = _round_div(sum_counts * _MG_PER_KG - counts_per_kg * sum_mass, count * _MG_PER_KG)
    masses = [mass for mass, _ in points]
    span_counts = (max(masses) - min(masses)) * counts_per_kg // _MG_PER_KG
    if span_counts < _SPAN_NOISES_MIN * noise_counts:
        raise CalibrationError("noise")
    residual_mg = max(
        abs(mass_mg(counts, counts_per_kg, zero_counts) - mass) for mass, counts in points
    )
    if residual_mg > residual_max_mg(points):
        raise CalibrationError("residual", residual_mg)
    return counts_per_kg, zero_counts, residual_mg
