"""Coverage: See, Liu & Manning (2017), arXiv:1704.04368."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn.alignment.in_order import KeyBias, KeyMask, attend_in_order, normalized, one_query, only
from jattn.alignment.scoring import parts
from jattn.attention.additive import init_additive
from jattn.attention.attend import Readable
from jattn.mechanism import (
    Attended,
    Bias,
    MaskLike,
    Normalizer,
    Size,
    at_least_float32,
    named_axes,
    readable,
    softmax,
)


class CoverageParams(NamedTuple):
    """Weights of a scoring network of `p` units that reads how much a key was attended to."""

    query_weight: Float[Array, "p q"]
    key_weight: Float[Array, "p k"]
    score_weight: Float[Array, " p"]
    coverage_weight: Float[Array, " p"]
    bias: Float[Array, " p"] | None = None


@named_axes
def init_coverage(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    key_size: Size,
    units: Size,
    bias: bool = True,
    dtype: DTypeLike = float,
) -> CoverageParams:
    """Draws every weight from a normal with variance 1 / fan-in; a bias starts at zero."""
    rng, coverage_rng = jax.random.split(rng)
    sizes = {"query_size": query_size, "key_size": key_size, "units": units}
    additive = init_additive(rng, **sizes, bias=bias, dtype=dtype)
    covered = jax.random.normal(coverage_rng, (units,), dtype)
    return CoverageParams(*additive[:3], covered, additive.bias)


@named_axes
@at_least_float32
def coverage(
    params: CoverageParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    initial: Float[Array, " s"] | None = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each key with additive attention that also sees the sum of its earlier weights.

        covered[s] = Σ weights[:t, s]
        scores[s] = score_weight · tanh(query_weight query[t] + key_weight key[s]
                                        + coverage_weight covered[s] + params.bias)

    The paper names these c_i^t, v, W_s, W_h, w_c and b_attn.

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        initial: the sum before the first query, zero by default. ESPnet starts from uniform
            weights over the valid keys.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    state = coverage_start(key) if initial is None else initial
    of = readable(query, (key, state), value, mask, bias)
    key, state = of.key
    return attend_covered(params, state, of, key, normalizer)[0]


@named_axes
def coverage_start(key: Float[Array, "s k"]) -> Float[Array, " s"]:
    """Returns the state before the first query: a sum of zero for each key."""
    return jnp.zeros(key.shape[0], key.dtype)


@named_axes
@at_least_float32
def coverage_step(
    params: CoverageParams,
    state: Float[Array, " s"],
    query: Float[Array, " q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: KeyMask = None,
    bias: KeyBias = None,
    normalizer: Normalizer = softmax,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns context and weights of one query, and the next state: the sum with its weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    of = one_query(query, key, value, mask, bias)
    attended, state = attend_covered(params, state, of, of.key, normalizer)
    return only(attended), state


def attend_covered(
    params: Any,
    initial: Float[Array, " s"],
    of: Readable,
    key: Float[Array, "s k"],
    normalizer: Normalizer,
    fertility: Float[Array, " s"] | float = 1.0,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns contexts and weights, and the sum of weights, each over the key's fertility."""
    query_part, key_part = parts(params, of.query, key)

    def weigh(covered, query_part, allowed, bias):
        coverage_part = covered[:, None] * params.coverage_weight[None]
        hidden = jnp.tanh(query_part[None] + key_part + coverage_part)
        scores = jnp.einsum("p,sp->s", params.score_weight, hidden)
        weights = normalized(scores, allowed, bias, normalizer)
        return weights, covered + weights / fertility

    return attend_in_order(weigh, initial, query_part, of, of.value)
