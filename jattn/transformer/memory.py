"""The memory of a transformer's decoder as keys and values, which are the same at every step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.attention.multi_head_parts import project
from jattn.masks.algebra import Mask, as_array
from jattn.transformer.decoder_params import DecoderBlockParams
from jattn.transformer.stack_params import TransformerDecoderParams, check_blocks


class TransformerMemory(NamedTuple):
    """The memory's keys and values for each block, and a mask of them for every query."""

    keys: tuple[Float[Array, "g s e"], ...]
    values: tuple[Float[Array, "g s u"], ...]
    allowed: Bool[Array, "1 s"] | None


@named_axes
@at_least_float32
def transformer_memory(
    params: TransformerDecoderParams,
    memory: Float[Array, "s k"],
    *,
    memory_mask: Bool[Array, "1 s"] | Mask | None = None,
) -> TransformerMemory:
    """Projects the memory to the keys and values of each block.

    Args:
        memory: [s k], the encoder's outputs.
        memory_mask: True where every query may attend to the memory, such as
            `masks.lengths(length)`: one row for all queries. The memory may hold any value
            elsewhere. A mask that depends on the query goes to `transformer_step`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or memory_mask depends on
            the query.
    """
    check_blocks("transformer_memory", params.blocks, DecoderBlockParams)
    if isinstance(memory_mask, Mask) and _depends_on_query(memory_mask, memory.shape[0]):
        raise ValueError(
            "transformer_memory: memory_mask depends on the query, expected one row for all"
            " queries; pass it as memory_mask of transformer_step"
        )
    for index, block in enumerate(params.blocks):
        features = block.cross_attention.key_weight.shape[-1]
        if memory.shape[-1] != features:
            raise ValueError(
                f"transformer_memory: memory has shape {tuple(memory.shape)}, expected (s, k) with"
                f" k={features} (from params.blocks[{index}].cross_attention.key_weight)"
            )
    allowed = as_array(memory_mask, 1, memory.shape[0])
    memory = memory if allowed is None else jnp.where(allowed[0][:, None], memory, 0.0)
    keys, values = [], []
    for block in params.blocks:
        heads = block.cross_attention
        keys.append(project(heads.key_weight, heads.key_bias, memory, "key_heads"))
        values.append(project(heads.value_weight, heads.value_bias, memory, "value_heads"))
    return TransformerMemory(tuple(keys), tuple(values), allowed)


def _depends_on_query(mask: Mask, s: int) -> bool:
    """Returns whether the rule of a mask for any number of queries reads their positions."""
    if mask.sizes[0] is not None:
        return False
    keys = jnp.arange(s)[None]
    with jax.numpy_rank_promotion("allow"):
        rule = jax.make_jaxpr(lambda queries: mask.at(queries, keys))(jnp.zeros((1, 1), int)).jaxpr
    (queries,) = rule.invars
    return any(queries is variable for step in rule.eqns for variable in step.invars)
