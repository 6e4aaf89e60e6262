"""The best evaluation so far, and the number of evaluations since."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class BestEvaluation(NamedTuple):
    """The parameters whose monitored value was best; `stale` counts the evaluations since.

    `value` is infinite until an evaluation gives a number.
    """

    params: Any
    value: float
    step: int
    stale: int


def first_best(params: Any, *, highest_is_best: bool = False) -> BestEvaluation:
    """Returns the value that any evaluation improves on, unless it gives NaN."""
    return BestEvaluation(_copy(params), -math.inf if highest_is_best else math.inf, 0, 0)


def better(
    best: BestEvaluation,
    params: Any,
    metrics: Mapping[str, float],
    monitor: str,
    step: int,
    *,
    highest_is_best: bool = False,
    least_gain: float = 0.0,
) -> BestEvaluation:
    """Returns the better of `best` and the `params` just evaluated.

    Args:
        monitor: the name of the metric to compare.
        highest_is_best: whether a higher value is better; by default a lower one is.
        least_gain: the least difference that counts as better.

    Raises:
        ValueError: if the evaluation did not measure `monitor`.
    """
    if monitor not in metrics:
        raise ValueError(f"fit: evaluate returned {sorted(metrics)}, without monitor={monitor!r}")
    value = float(metrics[monitor])
    gain = value - best.value if highest_is_best else best.value - value
    # From infinity to infinity the gain is NaN, which is no gain.
    if gain > 0 and gain >= least_gain:
        return BestEvaluation(_copy(params), value, step, 0)
    return best._replace(stale=best.stale + 1)


def _copy(params):
    """Copies the arrays: the next step reuses the memory of `params`."""
    return jax.tree.map(jnp.copy, params)
