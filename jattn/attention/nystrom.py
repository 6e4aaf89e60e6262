"""Nyström attention: Xiong et al. (2021), arXiv:2102.03902."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Count, Size
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended
from jattn.masks.visible import only
from jattn.normalizers import softmax

Valid = Bool[Array, " s"]


@named_axes
@at_least_float32
def nystrom_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    landmarks: Size,
    steps: Count = 6,
    query_valid: Bool[Array, " t"] | None = None,
    valid: Bool[Array, " s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
) -> Attended:
    """Approximates softmax attention by way of a few landmarks, the means of segments.

        weights = softmax(q l_kᵀ) inverse(softmax(l_q l_kᵀ)) softmax(l_q kᵀ)
        context = weights value

    Here q = scale query, scale = 1 / √k unless given, and l_q and l_k are the landmarks of queries
    and of keys. The pseudo-inverse Z of A is iterated from Aᵀ / (|A|₁ |A|∞) by

        Z = Z (13 - A Z (15 - A Z (7 - A Z))) / 4

    With as many landmarks as tokens the result is softmax attention, as far as the iteration has
    converged. Landmarks mix tokens, so a causal mask is impossible. The paper's code adds a
    depthwise convolution of the values, which is another layer. Cost: m (t + s) (k + v) + n m³.

        >>> rows = jnp.ones((4, 1))
        >>> print(nystrom_attention(rows, rows, jnp.eye(4), landmarks=1).context[0])
        [0.25 0.25 0.25 0.25]

    Args:
        landmarks: number m of segments, whose sizes differ by one at most. Segments without a token
            are left out.
        steps: number n of iterations.
        query_valid: True for queries that are no padding; others have a context of zero.
        valid: True for keys that are no padding.
        scale: a finite number, or a scalar array, which is differentiable; 1 / √k by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or landmarks is less
            than 1.
    """
    factor = max(query.shape[1], 1) ** -0.5 if scale is None else scale
    query, key, value = only(query_valid, query) * factor, only(valid, key), only(valid, value)
    of_query, is_query = landmarks_of(query, query_valid, landmarks)
    of_key, is_key = landmarks_of(key, valid, landmarks)
    far = _weights(query, of_key, query_valid, is_key)
    near = _weights(of_query, of_key, is_query, is_key)
    back = _weights(of_query, key, is_query, valid)
    middle = pseudo_inverse(near, steps)
    # In this order no product is of all queries and keys.
    context = far @ (middle @ (back @ value))
    weights = named_value(far @ middle @ back, "weight/weights")
    return Attended(named_value(context, "decode/context"), weights)


def landmarks_of(
    rows: Float[Array, "s k"], valid: Valid | None, count: int
) -> tuple[Float[Array, "m k"], Bool[Array, " m"]]:
    """Returns the means of `count` segments of the valid rows, and which have any."""
    counted = jnp.ones(rows.shape[0], bool) if valid is None else jnp.asarray(valid)
    ranks = jnp.cumsum(counted) - 1
    total = jnp.maximum(counted.sum(), 1)
    segments = ranks * count // total
    member = (segments[None] == jnp.arange(count)[:, None]) & counted[None]
    sizes = member.sum(1).astype(rows.dtype)
    sums = jnp.einsum("ms,sk->mk", member.astype(rows.dtype), rows)
    return sums / jnp.maximum(sizes, 1.0)[:, None], sizes > 0.0


def pseudo_inverse(matrix: Float[Array, "m m"], steps: int) -> Float[Array, "m m"]:
    """Iterates to the pseudo-inverse of a matrix of softmax rows, or of rows and columns of zeros.

    The largest row sum, |A|∞, is one or zero, and so divides nothing.
    """
    largest = matrix.sum(0).max(initial=0.0)
    inverse = matrix.T / jnp.where(largest == 0.0, 1.0, largest)
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    for _ in range(steps):
        product = matrix @ inverse
        inner = 15.0 * identity - product @ (7.0 * identity - product)
        inverse = inverse @ (13.0 * identity - product @ inner) / 4.0
    return inverse


def _weights(query, key, is_query, is_key):
    """Returns softmax of the products of queries and keys that are no padding, zero elsewhere."""
    t, s = query.shape[0], key.shape[0]
    is_query = jnp.ones(t, bool) if is_query is None else jnp.asarray(is_query)
    is_key = jnp.ones(s, bool) if is_key is None else jnp.asarray(is_key)
    scores = named_value(jnp.einsum("tk,sk->ts", query, key), "score/scores")
    return softmax(scores, is_query[:, None] & is_key[None])
