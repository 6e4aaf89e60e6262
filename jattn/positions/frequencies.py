"""Frequencies of rotary positions, and changes to them that serve longer contexts.

Each function takes the frequencies of a model and returns those to pass to `rotary`. Arrays of
NumPy stay arrays of NumPy, in float64, so that `rotary` computes exact angles with them.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Count, Positive, check_known
from jattn._precision import at_least_float32
from jattn.positions.angles import frequencies_of

Frequencies = Float[Array, " f"]


def in_the_given_library(function: Callable[..., Any]) -> Callable[..., Any]:
    """Runs `function(np or jnp, frequencies)` in the library of the frequencies.

    Those of NumPy are computed in float64, those of JAX in at least float32.
    """
    in_jax = at_least_float32(functools.partial(function, jnp))

    @functools.wraps(function)
    def called(frequencies, **options):
        if isinstance(frequencies, np.ndarray):
            return function(np, frequencies.astype(np.float64), **options)
        return in_jax(frequencies, **options)

    return called


@named_axes
def rotary_frequencies(features: Count, *, base: Positive = 10000.0) -> Frequencies:
    """Returns the frequencies of `rotary`, one for each pair of features, as an array of NumPy.

        outputs[i] = base ** (-2 i / features)

    Raises:
        ValueError: if features is negative, or base is not a finite number above 0.
    """
    check_known("rotary_frequencies: base", base)
    return frequencies_of(features, base)  # type: ignore[return-value]


@named_axes
def interpolated_frequencies(frequencies: Frequencies, *, factor: Positive) -> Frequencies:
    """Returns frequencies over `factor`, as if positions were divided by it.

        outputs[i] = frequencies[i] / factor

    Known as position interpolation, or linear scaling. Source: Chen et al. (2023),
    arXiv:2306.15595.

    Raises:
        ValueError: if factor is not a finite number above 0.
    """
    return _interpolated(frequencies, factor=factor)


@named_axes
def ntk_frequencies(frequencies: Frequencies, *, factor: Positive) -> Frequencies:
    """Returns the frequencies of a larger base: the last is divided by `factor`, the first stays.

        outputs[i] = frequencies[i] factor ** (-i / (f - 1))

    Those of `rotary` become those of the base `base factor ** (k / (k - 2))`. Known as NTK-aware
    scaling. Source: Peng et al. (2023), arXiv:2309.00071.

    Raises:
        ValueError: if factor is not a finite number above 0.
    """
    check_known("ntk_frequencies: factor", factor)
    return _larger_base(frequencies, factor=float(factor))


@in_the_given_library
def _interpolated(xp, frequencies, *, factor):
    return frequencies / factor


@in_the_given_library
def _larger_base(xp, frequencies, *, factor):
    pairs = frequencies.shape[0]
    powers = factor ** -(np.arange(pairs) / max(pairs - 1, 1))
    return frequencies * xp.asarray(powers, frequencies.dtype)
