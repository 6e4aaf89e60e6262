"""The masks of a call: what all its arguments say together, and what nobody may read."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jattn.engine.arguments import Call
from jattn.engine.loops import over
from jattn.engine.readers import Readers, readers
from jattn.masks.algebra import Mask
from jattn.masks.patterns import causal, lengths, window
from jattn.masks.reach import within_reach


def pairs_of(array: Any, call: Call, dtype: Any) -> tuple[Any, tuple[bool, bool]]:
    """Bias or mask as [b g r t s] less the axes of b and g that it does not have.

    Less the axis of r too if its size is one: XLA would copy an array that has it.
    """
    if array is None:
        return None, (False, False)
    b, _, _, g, r, _, _ = call.sizes
    lead = call.lead
    array = jnp.asarray(array, dtype)
    array = array.reshape((1,) * (len(lead) + 3 - array.ndim) + array.shape)
    own = array.shape[: len(lead)]
    if any(size != 1 for size in own) and own != lead:
        array = jnp.broadcast_to(array, (*lead, *array.shape[len(lead) :]))
    h, t, s = array.shape[-3:]
    own = array.shape[: len(lead)]
    groups, heads = (g, r) if h == g * r else (1, 1)
    moves = (math.prod(own) == b and b != 1, groups == g and g > 1)
    axes = (b,) * moves[0] + (g,) * moves[1] + (heads,) * (heads != 1)
    return array.reshape(*axes, t, s), moves


def mask_leaves(call: Call) -> tuple[Mask | None, list[tuple[bool, bool]]]:
    """The mask of all structured arguments, and which of its leaves differ in the batch."""
    mask = mask_of(call, lambda x: x if isinstance(x, int) else jnp.asarray(x).astype(int))
    leaves = jax.tree.leaves(mask)
    own = len(jax.tree.leaves(call.mask)) if isinstance(call.mask, Mask) else 0
    own += call.rows is not None
    moves = [(i >= own and np.ndim(x) == 1, False) for i, x in enumerate(leaves)]
    return mask, moves


def mask_of(call: Call, number: Any, length: Any = None) -> Mask | None:
    """Conjunction of the mask and of what other arguments mask, the mask's own leaves first.

    `number` makes an operand of an argument that is an array, `length` of one that is lengths.
    """

    def given(x: Any, number: Any = number) -> Any:
        if isinstance(x, int | np.integer) or (np.ndim(x) == 0 and not isinstance(x, Tracer)):
            return int(x)
        return number(x).reshape(-1) if np.ndim(x) else number(x)

    offset, s = given(within_reach(call.query_offset)), call.sizes[2]
    parts = [_known(call.mask)] if isinstance(call.mask, Mask) else []
    if call.is_causal:
        parts.append(causal(offset))
    if call.local_window_size is not None:
        left, right = call.local_window_size
        parts.append(window(left, right, offset))
    if call.query_seq_lengths is not None or call.key_value_seq_lengths is not None:
        of_keys, of_queries = call.key_value_seq_lengths, call.query_seq_lengths
        of_keys = s if of_keys is None else given(of_keys, length or number)
        of_queries = None if of_queries is None else given(of_queries, length or number)
        parts.append(lengths(of_keys, of_queries))
    mask = parts[0] if parts else None
    for part in parts[1:]:
        assert mask is not None
        mask = mask & part
    if mask is None or call.rows is None:
        return mask
    leaves, structure = jax.tree.flatten(mask)
    return Mask(AtRows(structure), (call.rows, *leaves))


class AtRows(NamedTuple):
    """The rule of a mask whose queries are some of those of another."""

    structure: Any

    def __call__(self, queries: Any, keys: Any, rows: Any, *leaves: Any) -> Any:
        return self.structure.unflatten(leaves).at(rows[queries], keys)


def _known(mask: Mask) -> Mask:
    """Returns the mask with its known arrays as NumPy arrays, which a plan can read."""
    traced = lambda x: isinstance(x, Tracer)
    return jax.tree.map(lambda x: x if traced(x) else np.asarray(x), mask)


def readers_of(call: Call, mask: Any, array: Any, bias: Any) -> Readers | None:
    """Returns queries that read a key and keys that are read; None if all do and are.

    `mask` is what `mask_leaves` found, `array` and `bias` are what `pairs_of` did.
    """
    b, t, s, g, *_ = call.sizes
    given = (mask[0], array[0], jax.lax.stop_gradient(bias[0]))
    leaves, structure = jax.tree.flatten(given)
    of_leaves: Callable[..., Any] = structure.unflatten
    moves = [
        *mask[1],
        *([] if array[0] is None else [array[1]]),
        *([] if bias[0] is None else [bias[1]]),
    ]
    together = 1 if len(leaves) > len(mask[1]) else b

    def run(leaves: list[Any]) -> Any:
        own_mask, own_array, own_bias = of_leaves(leaves)
        return readers(own_mask, own_array, own_bias, t, s)

    mapped: Callable[..., Any] = run
    axes = []
    for axis, size in ((1, g), (0, b)):
        if any(m[axis] for m in moves):
            mapped = over(mapped, [m[axis] for m in moves], size, together)
            axes.append(axis)
    reads, read = mapped(leaves)
    if isinstance(read, np.ndarray) and read.all() and reads.all():
        return None
    missing = [axis for axis in (0, 1) if axis not in axes]
    expanded = [jnp.expand_dims(jnp.asarray(x), missing) for x in (reads, read)]
    return Readers(*(jnp.broadcast_to(x, (b, g, *x.shape[2:])) for x in expanded))
