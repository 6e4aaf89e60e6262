"""The steps of chunks of the delta rule at once: products of matrices in place of a loop.

Source: Yang et al. (2024), arXiv:2406.06484, whose UT transform is the triangular system here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Chunk(NamedTuple):
    """The inputs of some steps, with logarithms of decays."""

    query: Float[Array, "c k"]
    key: Float[Array, "c k"]
    value: Float[Array, "c v"]
    decay: Float[Array, "c e"]
    erase: Float[Array, "c k"] | None
    write: Float[Array, "c k"] | None


class _Step(NamedTuple):
    """A chunk as one step: state ← transition state + added, outputs = reads state + own."""

    transition: Float[Array, "k k"] | Float[Array, "k 1"]
    added: Float[Array, "k v"]
    reads: Float[Array, "c k"]
    own: Float[Array, "c v"]


def chunks_of_steps(state: Float[Array, "k v"], chunks: Chunk) -> tuple[Array, Array]:
    """Returns the state after some chunks [n c ...], and their outputs [n c v].

    Only the product of a chunk's transition and the state waits for the chunk before. All else is
    computed for the chunks together, where products of matrices are fastest.
    """
    steps = jax.vmap(_step_of)(chunks)

    def advance(state, step):
        transition, added = step
        kept = transition * state if chunks.erase is None else transition @ state
        return kept + added, state

    state, before = jax.lax.scan(advance, state, (steps.transition, steps.added))
    return state, steps.reads @ before + steps.own


def _step_of(chunk: Chunk) -> _Step:
    """Returns the step that a chunk makes.

    With A(left, right)[t, i] = Σ_k left[t, k] right[i, k] (product of the decays of steps i + 1 to
    t)[k] for i ≤ t, step t reads with `write` from the state after step t - 1

        read[t] = (write[t] P[t - 1])ᵀ state + Σ_(i < t) A(next, key)[t - 1, i] value[i]
                                             - Σ_(i < t) A(next, erase)[t - 1, i] read[i]

    where P[t] is the product of the decays of the chunk's first steps, and next[t - 1] = write[t].
    That is a unit lower triangular system. Its solution is one matrix times the state plus another.
    """
    query, key, value, decay, erase, write = chunk
    # Sums of the logarithms between two steps, as differences of sums would lose their digits.
    lower = jnp.tril(jnp.ones((len(key), len(key)), key.dtype))
    strict = jnp.tril(lower, -1)
    factors, to_end = jnp.exp(lower @ decay), jnp.exp(strict.T @ decay)
    scores = _scores if decay.shape[1] == 1 else _scores_by_feature
    kept, reads, added = factors[-1][:, None], query * factors, (key * to_end).T @ value
    if erase is None or write is None:
        return _Step(kept, added, reads, scores(query[None], key[None], decay)[0, 0] @ value)
    following = jnp.pad(write[1:], ((0, 1), (0, 0)))
    found = scores(jnp.stack([query, following]), jnp.stack([key, erase]), decay)
    before = jnp.pad(found[1, :, :-1], ((0, 0), (1, 0), (0, 0)))
    solved = inverse_of_unit_lower(before[1])
    of_state, of_values = solved @ (write * jnp.exp(strict @ decay)), solved @ (before[0] @ value)
    erased = (erase * to_end).T
    return _Step(
        transition=jnp.eye(key.shape[1], dtype=key.dtype) * kept - erased @ of_state,
        added=added - erased @ of_values,
        reads=reads - found[0, 1] @ of_state,
        own=found[0, 0] @ value - found[0, 1] @ of_values,
    )


@jax.custom_jvp
def inverse_of_unit_lower(below: Float[Array, "c c"]) -> Float[Array, "c c"]:
    """Returns the inverse of a matrix of ones on the diagonal and `below`, which is below it."""
    count = len(below)
    if count > 16 and count % 2 == 0:
        half = count // 2
        first, last = (inverse_of_unit_lower(x) for x in (below[:half, :half], below[half:, half:]))
        across = last @ (below[half:, :half] @ first)
        return jnp.block([[first, jnp.zeros_like(across)], [-across, last]])
    unit = jnp.eye(count, dtype=below.dtype)
    return jax.scipy.linalg.solve_triangular(unit + below, unit, lower=True, unit_diagonal=True)


@inverse_of_unit_lower.defjvp
def _tangent_of_inverse(primals, tangents):
    inverse = inverse_of_unit_lower(*primals)
    return inverse, -inverse @ (tangents[0] @ inverse)


def _scores(
    left: Float[Array, "l c k"], right: Float[Array, "r c k"], decay: Float[Array, "c 1"]
) -> Float[Array, "l r c c"]:
    """Returns A of each left and right side, for one decay of all features."""
    lower = jnp.tril(jnp.ones((len(decay), len(decay)), decay.dtype))
    sums = lower @ (decay * jnp.tril(lower, -1))
    products = jnp.einsum("ltk,rik->lrti", left, right)
    return products * (jnp.exp(sums) * lower)[None, None]


def _scores_by_feature(
    left: Float[Array, "l c k"], right: Float[Array, "r c k"], decay: Float[Array, "c k"]
) -> Float[Array, "l r c c"]:
    """Returns A of each left and right side, where each feature has a decay of its own.

    Blocks of one step are joined in pairs, then blocks of two, and so on. A step in the second of a
    pair reaches one in the first over its end, so their factor is a product of two exponentials,
    whose exponents are never positive. Exponentials: c k log c, not c² k.
    """
    count, size = len(decay), 1
    more = (1 << (count - 1).bit_length()) - count
    left, right = (jnp.pad(rows, ((0, 0), (0, more), (0, 0))) for rows in (left, right))
    # Sums from the start of a step's block to the step, and from after it to the end.
    since = jnp.pad(decay, ((0, more), (0, 0)))
    until, padded = jnp.zeros_like(since), since.shape
    blocks = jnp.einsum("lck,rck->lrc", left, right)[..., None, None]
    while size < count:
        pairs = (len(since) // (2 * size), 2, size, decay.shape[1])
        since, until = since.reshape(pairs), until.reshape(pairs)
        of_left = left.reshape(len(left), *pairs)[:, :, 1] * jnp.exp(since[:, 1])[None]
        of_right = right.reshape(len(right), *pairs)[:, :, 0] * jnp.exp(until[:, 0])[None]
        across = jnp.einsum("lntk,rnik->lrnti", of_left, of_right)
        above = jnp.concatenate([blocks[:, :, ::2], jnp.zeros_like(across)], -1)
        below = jnp.concatenate([across, blocks[:, :, 1::2]], -1)
        blocks = jnp.concatenate([above, below], -2)
        until = jnp.stack([until[:, 0] + since[:, 1, -1:], until[:, 1]], 1).reshape(padded)
        since = jnp.stack([since[:, 0], since[:, 1] + since[:, 0, -1:]], 1).reshape(padded)
        size *= 2
    return blocks[:, :, 0, :count, :count]
