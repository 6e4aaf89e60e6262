"""A call of the engine as problems of one group of heads each, and what they give put together."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jattn.engine.arguments import Call
from jattn.engine.chance import Chance
from jattn.engine.heads import Head, Measure, attend_head
from jattn.engine.loops import over_both
from jattn.engine.masking import mask_leaves, mask_of, pairs_of, readable, readers_of
from jattn.engine.pairs import Static
from jattn.engine.planners import Planner, dense
from jattn.engine.planning import Plan, Problem
from jattn.engine.slabs import blocks_of, queries_of
from jattn.masks.algebra import Mask


def plan_of(call: Call, planner: Planner) -> Plan:
    """What is known before the run, planned."""
    b, t, s, g, r, k, v = call.sizes
    known = mask_of(call, jnp.asarray, _longest)
    problem = Problem(b, t, s, g, r, k, v, known, call.chunk_size)
    return planner(problem) if t else dense(problem)  # Nothing to cut up.


class AttendedAll(NamedTuple):
    """Output and lse in the layout of `dot_product_attention`, and what was measured."""

    output: Float[Array, "*b t h v"]
    lse: Float[Array, "*b t h"]
    rows: Float[Array, "*b h t m"] | None
    columns: Float[Array, "*b h s"] | None


def attend_all(call: Call, planner: Planner, measure: Measure | None = None) -> AttendedAll:
    """Attends as planned; `measure` is called with each block of weights."""
    b, t, s, g, r, k, v = call.sizes
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.promote_types(
            jnp.result_type(call.query.dtype, call.key.dtype, call.value.dtype), jnp.float32
        )
    plan = plan_of(call, planner)
    static = Static(r, call.logits_soft_cap, float(call.dropout_rate))
    scale = jnp.asarray(max(k, 1) ** -0.5 if call.scale is None else call.scale, dtype)
    query = _cast(call.query, dtype).reshape(b, t, g, r, k).transpose(0, 2, 3, 1, 4)
    key = _cast(call.key, dtype).reshape(b, s, g, k).transpose(0, 2, 1, 3)
    value = _cast(call.value, dtype).reshape(b, s, g, v).transpose(0, 2, 1, 3)
    bias, bias_moves = pairs_of(call.bias, call, dtype)
    array, array_moves = pairs_of(None if isinstance(call.mask, Mask) else call.mask, call, bool)
    mask, mask_moves = mask_leaves(call)
    if not (bias is None and array is None and mask is None):
        given = (mask, mask_moves), (array, array_moves), (bias, bias_moves)
        query, key, value = readable(query, key, value, readers_of(call, *given))
    sinks = None if call.sinks is None else jnp.asarray(call.sinks, dtype).reshape(g, r)
    chance = None
    if call.dropout_rate:
        chance = Chance(call.dropout_rng, jnp.arange(b * g * r).reshape(b, g, r))
    blocks = tuple(blocks_of(run, query) for run in plan.runs)
    head = Head(
        blocks, scale, key, value, jnp.swapaxes(key, -1, -2), bias, array, mask, sinks, chance
    )
    moves = [
        *([(True, True)] * len(blocks)),
        (False, False),
        *([(True, True)] * 3),
        *([] if bias is None else [bias_moves]),
        *([] if array is None else [array_moves]),
        *mask_moves,
        *([] if sinks is None else [(False, True)]),
        *([] if chance is None else [(False, False), (True, True)]),
    ]
    leaves, structure = jax.tree.flatten(head)
    one = lambda leaves: attend_head(plan, static, measure, structure.unflatten(leaves))
    shares = bias is not None and not bias_moves[0]
    found = over_both(one, leaves, moves, (b, g), plan.together, groups_first=shares)
    lead, h = call.lead, g * r
    join = lambda name: queries_of(plan.runs, tuple(getattr(part, name) for part in found), r, t)
    context = join("context").transpose(0, 3, 1, 2, 4).reshape(*lead, t, h, v)
    lse = join("lse")[..., 0].transpose(0, 3, 1, 2).reshape(*lead, t, h)
    rows = columns = None
    if measure is not None:
        rows = join("rows")
        rows = rows.reshape(*lead, h, t, rows.shape[-1])
        if found[0].columns is not None:
            columns = jnp.concatenate([part.columns for part in found], axis=2).sum(2)
            columns = columns.reshape(*lead, h, s)
    return AttendedAll(context.astype(call.query.dtype), lse, rows, columns)


def _longest(lengths: Any) -> Any:
    """The largest of lengths that are known: what it does not show, no shorter one does."""
    if isinstance(lengths, Tracer) or not np.size(lengths):
        return jnp.asarray(lengths)
    return np.asarray(lengths).max(keepdims=True)


def _cast(array: Any, dtype: Any) -> Any:
    """`array` in `dtype`; one that has it is not touched, so that nobody looks at its entries."""
    done = isinstance(array, jax.Array) and array.dtype == dtype and not array.weak_type
    return array if done else jnp.asarray(array, dtype)
