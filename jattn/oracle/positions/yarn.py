"""Frequencies that are interpolated where they are slow, in NumPy, one pair at a time."""

import numpy as np

from jattn.oracle.positions.frequencies import each_pair


def by_parts_frequencies(frequencies, *, factor, length, slow=1.0, fast=32.0):
    """Returns (outputs, pullback).

    With r = f L / 2π turns, a pair with r ≤ α has y = f / s, one with r ≥ β has y = f, and
    otherwise the missing share m = (β - r) / (β - α) of it is interpolated:

        y = f - m f (1 - 1/s)     dy/df = 1 - (m - r / (β - α)) (1 - 1/s)
    """
    real = frequencies.real.dtype.type
    span, lost = real(fast) - real(slow), 1 - 1 / real(factor)

    def change(_, frequency):
        turns = frequency * real(length) / (2 * real(np.pi))
        if turns.real <= slow:
            return frequency / factor, 1 / real(factor)
        if turns.real >= fast:
            return frequency, real(1)
        missing = (fast - turns) / span
        return frequency - missing * frequency * lost, 1 - (missing - turns / span) * lost

    return each_pair(frequencies, change)


def yarn_frequencies(
    frequencies, *, factor, length, slow=1.0, fast=32.0, base=10000.0, rounded=True
):
    """Returns (outputs, pullback): pairs before the ramp stay, those after it are divided by s.

    A pair at the share m of the ramp has y = f (1 - m + m / s), so df = dy (1 - m + m / s). The
    place with r turns is that of base ** (-i / n) = 2π r / L.
    """
    size = len(frequencies)
    place = lambda turns: -size * np.log(2 * np.pi * turns / length) / np.log(base)
    begin, end = place(fast), place(slow)
    if rounded:
        begin, end = np.floor(begin), np.ceil(end)
    begin, end = max(begin, 0.0), min(end, 2.0 * size - 1.0)
    if begin == end:
        end += 0.001

    def change(pair, frequency):
        share = min(max((pair - begin) / (end - begin), 0.0), 1.0)
        slope = 1 - share + share / factor
        return frequency * slope, slope

    return each_pair(frequencies, change)
