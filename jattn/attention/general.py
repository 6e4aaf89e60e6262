"""General (bilinear) scores: Luong, Pham & Manning (2015), arXiv:1508.04025, section 3.1."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax


class GeneralParams(NamedTuple):
    """The matrix between query and key."""

    weight: Float[Array, "q k"]


@named_axes
def init_general(
    rng: Key[Array, ""], *, query_size: Size, key_size: Size, dtype: DTypeLike = float
) -> GeneralParams:
    """Draws the weight from a normal with variance 1 / (query_size key_size).

    The scores of standard normal queries and keys then have variance one.
    """
    deviation = (query_size * key_size) ** -0.5
    return GeneralParams(jax.random.normal(rng, (query_size, key_size), dtype) * deviation)


@named_axes
@at_least_float32
def general_attention(
    params: GeneralParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each query-key pair with a bilinear form.

        scores[t, s] = query[t] · weight key[s]

    The paper names these h_t, W_a and h̄_s and calls the score "general".

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    projected = named_value(jnp.einsum("tq,qk->tk", query, params.weight), "encode/query")
    scores = jnp.einsum("tk,sk->ts", projected, key)
    return attend(scores, value, allowed, bias, normalizer)
