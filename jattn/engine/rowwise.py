"""Arrays of a mechanism that have an axis of queries, read from its annotations."""

import inspect
from collections.abc import Callable, Iterable
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np

from jattn._axes import forms_of_arguments
from jattn.engine.row_by_row import complaint_of, unused_sizes

Arrays = dict[str, Any]
Axes = tuple[str, ...]
# What a function without annotations is taken to have.
PLAIN: dict[str, tuple[Axes, ...]] = {"query": (("t", "q"),)} | dict.fromkeys(
    ("mask", "bias"), (("t", "s"), ("h", "t", "s"))
)


class Given(NamedTuple):
    """An array of a call: how many leading axes it has, and the names of the others."""

    array: Any
    leading: int
    axes: Axes


def forms_by_path(function: Callable[..., Any]) -> dict[str, tuple[Axes, ...]]:
    """Returns the axes that each argument, or `argument.field`, may have.

    Raises:
        ValueError: if no argument goes along the queries, or one has any number of leading axes
            or goes along them twice.
    """
    forms = {
        path: tuple(form.axes for form in options)
        for path, options in forms_of_arguments(function).items()
    }
    if not forms:
        names = inspect.signature(function).parameters
        forms = {name: axes for name, axes in PLAIN.items() if name in names}
    axes = {axis for options in forms.values() for form in options for axis in form}
    if any(axis.startswith("*") for axis in axes):
        raise ValueError(f"in_chunks: {_name(function)} has leading axes and chunks of its own")
    if "t" not in axes:
        raise ValueError(f"in_chunks: {_name(function)} has no argument along the queries (axis t)")
    for path, options in forms.items():
        for form in options:
            if form.count("t") > 1:
                raise ValueError(
                    f"in_chunks: {_name(function)} is not row by row: {path} is ({', '.join(form)})"
                )
    return forms


def names_of_positions(function: Callable[..., Any], positions: Iterable[str]) -> frozenset[str]:
    """Returns the names that a caller gave, or one of the function's own if it is chunked already.

    Raises:
        ValueError: if one is not the name of an argument.
    """
    names = frozenset([positions] if isinstance(positions, str) else positions)
    missing = sorted(names - set(inspect.signature(function).parameters))
    if missing:
        raise ValueError(
            f"in_chunks: positions are {missing}, expected arguments of {_name(function)}"
        )
    return names | getattr(function, "positions", frozenset())


def check_rows(
    function: Callable[..., Any],
    call: Callable[..., Any],
    shapes: Arrays,
    along: dict[str, int],
    arguments: dict[str, Any],
    trusts: bool,
) -> None:
    """Raises ValueError if a row of the result is seen to depend on more than its own row.

    `trusts` is whether the rows' positions are known to come from arguments.
    """
    complaint = complaint_of(call, shapes, along, unused_sizes(60, shapes, arguments), trusts)
    if complaint:
        raise ValueError(f"in_chunks: {_name(function)} {complaint}")


def shapes_of(given: dict[str, Given]) -> Arrays:
    """Returns the shapes of the arrays of one element of the leading axes."""
    struct = lambda x: jax.ShapeDtypeStruct(x.array.shape[x.leading :], x.array.dtype)
    return {path: struct(x) for path, x in given.items()}


def axes_along(given: dict[str, Given], name: str) -> dict[str, int]:
    """Returns the axis of that name of the arrays that have it."""
    return {path: x.axes.index(name) for path, x in given.items() if name in x.axes}


def _sizes_along(given: dict[str, Given], name: str) -> dict[str, int]:
    shapes = shapes_of(given)
    return {path: shapes[path].shape[axis] for path, axis in axes_along(given, name).items()}


def arrays_of(
    function: Callable[..., Any], forms: dict[str, tuple[Axes, ...]], arguments: dict[str, Any]
) -> dict[str, Given]:
    """Returns the arrays along queries or keys, and all others that have leading axes.

    Raises:
        ValueError: if leading axes do not broadcast.
    """
    found = {}
    for path, options in forms.items():
        name, _, field = path.partition(".")
        value: Any = arguments.get(name)
        value = getattr(value, field, None) if field else value
        if value is None or not hasattr(value, "dtype"):
            continue
        # Of two forms the one that fits; with leading axes it is the one that explains the most.
        sizes = [len(axes) for axes in options if len(axes) <= np.ndim(value)]
        if not sizes:  # The function says what is wrong with it.
            continue
        axes = next(axes for axes in options if len(axes) == max(sizes))
        leading = np.ndim(value) - len(axes)
        if leading or {"t", "s"} & {*axes}:
            found[path] = Given(jnp.asarray(value), leading, axes)
    try:
        jnp.broadcast_shapes(*(x.array.shape[: x.leading] for x in found.values()))
    except ValueError:
        shapes = {path: x.array.shape[: x.leading] for path, x in found.items() if x.leading}
        raise ValueError(f"{_name(function)}: leading axes do not broadcast: {shapes}") from None
    return found


def with_arrays(arguments: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Returns the arguments with those of some paths replaced."""
    given = dict(arguments)
    for path, array in arrays.items():
        name, _, field = path.partition(".")
        given[name] = given[name]._replace(**{field: array}) if field else array
    return given


def count_of_queries(function: Callable[..., Any], given: dict[str, Given]) -> int:
    """Returns the number of queries, which is the same in all arrays along them."""
    counts = _sizes_along(given, "t")
    if len({*counts.values()}) != 1:
        raise ValueError(f"{_name(function)}: arrays have these numbers of queries: {counts}")
    return next(iter(counts.values()))


def count_of_keys(given: dict[str, Given]) -> int | None:
    """Returns the number of keys, None if no array or two arrays tell."""
    counts = {*_sizes_along(given, "s").values()}
    return counts.pop() if len(counts) == 1 else None


def axes_of_results(function: Callable[..., Any], output: Any, t: int) -> list[int]:
    """Returns the axis of queries of each leaf of `output`, a result for `t` queries.

    Raises:
        ValueError: if one of them has none.
    """
    hint = get_type_hints(function).get("return")
    fields = get_type_hints(hint) if hasattr(hint, "_fields") else {"": hint}
    found = []
    for field, hint in fields.items():
        part = getattr(output, field) if field else output
        axes = _axes_of(hint)
        for leaf in jax.tree.leaves(part):
            axis = 0 if axes is None else axes.index("t") if "t" in axes else None
            if axis is None or leaf.ndim <= axis or leaf.shape[axis] != t:
                raise ValueError(
                    f"in_chunks: {_name(function)} returns {field or 'an array'} of shape"
                    f" {leaf.shape}, expected an axis of t={t} queries"
                )
            found.append(axis)
    return found


def _axes_of(hint: Any) -> Axes | None:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return next((tuple(x.dim_str.split()) for x in options if hasattr(x, "dim_str")), None)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
