"""Decoding by a stack of self-attention alone, as in GPT and Llama, from caches of its blocks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Positive, check_length
from jattn._precision import at_least_float32
from jattn.attention.multi_head_params import MultiHeadParams
from jattn.attention.multi_head_parts import Turn, join_heads, project, rotated
from jattn.layers import layer_norm
from jattn.masks.visible import only
from jattn.transformer.encoder_block import EncoderBlockParams
from jattn.transformer.feed_forward import feed_forward
from jattn.transformer.order import Order, pre_norm
from jattn.transformer.stack_params import TransformerEncoderParams, check_blocks, check_sinks
from jattn.transformer.sublayers import RowMap, apply_sublayers, normalized


class HasLength(Protocol):
    """A cache of the tokens of each sequence."""

    @property
    def length(self) -> Int[Array, "*b"]:
        """Number of tokens so far."""
        ...


Cache = TypeVar("Cache", bound=HasLength)
# Of a cache, and of a chunk's queries [*b t h e], keys [*b t g e] and values [*b t g u].
CachedAttend = Callable[..., tuple[Float[Array, "*b t h u"], Cache]]


@named_axes
def causal_decode(
    params: TransformerEncoderParams,
    caches: Sequence[Cache],
    inputs: Float[Array, "*b t d"],
    *,
    attend: CachedAttend,
    lengths: Int[Array, "*b"] | None = None,
    self_sinks: Float[Array, "l h"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    logits_soft_cap: Positive | None = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    norm: RowMap = layer_norm,
    feed_forward: RowMap = feed_forward,
) -> tuple[Float[Array, "*b t d"], tuple[Cache, ...]]:
    """Computes the next `t` positions of a causal stack, and the caches that hold them.

    The same as `transformer_encoder` with `self_mask=masks.causal()` over all tokens so far, in
    pieces: a prompt at once or in chunks, then one token after another. Leading axes of inputs are
    those of the caches: none, one for a batch, or several.

    Args:
        params: from `init_transformer_encoder`.
        caches: one for each block, with the number of its tokens as `length`, such as those of
            `jattn.init_cache` or `jattn.init_rolling_cache`.
        inputs: [*b t d], features of the tokens after those in the caches.
        attend: `attend(cache, query, key, value, **options)` stores keys [*b t g e] and values
            [*b t g u], and returns the context of queries [*b t h e] and the new cache. Options are
            those of lengths, sinks, scale and logits_soft_cap that are set.
            `jattn.engine.attend_with_cache` is such a function.
        lengths: number of tokens of each sequence in this chunk, `t` if None. The rest is padding:
            it may hold any value, is not stored, and its outputs are zero.
        self_sinks: as in `transformer_encoder`.
        scale: as in `transformer_encoder`.
        logits_soft_cap: as in `transformer_encoder`.
        order: as in `transformer_encoder`.
        turn: rotates queries and keys by their positions in their sequence, as `jattn.rotary` does.
        norm: as in `transformer_encoder`.
        feed_forward: as in `transformer_encoder`.

    Returns:
        The features [*b t d], and the caches with these tokens.

    Raises:
        ValueError: if two arguments disagree about the size of an axis or the number of blocks, or
            `attend` refuses the chunk.
    """
    check_blocks("causal_decode", params.blocks, EncoderBlockParams)
    check_sinks("causal_decode", params.blocks, self_sinks=self_sinks)
    if len(caches) != len(params.blocks):
        raise ValueError(
            f"causal_decode: caches has {len(caches)} caches, expected {len(params.blocks)}"
            " (from params.blocks)"
        )
    *batch, t, _ = inputs.shape
    check_length("causal_decode: lengths", lengths, t, "t")
    of_batch = {f"caches[{i}].length": cache.length for i, cache in enumerate(caches)}
    for name, array in {"lengths": lengths, **of_batch}.items():
        if array is not None and np.shape(array) != tuple(batch):
            raise ValueError(
                f"causal_decode: {name} has shape {np.shape(array)}, expected {tuple(batch)} (*b,"
                " from inputs)"
            )
    options = {"lengths": lengths, "scale": scale, "logits_soft_cap": logits_soft_cap}
    after = list(caches)

    @at_least_float32
    def run(params: TransformerEncoderParams, rows: Array) -> Array:
        used = None
        if lengths is not None:
            is_token = lambda length: jnp.arange(t, dtype=jnp.int32) < length
            used = over(batch, is_token)(jnp.asarray(lengths).astype(jnp.int32))
        for index, (block, cache) in enumerate(zip(params.blocks, caches, strict=True)):

            def attend_to_past(rows, heads=block.attention, index=index, cache=cache):
                of_block = options | {"sinks": None if self_sinks is None else self_sinks[index]}
                given = {name: option for name, option in of_block.items() if option is not None}
                projected = over(batch, partial(_to_heads, heads, turn))(rows, cache.length)
                context, after[index] = attend(cache, *projected, **given)
                return over(batch, partial(_from_heads, heads))(context), None

            def transform(rows, network=block.feed_forward):
                return over(batch, partial(feed_forward, network))(rows), None

            rows, _ = apply_sublayers(
                (block.attention_norm, block.feed_forward_norm),
                (attend_to_past, transform),
                rows,
                order=order,
                norm=lambda params, rows: over(batch, partial(norm, params))(rows),
                used=used,
            )
        last = partial(normalized, norm, params.norm)
        return only(used, over(batch, last)(only(used, rows)))

    return run(params, inputs), tuple(after)


def over(batch: Sequence[int], function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `function` mapped over each of the leading axes."""
    for _ in batch:
        function = jax.vmap(function)
    return function


def _to_heads(
    params: MultiHeadParams, turn: Turn | None, rows: Float[Array, "t d"], start: Int[Array, ""]
) -> list[Float[Array, "t h e"]]:
    """Returns queries, keys and values of a sequence whose first row is at `start`."""
    query, key, value = (
        project(weight, bias, rows, name)
        for weight, bias, name in zip(params[:3], params[4:7], NAMES, strict=True)
    )
    heads = rotated(turn, query, start), rotated(turn, key, start), value
    return [jnp.swapaxes(x, 0, 1) for x in heads]


def _from_heads(params: MultiHeadParams, context: Float[Array, "t h u"]) -> Float[Array, "t d"]:
    return join_heads(params, jnp.swapaxes(context, 0, 1), None)


NAMES = ("query_heads", "key_heads", "value_heads")
