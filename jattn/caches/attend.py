"""A cache as the `attend` of decoding: what is new is stored, and all of it is read."""

from typing import Any

from jaxtyping import Array, Float, Int

from jattn.caches.cache import KeyValueCache
from jattn.caches.decoding import attend_to_cache
from jattn.caches.extend import extend_cache


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
