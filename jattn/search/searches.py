"""Greedy and beam search for the most likely sequences of a model that predicts token by token."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn._options import INTEGERS, Count, Size, check_dtype, check_length, check_options, named
from jattn._precision import inner_dtype
from jattn._varying import scan, varying_as
from jattn.search.arguments import Tokens, check_step, token_array
from jattn.search.beam import Beam, Rules, SearchResult, Step, extend, trace_back

Collect = Callable[[Any], Any]
nothing: Collect = lambda state: None


def greedy_search(
    step: Step,
    state: Any,
    *,
    start: Tokens,
    stop: Tokens,
    max_steps: int,
    start_length: int | Int[Array, ""] | None = None,
    min_length: int = 0,
    suppress: Tokens = (),
    collect: Collect = nothing,
) -> SearchResult:
    """Takes the most likely next token at every step, until it is a stop token.

    Ties go to the smaller token. The arguments are those of `beam_search`, and so is the result,
    without the axis `b`.

    Raises:
        ValueError: as `beam_search` does.
    """
    result = search(
        "greedy_search",
        step,
        state,
        start=start,
        stop=stop,
        max_steps=max_steps,
        start_length=start_length,
        min_length=min_length,
        suppress=suppress,
        collect=collect,
    )
    return jax.tree.map(lambda leaf: leaf[0], result)


def beam_search(
    step: Step,
    state: Any,
    *,
    start: Tokens,
    stop: Tokens,
    max_steps: int,
    beam_size: int,
    length_penalty: float | Float[Array, ""] = 0.0,
    start_length: int | Int[Array, ""] | None = None,
    min_length: int = 0,
    suppress: Tokens = (),
    collect: Collect = nothing,
) -> SearchResult:
    """Keeps the `beam_size` most likely beginnings at every step, until all of them have stopped.

        score = Σ log p(token) / ((5 + n) / 6) ** length_penalty

    where n counts the tokens of the sequence, the stop token included: Wu et al. (2016),
    arXiv:1609.08144, equation 14 without its coverage term. Beginnings are compared by the same
    score. One that has stopped keeps its place until it is overtaken, so a larger `max_steps`
    changes nothing once all have stopped. Ties go to the beginning that ranked higher, then to the
    smaller token.

    A beginning is broken if a log-probability of its next token is NaN or +inf, or if all are
    -inf. It ends there without a stop token and keeps its tokens and its score. Broken beginnings
    rank after all others, so they are returned only where fewer than `beam_size` others exist.

    Unbatched: a batch is `jax.vmap`, under `jax.jit`. The search stops early and has no gradient.

        >>> table = jnp.log(jnp.array([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1], [0.9, 0.05, 0.05]]))
        >>> step = lambda state, token: (table[token], state)  # Token 0 stops.
        >>> beam_search(step, None, start=0, stop=0, max_steps=5, beam_size=2).tokens
        Array([[1, 0, 0, 0, 0],
               [2, 0, 0, 0, 0]], dtype=int32)

    Args:
        step: `step(state, token)` returns the log-probabilities of the next token and the state
            after the step. It must be pure.
        state: the state before the first step, a pytree of arrays.
        start: the token that the first step reads, or a prompt: several tokens that are read one
            after the other before the first token is chosen. They are no part of the result. A
            traced token is not checked. Under `jax.vmap` each element has its own token or prompt.
        stop: the token that ends a sequence, or several such tokens. From the end of a sequence
            on, `tokens` holds the first of them; the place of the end holds the one that was taken.
        max_steps: the largest number of tokens, a stop token included.
        beam_size: number of sequences. Where fewer exist, the others have length 0 and score -inf.
        length_penalty: exponent of the score's denominator; 0 compares plain sums.
        start_length: number of valid tokens of a prompt that has padding after it, at least 1; all
            of them by default. A traced number is not checked.
        min_length: number of tokens before which no stop token is taken.
        suppress: the token, or the tokens, that are never taken. The log-probabilities of others
            stay as they are.
        collect: the part of the state after each step to keep, such as the weights of attention.
            `collected` holds it with the axes (b, m) in front, zero past the end of a sequence.

    Returns:
        The sequences found. `lengths` exclude the stop token. `scores` are sums in at least
        float32.

    Raises:
        ValueError: if an argument is not of its kind, beam_size is not at least 1, max_steps is
            negative, min_length is more than max_steps, start_length is out of range,
            length_penalty is not finite, start, stop or suppress is not a token, start or stop is
            empty, or step does not return log-probabilities (w) and a state as `state`.
    """
    return search(
        "beam_search",
        step,
        state,
        start=start,
        stop=stop,
        max_steps=max_steps,
        beam_size=beam_size,
        length_penalty=length_penalty,
        start_length=start_length,
        min_length=min_length,
        suppress=suppress,
        collect=collect,
    )


def search(
    function: str,
    step: Step,
    state: Any,
    *,
    start: Tokens,
    stop: Tokens,
    max_steps: int,
    beam_size: int = 1,
    length_penalty: float | Float[Array, ""] = 0.0,
    start_length: int | Int[Array, ""] | None,
    min_length: int,
    suppress: Tokens,
    collect: Collect,
    narrow: Callable[..., Float[Array, " w"]] = lambda following, count: following,
) -> SearchResult:
    """Runs `beam_search`, whose errors name `function`; `narrow` rules out words of each token."""
    hints = {"step": Step, "collect": Collect, "max_steps": Count, "beam_size": Size}
    hints |= {"min_length": Count, "length_penalty": float}
    options = {"step": step, "collect": collect, "max_steps": max_steps, "beam_size": beam_size}
    options |= {"min_length": min_length, "length_penalty": length_penalty}
    with named(function):
        check_options(hints, options)
        if min_length > max_steps:
            raise ValueError(
                f"min_length is {min_length}, expected at most {max_steps} (max_steps)"
            )
    following = check_step(function, step, state)
    words = len(following)
    prompt = _prompt(function, start, start_length, words)
    rules = _rules(function, stop, suppress, words, min_length, length_penalty, narrow)

    state, last = _read_prompt(step, state, *prompt)
    spread = lambda leaf: jnp.broadcast_to(leaf, (beam_size, *jnp.shape(leaf)))
    states = jax.tree.map(spread, state)
    collected = jax.eval_shape(jax.vmap(collect, axis_size=beam_size), states)
    ranks = jnp.arange(beam_size, dtype=jnp.int32)
    beam = Beam(
        count=ranks[0],  # Zero. A constant scalar has no mesh, and cannot get a batch in the loop.
        states=states,
        last=spread(last),
        stopped=jnp.zeros(beam_size, bool),
        broken=jnp.zeros(beam_size, bool),
        lengths=jnp.zeros(beam_size, jnp.int32),
        counts=jnp.zeros(beam_size, jnp.int32),
        # One beginning is alive, so that the first step does not find the same words many times.
        totals=jnp.where(ranks == 0, 0.0, -jnp.inf).astype(inner_dtype(following.dtype)),
        tokens=jnp.broadcast_to(rules.fill, (max_steps, beam_size)),
        parents=jnp.broadcast_to(ranks, (max_steps, beam_size)),
        collected=jax.tree.map(
            lambda leaf: jnp.zeros((max_steps, *leaf.shape), leaf.dtype), collected
        ),
    )
    beam = varying_as(beam, jax.eval_shape(step, state, last), collected, rules[:3])
    if max_steps:
        beam = jax.lax.while_loop(
            lambda beam: (beam.count < max_steps) & beam.goes_on,
            lambda beam: extend(beam, step, rules, collect),
            beam,
        )
    return trace_back(beam, rules)


def _prompt(function, start, start_length, words):
    """Returns the tokens to read, at least one, and the number of valid ones."""
    tokens = token_array(function, "start", start, words)
    if tokens.ndim and not tokens.size:
        raise ValueError(f"{function}: start is empty, expected at least one token")
    tokens = tokens.reshape(-1)
    if start_length is None:
        return tokens, len(tokens)
    with named(function):
        check_options({"start_length": int | Int[Array, ""]}, {"start_length": start_length})
        check_dtype("start_length", INTEGERS, start_length)
        check_length("start_length", start_length, len(tokens), "start")
        if not isinstance(start_length, Tracer) and not start_length >= 1:
            raise ValueError(f"start_length is {start_length}, expected at least 1")
    return tokens, jnp.asarray(start_length, jnp.int32)


def _read_prompt(step, state, tokens, length):
    """Returns the state after all tokens of the prompt except the last, and the last token."""
    if len(tokens) == 1:
        return state, tokens[0]

    def read(state, row):
        index, token = row
        after = step(state, token)[1]
        return jax.tree.map(
            lambda new, old: jnp.where(index + 1 < length, new, old), after, state
        ), None

    state = jax.tree.map(jnp.asarray, state)
    indices = jnp.arange(len(tokens) - 1, dtype=jnp.int32)
    state, _ = scan(read, state, (indices, tokens[:-1]))
    return state, tokens[jnp.clip(length - 1, 0, len(tokens) - 1)]


def _rules(function, stop, suppress, words, min_length, length_penalty, narrow):
    stops = token_array(function, "stop", stop, words).reshape(-1)
    if not len(stops):
        raise ValueError(f"{function}: stop is empty, expected at least one token")
    suppressed = token_array(function, "suppress", suppress, words).reshape(-1)
    none = jnp.zeros(words, bool)
    return Rules(
        fill=stops[0],
        is_stop=none.at[stops].set(True),
        usable=~none.at[suppressed].set(True),
        min_length=min_length,
        length_penalty=length_penalty,
        narrow=narrow,
    )
