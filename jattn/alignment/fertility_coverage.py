"""Coverage with fertility: Tu et al. (2016), arXiv:1601.04811."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._options import Positive
from jattn.alignment.coverage import attend_covered, coverage_start, init_coverage
from jattn.alignment.in_order import KeyBias, KeyMask, one_query, only
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


class FertilityCoverageParams(NamedTuple):
    """The weights of attention with coverage, and those of the fertility of a key."""

    query_weight: Float[Array, "p q"]
    key_weight: Float[Array, "p k"]
    score_weight: Float[Array, " p"]
    coverage_weight: Float[Array, " p"]
    fertility_weight: Float[Array, " k"]
    bias: Float[Array, " p"] | None = None


@named_axes
def init_fertility_coverage(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    key_size: Size,
    units: Size,
    bias: bool = False,
    dtype: DTypeLike = float,
) -> FertilityCoverageParams:
    """Draws every weight from a normal with variance 1 / fan-in; a bias starts at zero."""
    rng, fertility_rng = jax.random.split(rng)
    sizes = {"query_size": query_size, "key_size": key_size, "units": units}
    covering = init_coverage(rng, **sizes, bias=bias, dtype=dtype)
    fertility = jax.random.normal(fertility_rng, (key_size,), dtype) * key_size**-0.5
    return FertilityCoverageParams(*covering[:4], fertility, covering.bias)


@named_axes
@at_least_float32
def fertility_coverage(
    params: FertilityCoverageParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    most: Positive = 2.0,
    mask: MaskLike = None,
    bias: Bias = None,
    initial: Float[Array, " s"] | None = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Attends as `coverage` does, where a key is covered once it was read as often as it needs.

        fertility[s] = most sigmoid(fertility_weight · key[s])
        covered[s] = Σ weights[:t, s] / fertility[s]

    The paper calls this linguistic coverage and names the parts Φ_j, N, U_f and C_{i,j}. A word of
    the source with fertility two is covered by two words of the target.

    Args:
        most: the largest fertility.
        mask: as in `coverage`.
        bias: as in `coverage`.
        initial: the state before the first query, zero by default.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or most is not above zero.
    """
    state = coverage_start(key) if initial is None else initial
    of = readable(query, (key, state), value, mask, bias)
    key, state = of.key
    fertility = _fertility(params, key, most)
    return attend_covered(params, state, of, key, normalizer, fertility)[0]


@named_axes
@at_least_float32
def fertility_coverage_step(
    params: FertilityCoverageParams,
    state: Float[Array, " s"],
    query: Float[Array, " q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    most: Positive = 2.0,
    mask: KeyMask = None,
    bias: KeyBias = None,
    normalizer: Normalizer = softmax,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns context and weights of one query, and the next state: how far keys are covered.

    The first state is `coverage_start(key)`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or most is not above zero.
    """
    of = one_query(query, key, value, mask, bias)
    fertility = _fertility(params, of.key, most)
    attended, state = attend_covered(params, state, of, of.key, normalizer, fertility)
    return only(attended), state


def _fertility(
    params: FertilityCoverageParams, key: Float[Array, "s k"], most: Positive
) -> Float[Array, " s"]:
    return most * jax.nn.sigmoid(jnp.einsum("k,sk->s", params.fertility_weight, key))
