"""What is checked of an argument beside its axes: options that are no arrays, dtypes, lengths."""

import contextlib
import numbers
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike

Count = Annotated[int, 0]  # With the least that it may be.
Size = Annotated[int, 1]
NotNegative = Annotated[float, 0]

EXPECTED = {bool: "True or False", int: "an integer", float: "a number"}


def check_options(hints: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Raises ValueError for an option that is not of the kind that its annotation says.

    Kinds are `bool`, `int`, `Size`, `Count`, `float`, `NotNegative`, functions and dtypes, which
    have to be floating-point. Where the annotation names arrays too, arrays are left to the check
    of axes; where it does not, what is traced is refused, but for a `float`.
    """
    for name, value in arguments.items():
        complaint = _complaint(hints.get(name), value)
        if complaint:
            raise ValueError(f"{name} is {complaint}")


def _complaint(hint: Any, value: Any) -> str:
    if hint == DTypeLike:
        return _complaint_of_dtype(value)
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    least = [own for x in options for own in getattr(x, "__metadata__", ())]
    options = [get_args(x)[0] if hasattr(x, "__metadata__") else x for x in options]
    plain = [option for option in options if option in EXPECTED]
    functions = [option for option in options if get_origin(option) is Callable]
    rest = [x for x in options if x not in plain and x not in functions and x is not type(None)]
    if not plain and (not functions or rest):
        return ""
    expected = " or ".join(
        [*(EXPECTED[kind] for kind in plain), *(["a function"] * bool(functions))]
    )
    if value is None:
        return "" if type(None) in options else f"None, expected {expected}"
    if functions and callable(value):
        return ""
    if hasattr(value, "dtype") and any(hasattr(option, "dim_str") for option in rest):
        return ""
    if isinstance(value, Tracer):
        may_be = float in plain and value.ndim == 0  # Where it may not, `check_known` says so.
        return "" if may_be else f"traced, expected {expected} that is known before the run"
    if any(_is(kind, value) for kind in plain) or isinstance(value, _types(rest)):
        return f"{value}, expected at least {least[0]}" if least and not value >= least[0] else ""
    return f"{value!r}, expected {expected}"


def _complaint_of_dtype(value: Any) -> str:
    with contextlib.suppress(TypeError):
        if str(np.dtype(value)) in ("float16", "bfloat16", "float32", "float64"):
            return ""
    return f"{value!r}, expected {floating(value)}"


def check_known(argument: str, value: Any) -> None:
    """Raises ValueError for a number that is traced."""
    if isinstance(value, Tracer):
        raise ValueError(f"{argument} is traced, expected a number that is known before the run")


def _is(kind: type, value: Any) -> bool:
    """Whether `value` is of the kind, as Python's, NumPy's or an array without axes."""
    if hasattr(value, "dtype") and np.ndim(value) == 0:
        value = np.asarray(value)[()]
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
    """Puts the name of the function that was called before what is wrong with its arguments."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{function}: {error}") from None


def check_length(argument: str, length: Any, longest: int, axis: str) -> None:
    """Raises ValueError unless 0 <= length <= longest; a traced length cannot be looked at."""
    if length is None or isinstance(length, Tracer):
        return
    known = np.asarray(length)
    if known.size and (known.min() < 0 or known.max() > longest):
        raise ValueError(f"{argument} is {length}, expected 0 to {longest} ({axis})")


def floating(dtype: Any) -> str:
    """Returns what is expected in place of a dtype; JAX promotes none of less than 16 bits."""
    with contextlib.suppress(TypeError):
        dtype = np.dtype(dtype)
    if str(dtype).startswith(("float4", "float6", "float8")):
        return "a floating-point dtype of at least 16 bits"
    if str(dtype) in ("float96", "float128"):
        return "a floating-point dtype of at most 64 bits"
    if not getattr(dtype, "isnative", True):
        return "a dtype in the machine's byte order"
    return "a floating-point dtype"


def check_dtype(argument: str, allowed: list[str], value: Any) -> None:
    """Raises ValueError unless the value's dtype is one of those allowed; Python's have none."""
    dtype = getattr(value, "dtype", None)
    if "prng_key" in allowed:
        if not is_old_key(value) and not str(dtype).startswith("key<"):
            given = type(value).__name__ if dtype is None else dtype
            raise ValueError(f"{argument} is {given}, expected a key of jax.random.key")
        return
    if dtype is None or (str(dtype) in allowed and not str(dtype).startswith("float8")):
        return
    if "bool" in allowed:
        hint = "; pass an additive mask as bias" if "float" in str(dtype) else ""
        raise ValueError(f"{argument} has dtype {dtype}, expected bool{hint}")
    whole = any("int" in name for name in allowed)
    signed = "a signed integer dtype" if str(dtype).startswith("uint") else "an integer dtype"
    expected = signed if whole else floating(dtype)
    raise ValueError(f"{argument} has dtype {dtype}, expected {expected}")


def is_old_key(value: Any) -> bool:
    """Whether it can be a key of `jax.random.PRNGKey`."""
    return np.ndim(value) == 1 and str(getattr(value, "dtype", None)) == "uint32"
