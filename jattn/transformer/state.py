"""The state of a transformer's decoder between steps: caches of its keys and values."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Count
from jattn.caches.cache import KeyValueCache, init_cache
from jattn.transformer.decoder_params import DecoderBlockParams
from jattn.transformer.memory import TransformerMemory
from jattn.transformer.stack_params import TransformerDecoderParams, check_blocks


class TransformerState(NamedTuple):
    """A cache of `position` tokens for each block, and each block's last weights on the memory."""

    caches: tuple[KeyValueCache, ...]
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
    check_counts("transformer_start", params, memory)
    caches, weights = [], []
    for block, memory_keys in zip(params.blocks, memory.keys, strict=True):
        query, key, value, *_ = block.self_attention
        cache = init_cache(
            capacity=capacity,
            key_value_heads=len(key),
            key_size=key.shape[1],
            value_size=value.shape[1],
            dtype=key.dtype,
        )
        caches.append(cache)
        heads = len(block.cross_attention.query_weight)
        weights.append(jnp.zeros((heads, memory_keys.shape[1]), query.dtype))
    return TransformerState(tuple(caches), jnp.zeros((), jnp.int32), tuple(weights))


def check_counts(
    function: str,
    params: TransformerDecoderParams,
    memory: TransformerMemory,
    state: TransformerState | None = None,
) -> None:
    """Raises ValueError unless memory and state have as many blocks as the parameters."""
    blocks = len(params.blocks)
    parts: dict[str, tuple[Any, ...]] = {} if state is None else {"state.caches": state.caches}
    for name, part in (
        parts | {"memory.keys": memory.keys, "memory.values": memory.values}
    ).items():
        if len(part) != blocks:
            raise ValueError(
                f"{function}: {name} has {len(part)} blocks, expected {blocks} (from params)"
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
        m, s = (state.caches[0].slots,), memory.keys[0].shape[1:2]
        checks = [("inputs", inputs, to_past.query_weight.shape[-1:])]
        cache = state.caches[index]
        for name, array, size, weight in (
            (f"state.caches[{index}].key", cache.key, m, to_past.key_weight),
            (f"state.caches[{index}].value", cache.value, m, to_past.value_weight),
            (f"memory.keys[{index}]", memory.keys[index], s, to_memory.key_weight),
            (f"memory.values[{index}]", memory.values[index], s, to_memory.value_weight),
        ):
            checks.append((name, array, (len(weight), *size, weight.shape[1])))
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
