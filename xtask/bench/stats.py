"""Medians, ratios and their means."""

import math
import statistics


def median(values):
    return statistics.median(values)


def geometric(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def turns(sides, round):
    """The sides in another order each round, so that none always follows the same."""
    start = round % len(sides)
    return sides[start:] + sides[:start]
