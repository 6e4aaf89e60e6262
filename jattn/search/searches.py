"""The likeliest sequences of a model that goes token by token: greedy and beam search."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Int

from jattn._axes import named_axes
from jattn._options import Count, Size, floating
from jattn._varying import varying_as
from jattn.search.beam import Beam, SearchResult, Step, extend, trace_back


@named_axes
def greedy_search(
    step: Step,
    state: Any,
    *,
    start: int,
    stop: int,
    max_steps: Count,
    collect: Callable[[Any], Any] = lambda state: None,
) -> SearchResult:
    """Takes the likeliest next token at every step, until it is `stop`.

    Arguments and result are those of `beam_search`; ties go to the smaller token.
    """
    found = beam_search(
        step, state, start=start, stop=stop, max_steps=max_steps, beam_size=1, collect=collect
    )
    return jax.tree.map(lambda leaf: leaf[0], found)


@named_axes
def beam_search(
    step: Step,
    state: Any,
    *,
    start: int,
    stop: int,
    max_steps: Count,
    beam_size: Size,
    length_penalty: float = 0.0,
    collect: Callable[[Any], Any] = lambda state: None,
) -> SearchResult:
    """Keeps the `beam_size` likeliest beginnings at every step, until all of them have stopped.

        score = Σ log p(token) / ((5 + n) / 6) ** length_penalty

    where n counts the tokens of the sequence, `stop` included: Wu et al. (2016), arXiv:1609.08144,
    equation 14 without its coverage term. Beginnings are compared by the same score. One that has
    stopped keeps its place until it is overtaken, so a larger `max_steps` changes nothing once all
    have stopped. Ties go to the beginning that ranked higher, then to the smaller token.

    Unbatched: a batch is `jax.vmap`, under `jax.jit`. It stops early and has no gradient.

        >>> table = jnp.log(jnp.array([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1], [0.9, 0.05, 0.05]]))
        >>> step = lambda state, token: (table[token], state)  # Token 0 stops.
        >>> beam_search(step, None, start=0, stop=0, max_steps=5, beam_size=2).tokens
        Array([[1, 0, 0, 0, 0],
               [2, 0, 0, 0, 0]], dtype=int32)

    Args:
        step: `step(state, token)` returns the log-probabilities of the next token and the state
            after the step. It must be pure.
        state: the state before the first step, a pytree of arrays.
        start: the token that the first step reads; it is no part of the result.
        stop: the token that ends a sequence; `tokens` holds it from there on.
        max_steps: sequences are cut there.
        beam_size: number of sequences. Where fewer exist, the rest has length 0 and score -inf.
        collect: what to keep of the state after each step, such as the weights of attention.
            `collected` holds it with the axes (b, m) in front, zero past the stop.

    Returns:
        The sequences found; `lengths` do not count `stop`.

    Raises:
        ValueError: if beam_size is not at least 1, max_steps is negative, length_penalty is
            not finite, or start or stop is not a token.
    """
    start, stop, max_steps, beam_size = map(int, (start, stop, max_steps, beam_size))
    after = jax.eval_shape(step, state, _token(0))
    _check(after[0], length_penalty, start=start, stop=stop)
    spread = lambda leaf: jnp.broadcast_to(leaf, (beam_size, *jnp.shape(leaf)))
    states = jax.tree.map(spread, state)
    collected = jax.eval_shape(jax.vmap(collect, axis_size=beam_size), states)
    ranks = jnp.arange(beam_size, dtype=jnp.int32)
    beam = Beam(
        count=jnp.zeros((), jnp.int32),
        states=states,
        last=spread(_token(start)),
        finished=jnp.zeros(beam_size, bool),
        lengths=jnp.zeros(beam_size, jnp.int32),
        # One beginning is alive, so that the first step does not find the same words many times.
        totals=jnp.where(ranks == 0, 0.0, -jnp.inf).astype(after[0].dtype),
        tokens=jnp.full((max_steps, beam_size), stop, jnp.int32),
        parents=jnp.broadcast_to(ranks, (max_steps, beam_size)),
        collected=jax.tree.map(
            lambda leaf: jnp.zeros((max_steps, *leaf.shape), leaf.dtype), collected
        ),
    )
    beam = varying_as(beam, after, collected)
    goes_on = lambda beam: jnp.any(~beam.finished & (beam.totals > -jnp.inf))
    if max_steps:
        beam = jax.lax.while_loop(
            lambda beam: (beam.count < max_steps) & goes_on(beam),
            lambda beam: extend(beam, step, stop, length_penalty, collect),
            beam,
        )
    return trace_back(beam, stop, length_penalty)


def _token(token: int) -> Int[Array, ""]:
    return jnp.asarray(token, jnp.int32)


def _check(found: Any, length_penalty: float, **tokens: int) -> None:
    if not isinstance(length_penalty, Tracer) and not math.isfinite(length_penalty):
        given = f"length_penalty is {length_penalty}"
        raise ValueError(f"beam_search: {given}, expected a finite number")
    shape = found.shape
    if not jnp.issubdtype(found.dtype, jnp.floating):
        given = f"step returned log-probabilities of dtype {found.dtype}"
        raise ValueError(f"beam_search: {given}, expected {floating(found.dtype)}")
    if len(shape) != 1:
        raise ValueError(f"beam_search: step returned log-probabilities {shape}, expected (w)")
    for name, token in tokens.items():
        if not 0 <= token < shape[0]:
            raise ValueError(f"beam_search: {name} is {token}, expected 0 to {shape[0] - 1} (w)")
