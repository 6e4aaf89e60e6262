"""Named axes: read from annotations, checked at the call."""

import functools
import inspect
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from jattn._options import check_dtype, check_options, is_old_key, named

Function = TypeVar("Function", bound=Callable[..., Any])


class Form(NamedTuple):
    """One way in which an array may be given: its axes and the dtypes that are allowed."""

    axes: tuple[str, ...]
    dtypes: tuple[str, ...]
    optional: bool


def named_axes(function: Function) -> Function:
    """Makes `function` raise ValueError when its arguments disagree about a named axis.

    Axes come from the annotations (`Float[Array, "t q"]`), also those of a NamedTuple's fields
    (`params.query_weight`). A digit is a fixed size and `q+k` the sum of two named ones. Only
    shapes and dtypes are read, so under `jax.jit` the check costs nothing after tracing. Options
    are checked by their annotations too: `check_options`.
    """
    signature = inspect.signature(function)
    forms_of = functools.cache(lambda: forms_of_arguments(function))
    several = [n for n, p in signature.parameters.items() if p.kind is p.VAR_POSITIONAL]
    hints_of = functools.cache(lambda: get_type_hints(function, include_extras=True))

    @functools.wraps(function)
    def checked(*args, **kwargs):
        arguments = signature.bind(*args, **kwargs).arguments
        _check(function.__name__, forms_of(), arguments)
        with named(function.__name__):
            for name in several:
                for value in arguments.pop(name, ()):
                    check_options(hints_of(), {name: value})
            check_options(hints_of(), arguments)
        return function(*args, **kwargs)

    return checked  # type: ignore[return-value]


def forms_of_arguments(function: Callable[..., Any]) -> dict[str, tuple[Form, ...]]:
    """Maps each array argument, or `argument.field` of a NamedTuple, to the forms it may take."""
    forms: dict[str, tuple[Form, ...]] = {}
    for name, hint in get_type_hints(function).items():
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        optional = type(None) in options
        arrays = tuple(
            Form(tuple(option.dim_str.split()), tuple(option.dtypes), optional)
            for option in options
            if hasattr(option, "dim_str")
        )
        if arrays and name != "return":
            forms[name] = arrays
        for option in options:
            if hasattr(option, "_fields") and name != "return":
                for field, options_of_field in forms_of_arguments(option).items():
                    forms[f"{name}.{field}"] = tuple(
                        form._replace(optional=form.optional or optional)
                        for form in options_of_field
                    )
    return forms


def _check(function: str, forms: dict[str, tuple[Form, ...]], arguments: dict[str, Any]) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    given = [(path, forms[path], value) for path, value in _values(function, forms, arguments)]
    for sums in (False, True):  # A sum such as q+k is known only once its parts are.
        for path, options, value in given:
            if sums != any("+" in axis for axis in options[0].axes):
                continue
            shape = _shape(value)
            if is_old_key(value) and "prng_key" in options[0].dtypes:
                continue
            if not any(_fits(form.axes, shape, sizes, path) for form in options):
                expected = " or ".join(f"({', '.join(form.axes)})" for form in options)
                raise ValueError(
                    f"{function}: {path} has shape {tuple(shape)}, expected {expected}"
                    + _known(path, options, sizes)
                )
            allowed = [name for form in options for name in form.dtypes]
            check_dtype(f"{function}: {path}", allowed, value)


def _values(function: str, forms: dict, arguments: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for path in forms:
        name, _, field = path.partition(".")
        value = arguments.get(name)
        if value is not None and field:
            try:
                for part in field.split("."):
                    value = None if value is None else getattr(value, part)
            except AttributeError:
                raise ValueError(
                    f"{function}: {name} is a {type(value).__name__}, expected fields "
                    + ", ".join(p.partition(".")[2] for p in forms if p.startswith(f"{name}."))
                ) from None
        if isinstance(value, list | tuple | str | dict):
            raise ValueError(f"{function}: {path} is a {type(value).__name__}, expected an array")
        if value is not None:
            yield path, value
        elif not forms[path][0].optional and name in arguments:
            raise ValueError(f"{function}: {path} is None, expected an array")


def _shape(value: Any) -> tuple[int | None, ...]:
    """The shape of an array, or the sizes that a mask fixes (None where any size will do)."""
    return value.sizes if hasattr(value, "sizes") else np.shape(value)


def _fits(axes: tuple[str, ...], shape: tuple, sizes: dict, path: str) -> bool:
    if axes == ("...",):
        return True
    if len(axes) != len(shape):
        return False
    for axis, size in zip(axes, shape, strict=True):
        parts = axis.split("+")
        if size is None or (len(parts) > 1 and not all(part in sizes for part in parts)):
            continue
        if len(parts) > 1:
            wanted = sum(sizes[part][0] for part in parts)
        elif axis.isdigit():
            wanted = int(axis)
        else:
            wanted = sizes.setdefault(axis, (size, path))[0]
        if size != wanted:
            return False
    return True


def _known(path: str, options: tuple[Form, ...], sizes: dict) -> str:
    axes = dict.fromkeys(part for form in options for axis in form.axes for part in axis.split("+"))
    sources = [(axis, *sizes[axis]) for axis in axes if axis in sizes]
    known = [f"{axis}={size} (from {source})" for axis, size, source in sources if source != path]
    return f" with {', '.join(known)}" if known else ""
