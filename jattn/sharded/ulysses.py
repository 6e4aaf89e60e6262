"""Attention with heads in place of the sequence sharded, between two exchanges."""

from typing import Any, Unpack

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn._varying import varying_as
from jattn.engine.arguments import Origin
from jattn.engine.attention import attend_all, planned
from jattn.engine.merge import MergedAttention
from jattn.sharded.arguments import Options, shards_of
from jattn.sharded.pairs import with_ids


def ulysses_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b t g k"],
    value: Float[Array, "*b t g v"],
    *,
    axis_name: str,
    **options: Unpack[Options],
) -> Any:
    """Computes attention over a sequence that is sharded in order, by whole sequences of few heads.

    Devices exchange shards of the sequence for shards of the heads, attend as one device does, and
    exchange back. Called inside `jax.shard_map`, it returns the values that
    `dot_product_attention` has for the device's queries.

    Source: Jacobs et al. 2023, "DeepSpeed Ulysses: System Optimizations for Enabling Training of
    Extreme Long Sequence Transformer Models", arXiv:2309.14509.

    Cost: of n devices each sends (n - 1) / n of its queries, keys, values and outputs, and as much
    again for the gradient; this does not grow with n. Memory is that of the shards. Work is
    balanced under every mask, and skipped as on one device. Key-value heads that are fewer than
    devices are repeated first, once for each device that needs them.

    Args:
        query: [*b t h k], the shard of this device; n divides h.
        key: [*b t g k]; h is a multiple of g, and n divides g or g divides n.
        value: [*b t g v].
        axis_name: the mesh axis over which the sequence is sharded.
        options: see `jattn.sharded.Options`.

    Returns:
        The output [*b t h v] in the dtype of the query; with return_residual also the lse.

    Raises:
        ValueError: if the heads do not divide among the devices, axis_name is no axis of the
            enclosing `jax.shard_map`, shards have different lengths, a mask has an array of pairs,
            or `dot_product_attention` refuses an argument.
    """
    shards = shards_of("ulysses_attention", query, key, value, axis_name, options)
    call, n = shards.call, shards.devices
    lead, (h, g) = call.lead, (x.shape[-2] for x in (call.query, call.key))
    for name, heads, fits in (("query", h, h % n == 0), ("key", g, g % n == 0 or n % g == 0)):
        if not fits:
            expected = f"heads that divide among the {n} devices of axis {axis_name!r}"
            raise ValueError(f"ulysses_attention: {name} has {heads} heads, expected {expected}")
    own, device = h // n, lax.axis_index(axis_name)

    def exchanged(array: Any, split: int, joined: int) -> Any:
        axes = {"split_axis": array.ndim + split, "concat_axis": array.ndim + joined}
        return lax.all_to_all(array, axis_name, **axes, tiled=True)

    def to_heads(array: Any) -> Any:
        heads = array.shape[-2]
        array = array if heads % n == 0 else jnp.repeat(array, n // heads, axis=-2)
        return exchanged(array, -2, -3)

    gather = lambda ids: lax.all_gather(ids, axis_name, axis=ids.ndim - 1, tiled=True)
    sinks = varying_as(call.sinks, call.query)
    numbers = jnp.arange(call.sizes[0] * h).reshape(*lead, h)
    whole = call._replace(
        query=to_heads(call.query),
        key=to_heads(call.key),
        value=to_heads(call.value),
        mask=call.mask and with_ids(call.mask, gather, gather),
        sinks=sinks if sinks is None else lax.dynamic_slice_in_dim(sinks, device * own, own),
        origin=Origin(lax.dynamic_slice_in_dim(numbers, device * own, own, axis=-1)),
    )
    output, lse, *_ = attend_all(*planned(whole))
    found = MergedAttention(exchanged(output, -3, -2), exchanged(lse, -2, -1))
    return shards._replace(call=call._replace(sinks=None)).result(found)
