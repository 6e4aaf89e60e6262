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
from jattn._sharding import rows_at


class EmbeddingParams(NamedTuple):
    """A row of `d` features for each of `w` words."""

    weight: Float[Array, "w d"]


class AffineParams(NamedTuple):
    """Weights from `i` inputs to `o` outputs, with or without a bias."""

    weight: Float[Array, "o i"]
    bias: Float[Array, " o"] | None = None


@named_axes
def init_embedding(
    rng: Key[Array, ""], *, words: Count, size: Count, dtype: DTypeLike = float
) -> EmbeddingParams:
    """Draws the rows from a standard normal.

    Args:
        rng: a key of `jax.random.key`.
        words: number of rows, the size of the vocabulary.
        size: number of features.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is negative or dtype is not a floating-point dtype.
    """
    return EmbeddingParams(jax.random.normal(rng, (words, size), dtype))


@named_axes
def init_affine(
    rng: Key[Array, ""],
    *,
    input_size: Count,
    output_size: Count,
    bias: bool = True,
    dtype: DTypeLike = float,
) -> AffineParams:
    """Draws the weight from a normal with variance 1 / input_size; the bias starts at zero.

    Args:
        rng: a key of `jax.random.key`.
        input_size: number of input features.
        output_size: number of output features.
        bias: whether there is a bias.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is negative or dtype is not a floating-point dtype.
    """
    weight = jax.random.normal(rng, (output_size, input_size), dtype) * max(input_size, 1) ** -0.5
    return AffineParams(weight, jnp.zeros(output_size, dtype) if bias else None)


@named_axes
@at_least_float32
def embedding(
    params: EmbeddingParams, tokens: Int[Array, " s"] | Int[Array, ""]
) -> Float[Array, "s d"] | Float[Array, " d"]:
    """Returns the row of each token: outputs[s] = weight[tokens[s]].

    The gradient of a row is a sum over its tokens, computed in at least float32.

    Args:
        tokens: a sequence, or one token, in any integer dtype. The values of traced tokens are
            unknown: one that is out of range gives a row of NaN and no gradient.

    Raises:
        ValueError: if a token is negative or not less than the number of words.
    """
    words = len(params.weight)
    if not isinstance(tokens, Tracer) and np.size(tokens):
        least, most = int(np.asarray(tokens).min()), int(np.asarray(tokens).max())
        if least < 0 or most >= words:
            wrong = least if least < 0 else most
            raise ValueError(f"embedding: tokens holds {wrong}, expected 0 to {words - 1} (w)")
    options = {"mode": "fill", "fill_value": jnp.nan, "wrap_negative_indices": False}
    return rows_at(params.weight, tokens, **options)


@named_axes
@at_least_float32
def affine(
    params: AffineParams, inputs: Float[Array, "s i"] | Float[Array, " i"]
) -> Float[Array, "s o"] | Float[Array, " o"]:
    """Computes an affine map of a sequence or of one vector: outputs[s] = weight inputs[s] + bias.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    outputs = jnp.einsum("oi,...i->...o", params.weight, inputs)
    if params.bias is None:
        return outputs
    return outputs + (params.bias if outputs.ndim == 1 else params.bias[None])
