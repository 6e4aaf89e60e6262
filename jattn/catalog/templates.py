"""The texts of a new mechanism's files, by family; `jattn.catalog.skeleton` fills them in."""

from typing import NamedTuple

SCORE = '''"""{title}: AUTHORS (YEAR), arXiv:NUMBER, equation N."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn.mechanism import (
    Attended,
    Bias,
    MaskLike,
    Normalizer,
    at_least_float32,
    attend,
    named_axes,
    readable,
    softmax,
)


@named_axes
@at_least_float32
def {function}(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each query-key pair with their dot product.

        scores[t, s] = query[t] · key[s]

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: makes weights of scores, a row at a time.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    scores = jnp.einsum("tk,sk->ts", query, key)
    return attend(scores, value, allowed, bias, normalizer)
'''

SCORE_ORACLE = '''"""{title} in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def {function}(query, key, value, *, mask=None, bias=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With e_ts = q_t · k_s:   dq_t = Σ_s de_ts k_s      dk_s = Σ_t de_ts q_t
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    scores = np.zeros(kept.shape, np.result_type(query, key))
    for row in range(len(query)):
        scores[row, kept[row]] = key[kept[row]] @ query[row]
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_query, d_key = (np.zeros(x.shape, d_scores.dtype) for x in (query, key))
        for row in range(len(query)):
            keys = kept[row]
            d_query[row] = d_scores[row, keys] @ key[keys]
            d_key[keys] += np.outer(d_scores[row, keys], query[row])
        return with_bias((d_query, d_key, d_value), bias, d_scores)

    return output, pullback
'''

SCORE_ROW = """    Mechanism(
        jattn.{function},
        family="score",
        paper="AUTHORS YEAR, arXiv:NUMBER, eq. N",
        cost="t s (k + v)",
        cases=SCORED,
    ),
"""

LAYER = '''"""{title}: AUTHORS (YEAR), arXiv:NUMBER, equation N."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jattn.mechanism import Count, at_least_float32, named_axes


class {kind}Params(NamedTuple):
    """A factor for each of `d` features."""

    scale: Float[Array, " d"]


@named_axes
def init_{function}(*, size: Count, dtype: DTypeLike = float) -> {kind}Params:
    """Returns factors of one: nothing is drawn, so there is no rng."""
    return {kind}Params(jnp.ones(size, dtype))


@named_axes
@at_least_float32
def {function}(params: {kind}Params, inputs: Float[Array, "s d"]) -> Float[Array, "s d"]:
    """Multiplies each feature by a factor.

        outputs[s] = scale ∘ inputs[s]

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    return params.scale[None] * inputs
'''

LAYER_ORACLE = '''"""{title} in NumPy, one vector at a time, with its gradient derived by hand."""

import numpy as np


def {function}(params, inputs):
    """Returns (outputs, pullback), as `jax.vjp` does.

    With y_s = g ∘ x_s:   dg = Σ_s dy_s ∘ x_s      dx_s = g ∘ dy_s
    """
    (scale,) = params
    outputs = np.zeros(inputs.shape, np.result_type(scale, inputs))
    for row, vector in enumerate(inputs):
        outputs[row] = scale * vector

    def pullback(d_outputs):
        kind = np.result_type(outputs, d_outputs)
        d_scale, d_inputs = np.zeros(scale.shape, kind), np.zeros(inputs.shape, kind)
        for row, d_output in enumerate(d_outputs):
            d_scale += d_output * inputs[row]
            d_inputs[row] = d_output * scale
        return type(params)(d_scale), d_inputs

    return outputs, pullback
'''

LAYER_ROW = """    Mechanism(
        jattn.{function},
        family="layer",
        paper="AUTHORS YEAR, arXiv:NUMBER, eq. N",
        cost="s d",
    ),
"""

TEST = '''"""{title} against its oracle."""

import numpy as np
from {stem} import {names}
from {stem}_oracle import {function} as oracle

from jattn import testing


def test_value_and_derivatives_match_the_oracle():
    rng = np.random.default_rng(0)
    inputs = {inputs}
    testing.check({function}, oracle, inputs)
'''


class Family(NamedTuple):
    """The texts of a family's skeleton, and the folder of its modules."""

    folder: str
    module: str
    oracle: str
    row: str
    suffix: str
    exports: tuple[str, ...]
    inputs: str


FAMILIES = {
    "score": Family(
        "attention",
        SCORE,
        SCORE_ORACLE,
        SCORE_ROW,
        "_attention",
        ("{function}",),
        "[rng.standard_normal(shape) for shape in ((3, 7), (5, 7), (5, 13))]",
    ),
    "layer": Family(
        "layers",
        LAYER,
        LAYER_ORACLE,
        LAYER_ROW,
        "",
        ("{kind}Params", "init_{function}", "{function}"),
        "[{kind}Params(rng.standard_normal(7)), rng.standard_normal((5, 7))]",
    ),
}
