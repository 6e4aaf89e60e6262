"""Shows from a function's jaxpr that it does not compute each row from the same row alone.

The function is traced for a number of queries that no other axis has, so that an axis of queries
is known by its size.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import count, islice
from math import isqrt
from operator import or_
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxprs_in_params

Arrays = dict[str, Any]
Call = Callable[[Arrays, Any], Any]
State = TypeVar("State")

# Facts about an array: it depends on the places of rows in their block, or on the block's position.
PLACED, START = 1, 2

BRANCHING = {"scan", "while", "cond"}
CUMULATIVE = {"cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"}
RANDOM = {"random_bits", "random_split", "rng_bit_generator"}
ADDED = {"add", "sub", "lt", "le", "gt", "ge", "eq", "ne"}
# The axes of the first operand along which an equation puts entries together.
JOINED_AXES: dict[str, Callable[[Any], Sequence[int]]] = {
    **dict.fromkeys(("reduce_sum", "reduce_prod"), lambda equation: equation.params["axes"]),
    **dict.fromkeys(CUMULATIVE, lambda equation: [equation.params["axis"]]),
    "reduce": lambda equation: equation.params["dimensions"],
    "sort": lambda equation: [equation.params["dimension"]],
    "dot_general": lambda equation: equation.params["dimension_numbers"][0][0],
    "conv_general_dilated": lambda equation: _convolved_axes(equation),
}


def complaint_of(
    call: Call, shapes: Arrays, queries: dict[str, int], arguments: Arrays, trusts: bool
) -> str:
    """Returns what makes `call(arrays, start)` no function of single rows; empty if nothing does.

    What is not understood counts as no objection.

    Args:
        shapes: shapes of the arrays; those in `queries` have an axis of queries there.
        arguments: all arguments of the call.
        trusts: whether positions of rows are no objection.
    """
    mixed, placed = True, not trusts
    with contextlib.suppress(Exception):  # What is wrong with a call, its blocks say.
        for t, closed in traces(call, shapes, queries, arguments, 60):
            mixed = mixed and any(_mixes_rows(t, x) for x in equations_of(jaxpr_of(closed)))
            facts = walk(Positions(t), closed, [*(0 for _ in shapes), START])
            placed = placed and any(fact & PLACED for fact in facts)
        if mixed:
            return "is not row by row: a row of its result depends on other rows"
        if placed:
            return (
                "depends on the positions of its rows, expected an argument with the first one:"
                " offset, query_offset, or one that is named in positions"
            )
    return ""  # Also for a new form of jaxpr.


def traces(
    call: Call, shapes: Arrays, axes: dict[str, int], arguments: Arrays, least: int
) -> Iterator[tuple[int, Any]]:
    """Yields two sizes for the axes, and the jaxprs of `call(arrays, start)` with them.

    Two, since an axis may have such a size by chance. They are primes from `least` on that divide
    no size in the shapes and the arguments.
    """
    taken = {size for x in jax.tree.leaves((shapes, arguments)) for size in np.shape(x) if size}
    primes = (n for n in count(max(least, 2)) if all(n % d for d in range(2, isqrt(n) + 1)))
    start = jax.ShapeDtypeStruct((), jnp.arange(0).dtype)
    for size in islice((n for n in primes if all(other % n for other in taken)), 2):
        resized = dict(shapes)
        for path, axis in axes.items():
            shape = (*shapes[path].shape[:axis], size, *shapes[path].shape[axis + 1 :])
            resized[path] = jax.ShapeDtypeStruct(shape, shapes[path].dtype)
        yield size, jax.make_jaxpr(call)(resized, start)


def equations_of(jaxpr: Any) -> Iterator[Any]:
    """Yields the equations of a jaxpr, and of all within it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations_of(inner)


def walk(rules: Any, closed: Any, states: list[State]) -> list[State]:
    """Returns the states of what a jaxpr, closed or not, returns for arguments of these states.

    `rules.constant(value)` is the state of a constant, `rules.results(equation, states)` are those
    of an equation's results. The body of a loop is read once.
    """
    jaxpr, constants = jaxpr_of(closed), getattr(closed, "consts", [])
    known = dict(zip(jaxpr.constvars, map(rules.constant, constants), strict=False))
    known |= dict(zip(jaxpr.invars, states, strict=True))
    read = lambda x: rules.constant(x.val) if isinstance(x, Literal) else known[x]
    for equation in jaxpr.eqns:
        operands = [read(x) for x in equation.invars]
        called = [
            walk(rules, x, operands[len(operands) - len(jaxpr_of(x).invars) :])
            for x in _called_by(equation)
        ]
        results = [reduce(or_, x) for x in zip(*called, strict=True)]
        results = results or rules.results(equation, operands)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(x) for x in jaxpr.outvars]


def jaxpr_of(closed: Any) -> Any:
    return getattr(closed, "jaxpr", closed)


def _called_by(equation: Any) -> Sequence[Any]:
    """Returns the jaxprs of which an equation calls one with its last operands."""
    name, params = equation.primitive.name, equation.params
    if name in BRANCHING:
        body = "body_jaxpr" if name == "while" else "jaxpr"
        return params["branches"] if name == "cond" else [params[body]]
    shapes = [np.shape(x.aval) for x in (*equation.invars, *equation.outvars)]
    for inner in params.values():
        if isinstance(inner, ClosedJaxpr | Jaxpr):
            jaxpr = jaxpr_of(inner)
            if shapes == [np.shape(x.aval) for x in (*jaxpr.invars, *jaxpr.outvars)]:
                return [inner]
    return []


def _mixes_rows(t: int, equation: Any) -> bool:
    """Returns whether an equation puts numbers of several of `t` rows together."""
    name, params = equation.primitive.name, equation.params
    is_number = lambda x: jnp.issubdtype(x.aval.dtype, jnp.inexact)
    if name in JOINED_AXES:
        operand = equation.invars[0]
        is_joined = any(operand.aval.shape[axis] == t for axis in JOINED_AXES[name](equation))
        return is_joined and is_number(operand)
    if name != "scan" or params["length"] != t:
        return False
    # A state that is carried from row to row, if it has no rows of its own that may be filled.
    jaxpr = jaxpr_of(params["jaxpr"])
    pairs = zip(equation.outvars, jaxpr.outvars, strict=True)
    states = [inner for outer, inner in pairs if np.ndim(outer.aval) == np.ndim(inner.aval)]
    return any(is_number(x) and t not in x.aval.shape and x not in jaxpr.invars for x in states)


def _convolved_axes(equation: Any) -> Sequence[int]:
    numbers, kernel = equation.params["dimension_numbers"], np.shape(equation.invars[1].aval)
    axes = zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], strict=True)
    return [axis for axis, kernel_axis in axes if kernel[kernel_axis] > 1]


class Positions:
    """Rules for facts about the positions of `t` rows."""

    def __init__(self, t: int):
        self.t = t

    def constant(self, value: Any) -> int:
        """Returns whether a constant has a row for each query, and these differ."""
        if isinstance(value, Tracer) or self.t not in np.shape(value):
            return 0
        array = np.moveaxis(np.asarray(value), np.shape(value).index(self.t), 0)
        return 0 if (array == array[:1]).all() else PLACED

    def results(self, equation: Any, facts: list[int]) -> list[int]:
        t, name, params = self.t, equation.primitive.name, equation.params
        shapes = [np.shape(x.aval) for x in equation.invars]
        if name in ("gather", "dynamic_slice", "dynamic_update_slice") and t in shapes[0]:
            # Rows that are picked by their index, mostly each its own.
            facts = [facts[0], *(fact & ~PLACED for fact in facts[1:])]
        fact, both = reduce(or_, facts, 0), PLACED | START
        if name in ADDED and fact == both and both not in facts:
            fact = START  # A place in the block and the block's beginning make a position.
        counted = name == "iota" and params["shape"][params["dimension"]] == t
        summed = name in CUMULATIVE and shapes[0][params["axis"]] == t
        drawn = name in RANDOM and t not in sum(shapes, ()) and t in equation.outvars[-1].aval.shape
        return [fact | PLACED * (counted or summed or drawn)] * len(equation.outvars)
