"""Any row-wise mechanism, a block of queries at a time: linear memory, and no new derivative."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jattn._options import Size, check_options, named
from jattn.engine import rowwise
from jattn.engine.loops import again, over_leading
from jattn.engine.rowwise import Arrays
from jattn.masks.algebra import Mask

Function = TypeVar("Function", bound=Callable[..., Any])


def in_chunks(function: Function, chunk_size: int) -> Function:
    """Makes `function` compute `chunk_size` queries at a time, with the values that it has.

    Memory is that of one block, O(chunk_size s), forward and backward: the backward pass computes
    each block again. All derivatives, `jax.jit`, `jax.vmap` and `in_chunks` itself work as on any
    function. Weights are put together as the context is; where only the context is used,
    `jax.jit` drops them. What does not depend on the queries, such as a projection of the keys,
    is computed for each block, so that blocks that are too small cost time.

    Which arrays go along the queries is read from the annotations: those with an axis t. Without
    annotations they are the arguments `query`, `mask` and `bias` and the first axis of each
    result. Masks of `jattn.masks` are evaluated a block at a time, and an argument `offset`, the
    position of the first query, moves with the block.

    Arrays may have leading axes beside those of their annotation, which broadcast as NumPy's do,
    and the results have them too. They are looped over, one element at a time, which keeps products
    plain and memory small; whether that or `jax.vmap` is faster depends on the mechanism. Arrays
    without them, and masks of `jattn.masks`, are shared.

    Raises:
        ValueError: if chunk_size is not positive, or `function` has no argument along the queries,
            has leading axes of its own, or returns an array without an axis of queries.
    """
    with named("in_chunks"):
        check_options({"chunk_size": Size}, {"chunk_size": chunk_size})
    if isinstance(function, functools.partial):
        inner = in_chunks(function.func, chunk_size)
        return functools.partial(inner, *function.args, **function.keywords)  # type: ignore
    signature, forms = inspect.signature(function), rowwise.forms_by_path(function)

    @functools.wraps(function)
    def chunked(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = rowwise.arrays_of(function, forms, bound.arguments)

        def call(arrays: Arrays, start: Any = None) -> Any:
            """`function` of all queries, or of a block of them that begins at `start`."""
            arguments = rowwise.with_arrays(bound.arguments, arrays)
            if start is not None:
                arguments = {name: _moved(name, x, start) for name, x in arguments.items()}
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
        blocks = Blocks(call, along, rowwise.axes_of_results(function, output, t), t, chunk_size)
        leading = {path: x.leading for path, x in given.items()}
        return over_leading(blocks.run, {path: x.array for path, x in given.items()}, leading)

    return chunked  # type: ignore[return-value]


class Blocks(NamedTuple):
    """A call of one example, cut along the axes of queries of its arrays and results."""

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
            # Tied to the queries, since JAX takes out of a loop what does not depend on its input:
            # the masks of all blocks would be made, and kept, at once.
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
    """The rule of a mask whose first query is the one at `start`."""

    structure: Any

    def __call__(self, queries: Any, keys: Any, start: Any, *leaves: Any) -> Any:
        return self.structure.unflatten(leaves).at(queries + start, keys)


def _moved(name: str, value: Any, start: Any) -> Any:
    if isinstance(value, Mask):
        # As leaves, since lengths and sizes of all queries are not those of a block.
        leaves, structure = jax.tree.flatten(value)
        return Mask(Later(structure), (start, *leaves), (None, value.sizes[1]))
    return value + start if name == "offset" else value
