"""A block of queries cut down, as it runs, to the span of keys that some of its queries see."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.custom_batching import custom_vmap

from jattn.engine.arguments import Call
from jattn.engine.loops import again, over
from jattn.engine.planning import Run
from jattn.masks.algebra import Mask
from jattn.masks.hulls import both, hull, hull_of_array
from jattn.masks.spans import Interval


def varies(call: Call) -> bool:
    """Whether what is masked, a bias apart, depends on arrays that a plan cannot read."""
    if call.rows is not None:  # Those may lie in any order.
        return False
    arrays = [call.query_seq_lengths, call.key_value_seq_lengths, call.query_offset]
    if not isinstance(call.mask, Mask):
        arrays.append(call.mask)
    elif any(isinstance(x, Tracer) for x in jax.tree.leaves(call.mask)):
        return True
    return any(isinstance(x, Tracer) or np.size(x) > 1 for x in arrays if x is not None)


def seen_of(call: Call, mask: Any, array: Any) -> Interval:
    """Returns an interval with all keys that each query [b t] may see in any head.

    `mask` is what `mask_leaves` found, `array` is what `pairs_of` did.
    """
    b, t, s, *_ = call.sizes
    leaves, structure = jax.tree.flatten((mask[0], array[0]))
    moves = [own for own, _ in mask[1]] + [array[1][0]] * (array[0] is not None)

    def of_one(leaves: list[Any]) -> Interval:
        mask, array = structure.unflatten(leaves)
        queries = jnp.arange(t)
        seen = Interval(jnp.zeros_like(queries), jnp.full_like(queries, s))
        if mask is not None:
            seen = both(seen, hull(mask, queries, s))
        if array is None:
            return seen
        pairs = array.any(tuple(range(array.ndim - 2)))
        return both(seen, hull_of_array(jnp.broadcast_to(pairs, (t, s))))

    if any(moves):
        return over(of_one, moves, b, b)(leaves)
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (b, t)), of_one(leaves))


def spans_of(run: Run, seen: Interval, s: int) -> Interval:
    """The span of each block of a run, from what each query sees."""
    some = seen.start < seen.stop
    stop = run.start + run.size * run.count

    def blocks(ends: Any, nothing: int) -> Any:
        cut = jnp.where(some, ends, nothing)[run.start : stop]
        cut = jnp.pad(cut, (0, stop - run.start - len(cut)), constant_values=nothing)
        return cut.reshape(run.count, run.size)

    return shared(blocks(seen.start, s).min(1), blocks(seen.stop, 0).max(1))


@custom_vmap
def shared(start: Any, stop: Any) -> Interval:
    """Returns the interval; under vmap, the union of spans, so that `lax.switch` stays a switch."""
    return Interval(start, stop)


@shared.def_vmap
def _shared(size: int, batched: Any, start: Any, stop: Any) -> tuple[Interval, Interval]:
    start = start.min(0) if batched[0] else start
    stop = stop.max(0) if batched[1] else stop
    return shared(start, stop), Interval(False, False)


def narrow(function: Callable[[Any], Any], widths: tuple[int, ...], part: Any, seen: Interval):
    """Calls `function` with the fewest keys of `widths` that hold what a block sees."""
    full = len(part.keys[0])

    def cut(width: int, part: Any, start: Any) -> Any:
        start = jnp.minimum(start, full - width)
        along = lambda x, axis: lax.dynamic_slice_in_dim(x, start, width, axis)
        of_pairs = lambda x: x if x is None or x.shape[-1] != full else along(x, x.ndim - 1)
        columns = None if part.key_columns is None else along(part.key_columns, 1)
        return function(
            part._replace(
                keys=tuple(along(x, 0) for x in part.keys),
                pairs=tuple(map(of_pairs, part.pairs)),
                key_columns=columns,
                first_key=part.first_key + start,
            )
        )

    # Computed anew for a derivative twice over: a way, since a choice keeps what any of its ways
    # does, and the choice, since a loop would keep its keys for each block.
    ways = [again(partial(cut, width)) for width in widths]

    @again
    def chosen(part: Any, seen: Interval) -> Any:
        start = jnp.clip(seen.start - part.first_key, 0, full)
        needed = jnp.clip(seen.stop - part.first_key, 0, full) - start
        return lax.switch((needed > jnp.asarray(widths[:-1])).sum(), ways, part, start)

    return chosen(part, seen)
