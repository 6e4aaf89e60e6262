"""Sandwich in NumPy: the product of two sinusoidal position vectors, one pair at a time."""

import numpy as np

from jattn.oracle.biases.each import every_pair


def sandwich(compression, *, features=128, base=10000.0):
    """Returns a function of distances that returns (bias, pullback).

    With p(x) the sinusoids of position x, and b = p(n) · p(0) / c:  dc = -b / c db
    """
    real = compression.real.dtype.type

    def vector(position):
        angles = [
            real(position) / real(base) ** (real(2 * i) / features) for i in range(features // 2)
        ]
        return np.array([np.sin(angle) for angle in angles] + [np.cos(angle) for angle in angles])

    def value(head, n):
        return (vector(n) @ vector(0)) / compression[head]

    return lambda distances: every_pair(
        [compression],
        len(compression),
        distances,
        value,
        lambda head, n: [(head, -value(head, n) / compression[head])],
    )
