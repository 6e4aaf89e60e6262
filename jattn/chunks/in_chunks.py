"""Computes a row-wise mechanism one block of queries at a time, in linear memory."""

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from enum import Enum
from types import FunctionType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jattn._options import Size, check_options, named
from jattn.chunks.hidden_keys import axes_of_keys, row_map
from jattn.chunks.query_blocks import Arrays, Blocks, Columns, Run, over_leading, runs_of
from jattn.chunks.row_by_row import complaint_of
from jattn.chunks.rowwise import (
    Given,
    axes_of_results,
    forms_of,
    given_to,
    name_of,
    names_of_positions,
    with_arrays,
)
from jattn.masks.algebra import Mask
from jattn.masks.reach import numbers_like, within_reach
from jattn.normalizers import softmax

Function = TypeVar("Function", bound=Callable[..., Any])
OFFSETS = ("offset", "query_offset")
ARRAYS = jax.Array | np.ndarray


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

    Blocks of keys that such a mask hides from a block of queries are skipped if the numbers in the
    mask are known before the run, arrays along the keys are annotated with an axis s, and the
    function's operations show that hidden keys change nothing. All other functions get every key.
    Rules of `jax.custom_jvp` and `jax.custom_vjp` are taken to be derivatives of their functions.

    Arrays may have leading axes in addition to those of their annotation. They broadcast as NumPy's
    do, are mapped by `jax.vmap`, and the results have them too. Arrays without them, and masks of
    `jattn.masks`, are shared.

    Eager calls of a module's function are compiled once for all arrays of the same shapes, as by
    `jax.jit`, so the function has to be pure. Other closures are compiled at every call.

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
    trusted = names_of_positions(function, positions)
    make = _of_module if _is_of_module(function) else Chunks
    chunks = make(function, int(chunk_size), trusted)

    @functools.wraps(function)
    def chunked(*args, **kwargs):
        return chunks(*args, **kwargs)

    chunked.positions = trusted  # type: ignore[attr-defined]  # For chunks of chunks.
    return chunked  # type: ignore[return-value]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Option:
    """An argument, or a part of one, that is no array; equal numbers of two types are different."""

    kind: type
    value: Any


class Chunks:
    """A function as one that computes blocks of `size` queries, with its compiled calls."""

    def __init__(self, function: Callable[..., Any], size: int, trusted: frozenset[str]):
        self.function, self.size, self.trusted = function, size, trusted
        self.signature, self.forms = inspect.signature(function), forms_of(function)
        self.positions, self.is_constant = {*OFFSETS, *trusted}, _is_constant(function)
        self.given = functools.partial(given_to, function, self.forms)
        self.compiled = jax.jit(self.compute, static_argnums=0, inline=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # Shapes alone: what `function` refuses is refused here, in terms of all queries.
        given = self.given(bound.arguments)
        jax.eval_shape(functools.partial(self.block, bound.arguments), given.shapes)
        tree = {name: self._as_tree(name, x) for name, x in bound.arguments.items()}
        leaves = jax.tree.leaves(tree)
        runs = self._runs(given, bound.arguments, any(isinstance(x, Tracer) for x in leaves))
        is_constant = all(isinstance(x, ARRAYS) or _is_constant(x) for x in leaves)
        compute = self.compiled if is_constant and self.is_constant else self.compute
        fixed = lambda x: x if isinstance(x, ARRAYS) else Option(type(x), x)
        return compute(runs, jax.tree.map(fixed, tree))

    def compute(self, runs: tuple[Run, ...], tree: Arrays) -> Any:
        """Computes all queries of a call from its arguments."""
        is_option = lambda x: isinstance(x, Option)
        arguments = jax.tree.map(lambda x: x.value if is_option(x) else x, tree, is_leaf=is_option)
        given, call = self.given(arguments), functools.partial(self.block, arguments)
        t, queries, keys = given.queries, given.along("t"), given.along("s")
        results = axes_of_results(self.function, jax.eval_shape(call, given.shapes), t)
        complaint = complaint_of(call, given.shapes, queries, arguments, bool(self.trusted))
        if complaint:
            raise ValueError(f"in_chunks: {name_of(self.function)} {complaint}")
        columns = None
        if any(run.width is not None for run in runs):
            columns = self._columns(arguments, given)
            runs = runs if columns else runs_of(t, self.size)
        blocks = Blocks(call, queries, keys, given.keys or 0, results, columns or [])
        return over_leading(functools.partial(blocks.all, runs), given.arrays, given.leading)

    def block(
        self, arguments: Arrays, arrays: Arrays, start: Any = None, first_key: Any = None
    ) -> Any:
        """Calls the function with all queries, or with the block of them that begins at `start`."""
        arguments = with_arrays(arguments, arrays)
        if start is not None:
            moved = functools.partial(_moved, self.positions, (start, first_key))
            arguments = {name: moved(name, x) for name, x in arguments.items()}
        bound = inspect.BoundArguments(self.signature, arguments)  # type: ignore[arg-type]
        return self.function(*bound.args, **bound.kwargs)

    def _as_tree(self, name: str, value: Any) -> Any:
        """Returns an argument with every array in it as a leaf; positions become arrays."""
        if isinstance(value, functools.partial) and _is_constant(value.func):
            arguments = [self._as_tree("", x) for x in value.args]
            keywords = {n: self._as_tree(n, x) for n, x in value.keywords.items()}
            return jax.tree_util.Partial(value.func, *arguments, **keywords)
        if name in self.positions and isinstance(value, int | np.integer):
            return jnp.asarray(within_reach(value))
        if isinstance(value, np.ndarray) and value.ndim == 0:
            return value[()]  # Static, since it may be read as a Python integer.
        return value

    def _mask(self, arguments: Arrays) -> str | None:
        """Returns the name of the only mask of a call, if it is one of queries and keys."""
        names = [name for name, x in arguments.items() if isinstance(x, Mask)]
        is_of_pairs = len(names) == 1 and ("t", "s") in self.forms.get(names[0], ())
        return names[0] if is_of_pairs else None

    def _runs(self, given: Given, arguments: Arrays, is_traced: bool) -> tuple[Run, ...]:
        t, s, name = given.queries, given.keys, self._mask(arguments)
        if name is None or s is None:
            return runs_of(t, self.size)
        # Numbers in arrays are not read, since other numbers would make another program.
        is_known = lambda x: is_traced and isinstance(x, np.ndarray) and x.ndim > 0
        known = jax.tree.map(lambda x: x if is_known(x) else UNKNOWN, arguments[name])
        return runs_of(t, self.size, known, s)

    def _columns(self, arguments: Arrays, given: Given) -> Columns | None:
        """Returns the axis of keys of each result; None if blocks have to get every key."""
        name = self._mask(arguments)
        assert name is not None
        row_maps = {
            name: row_map
            for name, x in arguments.items()
            if _is_of_module(x) and x.__module__ == softmax.__module__
        }
        call = functools.partial(self.block, arguments | row_maps)
        seen = jax.ShapeDtypeStruct((given.queries, given.keys), bool)
        keys = given.along("s") | {name: 1}
        return axes_of_keys(call, given.shapes | {name: seen}, keys, arguments, name)


_of_module = functools.cache(Chunks)
UNKNOWN = object()


def _is_of_module(function: Any) -> bool:
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    is_named = getattr(module, getattr(function, "__name__", ""), None) is function
    return callable(function) and is_named


def _is_constant(option: Any) -> bool:
    """Returns whether calls with equal options may share a program: it holds no array."""
    if callable(option):
        has_cells = not isinstance(option, FunctionType) or option.__closure__
        return isinstance(option, type) or _is_of_module(option) or not has_cells
    return isinstance(option, str | int | float | complex | np.generic | np.dtype | Enum)


def _later(queries: Any, keys: Any, at: Any, start: Any, first_key: Any) -> Any:
    """Rule of a mask whose first query and first key are those at `start` and `first_key`."""
    return at(queries + start, keys if first_key is None else keys + first_key)


def _moved(positions: set[str], starts: tuple[Any, Any], name: str, value: Any) -> Any:
    """Returns an argument as it is for the block of queries and keys that begins at `starts`."""
    moved = functools.partial(_moved, positions, starts)
    if isinstance(value, functools.partial):
        keywords = {n: moved(n, x) for n, x in value.keywords.items()}
        return type(value)(value.func, *[moved("", x) for x in value.args], **keywords)
    start, first_key = starts
    if name in positions:
        return start + numbers_like(start, (jnp.asarray(within_reach(value)),))[0]

    def later(mask: Any) -> Any:
        if not isinstance(mask, Mask):
            return mask
        # No mask within a mask, since lengths of all queries are not those of a block.
        at = jax.tree_util.Partial(Mask.at, mask)
        sizes = (None, mask.sizes[1] if first_key is None else None)
        return Mask(_later, (at, start, first_key), sizes)

    return jax.tree.map(later, value, is_leaf=lambda x: isinstance(x, Mask))
