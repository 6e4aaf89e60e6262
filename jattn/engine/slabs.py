"""The queries of a run of blocks, and the keys and pairs that belong to each, stacked."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn.engine.planning import Run


def blocks_of(run: Run, query: Float[Array, "r t f"]) -> Float[Array, "n c f"]:
    """The queries of a run, block by block; past the last query there are zeros."""
    r, t, f = query.shape
    stop = run.start + run.size * run.count
    cut = query[:, run.start : min(stop, t)]
    if stop > t:
        cut = jnp.pad(cut, [(0, 0), (0, stop - t), (0, 0)])
    cut = cut.reshape(r, run.count, run.size, f).swapaxes(0, 1)
    return cut.reshape(run.count, r * run.size, f)


def queries_of(run: Run, part: Float[Array, "n c f"], r: int, t: int) -> Float[Array, "r u f"]:
    """Returns the results of the blocks of a run as rows of queries."""
    n, _, f = part.shape
    part = part.reshape(n, r, run.size, f).swapaxes(0, 1)
    return part.reshape(r, n * run.size, f)[:, : t - run.start]


def slabs(array: Float[Array, "s f"], run: Run) -> Float[Array, "n w f"]:
    """Rows `key_start + i key_step` to `width` further, for each block i; zero past the ends.

    Neighbouring pieces are laid side by side, whose derivative is a sum of as many: that of a
    gather or of a slice that moves would visit the whole array for each block.
    """
    step, count = run.key_step, run.count
    pieces = -(-run.width // step)
    padded = _pad(array, run, axis=0, length=(count - 1 + pieces) * step)
    cut = padded.reshape(count - 1 + pieces, step, *array.shape[1:])
    joined = jnp.concatenate([cut[i : i + count] for i in range(pieces)], axis=1)
    return joined[:, : run.width]


def pairs_of_run(array: Any, run: Run, t: int, s: int) -> tuple[Any, bool]:
    """Bias or mask [r t s] for a run, and whether it is one a block, [n r c w], or one for all."""
    if array is None:
        return None, False
    own_rows, own_keys = array.shape[1] == t and t > 1, array.shape[2] == s and s > 1
    if own_rows:
        stop = run.start + run.size * run.count
        cut = array[:, run.start : min(stop, t)]
        cut = jnp.pad(cut, [(0, 0), (0, max(stop - t, 0)), (0, 0)])
        array = cut.reshape(len(array), run.count, run.size, -1 if cut.size else cut.shape[2])
        array = jnp.moveaxis(array, 1, 0)
    if not own_keys:
        return array, own_rows
    if not run.key_step:
        stop = run.key_start + run.width
        return lax.slice_in_dim(array, run.key_start, stop, axis=array.ndim - 1), own_rows
    length = (run.count - 1) * run.key_step + run.width
    padded = _pad(array, run, axis=array.ndim - 1, length=length)
    starts = jnp.arange(run.count) * run.key_step
    cut = lambda one, start: lax.dynamic_slice_in_dim(one, start, run.width, axis=-1)
    return jax.vmap(cut, (0 if own_rows else None, 0))(padded, starts), True


def _pad(array: Any, run: Run, axis: int, length: int) -> Any:
    """The part of `array` from `key_start` on, with zeros where it has none."""
    size = array.shape[axis]
    first, last = max(run.key_start, 0), min(max(run.key_start + length, 0), size)
    cut = lax.slice_in_dim(array, min(first, size), max(last, min(first, size)), axis=axis)
    front = min(max(-run.key_start, 0), length)
    pad = [(0, 0)] * array.ndim
    pad[axis] = (front, length - front - cut.shape[axis])
    return jnp.pad(cut, pad)
