"""A transformer's decoder a position at a time, with what it has read kept as heads."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn._axes import named_arguments
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.attention.multi_head_parts import Turn, attend_heads, join_heads, project, rotated
from jattn.normalizers import softmax
from jattn.transformer.decoder_block import through
from jattn.transformer.feed_forward import Activation
from jattn.transformer.memory import TransformerMemory
from jattn.transformer.order import Order, pre_norm
from jattn.transformer.stack_params import TransformerDecoderParams
from jattn.transformer.stacks import last_norm


class TransformerState(NamedTuple):
    """Keys and values of up to `m` positions for each block, and the last weights on the memory."""

    keys: tuple[Float[Array, "g m e"], ...]
    values: tuple[Float[Array, "g m u"], ...]
    position: Int[Array, ""]
    weights: tuple[Float[Array, "h s"], ...]


@named_arguments
def transformer_start(
    params: TransformerDecoderParams, memory: TransformerMemory, *, capacity: Count
) -> TransformerState:
    """The state before the first step, with room for `capacity` positions."""
    keys, values, weights = [], [], []
    for block, of_memory in zip(params.blocks, memory.keys, strict=True):
        heads, (query, key, value, *_) = block.self_attention, block.self_attention
        keys.append(jnp.zeros((len(key), capacity, key.shape[1]), key.dtype))
        values.append(jnp.zeros((len(value), capacity, value.shape[1]), value.dtype))
        weights.append(jnp.zeros((len(heads.query_weight), of_memory.shape[1]), query.dtype))
    position = jnp.zeros((), jnp.int32)
    return TransformerState(tuple(keys), tuple(values), position, tuple(weights))


@named_arguments
@at_least_float32
def transformer_step(
    params: TransformerDecoderParams,
    state: TransformerState,
    inputs: Float[Array, " d"],
    memory: TransformerMemory,
    *,
    self_bias: Float[Array, "h m"] | Float[Array, " m"] | None = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    activation: Activation = jax.nn.relu,
    epsilon: float = 1e-5,
) -> tuple[Float[Array, " d"], TransformerState]:
    """The next position of `transformer_decoder` with a causal mask, and the state after it.

    Its cost is that of one row: O(m) instead of O(m²) for each. A step of `beam_search` embeds its
    token at `state.position`, calls this, and makes log-probabilities of the features.

    Args:
        inputs: the embedded token at `state.position`.
        memory: what `transformer_memory` returned. It is no part of the state, so that a search
            keeps it once and not for each beginning.
        self_bias: this position's row of `transformer_decoder`'s, over all positions that there is
            room for, such as `alibi_bias(heads, 1, m, offset=state.position)[:, 0]`.

    Raises:
        ValueError: if the state has no room for another position, or not as many blocks. A traced
            position cannot be looked at: the features are NaN then, so that the mistake shows.
    """
    blocks, of_state, of_memory = (len(x) for x in (params.blocks, state.keys, memory.keys))
    if not blocks == of_state == of_memory:
        given = f"state has {of_state} blocks and memory {of_memory}"
        raise ValueError(f"transformer_step: {given}, expected {blocks} (from params)")
    position, rows = state.position, inputs[None]
    capacity = state.keys[0].shape[1] if state.keys else None
    if capacity is not None and not isinstance(position, Tracer) and int(position) >= capacity:
        raise ValueError(f"transformer_step: state holds {capacity} positions (m), expected more")
    bias = None if self_bias is None else jnp.expand_dims(self_bias, -2)
    caches = []
    for index, block in enumerate(params.blocks):

        def attend_to_past(rows, heads=block.self_attention, index=index):
            query, key, value = (
                project(weight, of_weight, rows, name)
                for weight, of_weight, name in zip(heads[:3], heads[4:7], _NAMES, strict=True)
            )
            query, key = rotated(turn, query, position), rotated(turn, key, position)
            places = jnp.arange(state.keys[index].shape[1], dtype=jnp.int32)
            here = (places == position)[None, :, None]
            keys = jnp.where(here, key, state.keys[index])
            values = jnp.where(here, value, state.values[index])
            seen = (places <= position)[None]
            context, _ = attend_heads(query, keys, values, seen, bias, softmax)
            return join_heads(heads, context, seen, len(places)), (keys, values)

        def attend_to_memory(rows, heads=block.cross_attention, index=index):
            query = project(heads.query_weight, heads.query_bias, rows, _NAMES[0])
            keys, values = memory.keys[index], memory.values[index]
            context, weights = attend_heads(query, keys, values, memory.allowed, None, softmax)
            return join_heads(heads, context, memory.allowed, keys.shape[1]), weights[:, 0]

        sublayers = attend_to_past, attend_to_memory
        options = {"order": order, "activation": activation, "epsilon": epsilon}
        rows, found = through(block, sublayers, rows, **options)
        caches.append((*found[0], found[1]))
    keys, values, weights = (tuple(one[kind] for one in caches) for kind in range(3))
    outputs = last_norm(params.norm, rows, epsilon)[0]
    outputs = outputs if capacity is None else jnp.where(position < capacity, outputs, jnp.nan)
    return outputs, TransformerState(keys, values, position + 1, weights)


_NAMES = ("query_heads", "key_heads", "value_heads")
