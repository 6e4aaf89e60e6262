"""Sums of exponentials over steps, kept as a product with the exponential of a running maximum."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._options import Length, Size
from jattn._sizes import are_known
from jattn._varying import scan
from jattn.linear.rule import delta_rule


def running_maximum(
    log_decay: Float[Array, " t"], logs: Float[Array, " t"], start: Float[Array, ""]
) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
    """Returns maxima[t] = max(maxima[t - 1] + log_decay[t], logs[t]), and the maximum before each.

    They are constants to every derivative: what they scale is divided by them again.
    """
    log_decay, logs, start = jax.lax.stop_gradient((log_decay, logs, start))
    is_first = jnp.arange(logs.shape[0]) == 0
    logs = jnp.where(is_first, jnp.maximum(start + log_decay, logs), logs)
    if are_known(logs.shape[0]):
        join = lambda left, right: (left[0] + right[0], jnp.maximum(left[1] + right[0], right[1]))
        maxima = jax.lax.associative_scan(join, (log_decay, logs))[1]
    else:  # An associative scan needs the number of steps.
        step = lambda largest, row: (jnp.maximum(largest + row[0], row[1]),) * 2
        maxima = scan(step, start, (log_decay, logs))[1]
    return maxima, jnp.where(is_first, start, jnp.roll(maxima, 1))


def last_of(maxima: Float[Array, " t"], start: Float[Array, ""]) -> Float[Array, ""]:
    """Returns the last maximum, or the start if there is no step."""
    return jnp.concatenate([jax.lax.stop_gradient(start)[None], maxima])[-1]


def sums_and_totals(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    decay: Float[Array, " t"],
    starts: tuple[Float[Array, "k v"] | None, Float[Array, " k"] | None, Float[Array, ""]],
    *,
    length: Length | Int[Array, ""] | None,
    chunk_size: Size | None,
) -> tuple[Float[Array, "t v"], Float[Array, " t"], Float[Array, "k v"], Float[Array, " k"]]:
    """Runs the delta rule on values, and on ones.

    Args:
        starts: the state and the sum of keys before the first step, and a factor of both.

    Returns:
        Sums and totals that the queries read, and the last state and sum of keys.
    """
    state, key_sum, factor = starts
    state = None if state is None else factor * state
    key_sum = None if key_sum is None else factor * key_sum[:, None]
    options: dict[str, Any] = {"decay": decay[:, None], "length": length, "chunk_size": chunk_size}
    rule = partial(delta_rule, query, key, **options)
    sums, last = rule(value, initial=state)
    # Apart from the values: a function of these alone is linear, and has a transpose.
    totals, last_key_sum = rule(jnp.ones_like(value, shape=(key.shape[0], 1)), initial=key_sum)
    return sums, totals[:, 0], last, last_key_sum[:, 0]
