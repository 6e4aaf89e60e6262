"""A call of the engine as problems of one group of heads each, and what they give put together."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jattn.engine.arguments import Call
from jattn.engine.heads import BY_GROUP, How, attend
from jattn.engine.layout import grouped
from jattn.engine.masking import mask_leaves, mask_of, pairs_of, readers_of
from jattn.engine.measuring import Measure, measured
from jattn.engine.narrow import seen_of, varies
from jattn.engine.pairs import DropoutKey, Operands, Setting, Static
from jattn.engine.planners import Planner, dense
from jattn.engine.planning import Plan, Problem
from jattn.engine.problems import Loops, leading
from jattn.masks.algebra import Mask


def plan_of(call: Call, planner: Planner) -> Plan:
    """Returns the plan of a call, from what is known before it runs."""
    b, t, s, g, r, k, v = call.sizes
    known = mask_of(call, jnp.asarray, _longest)
    problem = Problem(b, t, s, g, r, k, v, known, call.chunk_size, varies(call))
    return planner(problem) if t else dense(problem)  # Nothing to cut up.


# Arguments whose entries no plan reads.
ARRAYS = ("query", "key", "value", "bias", "mask", "scale", "sinks", "dropout_rng", "rows")


class AttendedAll(NamedTuple):
    """Output and lse in the layout of `dot_product_attention`, and what was measured."""

    output: Float[Array, "*b t h v"]
    lse: Float[Array, "*b t h"]
    rows: Float[Array, "*b h t m"] | None = None
    columns: Float[Array, "*b h s"] | None = None


def attend_all(call: Call, planner: Planner, measure: Measure | None = None) -> AttendedAll:
    """Attends as planned; `measure` is called with each block of weights.

    Compiled as one program, also where the caller compiles nothing, unless masks hold arrays: those
    may be known, and then the plan reads them.
    """
    arrays = {name: x for name in ARRAYS if hasattr(x := getattr(call, name), "dtype")}
    rest = call._replace(**dict.fromkeys(arrays))
    try:
        hash(rest)
    except TypeError:
        return _attend_all(call, planner, measure)
    return _compiled(arrays, rest, planner, measure)


@partial(jax.jit, static_argnames=("rest", "planner", "measure"))
def _compiled(
    arrays: dict[str, Any], rest: Call, planner: Planner, measure: Measure | None
) -> AttendedAll:
    return _attend_all(rest._replace(**arrays), planner, measure)


def _attend_all(call: Call, planner: Planner, measure: Measure | None) -> AttendedAll:
    b, t, s, g, r, k, v = call.sizes
    dtype = call.inner_dtype
    plan = plan_of(call, planner)
    static = Static(r, call.logits_soft_cap, float(call.dropout_rate))
    scale = jnp.asarray(max(k, 1) ** -0.5 if call.scale is None else call.scale, dtype)
    query = grouped(_cast(call.query, dtype).reshape(b, t, g * r, k), g)
    key = _cast(call.key, dtype).reshape(b, s, g, k)
    value = _cast(call.value, dtype).reshape(b, s, g, v)
    bias, bias_moves = pairs_of(call.bias, call, dtype)
    array, array_moves = pairs_of(None if isinstance(call.mask, Mask) else call.mask, call, bool)
    mask, mask_moves = mask_leaves(call)
    readers = None
    if not (bias is None and array is None and mask is None):
        readers = readers_of(call, (mask, mask_moves), (array, array_moves), (bias, bias_moves))
    sinks = None if call.sinks is None else jnp.asarray(call.sinks, dtype).reshape(g, r)
    dropout = None
    if call.dropout_rate:
        dropout = DropoutKey(call.dropout_rng, jnp.arange(b * g * r).reshape(b, g, r))
    operands = Operands(query, key, value, bias, sinks, scale)
    seen = None
    if any(run.widths for run in plan.runs):
        seen = seen_of(call, (mask, mask_moves), (array, array_moves))
    setting = Setting(mask, array, dropout, seen=seen)
    of_operands = [BY_GROUP] * 3 + [leading(bias_moves)] * (bias is not None)
    of_operands += [leading((False, True))] * (sinks is not None) + [leading((False, False))]
    of_setting = [leading(moves) for moves in mask_moves]
    of_setting += [leading(array_moves)] * (array is not None)
    if dropout is not None:
        of_setting += [leading((False, False)), leading((True, True))]
    of_setting += [leading((True, False))] * len(jax.tree.leaves(seen))
    of_readers = [leading((True, True))] * len(jax.tree.leaves(readers))
    # A bias that the batch shares has its loop over the batch inside that over groups.
    shares = bias is not None and not bias_moves[0]
    loops = Loops(b if shares else plan.together // g, plan.together, shares)
    how = How(static, plan.runs, loops, tuple(of_operands), tuple(of_setting), tuple(of_readers))
    given = operands, setting, readers
    context, lse = attend(how, *given)
    output = context.reshape(*call.lead, t, g * r, v).astype(call.query.dtype)
    lse_of_all = lse.reshape(*call.lead, t, g * r)
    if measure is None:
        return AttendedAll(output, lse_of_all)
    rows, columns = measured(how, measure, *given, lse)
    rows = rows.reshape(*call.lead, g * r, t, rows.shape[-1])
    columns = None if columns is None else columns.reshape(*call.lead, g * r, s)
    return AttendedAll(output, lse_of_all, rows, columns)


def _longest(lengths: Any) -> Any:
    """The largest of lengths that are known: what it does not show, no shorter one does."""
    if isinstance(lengths, Tracer) or not np.size(lengths):
        return jnp.asarray(lengths)
    return np.asarray(lengths).max(keepdims=True)


def _cast(array: Any, dtype: Any) -> Any:
    """`array` in `dtype`; one that has it is not touched, so that nobody looks at its entries."""
    done = isinstance(array, jax.Array) and array.dtype == dtype and not array.weak_type
    return array if done else jnp.asarray(array, dtype)
