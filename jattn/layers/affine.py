"""Embedding and linear layers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32


class EmbeddingParams(NamedTuple):
    """One row for each of the `w` words."""

    weight: Float[Array, "w d"]


class LinearParams(NamedTuple):
    """Weights from `i` inputs to `o` outputs, with or without a bias."""

    weight: Float[Array, "o i"]
    bias: Float[Array, " o"] | None = None


@named_axes
def init_embedding(
    rng: Key[Array, ""], *, words: Count, size: Count, dtype: DTypeLike = float
) -> EmbeddingParams:
    """Draws the rows from a standard normal."""
    return EmbeddingParams(jax.random.normal(rng, (words, size), dtype))


@named_axes
def init_linear(
    rng: Key[Array, ""],
    *,
    input_size: Count,
    output_size: Count,
    bias: bool = True,
    dtype: DTypeLike = float,
) -> LinearParams:
    """Draws the weight from a normal with variance 1 / input_size; the bias starts at zero."""
    weight = jax.random.normal(rng, (output_size, input_size), dtype) * max(input_size, 1) ** -0.5
    return LinearParams(weight, jnp.zeros(output_size, dtype) if bias else None)


@named_axes
@at_least_float32
def embedding(
    params: EmbeddingParams, tokens: Int[Array, " s"] | Int[Array, ""]
) -> Float[Array, "s d"] | Float[Array, " d"]:
    """The row of each token: outputs[s] = weight[tokens[s]].

    The gradient of a row is a sum over its tokens, added up in at least float32.

    Args:
        tokens: a sequence, or one token. Traced tokens cannot be looked at: those that are out of
            range then give a row of NaN, so that the mistake shows, and no gradient.

    Raises:
        ValueError: if a token is negative or not less than the number of words.
    """
    words = len(params.weight)
    if not isinstance(tokens, Tracer) and np.size(tokens):
        least, most = int(np.asarray(tokens).min()), int(np.asarray(tokens).max())
        if least < 0 or most >= words:
            wrong = least if least < 0 else most
            raise ValueError(f"embedding: tokens holds {wrong}, expected 0 to {words - 1} (w)")
    rows = jnp.asarray(params.weight).at[tokens]
    return rows.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


@named_axes
@at_least_float32
def linear(
    params: LinearParams, inputs: Float[Array, "s i"] | Float[Array, " i"]
) -> Float[Array, "s o"] | Float[Array, " o"]:
    """An affine map: outputs[s] = weight inputs[s] + bias, of a sequence or of one vector.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    outputs = jnp.einsum("oi,...i->...o", params.weight, inputs)
    if params.bias is None:
        return outputs
    return outputs + (params.bias if outputs.ndim == 1 else params.bias[None])
