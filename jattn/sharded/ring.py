"""Ring attention: keys and values circulate, and each device merges its results."""

from functools import partial
from typing import Any, Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn.engine.merge import MergedAttention, merge_attention
from jattn.sharded.arguments import Held, Options, Shards, Travelling, nothing, shards_of
from jattn.sharded.circulation import Ring, circulate
from jattn.sharded.layout import Layout


def ring_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b t g k"],
    value: Float[Array, "*b t g v"],
    *,
    axis_name: str,
    **options: Unpack[Options],
) -> Any:
    """Computes attention over a sequence that is sharded in order; keys and values go around.

    Device i of n holds the positions from i t to before (i + 1) t. In each step a device attends to
    the keys that it has, merges the result with earlier ones, and sends keys and values to the next
    device. Called inside `jax.shard_map`, it returns the values that `dot_product_attention` has
    for the device's queries.

    Source: Liu, Zaharia, Abbeel 2023, "Ring Attention with Blockwise Transformers for Near-Infinite
    Context", arXiv:2310.01889.

    Cost: a device sends the bytes of its keys and values n - 1 times, and for the gradient these
    again and their cotangents n times. Memory is that of the shards, in every derivative. Steps in
    which a causal mask or a window hides all keys on all devices are left out, with their
    messages. With a causal mask, device i computes i + 1 of n steps, so the last device decides the
    time; `zigzag_attention` is balanced.

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
    return circulated(shards_of("ring_attention", query, key, value, axis_name, options), 1)


def circulated(shards: Shards, chunks: int) -> Any:
    """Returns the result of a call whose shards consist of so many chunks each."""
    ring, size = Ring(shards.axis_name, shards.devices), shards.call.query.shape[-3] // chunks
    layout = Layout(ring, chunks, size, shards.settings)
    held, travelling = shards.arrays()
    return shards.result(_around(layout, held, travelling))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _around(layout: Layout, held: Held, travelling: Travelling) -> MergedAttention:
    total = nothing(held.query, travelling.value)
    for run in layout.runs(held.mask):

        def visit(
            at: Any, moving: Travelling, total: MergedAttention, first: int = run.first
        ) -> tuple[Travelling, MergedAttention]:
            return moving, merge_attention(*total, *layout.attend(first, at, held, moving))

        total = layout.ring.tour(run, visit, travelling, total)[1]
    return total


@_around.defjvp
def _around_jvp(layout: Layout, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Returns the result and its change, a sum over the steps of the ring.

    With `share = exp(own lse - lse)`, the part of the keys of a step in all weights,

        dlse = Σ share d(own lse)
        doutput = Σ share (d(own output) + own output d(own lse)) - output dlse
    """
    (held, travelling), (d_held, d_travelling) = primals, tangents
    output, lse = _around(layout, held, travelling)
    shift = jnp.where(lse == -jnp.inf, 0.0, lse)
    staying = held, shift, d_held.query, d_held.scale
    moving = travelling, d_travelling.key, d_travelling.value

    def step(first: int, at: Any, staying: Any, moving: Any) -> MergedAttention:
        (held, shift, *d_staying), (travelling, *d_moving) = staying, moving

        def attended(query: Any, scale: Any, key: Any, value: Any) -> MergedAttention:
            here = held._replace(query=query, scale=scale)
            return layout.attend(first, at, here, travelling._replace(key=key, value=value))

        arrays = held.query, held.scale, travelling.key, travelling.value
        own, change = jax.jvp(attended, arrays, (*d_staying, *d_moving))
        empty = own.lse == -jnp.inf
        share = jnp.where(empty, 0.0, jnp.exp(jnp.where(empty, shift, own.lse) - shift))
        d_output = change.output + own.output * change.lse[..., None]
        return MergedAttention(share[..., None] * d_output, share * change.lse)

    change = MergedAttention(jnp.zeros_like(output), jnp.zeros_like(lse))
    for run in layout.runs(held.mask):
        term = circulate(partial(step, run.first), layout.ring, run, staying, moving)
        change = jax.tree.map(jnp.add, change, term)
    d_output = change.output - output * change.lse[..., None]
    return MergedAttention(output, lse), MergedAttention(d_output, change.lse)
