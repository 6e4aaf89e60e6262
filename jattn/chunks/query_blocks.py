"""Blocks of queries: the keys that each gets, and the loop over them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jattn.masks.algebra import Mask
from jattn.masks.spans import spans

Arrays = dict[str, Any]
Columns = Sequence[int | None]  # The axis of keys of each result.
MOST_RUNS = 8  # Each is compiled for itself.


class Run(NamedTuple):
    """Neighbouring blocks of `size` queries, each against `width` keys from its first one on."""

    first_query: int
    size: int
    first_keys: tuple[int, ...]
    width: int | None  # None for all keys.


def runs_of(t: int, size: int, mask: Mask | None = None, s: int = 0) -> tuple[Run, ...]:
    """Returns at most `MOST_RUNS` runs over all queries; the last block may be smaller.

    A mask of queries and `s` keys narrows them; what it shows has to be known before the run.
    """
    starts, full = np.arange(0, max(t, 1), size), t // size
    stops = np.minimum(starts + size, t)
    keys = spans(mask, starts, stops, s)
    several = np.array_split(np.arange(full), MOST_RUNS - (full < len(starts)))
    runs: list[Run] = []
    for blocks in filter(len, (*several, np.arange(full, len(starts)))):
        width = max(1, int((keys.stop - keys.start)[blocks].max()))
        first, first_keys = blocks[0], keys.start[blocks].clip(0, max(s - width, 0)).tolist()
        queries = int(starts[first]), int(stops[first] - starts[first])
        run = Run(*queries, tuple(first_keys), width if width < s else None)
        if runs and (runs[-1].size, runs[-1].width) == (run.size, run.width):
            run = runs.pop()
            run = run._replace(first_keys=(*run.first_keys, *first_keys))
        runs.append(run)
    return tuple(runs)


class Blocks(NamedTuple):
    """A call of one example, divided along the axes of queries and keys of its arrays.

    `call(arrays, start, first_key)` computes the block of queries from `start` on, against keys
    from `first_key` on, or against all keys if that is None.
    """

    call: Callable[[Arrays, Any, Any], Any]
    queries: dict[str, int]
    keys: dict[str, int]
    s: int
    results: list[int]  # The axis of queries of each result.
    columns: Columns

    def all(self, runs: tuple[Run, ...], arrays: Arrays) -> Any:
        """Computes all queries."""
        parts = [jax.tree.flatten(self._run(run, arrays)) for run in runs]
        joined = map(jnp.concatenate, zip(*(leaves for leaves, _ in parts), strict=True))
        return parts[0][1].unflatten(map(_from_first, joined, self.results))

    def _run(self, run: Run, arrays: Arrays) -> Any:
        """Computes a run; the axis of queries of each result comes first."""
        count, moves = len(run.first_keys), len({*run.first_keys}) > 1
        after = run.first_query + count * run.size
        if run.width is not None and not moves:
            arrays = self._cut(arrays, run.first_keys[0], run.width)

        @partial(jax.checkpoint, prevent_cse=False)
        def block(of_block: Any) -> Any:
            # Tied to the queries: JAX would hoist the masks of all blocks out of the loop.
            start, first_key, rows = lax.optimization_barrier(of_block)
            rows = {path: _from_first(x, self.queries[path]) for path, x in rows.items()}
            inputs = self._cut({**arrays, **rows}, first_key, run.width if moves else None)
            result = self.call(inputs, start, None if run.width is None else first_key)
            leaves, structure = jax.tree.flatten(result)
            if run.width is not None:
                leaves = [
                    self._placed(*x, first_key) for x in zip(leaves, self.columns, strict=True)
                ]
            return structure.unflatten(map(_to_first, leaves, self.results))

        def divided(array: Any, axis: int) -> Any:
            rows = lax.slice_in_dim(_to_first(array, axis), run.first_query, after)
            return rows.reshape(count, run.size, *rows.shape[1:])

        split = {path: divided(arrays[path], axis) for path, axis in self.queries.items()}
        starts = run.first_query + run.size * jnp.arange(count)
        blocks = starts, jnp.asarray(run.first_keys), split
        if count == 1:
            return block(jax.tree.map(lambda x: x[0], blocks))
        return jax.tree.map(
            lambda x: x.reshape(count * run.size, *x.shape[2:]), lax.map(block, blocks)
        )

    def _cut(self, arrays: Arrays, first: Any, width: int | None) -> Arrays:
        """Returns the arrays with `width` keys, or all if that is None."""
        if width is None:
            return arrays
        cut = lambda path, axis: lax.dynamic_slice_in_dim(arrays[path], first, width, axis)
        return arrays | {path: cut(path, axis) for path, axis in self.keys.items()}

    def _placed(self, part: Any, axis: int | None, first: Any) -> Any:
        """Returns the part of a result from key `first` on among zeros for all other keys."""
        if axis is None:
            return part
        zeros = jnp.zeros((*part.shape[:axis], self.s, *part.shape[axis + 1 :]), part.dtype)
        return lax.dynamic_update_slice_in_dim(zeros, part, first, axis)


def _to_first(array: Any, axis: int) -> Any:
    return jnp.moveaxis(array, axis, 0)


def _from_first(array: Any, axis: int) -> Any:
    return jnp.moveaxis(array, 0, axis)


def over_leading(one: Callable[[Arrays], Any], arrays: Arrays, leading: dict[str, int]) -> Any:
    """Maps over the leading axes by `jax.vmap`, which partitions; arrays may lack them.

    `one` gets the arrays of one element, and `leading` is how many more axes each array has.
    """
    depth = max(leading.values(), default=0)
    if depth == 0:
        return one(arrays)
    own = {path: arrays[path].shape[0] for path, axes in leading.items() if axes == depth}
    size = next((n for n in own.values() if n != 1), 1)
    axes = {path: 0 if own.get(path) == size else None for path in arrays}
    single = {path: arrays[path][0] for path in own if axes[path] is None}
    inner = {path: min(axes, depth - 1) for path, axes in leading.items()}
    return jax.vmap(lambda x: over_leading(one, x, inner), (axes,))(arrays | single)
