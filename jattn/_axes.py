"""Checks of named axes, which are read from annotations, at every call of a function."""

import functools
import inspect
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from jattn._options import check_array, check_dtype, check_options, is_old_key, named
from jattn._sharding import check_whole

Function = TypeVar("Function", bound=Callable[..., Any])

KEYS = ("key", "value", "memory")  # Arguments that attention reads as a whole.


_MISSING = object()


class SignatureError(TypeError, ValueError):
    """An argument that a function does not have, or one that is missing.

    It is a TypeError as Python's own, and a ValueError as every other refused argument.
    """


class Form(NamedTuple):
    """One way in which an array may be given: its axes and the dtypes that are allowed."""

    axes: tuple[str, ...]
    dtypes: tuple[str, ...]
    optional: bool


class Record(NamedTuple):
    """An argument, or a field of one, that holds arrays in named fields."""

    classes: tuple[type, ...]
    optional: bool


def named_axes(function: Function) -> Function:
    """Makes `function` raise ValueError when its arguments disagree about a named axis.

    Axes come from the annotations (`Float[Array, "t q"]`), also those of a NamedTuple's fields
    (`params.query_weight`). A digit is a fixed size, `q+k` the sum of two named ones, and `*b` in
    front, or `*i` at the end, any number of axes. Only shapes and dtypes are read, so under
    `jax.jit` the check costs nothing after tracing. Options are checked by their annotations too
    (`check_options`), and so are classes of parameters and unknown arguments.
    """
    return _checked(function, fields=True)


def named_arguments(function: Function) -> Function:
    """Makes `function` raise ValueError as `named_axes` does, but not for fields of parameters.

    It is for a function whose parameters are those of several others: each of them names the axes
    of its own part.
    """
    return _checked(function, fields=False)


def _checked(function: Function, *, fields: bool) -> Function:
    signature = inspect.signature(function)
    forms_of = functools.cache(
        lambda: {p: x for p, x in forms_of_arguments(function).items() if fields or "." not in p}
    )
    records_of = functools.cache(lambda: records_of_arguments(function))
    starred = [n for n, p in signature.parameters.items() if p.kind is p.VAR_POSITIONAL]
    hints_of = functools.cache(lambda: get_type_hints(function, include_extras=True))

    @functools.wraps(function)
    def checked(*args, **kwargs):
        name = function.__name__
        arguments = _bind(name, signature, args, kwargs)
        for path, record in records_of().items():
            _check_record(name, path, record, arguments)
        _check(name, forms_of(), arguments)
        with named(name):
            for argument in starred:
                for value in arguments.pop(argument, ()):
                    check_options(hints_of(), {argument: value})
            check_options(hints_of(), arguments)
        return function(*args, **kwargs)

    return checked  # type: ignore[return-value]


def forms_of_arguments(function: Callable[..., Any]) -> dict[str, tuple[Form, ...]]:
    """Maps each array argument, or `argument.field` of a NamedTuple, to the forms it may take."""
    forms: dict[str, tuple[Form, ...]] = {}
    for name, options, optional in _choices(function):
        arrays = tuple(
            Form(tuple(option.dim_str.split()), tuple(option.dtypes), optional)
            for option in options
            if hasattr(option, "dim_str")
        )
        if arrays:
            forms[name] = arrays
        for option in options:
            if hasattr(option, "_fields"):
                for field, options_of_field in forms_of_arguments(option).items():
                    forms[f"{name}.{field}"] = tuple(
                        form._replace(optional=form.optional or optional)
                        for form in options_of_field
                    )
    return forms


def records_of_arguments(function: Callable[..., Any]) -> dict[str, Record]:
    """Maps each argument, or `argument.field`, that is a NamedTuple to the classes it may have."""
    records: dict[str, Record] = {}
    for name, options, optional in _choices(function):
        classes = tuple(option for option in options if hasattr(option, "_fields"))
        if classes and len(classes) == len([x for x in options if x is not type(None)]):
            records[name] = Record(classes, optional)
            for one_class in classes:
                for field, record in records_of_arguments(one_class).items():
                    records[f"{name}.{field}"] = record
    return records


def _choices(function: Callable[..., Any]) -> Iterator[tuple[str, tuple[Any, ...], bool]]:
    """Yields each argument (or field), the choices of its annotation, and whether None is one."""
    for name, hint in get_type_hints(function).items():
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if name != "return":
            yield name, options, type(None) in options


def _bind(function: str, signature: inspect.Signature, args: Any, kwargs: Any) -> dict[str, Any]:
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        complaint = str(error)
        unknown = [name for name in kwargs if name not in signature.parameters]
        if unknown:
            complaint = f"unexpected argument {unknown[0]}"
        expected = ", ".join(signature.parameters)
        raise SignatureError(f"{function}: {complaint}, expected {expected}") from None


def _check_record(function: str, path: str, record: Record, arguments: dict[str, Any]) -> None:
    name, *fields = path.split(".")
    if name not in arguments:
        return
    value = arguments[name]
    for field in fields:
        value = getattr(value, field, None)
    if isinstance(value, record.classes) or (value is None and (record.optional or fields)):
        return
    kind = "None" if value is None else f"a {type(value).__name__}"
    expected = " or ".join(
        f"{one_class.__name__} with fields {', '.join(one_class._fields)}"  # type: ignore[attr-defined]
        for one_class in record.classes
    )
    raise ValueError(f"{function}: {path} is {kind}, expected {expected}")


def _check(function: str, forms: dict[str, tuple[Form, ...]], arguments: dict[str, Any]) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    arrays = [(path, forms[path], value) for path, value in _values(function, forms, arguments)]
    for sums in (False, True):  # A sum such as q+k is known only once its parts are.
        for path, options, value in arrays:
            if sums != any("+" in axis for axis in options[0].axes):
                continue
            shape = _shape(value)
            if is_old_key(value) and "prng_key" in options[0].dtypes:
                continue
            if not any(_fits(form.axes, shape, sizes, path) for form in options):
                expected = " or ".join(f"({', '.join(form.axes)})" for form in options)
                raise ValueError(
                    f"{function}: {path} has shape {tuple(shape)}, expected {expected}"
                    + _sources(path, options, sizes)
                )
            allowed = [name for form in options for name in form.dtypes]
            if not hasattr(value, "sizes"):
                check_dtype(f"{function}: {path}", allowed, value)
            if path in KEYS and "s" in (axes := options[0].axes):
                check_whole(f"{function}: {path}", value, axes.index("s") - len(axes), "s")


def _values(function: str, forms: dict, arguments: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for path in forms:
        name, *fields = path.split(".")
        value = arguments.get(name)
        for field in fields:
            value = None if value is None else getattr(value, field, _MISSING)
        if value is _MISSING:  # A class of one's own, or one of several, may lack the field.
            continue
        if isinstance(value, list | tuple | str | dict):
            raise ValueError(f"{function}: {path} is a {type(value).__name__}, expected an array")
        if value is not None:
            check_array(f"{function}: {path}", value)
            yield path, value
        elif not forms[path][0].optional and name in arguments:
            raise ValueError(f"{function}: {path} is None, expected an array")


def _shape(value: Any) -> tuple[int | None, ...]:
    """Returns the shape of an array, or a mask's sizes, None where any size is allowed."""
    return value.sizes if hasattr(value, "sizes") else np.shape(value)


def _fits(axes: tuple[str, ...], shape: tuple, sizes: dict, path: str) -> bool:
    if axes == ("...",):
        return True
    if axes and axes[0].startswith("*") and len(shape) >= len(axes) - 1:
        axes, shape = axes[1:], shape[len(shape) - len(axes) + 1 :]
    elif axes and axes[-1].startswith("*") and len(shape) >= len(axes) - 1:
        axes, shape = axes[:-1], shape[: len(axes) - 1]
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


def _sources(path: str, options: tuple[Form, ...], sizes: dict) -> str:
    """Returns the sizes that were expected and the arguments that they come from."""
    axes = dict.fromkeys(part for form in options for axis in form.axes for part in axis.split("+"))
    sources = [(axis, *sizes[axis]) for axis in axes if axis in sizes]
    others = [f"{axis}={size} (from {source})" for axis, size, source in sources if source != path]
    return f" with {', '.join(others)}" if others else ""
