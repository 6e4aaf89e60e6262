"""The state-space dual of Mamba-2: Dao & Gu (2024), arXiv:2405.21060."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32
from jattn.linear.padding import without_padding
from jattn.linear.rule import LinearOutput, delta_rule


@named_axes
@at_least_float32
def state_space_dual(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    step: Float[Array, " t"],
    rate: Float[Array, ""],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Integrates a linear system of one decay over steps of given durations: the SSD of Mamba-2.

        state[t] = exp(-step[t] rate) state[t - 1] + step[t] key[t] value[t]ᵀ
        output[t] = state[t]ᵀ query[t]

    The paper's C, B, X, Δ and A are `query`, `key`, `value`, `step` and `-rate`. The input is
    multiplied by the step, as in the paper's code. Integrated exactly over a constant input it
    would be (1 - exp(-step rate)) / rate: scale `key` by that over `step`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value, step = without_padding("state_space_dual", length, query, key, value, step)
    options: dict[str, Any] = {"initial": initial, "length": length, "chunk_size": chunk_size}
    decay = jnp.exp(-step * rate)[:, None]
    return delta_rule(query, step[:, None] * key, value, decay=decay, **options)
