"""Scaled dot-product attention: Vaswani et al. (2017), arXiv:1706.03762, equation 1."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax


@named_axes
@at_least_float32
def scaled_dot_product_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    scale: Float[Array, ""] | float | None = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each query-key pair with their dot product over the square root of its length.

        scores[t, s] = scale query[t] · key[s],   scale = 1 / √k unless given

    The paper names these Q, K, V and d_k.

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores after the scale; -inf is the same as a mask.
        scale: a finite number, or a scalar array, which is differentiable; 1 / √k by default.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    factor = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    # Scaling the query instead of the scores avoids an overflow in products whose scaled score is
    # in the range of the dtype.
    scores = jnp.einsum("tk,sk->ts", query * factor, key)
    return attend(scores, value, allowed, bias, normalizer)
