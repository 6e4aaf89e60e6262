"""The engine as the `attend` of multi-head attention, blocks and stacks, and of decoding."""

from typing import Any, Unpack

from jaxtyping import Array, Bool, Float, Int

from jattn.caches.cache import KeyValueCache
from jattn.caches.extend import extend_cache
from jattn.engine.decoding import attend_to_cache
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


def attend_with_cache(
    cache: KeyValueCache,
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b t g k"],
    value: Float[Array, "*b t g v"],
    *,
    lengths: Int[Array, "*b"] | None = None,
    **options: Any,
) -> tuple[Float[Array, "*b t h v"], KeyValueCache]:
    """Stores a chunk of tokens and attends with its queries to all tokens so far.

    It is the `attend` of `causal_decode`: `extend_cache`, then `attend_to_cache`. Keys and values
    are rounded to the dtype of the cache.

    Args:
        query: [*b t h k].
        key: [*b t g k].
        value: [*b t g v].
        lengths: number of tokens of each sequence in the chunk, as in `extend_cache`.
        options: those of `attend_to_cache`.

    Returns:
        The context [*b t h v], and the new cache.

    Raises:
        ValueError: if `extend_cache` or `attend_to_cache` refuses the arguments.
    """
    stored = key.astype(cache.key.dtype), value.astype(cache.value.dtype)
    cache = extend_cache(cache, *stored, lengths=lengths)
    context: Any = attend_to_cache(query, cache, **options)
    return context, cache
