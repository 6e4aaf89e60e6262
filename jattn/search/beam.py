"""The beam of a search: beginnings of sequences, and how each came about."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._varying import varying_as

Step = Callable[[Any, Int[Array, ""]], tuple[Float[Array, " w"], Any]]


class SearchResult(NamedTuple):
    """Sequences of up to `m` tokens, the best first; greedy search finds one, without axis `b`."""

    tokens: Int[Array, "b m"]
    lengths: Int[Array, " b"]
    scores: Float[Array, " b"]
    collected: Any


class Beam(NamedTuple):
    """What the search knows of its hypotheses, and how it got to each."""

    count: Int[Array, ""]
    states: Any
    last: Int[Array, " b"]
    finished: Bool[Array, " b"]
    lengths: Int[Array, " b"]
    totals: Float[Array, " b"]
    tokens: Int[Array, "m b"]
    parents: Int[Array, "m b"]
    collected: Any


def extend(beam: Beam, step: Step, stop: int, length_penalty: float, collect: Any) -> Beam:
    """One more token for each beginning, of all that any of them could take."""
    following, states = jax.vmap(step)(beam.states, beam.last)
    size, words = following.shape
    stays = jnp.where(jnp.arange(words) == stop, 0.0, -jnp.inf).astype(following.dtype)
    following = jnp.where(beam.finished[:, None], stays[None], following)
    totals = beam.totals[:, None] + following
    counts = jnp.where(beam.finished, beam.lengths, beam.count) + 1
    scores = _score(totals, counts[:, None], length_penalty)
    _, best = jax.lax.top_k(scores.reshape(-1), size)
    parents, tokens = best // words, best % words
    states = jax.tree.map(lambda leaf: leaf[parents], states)
    stopped = tokens == stop
    lengths = jnp.where(stopped, beam.count, beam.count + 1)
    write = lambda rows, row: rows.at[beam.count].set(row)
    return Beam(
        count=beam.count + 1,
        states=states,
        last=tokens,
        finished=stopped,
        lengths=jnp.where(beam.finished[parents], beam.lengths[parents], lengths),
        totals=totals.reshape(-1)[best],
        tokens=write(beam.tokens, tokens),
        parents=write(beam.parents, parents),
        collected=jax.tree.map(write, beam.collected, jax.vmap(collect, axis_size=size)(states)),
    )


def trace_back(beam: Beam, stop: int, length_penalty: float) -> SearchResult:
    """Follows each sequence from its last token to its first, through the places it had."""
    size = len(beam.totals)

    def back(places, row):
        tokens, parents, collected = row
        return parents[places], jax.tree.map(lambda leaf: leaf[places], (tokens, collected))

    rows = (beam.tokens, beam.parents, beam.collected)
    places = varying_as(jnp.arange(size, dtype=jnp.int32), rows)
    _, (tokens, collected) = jax.lax.scan(back, places, rows, reverse=True)
    exists = beam.totals > -jnp.inf
    lengths = jnp.where(exists, beam.lengths, 0)
    counts = jnp.where(beam.finished, lengths + 1, lengths)
    places = jnp.arange(len(tokens), dtype=counts.dtype)
    here = places[None] < jnp.where(exists, counts, 0)[:, None]

    def by_sequence(leaf):
        leaf = jnp.swapaxes(leaf, 0, 1)
        shape = here.shape + (1,) * (leaf.ndim - 2)
        return jnp.where(here.reshape(shape), leaf, jnp.zeros_like(leaf))

    tokens = jnp.where(here, tokens.T, stop)
    scores = _score(beam.totals, counts, length_penalty)
    return SearchResult(tokens, lengths, scores, jax.tree.map(by_sequence, collected))


def _score(totals: Array, counts: Array, length_penalty: float) -> Array:
    return totals / ((5.0 + counts.astype(totals.dtype)) / 6.0) ** length_penalty
