"""Linear attention: Katharopoulos et al. (2020), arXiv:2006.16236, equations 7 and 9 to 12."""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32
from jattn.linear.padding import without_padding
from jattn.linear.rule import delta_rule


class LinearAttentionOutput(NamedTuple):
    """The outputs of all steps; the sums of keys' features times values, and of keys' features."""

    outputs: Float[Array, "t v"]
    state: Float[Array, "k v"]
    key_sum: Float[Array, " k"]


@named_axes
@at_least_float32
def linear_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    *,
    initial: Float[Array, "k v"] | None = None,
    initial_key_sum: Float[Array, " k"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearAttentionOutput:
    """Computes causal attention whose weights are products of positive features, as a recurrence.

        weights[t, s] = features(query[t]) · features(key[s]) / Σ_(r ≤ t) (the same with r),  s ≤ t
        output[t]     = Σ_s weights[t, s] value[s]
        features(x)   = elu(x) + 1, which is x + 1 above 0 and exp(x) below

    The paper's φ, S_i and Z_i are `features`, `state` and `key_sum`. There is no ε in the
    denominator, which is positive. Operations: t k v.

    Args:
        initial: the state before the first step, zeros by default.
        initial_key_sum: the sum of features before the first step, zeros by default.
        length: number of valid steps. Later ones leave the state and have outputs of zero.
        chunk_size: steps that are computed at once, as in `delta_rule`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value = without_padding("linear_attention", length, query, key, value)
    rule = partial(delta_rule, _features(query), _features(key))
    options: dict[str, Any] = {"length": length, "chunk_size": chunk_size}
    sums, state = rule(value, initial=initial, **options)
    start = None if initial_key_sum is None else initial_key_sum[:, None]
    totals, key_sum = rule(jnp.ones_like(value, shape=(key.shape[0], 1)), initial=start, **options)
    outputs = sums / jnp.where(totals == 0.0, 1.0, totals)
    return LinearAttentionOutput(outputs, state, key_sum[:, 0])


def _features(x: Float[Array, "t k"]) -> Float[Array, "t k"]:
    """Returns elu(x) + 1."""
    return jnp.where(x > 0.0, x + 1.0, jnp.exp(jnp.where(x > 0.0, 0.0, x)))
