"""The state of a transformer's decoder between steps: its keys and values, cached by head."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Count
from jattn.transformer.decoder_params import DecoderBlockParams
from jattn.transformer.memory import TransformerMemory
from jattn.transformer.stack_params import TransformerDecoderParams, check_blocks


class TransformerState(NamedTuple):
    """Keys and values of up to `m` positions for each block, and the last weights on the memory."""

    keys: tuple[Float[Array, "g m e"], ...]
    values: tuple[Float[Array, "g m u"], ...]
    position: Int[Array, ""]
    weights: tuple[Float[Array, "h s"], ...]


@named_axes
def transformer_start(
    params: TransformerDecoderParams, memory: TransformerMemory, *, capacity: Count
) -> TransformerState:
    """Returns the state before the first step.

    Args:
        memory: the result of `transformer_memory` for the same `params`.
        capacity: number of positions that the state has room for.

    Raises:
        ValueError: if capacity is negative, or params or memory are of another type, or memory is
            of another number of blocks.
    """
    check_blocks("transformer_start", params.blocks, DecoderBlockParams)
    check_counts("transformer_start", params, {"memory": memory})
    keys, values, weights = [], [], []
    for block, memory_keys in zip(params.blocks, memory.keys, strict=True):
        query, key, value, *_ = block.self_attention
        keys.append(jnp.zeros((len(key), capacity, key.shape[1]), key.dtype))
        values.append(jnp.zeros((len(value), capacity, value.shape[1]), value.dtype))
        heads = len(block.cross_attention.query_weight)
        weights.append(jnp.zeros((heads, memory_keys.shape[1]), query.dtype))
    position = jnp.zeros((), jnp.int32)
    return TransformerState(tuple(keys), tuple(values), position, tuple(weights))


def check_counts(function: str, params: TransformerDecoderParams, caches: dict[str, Any]) -> None:
    """Raises ValueError unless each cache has as many blocks as the parameters."""
    blocks = len(params.blocks)
    for name, cache in caches.items():
        for field in ("keys", "values"):
            arrays = getattr(cache, field)
            if len(arrays) != blocks:
                raise ValueError(
                    f"{function}: {name}.{field} has {len(arrays)} blocks, expected {blocks}"
                    " (from params)"
                )


def check_sizes(
    params: TransformerDecoderParams,
    state: TransformerState,
    inputs: Array,
    memory: TransformerMemory,
    rows: dict[str, Array | None],
) -> None:
    """Raises ValueError unless the arrays of each block have the sizes of its parameters.

    `rows` holds the biases and sinks of a step by name.
    """
    for index, block in enumerate(params.blocks):
        to_past, to_memory = block.self_attention, block.cross_attention
        m, s = state.keys[0].shape[1:2], memory.keys[0].shape[1:2]
        checks = [("inputs", inputs, to_past.query_weight.shape[-1:])]
        for name, arrays, size, weight in (
            ("state.keys", state.keys, m, to_past.key_weight),
            ("state.values", state.values, m, to_past.value_weight),
            ("memory.keys", memory.keys, s, to_memory.key_weight),
            ("memory.values", memory.values, s, to_memory.value_weight),
        ):
            shape = (len(weight), *size, weight.shape[1])
            checks.append((f"{name}[{index}]", arrays[index], shape))
        heads = to_past.query_weight.shape[:1], to_memory.query_weight.shape[:1]
        for name, shape in (
            ("self_bias", (*heads[0], *m)),
            ("memory_bias", (*heads[1], *s)),
            ("self_sinks", (len(params.blocks), *heads[0])),
            ("memory_sinks", (len(params.blocks), *heads[1])),
        ):
            array = rows[name]
            if array is not None:
                checks.append((name, array, shape[-array.ndim :]))
        for name, array, shape in checks:
            if tuple(array.shape) != shape:
                raise ValueError(
                    f"transformer_step: {name} has shape {tuple(array.shape)}, expected {shape}"
                    f" (from params.blocks[{index}])"
                )
