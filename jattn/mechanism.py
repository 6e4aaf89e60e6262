"""The names that a new mechanism needs: checks, precision, and the steps around its scores.

    >>> import jax.numpy as jnp
    >>> from jaxtyping import Array, Float
    >>> from jattn.mechanism import Attended, MaskLike, attend, named_axes, readable, softmax
    >>> @named_axes
    ... def half_attention(
    ...     query: Float[Array, "t k"],
    ...     key: Float[Array, "s k"],
    ...     value: Float[Array, "s v"],
    ...     *,
    ...     mask: MaskLike = None,
    ... ) -> Attended:
    ...     query, key, value, bias, allowed = readable(query, key, value, mask, None)
    ...     return attend(0.5 * query @ key.T, value, allowed, bias, softmax)
    >>> half_attention(jnp.ones((3, 2)), jnp.ones((5, 2)), jnp.ones((5, 7))).context.shape
    (3, 7)
    >>> half_attention(jnp.ones((3, 2)), jnp.ones((5, 4)), jnp.ones((5, 7)))
    Traceback (most recent call last):
    ValueError: half_attention: key has shape (5, 4), expected (s, k) with k=2 (from query)

docs/adding-a-mechanism.md goes through one in full.
"""

from jattn._axes import named_axes as named_axes
from jattn._naming import named_value as named_value
from jattn._options import Count as Count
from jattn._options import NotNegative as NotNegative
from jattn._options import Size as Size
from jattn._precision import at_least_float32 as at_least_float32
from jattn.attention.attend import Attended as Attended
from jattn.attention.attend import Bias as Bias
from jattn.attention.attend import MaskLike as MaskLike
from jattn.attention.attend import Readable as Readable
from jattn.attention.attend import attend as attend
from jattn.attention.attend import readable as readable
from jattn.normalizers import Normalizer as Normalizer
from jattn.normalizers import softmax as softmax
