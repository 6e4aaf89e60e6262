"""Attention of batches and heads: from its arguments to a program, and back."""

import dataclasses
import math
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jattn._sizes import are_known
from jattn.biases.algebra import Bias
from jattn.engine.arguments import Call, Origin
from jattn.engine.block import read, read_normalized
from jattn.engine.measuring import Measure, Measuring
from jattn.engine.operands import Functions, Hidden, Operands, Place, Settings
from jattn.engine.plan import Plan, Planner, Problem, best, dense
from jattn.engine.program import Program
from jattn.engine.schedule import Axes, Way, Ways, leaves_like
from jattn.engine.tiles import OPERANDS, QUERIES
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
    of_distance: Bias | None = None
    params: tuple[Any, ...] = ()  # Of the caller's functions: those that are differentiated,
    fixed: tuple[Any, ...] = ()  # and the others.
    offset: Int[Array, "*b"] | None = None  # Position of the first query.
    origin: Origin | None = None


class AttendedAll(NamedTuple):
    """Output and lse in the layout of `dot_product_attention`, and what was measured."""

    output: Float[Array, "*b t h v"]
    lse: Float[Array, "*b t h"] | None  # None with another normalizer than softmax.
    rows: Float[Array, "*b h t m"] | None = None
    columns: Float[Array, "*b h s"] | None = None


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
    functions, params, fixed = _functions(call)
    settings = Settings(r, call.logits_soft_cap, rate, call.precision, functions)
    mask, axes = mask_of(call, lambda x: jnp.asarray(x).astype(int))
    dtype, k = call.inner_dtype, call.query.shape[-1]
    scale = jnp.asarray(max(k, 1) ** -0.5 if call.scale is None else call.scale, dtype)
    array = None if isinstance(call.mask, Mask) else call.mask
    rng = call.dropout_rng if call.dropout_rate else None
    is_placed = functions is not None or isinstance(call.bias, Bias)
    arrays = Arrays(
        *(call.query, call.key, call.value),
        *(None if isinstance(call.bias, Bias) else call.bias, array, mask, scale, call.sinks, rng),
        *(call.bias if isinstance(call.bias, Bias) else None, params, fixed),
        jnp.asarray(call.query_offset, int) if is_placed else None,
        call.origin if rng is not None or is_placed else None,
    )
    of_mask = tuple(x.batch for x in jax.tree.leaves(axes))
    return arrays, of_mask, settings, ways, np.dtype(dtype)


def _functions(call: Call) -> tuple[Functions | None, tuple[Any, ...], tuple[Any, ...]]:
    """The functions of a call, and their parameters: those that have derivatives, and the others.

    Parameters are split since a derivative knows no change of an integer.
    """
    if call.score is call.weight is call.normalizer is None:
        return None, (), ()
    leaves, structure = jax.tree.flatten(call.params)
    leaves = [jnp.asarray(x) for x in leaves]
    moves = tuple(bool(jnp.issubdtype(x.dtype, jnp.floating)) for x in leaves)
    functions = call.score, call.weight, call.normalizer
    chosen = lambda wanted: tuple(x for x, m in zip(leaves, moves, strict=True) if m == wanted)
    return Functions(*functions, structure, moves), chosen(True), chosen(False)


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
    heads, batch, head = None, None, None
    functions, origin = settings.functions, arrays.origin
    if functions is not None:
        batch = jnp.arange(math.prod(lead)).reshape(lead)
        head = _in_groups(jnp.arange(h), g, 0)
    if arrays.rng is not None:
        heads = jnp.arange(math.prod(lead) * h).reshape(*lead, h)
        if origin is not None and origin.heads is not None:
            heads = origin.heads
        heads = _in_groups(heads, g, len(lead))
    start = None if origin is None else Place(origin.query, origin.key)
    distances, of_distances = _distances(arrays, g, dtype)
    operands = Operands(
        *(_in_groups(query, g, -2), key, value, bias, sinks, arrays.scale),
        *(distances, arrays.params),
    )
    hidden = Hidden(
        *(arrays.mask, array, arrays.rng, heads, start, arrays.offset, arrays.fixed, batch, head)
    )
    by_group = Axes(every, 1)
    of_heads, of_all = Axes(none, 0), Axes(none, None)
    of_operands = [by_group, by_group, by_group, bias_axes, of_heads, of_all, of_distances, of_all]
    has_batch = arrays.offset is not None and arrays.offset.ndim > 0
    of_offset = Axes(every, None) if has_batch else of_all
    of_hidden = [mask_axes, array_axes, of_all, Axes(every, 0), of_all, of_offset, of_all]
    of_hidden += [Axes(every, None), of_heads]
    axes = Operands._make(of_operands), Hidden._make(of_hidden)
    hides = arrays.mask, array, lax.stop_gradient(bias)
    of_hides = mask_axes, array_axes, bias_axes
    narrows = any(run.widths for way in ways for run in way.runs)
    sizes = len(lead), query.shape[len(lead)], key.shape[-3]
    seen, seen_axes = visible_of(hides, of_hides, *sizes, narrows)
    given, axes = (operands, hidden, seen), (*axes, seen_axes)
    leaves, structure = jax.tree.flatten(given)
    every_axis = tuple(leaves_like(axes, given))
    program = Program(read, (OPERANDS,), settings, ways, structure, every_axis)
    if functions is not None and functions.normalizer is not None:
        program = dataclasses.replace(program, body=read_normalized, is_derived=True)
    context, *lse = program(*leaves)
    shape = arrays.query.shape[:-1]
    output = _joined(context, (*shape, value.shape[-1])).astype(arrays.query.dtype)
    lse_of_all = _joined(lse[0], shape) if lse else None
    if measure is None:
        return AttendedAll(output, lse_of_all)
    body = Measuring(measure, query.shape[len(lead)], key.shape[-3])
    leaves, structure = jax.tree.flatten((*given, *lse))
    roles, every_axis = (OPERANDS, *[QUERIES] * len(lse)), (*every_axis, *[by_group] * len(lse))
    measured = Program(body, roles, settings, ways, structure, every_axis, 0, True)
    rows, *columns = measured(*leaves)  # [*b g t r m] and [*b g r s]
    rows = rows.swapaxes(-3, -2).reshape(*lead, h, *rows.shape[-3::2])
    columns = columns[0].reshape(*lead, h, columns[0].shape[-1]) if columns else None
    return AttendedAll(output, lse_of_all, rows, columns)


def _distances(
    arrays: Arrays, g: int, dtype: np.dtype
) -> tuple[Float[Array, "..."] | None, Axes | None]:
    """The bias of each distance of a key from a query, from that of the first key to the last."""
    if arrays.of_distance is None:
        return None, None
    assert arrays.offset is not None
    t, s = arrays.query.shape[-3], arrays.key.shape[-3]
    distances, bias, origin = jnp.arange(1 - t, s), arrays.of_distance, arrays.origin
    if origin is not None:
        distances = distances + (jnp.asarray(origin.key) - jnp.asarray(origin.query)).astype(int)
    found = lambda offset: bias.of_distances(distances - offset)
    for _ in range(arrays.offset.ndim):
        found = jax.vmap(found)
    numbers = jnp.asarray(found(arrays.offset), dtype)
    batch = (arrays.offset.ndim > 0,) * (arrays.query.ndim - 3)
    if numbers.shape[-2] == 1:
        return numbers.squeeze(-2), Axes(batch, None)
    return _in_groups(numbers, g, -2), Axes(batch, 0)


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
