"""The two biases of KERPLE in NumPy, one pair at a time, with gradients derived by hand."""

import numpy as np

from jattn.oracle.biases.each import every_pair


def kerple_log(amplitude, rate):
    """Returns a function of distances that returns (bias, pullback).

    With b = -a log(1 + r |n|):  da = -log(1 + r |n|) db,  dr = -a |n| / (1 + r |n|) db
    """

    def value(head, n):
        return -amplitude[head] * np.log1p(rate[head] * abs(n))

    def slopes(head, n):
        grown = rate[head] * abs(n)
        return [(head, -np.log1p(grown)), (head, -amplitude[head] * abs(n) / (1 + grown))]

    return lambda distances: every_pair([amplitude, rate], len(rate), distances, value, slopes)


def kerple_power(amplitude, exponent):
    """Returns a function of distances that returns (bias, pullback).

    With b = -a |n| ** p:  da = -|n| ** p db,  dp = -a |n| ** p log|n| db;  all are 0 for n = 0
    """

    def power(head, n):
        return np.exp(exponent[head] * np.log(exponent.real.dtype.type(abs(n)))) if n else 0.0

    def slopes(head, n):
        logarithm = np.log(exponent.real.dtype.type(abs(n))) if n else 0.0
        return [(head, -power(head, n)), (head, -amplitude[head] * power(head, n) * logarithm)]

    return lambda distances: every_pair(
        [amplitude, exponent],
        len(exponent),
        distances,
        lambda head, n: -amplitude[head] * power(head, n),
        slopes,
    )
