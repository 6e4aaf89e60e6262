"""Tiles of one head: its queries in blocks, each against a span of its keys."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from jattn.engine.operands import Operands, Place, Read
from jattn.engine.plan import Run
from jattn.engine.schedule import leaves_like, recompute
from jattn.engine.visibility import Visible
from jattn.masks.algebra import Mask
from jattn.masks.patterns import existing
from jattn.masks.spans import Interval

# How an array goes along with a tile: by its queries [t ...], by its keys [s ...] or [... s], by
# its pairs [*r t s], by their distances [*r t+s-1]; or it is the same for all tiles.
QUERIES, KEYS, KEY_COLUMNS, PAIRS, ALL = "queries", "keys", "key columns", "pairs", "all"
DISTANCES = "distances"
OPERANDS = Operands._make([QUERIES, KEYS, KEYS, PAIRS, ALL, ALL, DISTANCES, ALL])
READ = Read._make([QUERIES, QUERIES])


class Found(NamedTuple):
    """Results of a tile: rows of its queries, and sums that are added over tiles."""

    rows: Any
    sums: Any = None


def over_tiles(
    body: Callable[..., Any], roles: Any, runs: tuple[Run, ...], structure: Any, *leaves: Any
) -> Any:
    """Calls `body(operands, hidden, place, *rest)` for each tile of a head.

    A result of a tile is a tree of rows of its queries, or `Found`.

    Args:
        roles: says how the arrays of operands, and of the rest, go along with a tile. Where one of
            the rest is `KEY_COLUMNS`, that is made here.
        structure: that of the leaves, which are operands, hidden, visible and the rest.
    """
    operands, hidden, visible, *rest = structure.unflatten(leaves)
    rest = [hide_unread(x, visible) if isinstance(x, Operands) else x for x in rest]
    operands = hide_unread(operands, visible)
    (t, *_), (s, *_) = operands.query.shape, operands.key.shape
    is_whole = runs[0].is_whole(t, s)
    if KEY_COLUMNS in roles:
        rest = [operands.key.T if is_whole else operands.key, *rest]
    if is_whole:
        return body(operands, hidden, Place(), *rest)
    tree = (operands, hidden.array, *rest)  # The mask's array is cut as the others are.
    arrays, structure = jax.tree.flatten(tree)
    kinds = leaves_like((roles[0], PAIRS, *roles[1:]), tree)
    found = []
    for run in runs:
        mask = hidden.mask
        if run.key_step:
            mask = Mask(existing, (s,)) if mask is None else Mask(existing, (s,)) & mask

        def tile(parts: list[Any], place: Place, mask: Mask | None = mask) -> Any:
            operands, array, *rest = structure.unflatten(parts)
            return body(operands, hidden._replace(mask=mask, array=array), place, *rest)

        cut = [_cut(x, kind, run, t, s) for x, kind in zip(arrays, kinds, strict=True)]
        span = _spans(run, visible.span, s) if run.widths else None
        moving = jnp.arange(run.count), [x for x, moves in cut if moves], span

        def step(chosen: tuple[Any, list[Any], Any], run: Run = run, cut: Any = cut) -> Any:
            number, own, span = chosen
            own = iter(own)
            parts = [next(own) if moves else x for x, moves in cut]
            place = (run.start + number * run.size, run.key_start + number * run.key_step)
            # Tied to the queries, since JAX takes out of a loop what does not depend on its input:
            # the masks of all tiles would be made, and kept, at once. Not to tangents among them,
            # since a barrier makes linear all that stands beside one.
            parts[0], place = lax.optimization_barrier((parts[0], place))
            if span is None:
                return tile(parts, Place(*place))
            return _narrow(tile, run.widths, kinds, parts, Place(*place), span)

        if run.count == 1:
            one = step(jax.tree.map(lambda x: x[0], moving))
            found.append(jax.tree.map(lambda x: x[None], one))
        else:
            found.append(lax.map(step, moving))
    return _joined(found, runs, t)


def _joined(found: list[Any], runs: tuple[Run, ...], t: int) -> Any:
    """Rows of tiles one after the other, and sums added up."""

    def rows_of(run: Run, rows: Any) -> Any:
        rows = rows.reshape(run.count * run.size, *rows.shape[2:])
        return rows[: t - run.start]

    def joined(*parts: Any) -> Any:
        rows = [rows_of(run, x) for run, x in zip(runs, parts, strict=True)]
        return rows[0] if len(rows) == 1 else jnp.concatenate(rows)

    def added(*parts: Any) -> Any:
        return reduce(jnp.add, [x.sum(0) for x in parts])

    if not isinstance(found[0], Found):
        return jax.tree.map(joined, *found)
    rows, sums = zip(*found, strict=True)
    return Found(jax.tree.map(joined, *rows), jax.tree.map(added, *sums))


def hide_unread(operands: Operands, visible: Visible | None) -> Operands:
    """Queries, keys and values become zero where nobody reads: not even NaN has an effect then."""
    if visible is None:
        return operands
    sees, seen = visible.queries, visible.keys[..., None]
    sees = sees.reshape(*sees.shape, *[1] * (operands.query.ndim - sees.ndim))
    return operands._replace(
        query=jnp.where(sees, operands.query, 0.0),
        key=jnp.where(seen, operands.key, 0.0),
        value=jnp.where(seen, operands.value, 0.0),
    )


def _cut(array: Any, kind: str, run: Run, t: int, s: int) -> tuple[Any, bool]:
    """The part of an array that a run needs, and whether that has an axis of tiles in front."""
    if kind == QUERIES:
        return _blocks(array, run, 0), True
    if kind == KEYS:
        return _spans_of_keys(array, run)
    if kind == KEY_COLUMNS:
        keys, moves = _spans_of_keys(array, run)
        return jnp.swapaxes(keys, -1, -2), moves
    if kind == DISTANCES:
        return _distances(array, run, t)
    return (_pairs(array, run, t, s)) if kind == PAIRS else (array, False)


def _blocks(array: Any, run: Run, axis: int) -> Any:
    """The queries of a run, block by block in front; past the last query there are zeros."""
    stop, size = run.start + run.size * run.count, array.shape[axis]
    cut = lax.slice_in_dim(array, run.start, min(stop, size), axis=axis)
    if stop > size:
        cut = jnp.pad(cut, [(0, (stop - size) * (i == axis)) for i in range(cut.ndim)])
    shape = (*cut.shape[:axis], run.count, run.size, *cut.shape[axis + 1 :])
    return jnp.moveaxis(cut.reshape(shape), axis, 0)


def _spans_of_keys(array: Float[Array, "s f"], run: Run) -> tuple[Float[Array, "*n w f"], bool]:
    """Rows `key_start + i key_step` to `width` further, for each tile i; zero past the ends.

    Neighbouring pieces are laid side by side, whose derivative is a sum of as many: that of a
    gather or of a slice that moves would visit the whole array for each tile.
    """
    step, count = run.key_step, run.count
    if not step:
        return array[run.key_start : run.key_start + run.width], False
    pieces = -(-run.width // step)
    padded = _padded(array, run, axis=0, length=(count - 1 + pieces) * step)
    cut = padded.reshape(count - 1 + pieces, step, *array.shape[1:])
    joined = jnp.concatenate([cut[i : i + count] for i in range(pieces)], axis=1)
    return joined[:, : run.width], True


def _pairs(array: Any, run: Run, t: int, s: int) -> tuple[Any, bool]:
    """A bias or mask [*r t s] for a run, whose axes of t and s may have size 1."""
    own_rows, own_keys = array.shape[-2] == t and t > 1, array.shape[-1] == s and s > 1
    if own_rows:
        array = _blocks(array, run, array.ndim - 2)
    if not own_keys:
        return array, own_rows
    last = array.ndim - 1
    if not run.key_step:
        stop = run.key_start + run.width
        return lax.slice_in_dim(array, run.key_start, stop, axis=last), own_rows
    length = (run.count - 1) * run.key_step + run.width
    padded = _padded(array, run, axis=last, length=length)
    starts = jnp.arange(run.count) * run.key_step
    cut = lambda one, start: lax.dynamic_slice_in_dim(one, start, run.width, axis=-1)
    return jax.vmap(cut, (0 if own_rows else None, 0))(padded, starts), True


def _distances(array: Float[Array, "*r n"], run: Run, t: int) -> tuple[Any, bool]:
    """The numbers of a run's distances key - query, of which `array` holds those from 1 - t on."""
    length = run.size + run.width - 1
    firsts = [
        run.key_start - run.start - run.size + t + i * (run.key_step - run.size)
        for i in range(run.count)
    ]
    lowest = min(firsts)
    padded = _part(array, lowest, max(firsts) - lowest + length, array.ndim - 1)
    if run.key_step == run.size:
        return padded, False
    starts = jnp.asarray(firsts) - lowest
    cut = lambda begin: lax.dynamic_slice_in_dim(padded, begin, length, axis=-1)
    return jax.vmap(cut)(starts), True


def _padded(array: Any, run: Run, axis: int, length: int) -> Any:
    """The part of `array` from `key_start` on, with zeros where it has none."""
    return _part(array, run.key_start, length, axis)


def _part(array: Any, start: int, length: int, axis: int) -> Any:
    """So many entries of `array` from `start` on, which are zero where it has none."""
    size = array.shape[axis]
    first, last = max(start, 0), min(max(start + length, 0), size)
    cut = lax.slice_in_dim(array, min(first, size), max(last, min(first, size)), axis=axis)
    front = min(max(-start, 0), length)
    pad = [(0, 0)] * array.ndim
    pad[axis] = (front, length - front - cut.shape[axis])
    return jnp.pad(cut, pad)


def _spans(run: Run, span: Interval, s: int) -> Interval:
    """The span of each tile of a run, from what each query sees."""
    some = span.start < span.stop

    def blocks(ends: Any, nothing: int) -> Any:
        found = jnp.where(some, ends, nothing)[run.start : run.start + run.size * run.count]
        missing = run.size * run.count - len(found)
        found = jnp.pad(found, (0, missing), constant_values=nothing)
        return found.reshape(run.count, run.size)

    return shared(blocks(span.start, s).min(1), blocks(span.stop, 0).max(1))


@custom_vmap
def shared(start: Any, stop: Any) -> Interval:
    """Returns the interval; under vmap, the union of spans, so that `lax.switch` stays a switch."""
    return Interval(start, stop)


@shared.def_vmap
def _shared(size: int, batched: Any, start: Any, stop: Any) -> tuple[Interval, Interval]:
    start = start.min(0) if batched[0] else start
    stop = stop.max(0) if batched[1] else stop
    return shared(start, stop), Interval(False, False)


def _narrow(
    tile: Callable[[list[Any], Place], Any],
    widths: tuple[int, ...],
    kinds: list[str],
    parts: list[Any],
    place: Place,
    span: Interval,
) -> Any:
    """Calls `tile` with the fewest keys of `widths` that hold what its queries see."""
    full = widths[-1]

    def cut(width: int, parts: list[Any], place: Place, start: Any) -> Any:
        start = jnp.minimum(start, full - width)

        def along(array: Any, kind: str) -> Any:
            last = array.ndim - 1
            axis = {KEYS: 0, KEY_COLUMNS: 1, PAIRS: last, DISTANCES: last}.get(kind)
            if axis is None or (kind == PAIRS and array.shape[axis] != full):
                return array
            size = max(array.shape[axis] - full + width, 0) if kind == DISTANCES else width
            return lax.dynamic_slice_in_dim(array, start, size, axis)

        cut = [along(x, kind) for x, kind in zip(parts, kinds, strict=True)]
        return tile(cut, place._replace(key=place.key + start))

    # Computed anew for a derivative twice over: a way, since a choice keeps what any of its ways
    # does, and the choice, since a loop would keep its keys for each tile.
    ways = [recompute(partial(cut, width)) for width in widths]

    @recompute
    def chosen(parts: list[Any], place: Place, span: Interval) -> Any:
        start = jnp.clip(span.start - place.key, 0, full)
        needed = jnp.clip(span.stop - place.key, 0, full) - start
        return lax.switch((needed > jnp.asarray(widths[:-1])).sum(), ways, parts, place, start)

    return chosen(parts, place, span)
