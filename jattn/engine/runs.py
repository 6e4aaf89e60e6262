"""Loops over the blocks of one head."""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn.engine.layout import pairs_of_head
from jattn.engine.narrow import narrow, spans_of
from jattn.engine.planning import Run
from jattn.engine.slabs import blocks_of, pairs_of_run, queries_of, slabs
from jattn.masks.algebra import Mask
from jattn.masks.patterns import existing
from jattn.masks.spans import Interval


class Part(NamedTuple):
    """Arrays of a tile: a block of queries, or a whole head, with its keys."""

    queries: tuple[Float[Array, "r t f"], ...]  # In a block [c f].
    keys: tuple[Float[Array, "s f"], ...]
    pairs: tuple[Array | None, ...]  # [*r t s], axes may have size 1.
    mask: Mask | None
    key_columns: Any = None  # The first of the keys, turned: [k s].
    first_query: Any = None
    first_key: Any = None
    seen: Interval | None = None


class Found(NamedTuple):
    """Results of a block: rows of its queries, and sums that are added over blocks."""

    rows: tuple[Float[Array, "c f"], ...]
    sums: tuple[Array, ...] = ()


def over_blocks(
    function: Callable[[Part], Found], runs: tuple[Run, ...], head: Part, turn: bool = False
) -> Found:
    """Calls `function` for each block of a head; `turn` gives it the key columns too."""
    r, t, _ = head.queries[0].shape
    found = [(run, _over_run(function, run, head, turn)) for run in runs]
    rows = [[queries_of(run, x, r, t) for x in part.rows] for run, part in found]
    sums = [[x.sum(0) for x in part.sums] for _, part in found]
    return Found(
        tuple(jnp.concatenate(x, axis=1) for x in zip(*rows, strict=True)),
        tuple(reduce(jnp.add, x) for x in zip(*sums, strict=True)),
    )


def _over_run(function: Callable[[Part], Found], run: Run, head: Part, turn: bool) -> Found:
    t, s, moves = head.queries[0].shape[1], len(head.keys[0]), run.key_step > 0
    mask = head.mask
    if moves:
        mask = Mask(existing, (s,)) if mask is None else Mask(existing, (s,)) & mask
    span = slice(run.key_start, run.key_start + run.width)
    keys = [slabs(x, run) if moves else x[span] for x in head.keys]
    columns = [jnp.swapaxes(keys[0], -1, -2)] if turn else []
    cut = [(x, moves) for x in (*keys, *columns)]
    cut += [pairs_of_run(pairs_of_head(x), run, t, s) for x in head.pairs]
    queries = tuple(blocks_of(run, x) for x in head.queries)

    def block(chosen: tuple[Any, Any, list[Any], Any]) -> Found:
        index, queries, moving, seen = chosen
        first_query, first_key = run.start + index * run.size, run.key_start + index * run.key_step
        # Tied to the queries, since JAX takes out of a loop what does not depend on its input: the
        # masks of all blocks would be made, and kept, at once. Not to tangents among them, since a
        # barrier makes linear all that stands beside one.
        first, *rest = queries
        first, first_query, first_key = lax.optimization_barrier((first, first_query, first_key))
        left = iter(moving)
        own = [next(left) if flag else x for x, flag in cut]
        count = len(keys)
        part = Part(
            (first, *rest),
            tuple(own[:count]),
            tuple(own[count + turn :]),
            mask,
            own[count] if turn else None,
            first_query,
            first_key,
        )
        return function(part) if seen is None else narrow(function, run.widths, part, seen)

    seen = spans_of(run, head.seen, s) if run.widths and head.seen is not None else None
    moving = (jnp.arange(run.count), queries, [x for x, flag in cut if flag], seen)
    if run.count == 1:
        one = block(jax.tree.map(lambda x: x[0], moving))
        return jax.tree.map(lambda x: x[None], one)
    return lax.map(block, moving)
