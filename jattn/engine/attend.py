"""The engine as the `attend` of multi-head attention, blocks and stacks."""

from typing import Unpack

from jaxtyping import Array, Bool, Float

from jattn.engine.dot_product import Options, dot_product_attention
from jattn.masks.algebra import Mask
from jattn.normalizers import Normalizer, softmax


def attend(
    query: Float[Array, "t h k"],
    key: Float[Array, "s g k"],
    value: Float[Array, "s g v"],
    *,
    mask: Bool[Array, "t s"] | Mask | None = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    normalizer: Normalizer = softmax,
    return_weights: bool = False,
    **options: Unpack[Options],
) -> tuple[Float[Array, "t h v"], Float[Array, "h t s"] | None]:
    """Attends for the heads of a model by `dot_product_attention`, in linear memory.

    It is the `attend` of `multi_head_attention`, of blocks and of stacks. Masks of `jattn.masks`
    stay masks, so that blocks of keys that they hide are skipped. `functools.partial` sets options
    such as `chunk_size`.

    Args:
        query: [t h k].
        key: [s g k].
        value: [s g v].
        mask: True where a query may attend to a key.
        bias: added to the scores.
        normalizer: has to be `jattn.softmax`.
        return_weights: whether the weights [h t s] are returned too.
        options: the other options of `dot_product_attention`.

    Returns:
        The context [t h v], and the weights before dropout or None.

    Raises:
        ValueError: if normalizer is not `jattn.softmax`, there is dropout with a query_offset, or
            `dot_product_attention` refuses the arguments.
    """
    if normalizer is not softmax:
        name = getattr(normalizer, "__name__", type(normalizer).__name__)
        raise ValueError(f"attend: normalizer is {name}, expected softmax; attend=None takes any")
    offset = options.get("query_offset", 0)
    if options.get("dropout_rate") and not (isinstance(offset, int) and offset == 0):
        raise ValueError(
            f"attend: query_offset is {offset}, expected 0 with dropout_rate, since the dropout of"
            " dot_product_attention counts queries from 0; attend=None counts from query_offset"
        )
    if return_weights:
        return dot_product_attention(query, key, value, bias, mask, return_weights=True, **options)
    return dot_product_attention(query, key, value, bias, mask, **options), None
