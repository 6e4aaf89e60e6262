"""The list of laws, and the arrays that they are tried on."""

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

RNG: Any = np.random.default_rng(0)
T, S, K, V = 5, 7, 4, 3
SHAPES = ((T, K), (S, K), (S, V), (T, S))
QUERY, KEY, VALUE, SCORES = (RNG.standard_normal(shape) for shape in SHAPES)
LAWS: list[Callable[[], Iterator[tuple[Any, Any]]]] = []


def law(function: Callable[[], Iterator[tuple[Any, Any]]]) -> Any:
    LAWS.append(function)
    return function


def row(*scores: float) -> Any:
    return jnp.asarray(scores)[None]
