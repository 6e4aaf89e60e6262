"""A call of the engine as problems of one group of heads each, and what they give put together."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jattn.engine.arguments import Call
from jattn.engine.block import Static
from jattn.engine.chance import Chance
from jattn.engine.loops import Attended, Head, attend_head, over
from jattn.engine.plan import Plan, Planner, Problem
from jattn.engine.readers import readers
from jattn.masks.algebra import Mask
from jattn.masks.patterns import causal, lengths, window


def plan_of(call: Call, planner: Planner) -> Plan:
    """What is known before the run, planned."""
    b, t, s, g, r, k, v = call.sizes
    known = _mask(call, lambda x: x if isinstance(x, int | np.integer) else jnp.asarray(x))
    return planner(Problem(b, t, s, g, r, k, v, known, call.chunk_size))


def attend_all(call: Call, planner: Planner, wants_weights: bool) -> tuple[Any, Any, Any]:
    """Output, lse and (where asked for) weights, in the layout of `dot_product_attention`."""
    b, t, s, g, r, k, v = call.sizes
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.promote_types(
            jnp.result_type(call.query.dtype, call.key.dtype, call.value.dtype), jnp.float32
        )
    plan = plan_of(call, planner)
    static = Static(r, call.logits_soft_cap, float(call.dropout_rate))
    scale = max(k, 1) ** -0.5 if call.scale is None else jnp.asarray(call.scale, dtype)
    query = (jnp.asarray(call.query, dtype) * scale).reshape(b, t, g, r, k).transpose(0, 2, 3, 1, 4)
    key, value = (
        jnp.asarray(x, dtype).reshape(b, s, g, -1 if x.size else x.shape[-1]).transpose(0, 2, 1, 3)
        for x in (call.key, call.value)
    )
    bias, bias_moves = _pairs(call.bias, call, dtype)
    array, array_moves = _pairs(None if isinstance(call.mask, Mask) else call.mask, call, bool)
    mask, mask_moves = _mask_leaves(call)
    if not (bias is None and array is None and mask is None):
        query, key, value = _readable(
            query, key, value, (mask, mask_moves), (array, array_moves), (bias, bias_moves)
        )
    sinks = None if call.sinks is None else jnp.asarray(call.sinks, dtype).reshape(g, r)
    chance = None
    if call.dropout_rate:
        chance = Chance(call.dropout_rng, jnp.arange(b * g * r).reshape(b, g, r))
    head = Head(query, key, value, bias, array, mask, sinks, chance)
    all_ = lambda tree, b_moves, g_moves: jax.tree.map(lambda _: (b_moves, g_moves), tree)
    moves = [
        *([(True, True)] * 3),
        *([] if bias is None else [bias_moves]),
        *([] if array is None else [array_moves]),
        *mask_moves,
        *([] if sinks is None else [(False, True)]),
        *([] if chance is None else [(False, False), (True, True)]),
    ]
    leaves, structure = jax.tree.flatten(head)
    one = lambda leaves: attend_head(plan, static, wants_weights, structure.unflatten(leaves))
    shares = bias is not None and not bias_moves[0]
    found: Attended = _over_both(one, leaves, moves, (b, g), plan.together, groups_first=shares)
    lead = call.lead
    context = found.context.transpose(0, 3, 1, 2, 4).reshape(*lead, t, g * r, v)
    lse = found.lse.transpose(0, 3, 1, 2).reshape(*lead, t, g * r)
    weights = found.weights
    if weights is not None:
        weights = weights.reshape(*lead, g * r, t, s).astype(call.query.dtype)
    return context.astype(call.query.dtype), lse, weights


def _over_both(
    function: Any,
    leaves: list[Any],
    moves: list[tuple[bool, bool]],
    sizes: tuple[int, int],
    together: int,
    groups_first: bool,
) -> Any:
    """Maps over batch and groups; the inner loop is the one over which a bias is shared."""
    outer, inner = (1, 0) if groups_first else (0, 1)
    if groups_first:
        leaves = [
            jnp.swapaxes(x, 0, 1) if all(m) else x for x, m in zip(leaves, moves, strict=True)
        ]
    step = over(function, [m[inner] for m in moves], sizes[inner], together)
    loop = over(step, [m[outer] for m in moves], sizes[outer], together // max(sizes[inner], 1))
    found = loop(leaves)
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), found) if groups_first else found


def _pairs(array: Any, call: Call, dtype: Any) -> tuple[Any, tuple[bool, bool]]:
    """Bias or mask as [b g r t s] less the axes of b and g that it does not have."""
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
    array = array.reshape(-1, *((g, r) if h == g * r else (1, 1)), t, s)
    moves = (len(array) == b and b > 1, array.shape[1] == g and g > 1)
    array = array if moves[1] else array[:, 0]
    return (array if moves[0] else array[0]), moves


def _mask_leaves(call: Call) -> tuple[Mask | None, list[tuple[bool, bool]]]:
    """The mask of all structured arguments, and which of its leaves differ in the batch."""
    mask = _mask(call, lambda x: x if isinstance(x, int) else jnp.asarray(x).astype(int))
    leaves = jax.tree.leaves(mask)
    own = len(jax.tree.leaves(call.mask)) if isinstance(call.mask, Mask) else 0
    moves = [(i >= own and np.ndim(x) == 1, False) for i, x in enumerate(leaves)]
    return mask, moves


def _mask(call: Call, number: Any) -> Mask | None:
    """Conjunction of the mask and of what other arguments mask, the mask's own leaves first."""

    def given(x: Any) -> Any:
        if isinstance(x, int | np.integer) or (
            np.ndim(x) == 0 and not isinstance(x, jax.core.Tracer)
        ):
            return int(x)
        return number(x).reshape(-1) if np.ndim(x) else number(x)

    offset, s = given(call.query_offset), call.sizes[2]
    parts = [_known(call.mask)] if isinstance(call.mask, Mask) else []
    if call.is_causal:
        parts.append(causal(offset))
    if call.local_window_size is not None:
        parts.append(window(*call.local_window_size, offset))
    if call.query_seq_lengths is not None or call.key_value_seq_lengths is not None:
        of_keys = s if call.key_value_seq_lengths is None else given(call.key_value_seq_lengths)
        of_queries = call.query_seq_lengths
        parts.append(lengths(of_keys, None if of_queries is None else given(of_queries)))
    mask = parts[0] if parts else None
    for part in parts[1:]:
        assert mask is not None
        mask = mask & part
    return mask


def _known(mask: Mask) -> Mask:
    """What of the mask is there before the run, as NumPy's, so that the plan can read it."""
    traced = lambda x: isinstance(x, jax.core.Tracer)
    return jax.tree.map(lambda x: x if traced(x) else np.asarray(x), mask)


def _readable(query: Any, key: Any, value: Any, mask: Any, array: Any, bias: Any) -> Any:
    """Zeroes keys and values that no query may read, and queries that may read no key."""
    t, s = query.shape[-2], key.shape[-2]
    given = (mask[0], array[0], jax.lax.stop_gradient(bias[0]))
    leaves, structure = jax.tree.flatten(given)
    moves = [
        *mask[1],
        *([] if array[0] is None else [array[1]]),
        *([] if bias[0] is None else [bias[1]]),
    ]
    together = 1 if len(leaves) > len(mask[1]) else query.shape[0]
    run = lambda leaves: readers(*structure.unflatten(leaves), t, s)
    axes = []
    for axis in (1, 0):
        if any(m[axis] for m in moves):
            run = over(run, [m[axis] for m in moves], query.shape[axis], together)
            axes.append(axis)
    reads, read = run(leaves)
    if isinstance(read, np.ndarray) and read.all() and reads.all():
        return query, key, value
    missing = [axis for axis in (0, 1) if axis not in axes]
    reads = jnp.expand_dims(jnp.asarray(reads), missing)[..., None]
    read = jnp.expand_dims(jnp.asarray(read), missing)[..., None]
    return jnp.where(reads, query, 0.0), *(jnp.where(read, x, 0.0) for x in (key, value))
