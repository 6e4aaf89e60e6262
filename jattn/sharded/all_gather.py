"""Attention of a device's queries to all keys, which are gathered first."""

from functools import partial
from typing import Any, Unpack

import jax
from jax import lax
from jaxtyping import Array, Float

from jattn.engine.merge import MergedAttention
from jattn.sharded.arguments import Held, Options, Travelling, attend, nothing, shards_of
from jattn.sharded.pairs import Pair


def all_gather_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b t g k"],
    value: Float[Array, "*b t g v"],
    *,
    axis_name: str,
    **options: Unpack[Options],
) -> Any:
    """Computes attention over a sequence that is sharded in order; each device gathers all keys.

    Device i of n holds the positions from i t to before (i + 1) t. Called inside `jax.shard_map`,
    it returns the values that `dot_product_attention` has for the device's queries.

    Source: Llama Team 2024, "The Llama 3 Herd of Models", arXiv:2407.21783, section 3.3.2, where
    the sequence is in zig-zag order in addition.

    Cost: one message of n - 1 shards of keys and values, once more for the gradient, and the sum of
    their cotangents. Each device holds the keys and values of the whole sequence while it computes,
    but does not store them for the gradient. It is the simplest scheme, and the best one where
    there are few key-value heads and the keys fit. With a causal mask, blocks that it hides are
    skipped at run time, and the last device decides the time.

    Args:
        query: [*b t h k], the shard of this device.
        key: [*b t g k]; h is a multiple of g.
        value: [*b t g v].
        axis_name: the mesh axis over which the sequence is sharded.
        options: see `jattn.sharded.Options`.

    Returns:
        The output [*b t h v] in the dtype of the query; with return_residual also the lse.

    Raises:
        ValueError: if axis_name is no axis of the enclosing `jax.shard_map`, shards have different
            lengths, a mask has an array of pairs, or `dot_product_attention` refuses an argument.
    """
    shards = shards_of("all_gather_attention", query, key, value, axis_name, options)
    t, n = shards.call.query.shape[-3], shards.devices
    gather = partial(lax.all_gather, axis_name=axis_name, tiled=True)

    @jax.checkpoint
    def attended(held: Held, own: Travelling) -> MergedAttention:
        key, value = (gather(x, axis=x.ndim - 3) for x in (own.key, own.value))
        every = Travelling(key, value, [gather(x, axis=x.ndim - 1) for x in own.ids])
        pair = Pair(held.device * t, 0, (0, (n - 1) * t), t, n * t)
        found = attend(shards.settings, pair, held, every)
        return nothing(held.query, value) if found is None else found

    return shards.result(attended(*shards.arrays()))
