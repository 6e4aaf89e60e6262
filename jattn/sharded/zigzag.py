"""Zig-zag ring attention: two chunks for each device, so that causal work is balanced."""

from typing import Any, Unpack

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jattn._options import Count, Size, check_array, check_options, named
from jattn._sharding import check_whole
from jattn.sharded.arguments import Options, shards_of
from jattn.sharded.ring import circulated


def zigzag_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b t g k"],
    value: Float[Array, "*b t g v"],
    *,
    axis_name: str,
    **options: Unpack[Options],
) -> Any:
    """Computes attention over a sequence sharded in zig-zag order; keys and values go around.

    Device i of n holds chunks i and 2 n - 1 - i of 2 n, an early one and a late one, as
    `zigzag_order` puts them. With a causal mask every device then computes the same number of
    chunks in each step. Called inside `jax.shard_map`, it returns the values that
    `dot_product_attention` has for the device's queries.

    Source: the layout is in Llama Team 2024, "The Llama 3 Herd of Models", arXiv:2407.21783,
    section 3.3.2. Brandon et al. 2023, "Striped Attention", arXiv:2311.09431, balance a ring by
    single positions. The ring is that of Liu, Zaharia, Abbeel 2023, arXiv:2310.01889.

    Cost: bytes and memory of `ring_attention`. With a causal mask, every device computes two of the
    four pairs of chunks in each step, except the first, where it computes one pair and half of two
    others.

    Args:
        query: [*b t h k], the shard of this device, t an even number.
        key: [*b t g k]; h is a multiple of g.
        value: [*b t g v].
        axis_name: the mesh axis over which the sequence is sharded.
        options: see `jattn.sharded.Options`; ids of segments are in zig-zag order too.

    Returns:
        The output [*b t h v] in the dtype of the query; with return_residual also the lse.

    Raises:
        ValueError: if t is odd, axis_name is no axis of the enclosing `jax.shard_map`, shards have
            different lengths, a mask has an array of pairs, or `dot_product_attention` refuses an
            argument.
    """
    shards = shards_of("zigzag_attention", query, key, value, axis_name, options)
    t = shards.call.query.shape[-3]
    if t % 2:
        raise ValueError(f"zigzag_attention: query has t={t}, expected an even number: two chunks")
    return circulated(shards, 2)


def zigzag_order(array: Shaped[Array, "..."], n: int, axis: int) -> Shaped[Array, "..."]:
    """Returns a whole sequence in zig-zag order: chunks 0, 2 n - 1, 1, 2 n - 2, ... of 2 n.

    Sharded over n devices in order, device i then holds chunks i and 2 n - 1 - i.

    Args:
        n: number of devices.
        axis: the axis of positions, counted from the front.

    Raises:
        ValueError: if 2 n does not divide the length, or the axis is sharded by its type.
    """
    return _ordered("zigzag_order", array, n, axis, _order(n))


def from_zigzag_order(array: Shaped[Array, "..."], n: int, axis: int) -> Shaped[Array, "..."]:
    """Returns a whole sequence in its own order, the inverse of `zigzag_order`.

    Args:
        n: number of devices.
        axis: the axis of positions, counted from the front.

    Raises:
        ValueError: if 2 n does not divide the length, or the axis is sharded by its type.
    """
    return _ordered("from_zigzag_order", array, n, axis, np.argsort(_order(n)))


def _order(n: int) -> np.ndarray:
    return np.stack([np.arange(n), 2 * n - 1 - np.arange(n)], 1).reshape(-1)


def _ordered(function: str, array: Any, n: int, axis: int, order: np.ndarray) -> Array:
    with named(function):
        check_array("array", array)
        check_options({"n": Size, "axis": Count}, {"n": n, "axis": axis})
        shape = np.shape(array)
        if axis >= len(shape) or shape[axis] % (2 * n):
            expected = f"a length on axis {axis} that 2 n = {2 * n} divides"
            raise ValueError(f"array has shape {shape}, expected {expected}")
        check_whole("array", array, axis, "t")
    chunks = jnp.reshape(array, (*shape[:axis], 2 * n, shape[axis] // (2 * n), *shape[axis + 1 :]))
    return jnp.take(chunks, order, axis).reshape(shape)
