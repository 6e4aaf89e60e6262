"""Text that a model goes on with from a prompt, with a cache and without."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.language import model
from experiments.language.config import Config
from experiments.language.data import START, encode


class Written(NamedTuple):
    """The characters after the prompt, and how many of them a second are written."""

    text: str
    with_cache: float
    without_cache: float


def write(
    params: model.Params,
    prompt: str,
    kind: str,
    config: Config,
    alphabet: str,
    *,
    length: int,
    temperature: float,
    seed: int,
) -> Written:
    """Draws `length` characters after a prompt, which begins a verse.

    Raises:
        ValueError: the prompt is empty, or has characters that the model has not seen.
    """
    if not prompt:
        raise ValueError("prompt is empty, expected at least one character to go on from")
    tokens = encode(START + prompt, alphabet)

    def draw(ways: Callable[..., tuple[Any, Any]]) -> tuple[np.ndarray, float]:
        def drawn(params, tokens, rng):
            state, step = ways(params, tokens, kind, config, length)

            def one(carry, rng):
                likely, state = step(*carry)
                token = jax.random.categorical(rng, likely / temperature).astype(jnp.int32)
                return (state, token), token

            rngs = jax.random.split(rng, length)
            return jax.lax.scan(one, (state, tokens[-1]), rngs)[1]

        arguments = params, jnp.asarray(tokens), jax.random.key(seed)
        compiled = jax.jit(drawn).lower(*arguments).compile()
        began = time.perf_counter()
        written = np.asarray(compiled(*arguments))
        return written, length / (time.perf_counter() - began)

    written, with_cache = draw(cached)
    _, without_cache = draw(whole)
    return Written("".join(alphabet[token] for token in written), with_cache, without_cache)


def cached(
    params: model.Params, tokens: Any, kind: str, config: Config, _length: int
) -> tuple[Any, Any]:
    """Returns the state after all but the last of the tokens, and the step from there."""
    state = model.start(kind, params, config, len(tokens) - 1)
    _, state = model.step(params, state, tokens[:-1], kind, config)

    def step(state, token):
        scores, state = model.step(params, state, token[None], kind, config)
        return jax.nn.log_softmax(scores[0]), state

    return state, step


def whole(
    params: model.Params, tokens: Any, kind: str, config: Config, length: int
) -> tuple[Any, Any]:
    """Returns the same without a cache: each step computes the scores of all characters anew."""
    score = partial(model.logits, kind=kind, config=config)
    text = jnp.zeros(len(tokens) + length, jnp.int32).at[: len(tokens) - 1].set(tokens[:-1])

    def step(state, token):
        text, count = state
        text = text.at[count].set(token)
        return jax.nn.log_softmax(score(params, text)[count]), (text, count + 1)

    return (text, jnp.asarray(len(tokens) - 1, jnp.int32)), step
