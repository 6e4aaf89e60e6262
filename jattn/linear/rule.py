"""The generalized delta rule: a state of key times value, decayed, erased and written step by step.

Sources: the delta rule with its chunks is of Yang et al. (2024), arXiv:2406.06484; diagonal decays
and two vectors for what is erased are those of RWKV-7, Peng et al. (2025), arXiv:2503.14456.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32

Decay = Float[Array, "t k"] | Float[Array, "t 1"]
CHUNK = 64  # Steps that are computed at once: products of 64 x 64 fill the units of a CPU.


class DeltaOutput(NamedTuple):
    """The outputs of all steps, and the state after the last one."""

    outputs: Float[Array, "t v"]
    state: Float[Array, "k v"]


class Chunk(NamedTuple):
    """The inputs of some steps, with logarithms of decays."""

    query: Float[Array, "c k"]
    key: Float[Array, "c k"]
    value: Float[Array, "c v"]
    decay: Float[Array, "c e"]
    erase: Float[Array, "c k"] | None
    write: Float[Array, "c k"] | None


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
) -> DeltaOutput:
    """Updates a matrix at each step, and reads it with the step's query.

        state[t]  = (diag(decay[t]) - erase[t] write[t]ᵀ) state[t - 1] + key[t] value[t]ᵀ
        output[t] = state[t]ᵀ query[t]

    Many linear attentions are cases of it. Without decay and erasure the state is a sum, and with
    `decay` alone a sum that forgets. With `erase = strength key`, `write = key` and the strength in
    the value too, what was stored at a key is replaced: the delta rule.

    Steps are computed in chunks: within one, the erased values are the solution of a triangular
    system, and only the states between chunks are kept for the backward pass. A chunk of one step is
    the recurrence itself, and one chunk of all steps the parallel form. All have the same values
    and derivatives up to rounding. Operations: t (k v + c (k + v)) for chunks of c steps, and
    t c k exponentials if each feature has a decay of its own.

    Args:
        decay: factors above 0, at most 1 to forget, for each feature of a key or one for all. Their
            products within a chunk are differences of logarithms, so they underflow to 0 but never
            overflow if no factor is above 1.
        erase: what is subtracted for each unit that `write` reads. It comes with `write`.
        initial: the state before the first step, zeros by default.
        length: number of valid steps. Later ones leave the state and have outputs of zero.
        chunk_size: steps that are computed at once, at most 64 by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or one of `erase` and
            `write` is missing.
    """
    if (erase is None) != (write is None):
        missing = "erase" if erase is None else "write"
        raise ValueError(f"delta_rule: {missing} is None, expected an array as the other one is")
    steps, size = key.shape
    state = jnp.zeros((size, value.shape[1]), value.dtype) if initial is None else initial
    factors = jnp.ones((steps, 1), key.dtype) if decay is None else decay
    chunk = Chunk(query, key, value, factors, erase, write)
    if length is not None:
        chunk = _cut(chunk, length)
    chunk = chunk._replace(decay=jnp.log(chunk.decay))
    count = max(1, min(chunk_size or CHUNK, steps))
    if steps % count:
        chunk = jax.tree.map(lambda rows: _padded(rows, -steps % count), chunk)
    chunks = jax.tree.map(lambda rows: rows.reshape(-1, count, rows.shape[-1]), chunk)
    body = jax.checkpoint(_step if count == 1 else _chunk)
    state, outputs = jax.lax.scan(body, state, chunks)
    outputs = outputs.reshape(-1, value.shape[1])[:steps]
    if length is not None:
        outputs = jnp.where(jnp.arange(steps)[:, None] < length, outputs, 0.0)
    return DeltaOutput(outputs, state)


def _step(state: Float[Array, "k v"], chunk: Chunk) -> tuple[Array, Array]:
    """Returns the state after one step, and its output."""
    query, key, value, decay, erase, write = chunk
    kept = jnp.exp(decay[0])[:, None] * state
    if erase is not None and write is not None:
        kept = kept - erase[0][:, None] * (write[0] @ state)[None]
    state = kept + key[0][:, None] * value[0][None]
    return state, (query[0] @ state)[None]


def _chunk(state: Float[Array, "k v"], chunk: Chunk) -> tuple[Array, Array]:
    """Returns the state after the steps of a chunk, and their outputs.

    With A[t, i] = Σ_k left[t, k] right[i, k] (product of the decays of steps i + 1 to t)[k], what
    step t reads with `write` from the state before it is

        read[t] = (write[t] P[t - 1])ᵀ state + Σ_(i < t) A(write, key) value[i] - A(write, erase) read[i]

    where P are products from the chunk's first step: a unit lower triangular system for `read`.
    """
    query, key, value, decay, erase, write = chunk
    total = jnp.cumsum(decay, 0)
    before = total - decay
    lower = jnp.tril(jnp.ones((len(key), len(key)), bool))
    strict = jnp.tril(lower, -1)
    scores = lambda left, right, ends, mask: _scores(left, right, ends, total, mask)
    outputs = (query * jnp.exp(total)) @ state + scores(query, key, total, lower) @ value
    to_end = jnp.exp(total[-1] - total)
    after = jnp.exp(total[-1])[:, None] * state + (key * to_end).T @ value
    if erase is not None and write is not None:
        known = (write * jnp.exp(before)) @ state + scores(write, key, before, strict) @ value
        system = jnp.eye(len(key), dtype=key.dtype) + scores(write, erase, before, strict)
        read = jax.scipy.linalg.solve_triangular(system, known, lower=True, unit_diagonal=True)
        outputs = outputs - scores(query, erase, total, lower) @ read
        after = after - (erase * to_end).T @ read
    return after, outputs


def _scores(
    left: Float[Array, "c k"],
    right: Float[Array, "c k"],
    ends: Float[Array, "c e"],
    starts: Float[Array, "c e"],
    mask: Array,
) -> Float[Array, "c c"]:
    """Returns Σ_k left[t, k] right[i, k] exp(ends[t, k] - starts[i, k]) where the mask is True."""
    gaps = jnp.where(mask[..., None], ends[:, None] - starts[None], 0.0)
    factors = jnp.where(mask[..., None], jnp.exp(gaps), 0.0)
    if ends.shape[1] == 1:
        return (left @ right.T) * factors[..., 0]
    return jnp.einsum("tk,ik,tik->ti", left, right, factors)


def _cut(chunk: Chunk, length: Length | Int[Array, ""]) -> Chunk:
    """Returns the chunk with steps past the length that leave the state."""
    valid = jnp.arange(len(chunk.key))[:, None] < length
    zeroed = jax.tree.map(lambda rows: jnp.where(valid, rows, 0.0), chunk)
    return zeroed._replace(decay=jnp.where(valid, chunk.decay, 1.0))


def _padded(rows: Float[Array, "t d"], more: int) -> Float[Array, "s d"]:
    """Returns rows followed by zeros: keys, erasures and logarithms of zero leave the state."""
    return jnp.pad(rows, ((0, more), (0, 0)))
