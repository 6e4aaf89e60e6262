"""Computes a row-wise mechanism one block of queries at a time, in linear memory."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jattn._options import Size, check_options, named
from jattn.engine import rowwise
from jattn.engine.loops import again, over_leading
from jattn.engine.rowwise import Arrays
from jattn.masks.algebra import Mask
from jattn.masks.reach import numbers_like, within_reach

Function = TypeVar("Function", bound=Callable[..., Any])
OFFSETS = ("offset", "query_offset")


def in_chunks(function: Function, chunk_size: int, *, positions: Iterable[str] = ()) -> Function:
    """Returns `function` as one that computes `chunk_size` queries at a time, with the same values.

    Memory is O(chunk_size s), forward and backward: the backward pass computes each block again.
    All derivatives, `jax.jit`, `jax.vmap` and `in_chunks` itself work as on any function. Weights
    are concatenated as the context is; where only the context is used, `jax.jit` drops them. A
    projection of the keys and all else that does not depend on the queries is computed once a
    block, so small blocks cost time.

    The function has to be row by row: each row of its result is computed from the same row of its
    arrays along the queries. A function whose rows are seen to depend on other rows is refused, as
    is one whose rows depend on their positions, unless an argument gives these. Rows that are
    shifted or reordered are not noticed.

    Arrays along the queries are those whose annotation has an axis t. Without annotations they are
    the arguments `query`, `mask` and `bias`, and the first axis of each result. Masks of
    `jattn.masks` are evaluated a block at a time, also inside a `functools.partial`. The arguments
    `offset` and `query_offset` are positions of the first query, and move with the block.

    Arrays may have leading axes in addition to those of their annotation. They broadcast as NumPy's
    do, are looped over, one element at a time, and the results have them too. Arrays without them,
    and masks of `jattn.masks`, are shared.

    Args:
        positions: names of further arguments that are the position of the first query. A function
            for which they are named is trusted to read positions from its arguments alone.

    Raises:
        ValueError: if chunk_size is not positive, a name is none of the function's arguments, or
            `function` has no argument along the queries, has leading axes of its own, is not row
            by row, or returns an array without an axis of queries.
    """
    with named("in_chunks"):
        check_options({"chunk_size": Size}, {"chunk_size": chunk_size})
    if isinstance(function, functools.partial):
        inner = in_chunks(function.func, chunk_size, positions=positions)
        return functools.partial(inner, *function.args, **function.keywords)  # type: ignore
    signature, forms = inspect.signature(function), rowwise.forms_by_path(function)
    trusted = rowwise.names_of_positions(function, positions)
    moving = {*OFFSETS, *trusted}

    @functools.wraps(function)
    def chunked(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = rowwise.arrays_of(function, forms, bound.arguments)

        def call(arrays: Arrays, start: Any = None) -> Any:
            """`function` of all queries, or of a block of them that begins at `start`."""
            arguments = rowwise.with_arrays(bound.arguments, arrays)
            if start is not None:
                arguments = {name: _moved(name, x, start, moving) for name, x in arguments.items()}
            block = inspect.BoundArguments(signature, arguments)  # type: ignore[arg-type]
            return function(*block.args, **block.kwargs)

        # Shapes alone: what `function` refuses is refused here, in terms of all queries.
        whole = {
            path: jax.ShapeDtypeStruct(x.array.shape[x.leading :], x.array.dtype)
            for path, x in given.items()
        }
        output = jax.eval_shape(call, whole)
        t = rowwise.count_of_queries(function, given)
        along = {path: x.along for path, x in given.items() if x.along is not None}
        results = rowwise.axes_of_results(function, output, t)
        rowwise.check_rows(function, call, whole, along, bound.arguments, trusts=bool(trusted))
        blocks = Blocks(call, along, results, t, chunk_size)
        leading = {path: x.leading for path, x in given.items()}
        return over_leading(blocks.run, {path: x.array for path, x in given.items()}, leading)

    chunked.positions = trusted  # type: ignore[attr-defined]  # For chunks of chunks.
    return chunked  # type: ignore[return-value]


class Blocks(NamedTuple):
    """Call of one example, divided along the axes of queries of its arrays and results."""

    call: Callable[[Arrays, Any], Any]
    along: dict[str, int]
    results: list[int]
    t: int
    size: int

    def run(self, arrays: Arrays) -> Any:
        """All queries: a loop over full blocks, and the rest as a smaller one."""
        full = self.t - self.t % self.size
        starts, parts = jnp.arange(0, max(self.t, 1), self.size), []
        if full:
            blocks = {path: self._split(arrays[path], axis) for path, axis in self.along.items()}
            inputs = starts[: full // self.size], blocks
            found = lax.map(lambda x: self._block(arrays, *x), inputs)
            leaves, structure = jax.tree.flatten(found)
            joined = [self._join(x, axis) for x, axis in zip(leaves, self.results, strict=True)]
            parts.append(jax.tree.unflatten(structure, joined))
        if full < self.t or not parts:
            rest = {
                path: lax.slice_in_dim(arrays[path], full, None, axis=axis)
                for path, axis in self.along.items()
            }
            parts.append(self._block(arrays, starts[-1], rest))
        if len(parts) == 1:
            return parts[0]
        leaves, structures = zip(*map(jax.tree.flatten, parts), strict=True)
        pairs = zip(*leaves, self.results, strict=True)
        return structures[0].unflatten([jnp.concatenate(x, axis) for *x, axis in pairs])

    def _block(self, arrays: Arrays, start: Any, chosen: Arrays) -> Any:
        shared = {path: x for path, x in arrays.items() if path not in chosen}

        def block(start: Any, shared: Arrays, chosen: Arrays) -> Any:
            # Tied to the queries: JAX would hoist the masks of all blocks out of the loop.
            start, chosen = lax.optimization_barrier((start, chosen))
            return self.call({**shared, **chosen}, start)

        return again(block)(start, shared, chosen)

    def _split(self, array: Any, axis: int) -> Any:
        array = lax.slice_in_dim(array, 0, self.t - self.t % self.size, axis=axis)
        before, after = array.shape[:axis], array.shape[axis + 1 :]
        return jnp.moveaxis(array.reshape(*before, self.t // self.size, self.size, *after), axis, 0)

    def _join(self, blocks: Any, axis: int) -> Any:
        blocks = jnp.moveaxis(blocks, 0, axis)
        before, after = blocks.shape[:axis], blocks.shape[axis + 2 :]
        return blocks.reshape(*before, self.t - self.t % self.size, *after)


class Later(NamedTuple):
    """Rule of a mask whose first query is the one at `start`."""

    structure: Any

    def __call__(self, queries: Any, keys: Any, start: Any, *leaves: Any) -> Any:
        return self.structure.unflatten(leaves).at(queries + start, keys)


def _moved(name: str, value: Any, start: Any, positions: set[str]) -> Any:
    """An argument as it is for the block of queries that begins at `start`."""
    if isinstance(value, functools.partial):
        keywords = {n: _moved(n, x, start, positions) for n, x in value.keywords.items()}
        arguments = [_moved("", x, start, positions) for x in value.args]
        return type(value)(value.func, *arguments, **keywords)
    if name in positions:
        return start + numbers_like(start, (jnp.asarray(within_reach(value)),))[0]
    is_mask = lambda x: isinstance(x, Mask)
    return jax.tree.map(lambda x: _later(x, start) if is_mask(x) else x, value, is_leaf=is_mask)


def _later(mask: Mask, start: Any) -> Mask:
    # As leaves, since lengths and sizes of all queries are not those of a block.
    leaves, structure = jax.tree.flatten(mask)
    return Mask(Later(structure), (start, *leaves), (None, mask.sizes[1]))
