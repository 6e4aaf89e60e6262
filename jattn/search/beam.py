"""The beam of a search: the beginnings of sequences, and the parent of each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._sharding import rows_at
from jattn._varying import varying_as

Step = Callable[[Any, Int[Array, ""]], tuple[Float[Array, " w"], Any]]


class SearchResult(NamedTuple):
    """Sequences of up to `m` tokens, the best first; greedy search and sampling have no axis `b`.

    Scores are sums in at least float32, whatever dtype the step returns.
    """

    tokens: Int[Array, "b m"]
    lengths: Int[Array, " b"]
    scores: Float[Array, " b"]
    collected: Any


class Rules(NamedTuple):
    """The words that end a sequence, the words that may be taken, and the order of beginnings.

    `narrow(log_probabilities, count)` may rule out further words of the next token.
    """

    fill: Int[Array, ""]  # The token of places past a sequence's end.
    is_stop: Bool[Array, " w"]
    usable: Bool[Array, " w"]
    min_length: int
    length_penalty: float | Float[Array, ""]
    narrow: Callable[[Float[Array, " w"], Int[Array, ""]], Float[Array, " w"]]


class Beam(NamedTuple):
    """The hypotheses of a search after `count` tokens, and the history of each.

    `totals` is -inf where there is no hypothesis. A hypothesis that has stopped took a stop token;
    one that is broken has no next token. `lengths` exclude the stop token, `counts` include it.
    """

    count: Int[Array, ""]
    states: Any
    last: Int[Array, " b"]
    stopped: Bool[Array, " b"]
    broken: Bool[Array, " b"]
    lengths: Int[Array, " b"]
    counts: Int[Array, " b"]
    totals: Float[Array, " b"]
    tokens: Int[Array, "m b"]
    parents: Int[Array, "m b"]
    collected: Any

    @property
    def goes_on(self) -> Bool[Array, ""]:
        return jnp.any(~self.stopped & ~self.broken & (self.totals > -jnp.inf))


def extend(beam: Beam, step: Step, rules: Rules, collect: Callable[[Any], Any]) -> Beam:
    """Adds one token to each hypothesis: the best of all continuations of all hypotheses."""
    following, states = jax.vmap(step)(beam.states, beam.last)
    size, words = following.shape
    following, broken = _usable(following.astype(beam.totals.dtype), beam, rules)
    totals = beam.totals[:, None] + following
    counts = jnp.where(beam.stopped, beam.counts, beam.count + 1)
    scores = score(totals, counts[:, None], rules.length_penalty)
    best_scores, best = largest(scores.reshape(-1), size)
    broken_scores = jnp.where(
        broken, score(beam.totals, beam.counts, rules.length_penalty), -jnp.inf
    )
    # Beginnings that are broken come after all others, so that none takes the place of another.
    ranks = jnp.concatenate([jnp.where(best_scores > -jnp.inf, 0, 2), jnp.where(broken, 1, 2)])
    order = jnp.lexsort((-jnp.concatenate([best_scores, broken_scores]), ranks))[:size]
    chosen = lambda living, others: rows_at(jnp.concatenate([living, others]), order)
    parents = chosen(best // words, jnp.arange(size, dtype=best.dtype))
    tokens = chosen(best % words, jnp.broadcast_to(rules.fill, size))
    breaks = order >= size
    stops = rows_at(rules.is_stop, tokens)
    inherited = beam.stopped, beam.lengths, beam.counts, states
    stopped, lengths, counts, states = jax.tree.map(lambda leaf: rows_at(leaf, parents), inherited)
    ended = breaks | stopped
    write = lambda rows, row: rows.at[beam.count].set(row)
    return Beam(
        count=beam.count + 1,
        states=states,
        last=tokens,
        stopped=~breaks & (stops | stopped),
        broken=breaks,
        lengths=jnp.where(ended, lengths, beam.count + 1 - stops.astype(jnp.int32)),
        counts=jnp.where(ended, counts, beam.count + 1),
        totals=chosen(rows_at(totals.reshape(-1), best), beam.totals),
        tokens=write(beam.tokens, tokens),
        parents=write(beam.parents, parents),
        collected=jax.tree.map(write, beam.collected, jax.vmap(collect, axis_size=size)(states)),
    )


def largest(
    values: Float[Array, " n"], count: int
) -> tuple[Float[Array, " count"], Int[Array, " count"]]:
    """Returns the largest values and their places, the first of equal ones first.

    `jax.lax.top_k` has the same result, but XLA gathers a sharded batch before it.
    """
    places = jnp.arange(len(values), dtype=jnp.int32)

    def take(is_taken, _):
        value = jnp.where(is_taken, -jnp.inf, values).max()
        place = jnp.where(~is_taken & (values == value), places, len(values)).min()
        return is_taken | (places == place), (value, place)

    none = varying_as(jnp.zeros(len(values), bool), values)
    return jax.lax.scan(take, none, length=count)[1]


def _usable(
    following: Float[Array, "b w"], beam: Beam, rules: Rules
) -> tuple[Float[Array, "b w"], Bool[Array, " b"]]:
    """Returns the log-probabilities of words that may come next, and the broken hypotheses."""
    usable = rules.usable & (~rules.is_stop | (beam.count >= rules.min_length))
    following = jnp.where(usable[None], following, -jnp.inf)
    # A comparison with NaN is false.
    broken = ~((following < jnp.inf).all(-1) & (following > -jnp.inf).any(-1))
    broken = ~beam.stopped & (broken | beam.broken) & (beam.totals > -jnp.inf)
    following = jax.vmap(rules.narrow, (0, None))(following, beam.count)
    stays = jnp.where(jnp.arange(following.shape[1], dtype=jnp.int32) == rules.fill, 0.0, -jnp.inf)
    following = jnp.where(beam.stopped[:, None], stays[None].astype(following.dtype), following)
    return jnp.where(broken[:, None], -jnp.inf, following), broken


def trace_back(beam: Beam, rules: Rules) -> SearchResult:
    """Follows each sequence from its last token to its first, through its places in the beam."""
    size = len(beam.totals)

    def back(places, row):
        tokens, parents, collected = jax.tree.map(lambda leaf: rows_at(leaf, places), row)
        return parents, (tokens, collected)

    rows = (beam.tokens, beam.parents, beam.collected)
    places = varying_as(jnp.arange(size, dtype=jnp.int32), rows)
    _, (tokens, collected) = jax.lax.scan(back, places, rows, reverse=True)
    exists = beam.totals > -jnp.inf
    counts = jnp.where(exists, beam.counts, 0)
    places = jnp.arange(len(tokens), dtype=counts.dtype)
    inside = places[None] < counts[:, None]

    def by_sequence(leaf):
        leaf = jnp.swapaxes(leaf, 0, 1)
        shape = inside.shape + (1,) * (leaf.ndim - 2)
        return jnp.where(inside.reshape(shape), leaf, jnp.zeros_like(leaf))

    return SearchResult(
        jnp.where(inside, tokens.T, rules.fill),
        jnp.where(exists, beam.lengths, 0),
        score(beam.totals, counts, rules.length_penalty),
        jax.tree.map(by_sequence, collected),
    )


def score(totals: Array, counts: Array, length_penalty: float | Array) -> Array:
    """Returns the totals divided by the length penalty; -inf stays -inf."""
    if isinstance(length_penalty, jax.Array):
        length_penalty = length_penalty.astype(totals.dtype)
    norm = ((5.0 + counts.astype(totals.dtype)) / 6.0) ** length_penalty
    return jnp.where(totals > -jnp.inf, totals / norm, -jnp.inf)
