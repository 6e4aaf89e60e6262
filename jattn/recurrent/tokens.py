"""Checks of the tokens of encoders and decoders."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from jattn.recurrent.padding import check_steps, valid_steps


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
        ValueError: unless each valid token is less than `words`, or as `check_steps` does. Traced
            values cannot be checked.
    """
    check_steps(function, length, valid, "tokens", tokens, axis)
    usable = valid_steps(tokens.shape[0], length, valid)
    if usable is not None:
        tokens = jnp.where(usable, tokens, 0)
    _check_range(function, "tokens holds", tokens, words)
    return tokens


def check_token(function: str, token: Any, words: int) -> None:
    """Raises ValueError unless `token` is from 0 to `words` - 1, or traced."""
    _check_range(function, "token is", token, words)


def _check_range(function: str, argument: str, tokens: Any, words: int) -> None:
    if isinstance(tokens, Tracer) or not np.size(tokens):
        return
    array = np.asarray(tokens)
    for extreme in (int(array.min()), int(array.max())):
        if not 0 <= extreme < words:
            raise ValueError(f"{function}: {argument} {extreme}, expected 0 to {words - 1} (w)")
