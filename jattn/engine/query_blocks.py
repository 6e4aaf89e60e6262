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
    for blocks in (*several, np.arange(full, len(starts))):
        if not len(blocks):
            continue
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
        parts, structures = zip(
            *(jax.tree.flatten(self._run(run, arrays)) for run in runs), strict=True
        )
        joined = map(partial(jnp.concatenate), zip(*parts, strict=True), self.results)
        return structures[0].unflatten(joined)

    def _run(self, run: Run, arrays: Arrays) -> Any:
        count = len(run.first_keys)
        moves = len(set(run.first_keys)) > 1
        if run.width is not None and not moves:
            arrays = self._cut(arrays, run.first_keys[0], run.width)
        after = run.first_query + count * run.size
        chosen = {
            path: lax.slice_in_dim(arrays[path], run.first_query, after, axis=axis)
            for path, axis in self.queries.items()
        }
        shared = {path: x for path, x in arrays.items() if path not in chosen}
        step = partial(self._block, run.width, moves, shared)
        if count == 1:
            return step((jnp.asarray(run.first_query), jnp.asarray(run.first_keys[0]), chosen))
        starts = jnp.arange(run.first_query, after, run.size)
        split = {path: _split(x, self.queries[path], run.size) for path, x in chosen.items()}
        found = lax.map(step, (starts, jnp.asarray(run.first_keys), split))
        leaves, structure = jax.tree.flatten(found)
        return structure.unflatten(map(_join, leaves, self.results))

    def _block(self, width: int | None, moves: bool, shared: Arrays, chosen: Any) -> Any:
        @partial(jax.checkpoint, prevent_cse=False)
        def block(shared: Arrays, chosen: Any) -> Any:
            # Tied to the queries: JAX would hoist the masks of all blocks out of the loop.
            start, first_key, rows = lax.optimization_barrier(chosen)
            arrays = {**shared, **rows}
            if width is None:
                return self.call(arrays, start, None)
            if moves:
                arrays = self._cut(arrays, first_key, width)
            leaves, structure = jax.tree.flatten(self.call(arrays, start, first_key))
            place = lambda x, axis: x if axis is None else _placed(x, first_key, axis, self.s)
            return structure.unflatten(map(place, leaves, self.columns))

        return block(shared, chosen)

    def _cut(self, arrays: Arrays, first: Any, width: int) -> Arrays:
        cut = lambda path, axis: lax.dynamic_slice_in_dim(arrays[path], first, width, axis)
        return arrays | {path: cut(path, axis) for path, axis in self.keys.items()}


def _placed(part: Any, first: Any, axis: int, size: int) -> Any:
    """Returns `part` among zeros, with `size` entries along the axis."""
    zeros = jnp.zeros((*part.shape[:axis], size, *part.shape[axis + 1 :]), part.dtype)
    return lax.dynamic_update_slice_in_dim(zeros, part, first, axis)


def _split(array: Any, axis: int, size: int) -> Any:
    before, count, after = array.shape[:axis], array.shape[axis] // size, array.shape[axis + 1 :]
    return jnp.moveaxis(array.reshape(*before, count, size, *after), axis, 0)


def _join(blocks: Any, axis: int) -> Any:
    blocks = jnp.moveaxis(blocks, 0, axis)
    before, (count, size), after = (
        blocks.shape[:axis],
        blocks.shape[axis : axis + 2],
        blocks.shape[axis + 2 :],
    )
    return blocks.reshape(*before, count * size, *after)


def over_leading(one: Callable[[Arrays], Any], arrays: Arrays, leading: dict[str, int]) -> Any:
    """Maps over the leading axes by `jax.vmap`, which partitions; arrays may lack them.

    `one` gets the arrays of one element, and `leading` is how many more axes each array has.
    """
    depth = max(leading.values(), default=0)
    if depth == 0:
        return one(arrays)
    own = [path for path, axes in leading.items() if axes == depth]
    size = next((n for n in (arrays[path].shape[0] for path in own) if n != 1), 1)
    mapped = {path: 0 for path in own if arrays[path].shape[0] == size}
    single = {path: arrays[path][0] for path in own if path not in mapped}
    inner = {path: min(axes, depth - 1) for path, axes in leading.items()}
    axes = {path: mapped.get(path) for path in arrays}
    return jax.vmap(lambda x: over_leading(one, x, inner), (axes,))(arrays | single)
