"""Retrieval of a modern Hopfield network: Ramsauer et al. (2021), arXiv:2008.02217."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax


@named_axes
@at_least_float32
def hopfield_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    steps: Size = 1,
    mask: MaskLike = None,
    bias: Bias = None,
    scale: Float[Array, ""] | float | None = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Moves each query to the mean of the keys that it attends to, and then reads the values.

        weights = normalizer(scale query keyᵀ),   scale = 1 / √k unless given
        query   = weights key                     between two steps
        context = weights value                   after the last one

    One step is `scaled_dot_product_attention`. The paper names queries, keys and scale ξ, X and β,
    and shows that a step lowers an energy, and that a large scale retrieves a stored key in one
    step. Its layers project the values of the last step from the keys.

    Args:
        steps: how often a query is compared with the keys.
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores of each step; -inf is the same as a mask.
        scale: a finite number, or a scalar array, which is differentiable; 1 / √k by default.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or steps is less than 1.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    factor = max(query.shape[-1], 1) ** -0.5 if scale is None else scale

    def read(state: Float[Array, "t k"], rows: Float[Array, "s n"]) -> Attended:
        scores = jnp.einsum("tk,sk->ts", state * factor, key)
        return attend(scores, rows, allowed, bias, normalizer)

    for _ in range(steps - 1):
        query = named_value(read(query, key).context, "encode/state")
    return read(query, value)
