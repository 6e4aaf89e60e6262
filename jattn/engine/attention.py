"""Attention of batches and heads: from its arguments to a program, and back."""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn._sizes import are_known
from jattn.engine.arguments import Call, Origin
from jattn.engine.block import Hidden, Operands, Place, Settings, read, weights_of
from jattn.engine.plan import Plan, Planner, Problem, best, dense
from jattn.engine.program import Program
from jattn.engine.schedule import Axes, Way, Ways, leaves_like
from jattn.engine.tiles import OPERANDS, QUERIES, Found
from jattn.engine.visibility import known_before, mask_of, visible_of
from jattn.masks.algebra import Mask


class Arrays(NamedTuple):
    """The arrays of a call, in its own layout; `mask` says what all of its arguments mask."""

    query: Float[Array, "*b t h k"]
    key: Float[Array, "*b s g k"]
    value: Float[Array, "*b s g v"]
    bias: Float[Array, "*b h t s"] | None
    array: Bool[Array, "*b h t s"] | None
    mask: Mask | None
    scale: Float[Array, ""]
    sinks: Float[Array, " h"] | None
    rng: Any
    origin: Origin | None = None


class AttendedAll(NamedTuple):
    """Output and lse in the layout of `dot_product_attention`, and what was measured."""

    output: Float[Array, "*b t h v"]
    lse: Float[Array, "*b t h"]
    rows: Float[Array, "*b h t m"] | None = None
    columns: Float[Array, "*b h s"] | None = None


class Measured(NamedTuple):
    """Measurements of each query of a tile and of all keys."""

    rows: Float[Array, "t r m"]
    columns: Float[Array, "r s"] | None = None


# Maps the weights of a tile, and a function that places an array [_ w] over the tile's keys among
# all keys.
Measure = Callable[[Float[Array, "t r w"], Callable[[Array], Array]], Measured]


def plan_of(call: Call, planner: Planner) -> Plan:
    """Returns the plan of a call in this process, from what is known before it runs."""
    return _plan(planner, _problem(call))


def _problem(call: Call) -> Problem:
    """The sizes and the known mask of a call; a symbolic batch counts as one element."""
    mask, varies = known_before(call)
    problem = Problem(*call.sizes, mask, call.chunk_size, varies, _may_loop(call))
    return problem if are_known(problem.batch) else problem._replace(batch=1)


def _plan(planner: Planner, problem: Problem) -> Plan:
    """The plan of a problem; symbolic numbers of queries or keys are not divided into blocks."""
    planner = planner if are_known(problem.t, problem.s) and problem.t else dense
    try:
        return _planned(planner, problem)
    except TypeError:  # A mask with known arrays has no hash.
        return planner(problem)


@lru_cache(maxsize=1024)
def _planned(planner: Planner, problem: Problem) -> Plan:
    return planner(problem)


def _may_loop(call: Call) -> bool:
    """Whether this process has one CPU device, and the arrays are not spread over others."""
    arrays = [x for x in (call.query, call.key, call.value) if isinstance(x, jax.Array)]
    meshes = [jax.sharding.get_abstract_mesh(), *(jax.typeof(x).sharding.mesh for x in arrays)]
    one_device = jax.default_backend() == "cpu" and jax.device_count() == 1
    return one_device and are_known(*call.sizes) and all(mesh.size <= 1 for mesh in meshes)


def planned(call: Call, planner: Planner = best) -> tuple[Any, ...]:
    """The arguments of `attend_all` for a call."""
    problem = _problem(call)
    plans = [_plan(planner, x) for x in (problem, problem._replace(may_loop=False))]
    ways = Ways(*(Way(plan.runs, plan.loops) for plan in plans))
    r, rate = call.sizes[4], float(call.dropout_rate)
    settings = Settings(r, call.logits_soft_cap, rate, call.precision)
    mask, axes = mask_of(call, lambda x: jnp.asarray(x).astype(int))
    dtype, k = call.inner_dtype, call.query.shape[-1]
    scale = jnp.asarray(max(k, 1) ** -0.5 if call.scale is None else call.scale, dtype)
    array = None if isinstance(call.mask, Mask) else call.mask
    rng = call.dropout_rng if call.dropout_rate else None
    arrays = Arrays(
        call.query, call.key, call.value, call.bias, array, mask, scale, call.sinks, rng,
        call.origin if rng is not None else None,
    )  # fmt: skip
    of_mask = tuple(x.batch for x in jax.tree.leaves(axes))
    return arrays, of_mask, settings, ways, np.dtype(dtype)


@partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def attend_all(
    arrays: Arrays,
    of_mask: tuple[tuple[bool, ...], ...],
    settings: Settings,
    ways: Ways,
    dtype: np.dtype,
    measure: Measure | None = None,
) -> AttendedAll:
    """Attends as planned; `measure` is called with the weights of each tile.

    Compiled as one program, also where the caller compiles nothing.

    Args:
        of_mask: the axes of the batch that each array of the mask has.
        dtype: in which all is computed.
    """
    *lead, _, h, _ = arrays.query.shape
    g = arrays.key.shape[-2]
    every, none = (True,) * len(lead), (False,) * len(lead)
    bias, bias_axes = pairs_of(arrays.bias, lead, g, h // g, dtype)
    array, array_axes = pairs_of(arrays.array, lead, g, h // g, bool)
    of_leaves = [Axes(batch, None) for batch in of_mask]
    mask_axes = jax.tree.structure(arrays.mask).unflatten(of_leaves)
    query, key, value = (jnp.asarray(x, dtype) for x in (arrays.query, arrays.key, arrays.value))
    sinks = None if arrays.sinks is None else _in_groups(jnp.asarray(arrays.sinks, dtype), g, 0)
    heads, origin = None, arrays.origin
    if arrays.rng is not None:
        heads = jnp.arange(math.prod(lead) * h).reshape(*lead, h)
        if origin is not None and origin.heads is not None:
            heads = origin.heads
        heads = _in_groups(heads, g, len(lead))
    start = None if origin is None else Place(origin.query, origin.key)
    operands = Operands(_in_groups(query, g, -2), key, value, bias, sinks, arrays.scale)
    hidden = Hidden(arrays.mask, array, arrays.rng, heads, start)
    by_group = Axes(every, 1)
    of_heads, of_all = Axes(none, 0), Axes(none, None)
    of_operands = [by_group, by_group, by_group, bias_axes, of_heads, of_all]
    of_hidden = [mask_axes, array_axes, of_all, Axes(every, 0), of_all]
    axes = Operands._make(of_operands), Hidden._make(of_hidden)
    hides = arrays.mask, array, lax.stop_gradient(bias)
    of_hides = mask_axes, array_axes, bias_axes
    narrows = any(run.widths for way in ways for run in way.runs)
    sizes = len(lead), query.shape[len(lead)], key.shape[-3]
    seen, seen_axes = visible_of(hides, of_hides, *sizes, narrows)
    given, axes = (operands, hidden, seen), (*axes, seen_axes)
    leaves, structure = jax.tree.flatten(given)
    every_axis = tuple(leaves_like(axes, given))
    context, lse = Program(read, (OPERANDS,), settings, ways, structure, every_axis)(*leaves)
    shape = arrays.query.shape[:-1]
    output = _joined(context, (*shape, value.shape[-1])).astype(arrays.query.dtype)
    lse_of_all = _joined(lse, shape)
    if measure is None:
        return AttendedAll(output, lse_of_all)
    body = Measuring(measure, query.shape[len(lead)], key.shape[-3])
    leaves, structure = jax.tree.flatten((*given, lse))
    roles, every_axis = (OPERANDS, QUERIES), (*every_axis, by_group)
    measured = Program(body, roles, settings, ways, structure, every_axis, 0, True)
    rows, *columns = measured(*leaves)  # [*b g t r m] and [*b g r s]
    rows = rows.swapaxes(-3, -2).reshape(*lead, h, *rows.shape[-3::2])
    columns = columns[0].reshape(*lead, h, columns[0].shape[-1]) if columns else None
    return AttendedAll(output, lse_of_all, rows, columns)


class Measuring(NamedTuple):
    """Applies `measure` to the weights of a tile of t queries and s keys in all."""

    measure: Measure
    t: int
    s: int

    def __call__(
        self,
        settings: Settings,
        operands: Operands,
        hidden: Hidden,
        place: Place,
        lse: Float[Array, "t *r"],
    ) -> Found:
        weights = weights_of(settings, operands, hidden, place, lse)
        size = operands.query.shape[0]
        weights = weights.reshape(size, settings.heads, weights.shape[1])
        exists = place.query + jnp.arange(size) < self.t  # Blocks may end after the last query.
        weights = jnp.where(exists[:, None, None], weights, 0.0)
        return Found(*self.measure(weights, lambda x: _among_all(x, place.key, self.s)))


def pairs_of(
    array: Any, lead: list[int], g: int, r: int, dtype: Any
) -> tuple[Float[Array, "..."] | None, Axes | None]:
    """Bias or mask without the axes of batch, groups and heads that it does not have."""
    if array is None:
        return None, None
    array = jnp.asarray(array, dtype)
    array = array.reshape((1,) * (len(lead) + 3 - array.ndim) + array.shape)
    *own, h, t, s = array.shape
    batch = tuple(size != 1 for size in own)
    sizes = [size for size in own if size != 1]
    if h == 1:
        return array.reshape(*sizes, t, s), Axes(batch, None)
    heads = (g, r) if r > 1 else (g,)
    return array.reshape(*sizes, *heads, t, s), Axes(batch, 0)


def _in_groups(array: Any, groups: int, axis: int) -> Any:
    """Heads, the axis given, as groups of r; without an axis of r where it would be one."""
    axis %= array.ndim
    h = array.shape[axis]
    if h == groups:
        return array
    shape = *array.shape[:axis], groups, h // groups, *array.shape[axis + 1 :]
    return array.reshape(shape)


def _joined(array: Any, shape: tuple[int, ...]) -> Any:
    return array if array.shape == shape else array.reshape(shape)


def _among_all(array: Float[Array, "c w"], start: Any, s: int) -> Float[Array, "c s"]:
    """An array over a span of keys as one over all."""
    rows, width = array.shape
    wide = jnp.zeros((rows, s + 2 * width), array.dtype)
    wide = lax.dynamic_update_slice_in_dim(wide, array, start + width, 1)
    return wide[:, width : width + s]
