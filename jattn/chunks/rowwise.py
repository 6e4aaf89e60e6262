"""Arrays of a mechanism that have an axis of queries, read from its annotations."""

import inspect
from collections.abc import Callable, Iterable
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np

from jattn._axes import forms_of_arguments

Arrays = dict[str, Any]
Axes = tuple[str, ...]
Forms = dict[str, tuple[Axes, ...]]  # The axes that each argument, or `argument.field`, may have.
# What a function without annotations is taken to have.
PLAIN: Forms = {"query": (("t", "q"),)} | dict.fromkeys(
    ("mask", "bias"), (("t", "s"), ("h", "t", "s"))
)


def name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def forms_of(function: Callable[..., Any]) -> Forms:
    """Returns the axes that the arguments of a function may have.

    Raises:
        ValueError: if no argument goes along the queries, or one has any number of leading axes
            or goes along them twice.
    """
    annotated = forms_of_arguments(function).items()
    forms = {path: tuple(form.axes for form in options) for path, options in annotated}
    if not forms:
        names = inspect.signature(function).parameters
        forms = {name: axes for name, axes in PLAIN.items() if name in names}
    axes = {axis for options in forms.values() for form in options for axis in form}
    twice = [(path, form) for path, x in forms.items() for form in x if form.count("t") > 1]
    if any(axis.startswith("*") for axis in axes):
        complaint = "has leading axes and chunks of its own"
    elif "t" not in axes:
        complaint = "has no argument along the queries (axis t)"
    elif twice:
        complaint = f"is not row by row: {twice[0][0]} is ({', '.join(twice[0][1])})"
    else:
        return forms
    raise ValueError(f"in_chunks: {name_of(function)} {complaint}")


def names_of_positions(function: Callable[..., Any], positions: Iterable[str]) -> frozenset[str]:
    """Returns the names that a caller gave, or one of the function's own if it is chunked already.

    Raises:
        ValueError: if one is not the name of an argument.
    """
    names = frozenset([positions] if isinstance(positions, str) else positions)
    missing = sorted(names - set(inspect.signature(function).parameters))
    if missing:
        raise ValueError(
            f"in_chunks: positions are {missing}, expected arguments of {name_of(function)}"
        )
    return names | getattr(function, "positions", frozenset())


class Given(NamedTuple):
    """Arrays of a call by path, how many leading axes each has, and the names of the others."""

    function: Callable[..., Any]
    arrays: Arrays
    leading: dict[str, int]
    axes: dict[str, Axes]

    @property
    def shapes(self) -> Arrays:
        """Shapes of the arrays of one element of the leading axes."""
        struct = lambda path, x: jax.ShapeDtypeStruct(x.shape[self.leading[path] :], x.dtype)
        return {path: struct(path, x) for path, x in self.arrays.items()}

    def along(self, name: str) -> dict[str, int]:
        """Returns the axis of that name of the arrays that have it."""
        return {path: axes.index(name) for path, axes in self.axes.items() if name in axes}

    def sizes(self, name: str) -> dict[str, int]:
        """Returns the size of the axis of that name of the arrays that have it."""
        return {path: self.shapes[path].shape[axis] for path, axis in self.along(name).items()}

    @property
    def queries(self) -> int:
        """Number of queries; raises ValueError unless it is the same in all arrays along them."""
        counts = self.sizes("t")
        if len({*counts.values()}) != 1:
            name = name_of(self.function)
            raise ValueError(f"{name}: arrays have these numbers of queries: {counts}")
        return next(iter(counts.values()))

    @property
    def keys(self) -> int | None:
        """Number of keys, None if no array or two arrays tell."""
        counts = {*self.sizes("s").values()}
        return counts.pop() if len(counts) == 1 else None


def given_to(function: Callable[..., Any], forms: Forms, arguments: Arrays) -> Given:
    """Returns the arrays along queries or keys, and all others that have leading axes.

    Raises:
        ValueError: if leading axes do not broadcast.
    """
    given = Given(function, {}, {}, {})
    for path, options in forms.items():
        name, _, field = path.partition(".")
        value: Any = arguments.get(name)
        value = getattr(value, field, None) if field else value
        # Of two forms the one that fits; with leading axes it is the one that explains the most.
        fitting = [x for x in options if hasattr(value, "dtype") and len(x) <= np.ndim(value)]
        if not fitting:  # The function says what is wrong with it.
            continue
        axes = max(fitting, key=len)
        leading = np.ndim(value) - len(axes)
        if leading or {"t", "s"} & {*axes}:
            given.arrays[path], given.leading[path] = jnp.asarray(value), leading
            given.axes[path] = axes
    shapes = {path: given.arrays[path].shape[:count] for path, count in given.leading.items()}
    try:
        jnp.broadcast_shapes(*shapes.values())
    except ValueError:
        shapes = {path: shape for path, shape in shapes.items() if shape}
        raise ValueError(f"{name_of(function)}: leading axes do not broadcast: {shapes}") from None
    return given


def with_arrays(arguments: Arrays, arrays: Arrays) -> Arrays:
    """Returns the arguments with those of some paths replaced."""
    replaced = dict(arguments)
    for path, array in arrays.items():
        name, _, field = path.partition(".")
        replaced[name] = replaced[name]._replace(**{field: array}) if field else array
    return replaced


def axes_of_results(function: Callable[..., Any], output: Any, t: int) -> list[int]:
    """Returns the axis of queries of each leaf of `output`, a result for `t` queries.

    Raises:
        ValueError: if one of them has none.
    """
    hint = get_type_hints(function).get("return")
    fields = get_type_hints(hint) if hasattr(hint, "_fields") else {"": hint}
    found = []
    for field, hint in fields.items():
        options: Any = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        axes = next((x.dim_str.split() for x in options if hasattr(x, "dim_str")), ["t"])
        axis = axes.index("t") if "t" in axes else -1
        for leaf in jax.tree.leaves(getattr(output, field) if field else output):
            if axis < 0 or leaf.ndim <= axis or leaf.shape[axis] != t:
                raise ValueError(
                    f"in_chunks: {name_of(function)} returns {field or 'an array'} of shape"
                    f" {leaf.shape}, expected an axis of t={t} queries"
                )
            found.append(axis)
    return found
