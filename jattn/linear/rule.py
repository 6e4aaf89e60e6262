"""The generalized delta rule: a state of keys times values, decayed, erased and written by steps.

Sources: the delta rule with its chunks is of Yang et al. (2024), arXiv:2406.06484; diagonal decays
and two vectors for what is erased are those of RWKV-7, Peng et al. (2025), arXiv:2503.14456.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32
from jattn._sizes import are_known
from jattn._varying import varying_as
from jattn.linear.chunk import Chunk, chunks_of_steps
from jattn.linear.padding import without_padding

Decay = Float[Array, "t k"] | Float[Array, "t 1"]
# Steps of a chunk, and chunks at once: of those that are fastest for 64 features on a CPU with
# AVX-512, the ones that cost least for 128 and 256.
CHUNK, TOGETHER = 64, 8
LEAST = 1e-30  # Added to factors: of 0, the logarithm and its derivative are finite and precise.


class LinearOutput(NamedTuple):
    """The outputs of all steps, and the state after the last one."""

    outputs: Float[Array, "t v"]
    state: Float[Array, "k v"]


@named_axes
@at_least_float32
def delta_rule(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    *,
    decay: Decay | None = None,
    erase: Float[Array, "t k"] | None = None,
    write: Float[Array, "t k"] | None = None,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Updates a matrix at each step, and reads it with the step's query.

        state[t]  = (diag(decay[t]) - erase[t] write[t]ᵀ) state[t - 1] + key[t] value[t]ᵀ
        output[t] = state[t]ᵀ query[t]

    Many linear attentions are cases of it. Without decay and erasure the state is a sum, and with
    `decay` alone a sum that forgets. With `erase = strength key`, `write = key` and the strength in
    the value too, what was stored at a key is replaced: the delta rule.

    Steps are computed in chunks, and only the states between them are kept for the backward pass.
    A chunk of one step is the recurrence itself, and one chunk of all steps the parallel form. All
    have the same values and derivatives up to rounding. Operations: t (k v + c (k + v)) for chunks
    of c steps, and with `erase` t k (k + k v / c) more.

    Args:
        decay: factors of at least 0, for each feature of a key or one for all. Their products are
            sums of logarithms, which underflow but never overflow if no factor is above 1.
        erase: what is subtracted for each unit that `write` reads. It comes with `write`.
        initial: the state before the first step, zeros by default.
        length: number of valid steps. Later ones leave the state and have outputs of zero.
        chunk_size: steps that are computed at once, 64 by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, length is out of range, or
            one of `erase` and `write` is missing.
    """
    steps, size = key.shape
    if (erase is None) != (write is None):
        missing = "erase" if erase is None else "write"
        raise ValueError(f"delta_rule: {missing} is None, expected an array as the other one is")
    factors = jnp.ones((steps, 1), key.dtype) if decay is None else decay
    cut = partial(without_padding, "delta_rule", length)
    (rows,) = cut(Chunk(query, key, value, factors, erase, write))
    # Keys, erasures and logarithms of zero leave the state.
    rows = rows._replace(decay=cut(jnp.log(rows.decay + LEAST))[0])
    shape = _shape_of_groups(steps, chunk_size or CHUNK)
    group = math.prod(shape)
    number = (steps + group - 1) // group
    pad = lambda x: jnp.pad(x, ((0, number * group - steps), (0, 0)))
    chunks = jax.tree.map(lambda x: pad(x).reshape(number, *shape, x.shape[1]), rows)
    state = jnp.zeros((size, value.shape[1]), value.dtype) if initial is None else initial
    body = partial(jax.checkpoint, prevent_cse=False)(_step if shape == (1,) else chunks_of_steps)
    state, outputs = jax.lax.scan(body, varying_as(state, chunks), chunks)
    return LinearOutput(outputs.reshape(number * group, value.shape[1])[:steps], state)


def _shape_of_groups(steps: int, count: int) -> tuple[int, ...]:
    """Returns how many chunks are computed together, and their steps; one step is a group alone."""
    chunks = 1
    if are_known(steps):
        count = max(1, min(count, steps))
        chunks = max(1, math.ceil(steps / count))
        chunks = math.ceil(chunks / math.ceil(chunks / TOGETHER))  # Of as equal groups as can be.
    return (count,) if count == 1 else (chunks, count)


def _step(state: Float[Array, "k v"], rows: Chunk) -> tuple[Array, Array]:
    """Returns the state after one step, and its output."""
    query, key, value, decay = (x[0] for x in rows[:4])
    kept = jnp.exp(decay)[:, None] * state
    if rows.erase is not None and rows.write is not None:
        kept = kept - rows.erase[0][:, None] * (rows.write[0] @ state)[None]
    state = kept + key[:, None] * value[None]
    return state, (query @ state)[None]
