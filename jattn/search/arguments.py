"""Checks of the arguments that all searches have: tokens and the step."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from jattn._options import floating

Tokens = int | Sequence[int] | np.ndarray | Int[Array, "..."]


def token_array(function: str, argument: str, tokens: Any, words: int) -> Int[Array, "..."]:
    """Returns one token or a sequence of tokens as an array of int32.

    Raises:
        ValueError: unless they are integers from 0 to words - 1; traced ones cannot be checked.
    """
    if not hasattr(tokens, "dtype"):
        try:
            tokens = np.asarray(tokens, int if np.size(tokens) == 0 else None)
        except (TypeError, ValueError):
            tokens = np.asarray(str(tokens))
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        complaint = f"{function}: {argument} has dtype {tokens.dtype}"
        raise ValueError(f"{complaint}, expected an integer dtype")
    if tokens.ndim > 1:
        complaint = f"{function}: {argument} has shape {tokens.shape}"
        raise ValueError(
            f"{complaint}, expected one token or a sequence; a batch is mapped by jax.vmap"
        )
    if not isinstance(tokens, Tracer) and tokens.size:
        for extreme in (int(tokens.min()), int(tokens.max())):
            if not 0 <= extreme < words:
                complaint = f"{function}: {argument} {'holds' if tokens.ndim else 'is'} {extreme}"
                raise ValueError(f"{complaint}, expected 0 to {words - 1} (w)")
    return jnp.asarray(tokens, jnp.int32)


def check_step(function: str, step: Callable[..., Any], state: Any) -> Any:
    """Returns the shape of the log-probabilities that `step` returns.

    Raises:
        ValueError: unless `step` returns log-probabilities (w) and a state of the form of `state`.
    """
    after = jax.eval_shape(step, state, jnp.zeros((), jnp.int32))
    if not isinstance(after, tuple) or len(after) != 2:
        complaint = f"{function}: step returned a {type(after).__name__}"
        raise ValueError(f"{complaint}, expected a pair of log-probabilities and state")
    following, state_after = after
    if not hasattr(following, "dtype") or not jnp.issubdtype(following.dtype, jnp.floating):
        kind = getattr(following, "dtype", type(following).__name__)
        complaint = f"{function}: step returned log-probabilities of dtype {kind}"
        raise ValueError(f"{complaint}, expected {floating(kind)}")
    if following.ndim != 1 or not following.size:
        complaint = f"{function}: step returned log-probabilities {following.shape}"
        raise ValueError(f"{complaint}, expected (w)")
    before = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, state))
    structures = jax.tree.structure(before), jax.tree.structure(state_after)
    if structures[0] != structures[1]:
        complaint = f"{function}: step returned a state {structures[1]}"
        raise ValueError(f"{complaint}, expected {structures[0]} (from state)")
    pairs = zip(jax.tree.leaves_with_path(before), jax.tree.leaves(state_after), strict=True)
    for (path, leaf), leaf_after in pairs:
        alike = leaf.shape == leaf_after.shape
        if not alike or (leaf.dtype != leaf_after.dtype and not leaf.weak_type):
            where = f"state{jax.tree_util.keystr(path)}"
            complaint = f"{function}: step returned {where} {_form(leaf_after)}"
            raise ValueError(f"{complaint}, expected {_form(leaf)} (from state)")
    return following


def _form(leaf: Any) -> str:
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
