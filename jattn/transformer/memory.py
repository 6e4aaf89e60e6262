"""What a transformer's decoder reads at every step: keys and values made of the memory once."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.attention.multi_head_parts import project
from jattn.masks.algebra import Mask, as_array
from jattn.transformer.stack_params import TransformerDecoderParams


class TransformerMemory(NamedTuple):
    """The memory's keys and values for each block, and which of them may be read."""

    keys: tuple[Float[Array, "g s e"], ...]
    values: tuple[Float[Array, "g s u"], ...]
    allowed: Bool[Array, "1 s"] | None


@named_axes
@at_least_float32
def transformer_memory(
    params: TransformerDecoderParams,
    memory: Float[Array, "s d"],
    *,
    memory_mask: Bool[Array, "1 s"] | Mask | None = None,
) -> TransformerMemory:
    """What each block reads of the memory, which is the same at every step.

    Args:
        memory: what the encoder returned.
        memory_mask: as in `transformer_decoder`, for a single query.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    allowed = as_array(memory_mask, 1, len(memory))
    memory = memory if allowed is None else jnp.where(allowed[0][:, None], memory, 0.0)
    keys, values = [], []
    for block in params.blocks:
        heads = block.cross_attention
        keys.append(project(heads.key_weight, heads.key_bias, memory, "key_heads"))
        values.append(project(heads.value_weight, heads.value_bias, memory, "value_heads"))
    return TransformerMemory(tuple(keys), tuple(values), allowed)
