"""The best parameters so far, and for how long there have been none better."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Best(NamedTuple):
    """The parameters whose monitored value was lowest; `stale` counts the evaluations since."""

    params: Any
    value: float
    step: int
    stale: int


def first_best(params: Any) -> Best:
    """What any evaluation improves on, unless it gives NaN."""
    return Best(_copy(params), math.inf, 0, 0)


def better(best: Best, params: Any, metrics: Mapping[str, float], monitor: str, step: int) -> Best:
    """The better of `best` and the `params` just evaluated.

    Raises:
        ValueError: the evaluation did not measure `monitor`.
    """
    if monitor not in metrics:
        raise ValueError(f"fit: evaluate returned {sorted(metrics)}, without monitor={monitor!r}")
    value = float(metrics[monitor])
    if value < best.value:
        return Best(_copy(params), value, step, 0)
    return best._replace(stale=best.stale + 1)


def _copy(params):
    """Arrays of their own: the next step reuses the memory of `params`."""
    return jax.tree.map(jnp.copy, params)
