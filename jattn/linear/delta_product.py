"""DeltaProduct, several replacements for each query: Siems et al. (2025), arXiv:2502.10297."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32
from jattn.linear.padding import without_padding
from jattn.linear.rule import LinearOutput, delta_rule


@named_axes
@at_least_float32
def delta_product(
    query: Float[Array, "t k"],
    key: Float[Array, "t n k"],
    value: Float[Array, "t n v"],
    strength: Float[Array, "t n"],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Takes n steps of `delta_net` for each query, which reads the state after the last of them.

        state ← state + strength[t, j] key[t, j] (value[t, j] - stateᵀ key[t, j])ᵀ for j = 1, ..., n
        output[t] = stateᵀ query[t]

    The transition of a step is a product of n generalized Householder matrices, and no diagonal
    plus one of rank one. The paper's n_h and β are n and `strength`. Chunks are of single
    replacements, of which there are t n.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, length is out of range, or
            n is zero.
    """
    steps, each = strength.shape
    if each == 0:
        raise ValueError("delta_product: n is 0, expected at least 1 key for each query")
    query, key, value, strength = without_padding(
        "delta_product", length, query, key, value, strength
    )
    flat = lambda rows: rows.reshape(steps * each, rows.shape[-1])
    added = flat(strength[..., None] * key)
    # Only the last replacement of a step is read.
    queries = flat(jnp.pad(query[:, None], ((0, 0), (each - 1, 0), (0, 0))))
    outputs, state = delta_rule(
        queries,
        added,
        flat(value),
        erase=added,
        write=flat(key),
        initial=initial,
        chunk_size=chunk_size,
    )
    return LinearOutput(outputs.reshape(steps, each, value.shape[-1])[:, -1], state)
