"""Dot-product scores: Luong, Pham & Manning (2015), arXiv:1508.04025, section 3.1."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax


@named_axes
@at_least_float32
def dot_attention(
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

    The paper names these h_t and h̄_s and calls the score "dot".

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    scores = jnp.einsum("tk,sk->ts", query, key)
    return attend(scores, value, allowed, bias, normalizer)
