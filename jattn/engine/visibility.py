"""Visibility of keys for queries: all masking arguments together, read in one place."""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from jattn._sizes import are_known
from jattn._varying import varying_as
from jattn.engine.arguments import Call
from jattn.engine.schedule import Axes, Loops, leaves_like, over_heads
from jattn.masks.algebra import Mask, all_of
from jattn.masks.hulls import both, hull, hull_of_array
from jattn.masks.patterns import causal, lengths, window
from jattn.masks.reach import within_reach
from jattn.masks.spans import Interval, interval
from jattn.masks.visible import by_intervals

BLOCK = 2**20  # Pairs that are looked at together.


class Visible(NamedTuple):
    """Queries that see any key, keys that any query sees, and where each query's keys lie."""

    queries: Bool[Array, "t *r"]
    keys: Bool[Array, " s"]
    span: Interval | None = None  # Of each query [t]; only where blocks are narrowed to it.


class AtRows(NamedTuple):
    """The rule of a mask whose queries are some of those of another."""

    structure: Any

    def __call__(self, queries: Any, keys: Any, rows: Any, *leaves: Any) -> Any:
        return self.structure.unflatten(leaves).at(rows[queries], keys)


def mask_of(call: Call, number: Any, length: Any = None) -> tuple[Mask | None, Any]:
    """The conjunction of the mask and of what other arguments mask, and `Axes` of its leaves.

    `number` makes an operand of an array of offsets, `length` of one of lengths.
    """
    shared, each = Axes((False,) * len(call.lead), None), Axes((True,) * len(call.lead), None)

    def given(x: Any, make: Any) -> Any:
        return x if x is None or not hasattr(x, "dtype") else make(x)

    of_array = lambda x: x if isinstance(x, int | None) else each if np.ndim(x) else shared
    parts = [call.mask] if isinstance(call.mask, Mask) else []
    axes = [_axes_of(mask, len(call.lead)) for mask in parts]
    offset, own = given(within_reach(call.query_offset), number), []
    if call.is_causal:
        own.append((causal, (offset,)))
    if call.local_window_size is not None:
        own.append((window, (*call.local_window_size, offset)))
    if call.query_seq_lengths is not None or call.key_value_seq_lengths is not None:
        of_keys = given(call.key_value_seq_lengths, length or number)
        of_queries = given(call.query_seq_lengths, length or number)
        own.append((lengths, (call.sizes[2] if of_keys is None else of_keys, of_queries)))
    for pattern, operands in own:
        mask = pattern(*operands)
        parts.append(mask)
        axes.append(Mask(mask.rule, tuple(map(of_array, mask.operands)), mask.sizes))
    if not parts:
        return None, None
    mask, of_mask = reduce(lambda x, y: x & y, parts), reduce(lambda x, y: x & y, axes)
    if call.rows is None:
        return mask, of_mask
    leaves, structure = jax.tree.flatten(mask)
    rule = AtRows(structure)
    return Mask(rule, (call.rows, *leaves)), Mask(rule, (shared, *structure.flatten_up_to(of_mask)))


def _axes_of(mask: Mask, lead: int) -> Any:
    """Returns the mask with `Axes` for its arrays; ids and pairs may have those of the batch."""

    def axes_of(x: Any, rank: int | None) -> Any:
        if isinstance(x, Mask):
            return _axes_of(x, lead)
        has_batch = bool(rank) and np.ndim(x) > rank
        return x if isinstance(x, int | None) else Axes((has_batch,) * lead, None)

    return Mask(mask.rule, tuple(map(axes_of, mask.operands, mask.operand_axes())), mask.sizes)


def pairs_of_mask(mask: Mask, lead: tuple[int, ...], t: int, s: int) -> Bool[Array, "*#b 1 t s"]:
    """Returns the mask of all heads as an array, with the axes of a batch that its arrays have."""
    leaves, structure = jax.tree.flatten(mask)
    own = [any(axes.batch) for axes in jax.tree.leaves(_axes_of(mask, len(lead)))]
    dense = lambda *leaves: structure.unflatten(leaves).dense(t, s)
    for _ in lead if any(own) else ():
        dense = jax.vmap(dense, [0 if has_batch else None for has_batch in own])
    return dense(*leaves)[..., None, :, :]


def known_before(call: Call) -> tuple[Mask | None, bool]:
    """Returns the mask with its known arrays as NumPy's, which a plan can read; and whether what it
    shows depends on other arrays.

    Known are arrays that are constants of a program that is being traced. The arrays of other calls
    are not: their program is kept for other arrays of the same shapes.
    """
    staged = isinstance(call.query, jax.ShapeDtypeStruct) or isinstance(jnp.zeros(()), Tracer)
    is_known = lambda x: staged and not isinstance(x, Tracer | jax.ShapeDtypeStruct)
    shape = lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype)
    array = lambda x: np.asarray(x) if is_known(x) else shape(x)
    single = lambda x: int(np.asarray(x).item()) if is_known(x) and np.size(x) == 1 else shape(x)
    # The largest of known lengths: what it does not show, no shorter one does.
    longest = lambda x: int(np.asarray(x).max()) if is_known(x) and np.size(x) else shape(x)
    of_mask = jax.tree.map(array, call.mask) if isinstance(call.mask, Mask) else call.mask
    mask, _ = mask_of(call._replace(mask=of_mask), single, longest)
    if call.rows is not None:  # Those may lie in any order.
        return mask, False
    unknown = lambda x: isinstance(x, jax.ShapeDtypeStruct)
    varies = any(map(unknown, jax.tree.leaves(mask))) or not isinstance(of_mask, Mask | None)
    lengths = call.query_seq_lengths, call.key_value_seq_lengths
    return mask, varies or any(np.size(x) > 1 for x in lengths if x is not None)


def visible_of(
    tree: Any, axes: Any, lead: int, t: int, s: int, narrows: bool = False
) -> tuple[Any, Any]:
    """Returns what is visible in each head, None if all is, and the axes of that.

    Args:
        tree: mask, array and bias, as far as they are given.
        axes: theirs.
        lead: number of axes of the batch.
    """
    if not jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Mask)):
        return None, None

    leaves, structure = jax.tree.flatten(tree)
    kinds = leaves_like(axes, tree)

    def of_head(*leaves: Any) -> Visible:
        mask, array, bias = structure.unflatten(leaves)
        return visible(mask, array, bias, t, s, narrows)

    found = over_heads(of_head, kinds, Loops(), *leaves, out=0)
    if all(isinstance(x, np.ndarray) and x.all() for x in jax.tree.leaves(found)):
        return None, None
    batch = tuple(any(x.batch[number] for x in kinds) for number in range(lead))
    return found, Axes(batch, None if all(x.group is None for x in kinds) else 0)


def visible(
    mask: Mask | None,
    array: Bool[Array, "*r t s"] | None,
    bias: Float[Array, "*r t s"] | None,
    t: int,
    s: int,
    narrows: bool,
) -> Visible:
    """Returns what is visible in one head or group of heads.

    Args:
        array: True where a query may attend to a key; axes may have size 1.
        bias: -inf is the same as a mask.
        narrows: whether blocks are narrowed to the span of each query's keys as they run.
    """
    span = None
    if narrows:
        span = Interval(jnp.zeros(t, int), jnp.full(t, s))
        span = span if mask is None else both(span, hull(mask, jnp.arange(t), s))
        if array is not None:
            seen = array.any(tuple(range(array.ndim - 2)))
            span = both(span, hull_of_array(jnp.broadcast_to(seen, (t, s))))
    if array is None and bias is None and mask is not None:
        found = by_intervals(mask, t, s)
        if found is not None:
            return Visible(*found, span)
    return _from_pairs(mask, array, bias, t, s)._replace(span=span)


def _from_pairs(mask: Mask | None, array: Any, bias: Any, t: int, s: int) -> Visible:
    """Looks at a block of pairs at a time; the last block begins early enough to be whole."""
    ranks = [x.ndim for x in (array, bias) if x is not None]
    heads = max([x.shape[0] for x in (array, bias) if x is not None and x.ndim == 3], default=1)
    if are_known(t) and not t:
        shape = (0, heads) if 3 in ranks else (0,)
        return Visible(jnp.zeros(shape, bool), jnp.zeros(s, bool))
    most = max(BLOCK // max(s * heads, 1), 1) if are_known(t, s) else t  # Else all at once.
    is_whole = not are_known(t, s) or most >= t
    size = t if is_whole else most
    keys = jnp.arange(s)

    def step(read: Any, start: Any) -> tuple[Any, Any]:
        def rows(pairs: Any) -> Any:
            if pairs is None or pairs.shape[-2] != t or is_whole:
                return pairs
            return lax.dynamic_slice_in_dim(pairs, start, size, axis=pairs.ndim - 2)

        allowed = allowed_pairs(mask, rows(array), rows(bias), start + jnp.arange(size), keys)
        *of_heads, _, _ = range(allowed.ndim)
        sees = jnp.moveaxis(allowed.any(-1), -1, 0)
        return read | allowed.any((*of_heads, allowed.ndim - 2)), sees

    nothing = varying_as(jnp.zeros(s, bool), (mask, array, bias))
    if is_whole:
        keys_seen, queries = step(nothing, jnp.zeros((), int))
        return Visible(queries, keys_seen)
    starts = jnp.minimum(jnp.arange(0, t, size), t - size)
    keys_seen, queries = lax.scan(step, nothing, starts)
    body, last = queries[:-1], queries[-1]
    body = body.reshape(-1, *last.shape[1:])
    return Visible(jnp.concatenate([body, last[len(body) + size - t :]]), keys_seen)


def allowed_pairs(
    mask: Mask | None,
    array: Bool[Array, "*r t s"] | None,
    bias: Float[Array, "*r t s"] | None,
    queries: Int[Array, " t"],
    keys: Int[Array, " s"],
) -> Bool[Array, "*r t s"]:
    """True where a query may see a key: by the mask, the array, and a bias that is not -inf."""
    known = [] if mask is None else [at_positions(mask, queries[:, None], keys[None, :])]
    known += [] if array is None else [array]
    known += [] if bias is None else [bias != -jnp.inf]
    rank = max(x.ndim for x in known)
    known = [x.reshape((1,) * (rank - x.ndim) + x.shape) for x in known]
    heads = jnp.broadcast_shapes(*(x.shape[:-2] for x in known))
    shape = (*heads, *queries.shape, *keys.shape)
    return reduce(jnp.logical_and, [jnp.broadcast_to(x, shape) for x in known])


def at_positions(
    mask: Mask, queries: Int[Array, "..."], keys: Int[Array, "..."]
) -> Bool[Array, "..."]:
    """The mask at positions that broadcast; of several that are intervals, the common interval."""
    found = interval(mask, queries, jnp.iinfo(keys.dtype).max, jnp) if mask.rule is all_of else None
    if found is None:
        return mask.at(queries, keys)
    return (keys >= found.start) & (keys < found.stop)
