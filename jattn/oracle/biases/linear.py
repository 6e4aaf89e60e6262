"""Linear biases in NumPy, one pair at a time."""

from jattn.oracle.biases.each import every_pair


def alibi(slopes):
    """Returns a function of distances that returns (bias, pullback).

    With b = -m |n| of one head at distance n:  dm = -|n| db
    """
    return lambda distances: every_pair(
        [slopes],
        len(slopes),
        distances,
        lambda head, n: -slopes[head] * abs(n),
        lambda head, n: [(head, -abs(n))],
    )
