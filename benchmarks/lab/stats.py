"""Percentiles, and ratios of what was measured in turns."""

import math
import statistics

NOISY = 5.0  # a block whose raw ping-pong has p99 above this many p50 is thrown away


def percentile(values, share):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def p50(values):
    return percentile(values, 0.50)


def p99(values):
    return percentile(values, 0.99)


def quiet(ping_us):
    """Whether the machine was quiet enough for the block in which these ping-pongs were measured."""
    return p99(ping_us) <= NOISY * p50(ping_us)


class Figure:
    """One number a block, of one contestant."""

    def __init__(self, per_block):
        self.per_block = list(per_block)
        self.median = statistics.median(self.per_block)

    @property
    def low(self):
        return min(self.per_block)

    @property
    def high(self):
        return max(self.per_block)


def ratio(subject, reference):
    """(ratio of the medians, spread). The spread is that of the ratios of single blocks: both were measured within the
    same seconds there."""
    each = [a / b for a, b in zip(subject.per_block, reference.per_block)]
    return subject.median / reference.median, spread(each)


def spread(values):
    """Half the distance between the quartiles."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2


def number(value):
    """As it is printed."""
    if value is None:
        return "–"
    if isinstance(value, str) or value == int(value):
        return str(value if isinstance(value, str) else int(value))
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
