"""Checks of arguments other than their axes: options, dtypes, lengths and rates of dropout."""

import contextlib
import inspect
import math
import numbers
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Int, Key

from jattn._sizes import are_known, is_certain


class Above(NamedTuple):
    """The bound of a number that has to be larger."""

    bound: float


Count = Annotated[int, 0]  # Annotated with the least value that is allowed.
Size = Annotated[int, 1]
Length = Annotated[int, 0, are_known]  # A count that `jax.export` may leave open.
NotNegative = Annotated[float, 0]
Positive = Annotated[float, Above(0)]

# The dtypes that an annotation `Int[...]` of jaxtyping allows.
INTEGERS = list(Int[Array, ""].dtypes)  # type: ignore[attr-defined]
EXPECTED = {bool: "True or False", int: "an integer", float: "a number"}


def check_options(hints: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Raises ValueError for an option of another kind than its annotation.

    Kinds are `bool`, `int`, `Size`, `Count`, `float`, `NotNegative`, `Positive`, functions and
    dtypes, which have to be floating-point. Every `float` has to be finite. Where the annotation
    also names arrays, their dtype is left to the check of axes. Elsewhere a traced value is
    refused, except for a `float`.
    """
    for name, value in arguments.items():
        complaint = _complaint(hints.get(name), value)
        if complaint:
            raise ValueError(f"{name} is {complaint}")


def _complaint(hint: Any, value: Any) -> str:
    if hint == DTypeLike:
        return _complaint_of_dtype(value)
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    bounds = [bound for option in options for bound in getattr(option, "__metadata__", ())]
    options = [get_args(x)[0] if hasattr(x, "__metadata__") else x for x in options]
    plain = [option for option in options if option in EXPECTED]
    functions = [option for option in options if get_origin(option) is Callable]
    others = [x for x in options if x not in (*plain, *functions, type(None))]
    if not plain and (not functions or others):
        return ""
    expected = " or ".join(
        [*(EXPECTED[kind] for kind in plain), *(["a function"] * bool(functions))]
    )
    if value is None:
        return "" if type(None) in options else f"None, expected {expected}"
    takes_arrays = any(hasattr(option, "dim_str") for option in others)
    if functions and callable(value):
        return _complaint_of_function(functions[0], value)
    if hasattr(value, "dtype") and takes_arrays:
        return _complaint_of_number(value, bounds) if float in plain and _is(float, value) else ""
    if isinstance(value, Tracer):
        may_be = float in plain and value.ndim == 0  # Where it may not, `check_known` says so.
        return "" if may_be else f"traced, expected {expected} that is known before the run"
    if int in plain and (takes_arrays or are_known in bounds) and not are_known(value):
        return ""
    kinds = [kind for kind in plain if _is(kind, value)]
    if not kinds and not isinstance(value, _types(others)):
        return f"{value!r}, expected {expected}"
    if float in kinds:
        return _complaint_of_number(value, bounds)
    return f"{value}, expected at least {bounds[0]}" if bounds and value < bounds[0] else ""


def _complaint_of_function(hint: Any, value: Any) -> str:
    """The complaint about a function that does not take the arguments of its annotation.

    An argument that may be None must not have another default: it has another meaning then.
    """
    arguments = get_args(hint)[0]
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # As of some functions that are not Python's.
        return ""
    parameters = list(signature.parameters.values())
    if arguments is Ellipsis or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return ""
    optional = [type(None) in get_args(argument) for argument in arguments]
    defaults = [p.default for p, none in zip(parameters, optional, strict=False) if none]
    with contextlib.suppress(TypeError):
        signature.bind(*arguments)
        if all(default in (inspect.Parameter.empty, None) for default in defaults):
            return ""
    shown = ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in parameters)
    name = getattr(value, "__name__", type(value).__name__)
    expected = f"a function of {len(arguments)} arguments"
    if any(optional):
        expected += f", of which number {optional.index(True) + 1} may be None"
    return f"{name}({shown}), expected {expected}"


def _complaint_of_number(value: Any, bounds: list[Any]) -> str:
    """The complaint about a number that is known, if it is not finite or out of bounds."""
    number, words = float(value), ""
    right = math.isfinite(number)
    for bound in bounds:
        if hasattr(bound, "bound"):  # An `Above`, perhaps of another import: typing caches it.
            right, words = right and number > bound.bound, f" above {bound.bound}"
        else:
            right, words = right and number >= bound, f" of at least {bound}"
    return "" if right else f"{value}, expected a finite number{words}"


def _complaint_of_dtype(value: Any) -> str:
    try:
        name = str(np.dtype(value))
    except TypeError:
        return f"{value!r}, expected {floating(value)}"
    if name in ("float16", "bfloat16", "float32", "float64"):
        return ""
    return f"{name}, expected {floating(name)}"


def check_known(argument: str, value: Any) -> None:
    """Raises ValueError for a number that is traced."""
    if isinstance(value, Tracer):
        raise ValueError(f"{argument} is traced, expected a number that is known before the run")


def _is(kind: type, value: Any) -> bool:
    """Returns whether `value` is known and a Python or NumPy number, or scalar array, of a kind."""
    if isinstance(value, Tracer | jax.ShapeDtypeStruct):
        return False
    if hasattr(value, "dtype") and np.ndim(value) == 0:
        try:
            value = np.asarray(value)[()]
        except TypeError:  # A key of `jax.random.key`.
            return False
        # bfloat16 and the like are not registered as numbers.
        value = float(value) if jnp.issubdtype(value.dtype, jnp.floating) else value
    if isinstance(value, bool | np.bool_):
        return kind is bool
    if kind is bool:
        return isinstance(value, numbers.Integral) and value in (0, 1)
    return isinstance(value, numbers.Integral if kind is int else numbers.Real)


def _types(options: list[Any]) -> tuple[type, ...]:
    origins = (get_origin(option) or option for option in options)
    return tuple(x for x in origins if isinstance(x, type) and not hasattr(x, "dim_str"))


@contextlib.contextmanager
def named(function: str) -> Iterator[None]:
    """Puts the name of the called function before a complaint about its arguments."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{function}: {error}") from None


def check_length(argument: str, length: Any, longest: int, axis: str) -> None:
    """Raises ValueError unless length is an integer from 0 to `longest`, as far as both are known.

    Traced and symbolic lengths are not known.
    """
    if length is None or not are_known(length):
        return
    dtype = getattr(length, "dtype", None) or np.asarray(length).dtype
    if not jnp.issubdtype(dtype, jnp.integer) and np.size(length):
        raise ValueError(f"{argument} is {length}, expected an integer")
    if isinstance(length, Tracer):
        return
    values = np.asarray(length)
    if values.size and (values.min() < 0 or is_certain(lambda: longest < int(values.max()))):
        raise ValueError(f"{argument} is {length}, expected 0 to {longest} ({axis})")


def check_dropout(
    function: str, name: str, rate: float, rng: Key[Array, ""] | None, *, rng_name: str = "rng"
) -> None:
    """Raises ValueError unless `rate` is in [0, 1) and comes with an rng where it is above 0."""
    with named(function):
        check_options({name: float}, {name: rate})
    check_known(f"{function}: {name}", rate)
    if rng is not None:
        check_dtype(f"{function}: {rng_name}", ["prng_key"], rng)
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"{function}: {name} is {rate}, expected at least 0 and less than 1")
    if rate > 0.0 and rng is None:
        raise ValueError(
            f"{function}: {name} is {rate} but {rng_name} is None, expected a PRNG key"
        )


def floating(dtype: Any) -> str:
    """Returns the expectation for a dtype that is refused; JAX promotes none below 16 bits."""
    if str(dtype).startswith(("float4", "float6", "float8")):
        return "a floating-point dtype of at least 16 bits"
    long = str(dtype) == str(np.dtype(np.longdouble)) != "float64"
    return "a floating-point dtype" + " of at most 64 bits" * long


def check_array(argument: str, value: Any, *, shapes_alone: bool = False) -> None:
    """Raises ValueError for an object with a dtype that is no array with values for JAX.

    `shapes_alone` allows a `jax.ShapeDtypeStruct`, which has none.
    """
    dtype = getattr(value, "dtype", None)
    if isinstance(value, np.ma.MaskedArray):
        expected = "a plain array, with its mask passed as mask"
        raise ValueError(f"{argument} is a masked array of NumPy, expected {expected}")
    if isinstance(value, jax.ShapeDtypeStruct) and not shapes_alone:
        raise ValueError(f"{argument} is a ShapeDtypeStruct, expected an array with values")
    if dtype is None:
        return
    try:
        native = jnp.issubdtype(dtype, jax.dtypes.extended) or np.dtype(dtype).isnative
    except TypeError:
        kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
        raise ValueError(f"{argument} is a {kind}, expected an array of NumPy or JAX") from None
    if not native:
        expected = f"the byte order of this machine, as of astype({np.dtype(dtype).name!r})"
        raise ValueError(f"{argument} has dtype {dtype}, expected {expected}")


def check_dtype(argument: str, allowed: list[str], value: Any) -> None:
    """Raises ValueError unless the value's dtype, or its kind without one, is allowed.

    An integer argument may have any integer dtype, unsigned ones included.
    """
    dtype = getattr(value, "dtype", None)
    if "prng_key" in allowed:
        if not is_old_key(value) and not str(dtype).startswith("key<"):
            kind = type(value).__name__ if dtype is None else dtype
            raise ValueError(f"{argument} is {kind}, expected a key of jax.random.key")
        return
    whole = any("int" in name for name in allowed)
    real = any(name.startswith(("float", "bfloat")) for name in allowed)
    if dtype is None:
        kinds = [bool] * ("bool" in allowed) + [int] * whole + [float] * real
        if not any(_is(kind, value) for kind in kinds) and not (whole and not are_known(value)):
            raise ValueError(f"{argument} is {value!r}, expected {EXPECTED[kinds[0]]}")
        return
    if whole and jnp.issubdtype(dtype, jnp.integer):
        return
    if str(dtype) in allowed and not str(dtype).startswith("float8"):
        return
    if "bool" in allowed:
        hint = mask_hint(value) if argument.endswith("mask") else ""
        raise ValueError(f"{argument} has dtype {dtype}, expected bool{hint}")
    expected = floating(dtype)
    if whole:
        expected = f"an integer or {expected.removeprefix('a ')}" if real else "an integer dtype"
    raise ValueError(f"{argument} has dtype {dtype}, expected {expected}")


def mask_hint(value: Any) -> str:
    """Returns advice for a mask that is not boolean, to follow the complaint about its dtype."""
    if jnp.issubdtype(value.dtype, jnp.integer):
        return "; pass a mask of 0 and 1 as mask.astype(bool)"
    if not jnp.issubdtype(value.dtype, jnp.floating):
        return ""
    if not isinstance(value, Tracer) and np.size(value):
        entries = np.asarray(value)
        if np.isin(entries, (0, 1)).all() and entries.any():
            return "; it holds only 0 and 1, so pass mask.astype(bool) (a bias of 0 hides nothing)"
    return (
        "; pass an additive mask as bias, where 0 keeps a key and -inf hides it;"
        " pass a mask of 0 and 1 as mask.astype(bool)"
    )


def is_old_key(value: Any) -> bool:
    """Returns whether `value` can be a key of `jax.random.PRNGKey`."""
    return np.ndim(value) == 1 and str(getattr(value, "dtype", None)) == "uint32"
