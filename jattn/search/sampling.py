"""Sampling of sequences: with a temperature, and from the most likely tokens alone."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Key

from jattn._dropout import threefry_key
from jattn._options import Positive, Size, check_dtype, check_options, named
from jattn.search.arguments import Tokens
from jattn.search.beam import SearchResult, Step
from jattn.search.searches import Collect, nothing, search


def sample(
    step: Step,
    state: Any,
    *,
    rng: Key[Array, ""],
    start: Tokens,
    stop: Tokens,
    max_steps: int,
    temperature: float | Float[Array, ""] = 1.0,
    top_k: int | None = None,
    top_p: float | Float[Array, ""] | None = None,
    start_length: int | Int[Array, ""] | None = None,
    min_length: int = 0,
    suppress: Tokens = (),
    collect: Collect = nothing,
) -> SearchResult:
    """Draws each next token from the model's distribution, until it is a stop token.

    The distribution is changed in this order, and divided by its sum after each change:

    1. Tokens in `suppress`, and stop tokens before `min_length`, get probability zero.
    2. `temperature`: probabilities are in proportion to p(token) ** (1 / temperature).
    3. `top_k`: only the k most likely tokens remain (Fan et al. 2018, arXiv:1805.04833). Of
       equally likely tokens the smaller come first.
    4. `top_p`: only the smallest set of most likely tokens whose probabilities sum to at least
       top_p remains, the nucleus of Holtzman et al. (2019), arXiv:1904.09751.

    The score is Σ log p(token), of the probabilities that the step returned. The tokens depend on
    `rng`, the place in the sequence and the probabilities alone, for keys of every implementation
    and also under `jax.vmap`. Several samples are `jax.vmap` over keys. The distribution of a
    token that is broken, as in `beam_search`, ends the sequence there.

    Args:
        rng: the key that all tokens are drawn from.
        temperature: above 0. Towards 0 this becomes greedy search, and at 1 the model's own
            distribution.
        top_k: number of tokens to draw from, all of them by default.
        top_p: above 0 and at most 1, the default.
        step, state, start, stop, max_steps, start_length, min_length, suppress, collect: as in
            `beam_search`.

    Returns:
        One sequence, without the axis `b`.

    Raises:
        ValueError: as `beam_search` does, or if temperature is not finite and above 0, top_k is
            not at least 1, or top_p is not above 0 and at most 1. Traced numbers are not checked.
    """
    with named("sample"):
        check_dtype("rng", ["prng_key"], rng)
        hints = {"temperature": Positive, "top_k": Size, "top_p": float}
        check_options(hints, {"temperature": temperature})
        narrowing = {"top_k": top_k, "top_p": top_p}
        check_options(hints, {name: x for name, x in narrowing.items() if x is not None})
        if top_p is not None and not isinstance(top_p, Tracer) and not 0.0 < top_p <= 1.0:
            raise ValueError(f"top_p is {top_p}, expected above 0 and at most 1")
    key = threefry_key(rng)

    def drawn(following, count):
        """Returns the log-probabilities with all but one token at -inf."""
        logits = truncated(following, temperature, top_k, top_p)
        token = jax.random.categorical(jax.random.fold_in(key, count), logits)
        return jnp.where(
            jnp.arange(len(following), dtype=token.dtype) == token, following, -jnp.inf
        )

    result = search(
        "sample",
        step,
        state,
        start=start,
        stop=stop,
        max_steps=max_steps,
        start_length=start_length,
        min_length=min_length,
        suppress=suppress,
        collect=collect,
        narrow=drawn,
    )
    return jax.tree.map(lambda leaf: leaf[0], result)


def truncated(
    following: Float[Array, " w"],
    temperature: float | Float[Array, ""],
    top_k: int | None,
    top_p: float | Float[Array, ""] | None,
) -> Float[Array, " w"]:
    """Returns the logits to draw from, -inf for each token that is ruled out."""
    if not isinstance(temperature, Tracer):
        # Neither 0 nor infinite in a narrower dtype.
        limits = jnp.finfo(following.dtype)
        temperature = min(max(float(temperature), float(limits.tiny)), float(limits.max))
    # Relative to the maximum, which stays 0 at any temperature.
    maximum = following.max()
    logits = following - jnp.where(jnp.isfinite(maximum), maximum, 0.0)
    logits = jnp.where(logits == 0.0, 0.0, logits / jnp.asarray(temperature, logits.dtype))
    if top_k is None and top_p is None:
        return logits
    order = jnp.argsort(-following)  # Stable, so that ties go to the smaller token.
    ranked = logits[order]
    keeps = jnp.ones(len(ranked), bool)
    if top_k is not None:
        keeps = jnp.arange(len(ranked)) < top_k
    if top_p is not None:
        probabilities = jax.nn.softmax(jnp.where(keeps, ranked, -jnp.inf))
        before = jnp.cumsum(probabilities) - probabilities
        enough = jnp.asarray(top_p, before.dtype)
        keeps = keeps & ((before < enough) | (enough >= 1.0))
    return jnp.where(jnp.zeros_like(keeps).at[order].set(keeps), logits, -jnp.inf)
