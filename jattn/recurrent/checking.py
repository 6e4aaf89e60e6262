"""Checks of what encoders and decoders are called with: parameters, memories, states, tokens."""

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from jattn._options import INTEGERS, check_dtype, check_options, named
from jattn.recurrent.padding import check_steps, valid_steps


def check_kind(function: str, argument: str, value: Any, kind: type) -> None:
    """Raises ValueError unless `value` is a `kind` whose fields have the fields of their own kind.

    The field `cell` is left to the cell, which may be a function with parameters of its own.
    """
    if not isinstance(value, kind):
        given = f"{function}: {argument} is a {type(value).__name__}"
        raise ValueError(f"{given}, expected a {kind.__name__}")
    for field, hint in get_type_hints(kind).items():
        part = getattr(value, field)
        for option in (hint, *get_args(hint)):
            fields = getattr(option, "_fields", ())
            if field != "cell" and not all(hasattr(part, name) for name in fields):
                given = f"{function}: {argument}.{field} is a {type(part).__name__}"
                raise ValueError(f"{given}, expected fields {', '.join(fields)}")


def check_functions(function: str, **arguments: Any) -> None:
    """Raises ValueError unless all arguments are functions."""
    with named(function):
        check_options(dict.fromkeys(arguments, Callable[..., Any]), arguments)


def valid_tokens(
    function: str,
    tokens: Any,
    words: int,
    length: int | Int[Array, ""] | None,
    valid: Any = None,
    *,
    axis: str = "t",
) -> Int[Array, " t"]:
    """Returns the tokens, with token 0 wherever they are not valid.

    Raises:
        ValueError: unless `tokens` is an array of integers with one axis and each valid one is
            less than `words`, or as `check_steps` does. Traced values cannot be checked.
    """
    _check_integers(function, "tokens", tokens, axis)
    check_steps(function, length, valid, len(tokens), axis)
    usable = valid_steps(len(tokens), length, valid)
    if usable is not None:
        tokens = jnp.where(usable, tokens, 0)
    _check_range(function, "tokens holds", tokens, words)
    return tokens


def check_token(function: str, token: Any, words: int) -> None:
    """Raises ValueError unless `token` is one integer less than `words`, or traced."""
    _check_integers(function, "token", token, "")
    _check_range(function, "token is", token, words)


def _check_integers(function: str, argument: str, tokens: Any, axes: str) -> None:
    if isinstance(tokens, list | tuple | str | dict) or tokens is None:
        given = f"{function}: {argument} is a {type(tokens).__name__}"
        raise ValueError(f"{given}, expected an array")
    if np.ndim(tokens) != len(axes):
        given = f"{function}: {argument} has shape {np.shape(tokens)}"
        raise ValueError(f"{given}, expected ({', '.join(axes)})")
    known = tokens if hasattr(tokens, "dtype") else np.asarray(tokens)
    check_dtype(f"{function}: {argument}", INTEGERS, known)


def _check_range(function: str, given: str, tokens: Any, words: int) -> None:
    if isinstance(tokens, Tracer) or not np.size(tokens):
        return
    known = np.asarray(tokens)
    for extreme in (int(known.min()), int(known.max())):
        if not 0 <= extreme < words:
            raise ValueError(f"{function}: {given} {extreme}, expected 0 to {words - 1} (w)")
