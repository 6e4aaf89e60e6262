"""Shows from a function's jaxpr that it does not compute each row from the same row alone.

The function is traced for a number of queries that no other axis has, so that an axis of queries
is known by its size. Facts about arrays are then carried from the inputs to the results.
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
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

# Facts about an array: its rows are computed from rows, a row depends on other rows, it depends on
# where in its block it is, it depends on where its block begins.
ROWS, MIXED, PLACED, START = 1, 2, 4, 8

CUMULATIVE = {"cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"}
RANDOM = {"random_bits", "random_split", "rng_bit_generator"}
COMPARISONS = {"lt", "le", "gt", "ge", "eq", "ne"}

Arrays = dict[str, Any]
Facts = list[int]
State = TypeVar("State")


def complaint_of(
    call: Callable[[Arrays, Any], Any],
    arrays: Arrays,
    along: dict[str, int],
    counts: list[int],
    trusts: bool,
) -> str:
    """Returns what makes `call(arrays, start)` no function of single rows; empty if nothing does.

    What is not understood counts as no objection.

    Args:
        arrays: shapes of the arrays; those in `along` have an axis of queries there.
        counts: two numbers of queries that are the size of no other axis.
        trusts: whether positions of rows are no objection.
    """
    facts = MIXED if trusts else MIXED | PLACED
    for t in counts:  # Twice, since an axis may have such a size by chance.
        facts &= _facts_of_results(call, arrays, along, t)
        if not facts:
            return ""
    if facts & MIXED:
        return "is not row by row: a row of its result depends on other rows"
    return (
        "depends on the positions of its rows, expected an argument with the first one:"
        " offset, query_offset, or one that is named in positions"
    )


def unused_sizes(least: int, *trees: Any) -> list[int]:
    """Returns two primes from `least` on that divide the size of no axis in the trees."""
    sizes = {size for x in jax.tree.leaves(trees) for size in np.shape(x) if size}
    primes = (n for n in count(max(least, 2)) if all(n % d for d in range(2, isqrt(n) + 1)))
    return list(islice((n for n in primes if all(size % n for size in sizes)), 2))


def resized(arrays: Arrays, axes: dict[str, int], size: int) -> Arrays:
    """Returns the shapes of the arrays with another size of the axes given by path."""

    def shape(array: Any, axis: int) -> jax.ShapeDtypeStruct:
        before, after = array.shape[:axis], array.shape[axis + 1 :]
        return jax.ShapeDtypeStruct((*before, size, *after), array.dtype)

    return arrays | {path: shape(arrays[path], axis) for path, axis in axes.items()}


def _facts_of_results(
    call: Callable[[Arrays, Any], Any], arrays: Arrays, along: dict[str, int], t: int
) -> int:
    shapes = resized(arrays, along, t)
    facts = [ROWS * (path in along and shapes[path].dtype != bool) for path in sorted(shapes)]
    with contextlib.suppress(Exception):  # What is wrong with a call, its blocks say.
        closed = jax.make_jaxpr(call)(shapes, jax.ShapeDtypeStruct((), jnp.arange(0).dtype))
        return reduce(or_, _closed(closed, [*facts, START], t), 0)
    return 0  # Also a new form of jaxpr.


def walk(
    closed: Any,
    states: Sequence[State],
    of_constant: Callable[[Any], State],
    through: Callable[[Any, list[State]], list[State]],
) -> list[State]:
    """Returns the states of what a jaxpr returns.

    Args:
        closed: a jaxpr, closed or not.
        states: what is known of its arguments.
        of_constant: what is known of an array.
        through: maps an equation and the states of its operands to those of its results.
    """
    jaxpr, constants = getattr(closed, "jaxpr", closed), getattr(closed, "consts", [])
    known = dict(zip(jaxpr.constvars, map(of_constant, constants), strict=False))
    known |= dict(zip(jaxpr.invars, states, strict=True))
    read = lambda x: of_constant(x.val) if isinstance(x, Literal) else known[x]
    for equation in jaxpr.eqns:
        results = through(equation, [read(x) for x in equation.invars])
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(x) for x in jaxpr.outvars]


def inner_of(equation: Any) -> Any:
    """Returns the jaxpr that an equation calls with its operands; None if there is no such."""
    for inner in equation.params.values():
        if isinstance(inner, ClosedJaxpr | Jaxpr):
            jaxpr = getattr(inner, "jaxpr", inner)
            counts = len(jaxpr.invars), len(jaxpr.outvars)
            if counts == (len(equation.invars), len(equation.outvars)):
                return inner
    return None


def _closed(closed: Any, facts: Facts, t: int) -> Facts:
    def through(equation: Any, facts: Facts) -> Facts:
        # Which keys are read at all is asked of masks, and changes no value.
        kinds = [str(getattr(x.aval, "dtype", None)) for x in equation.outvars]
        pairs = zip(kinds, _through(equation, facts, t), strict=True)
        return [fact & ~ROWS if kind == "bool" else fact for kind, fact in pairs]

    return walk(closed, facts, lambda value: _of_constant(value, t), through)


def _of_constant(value: Any, t: int) -> int:
    """Returns whether a constant has a row for each query, and these differ."""
    if isinstance(value, Tracer) or t not in np.shape(value):
        return 0
    axis = np.shape(value).index(t)
    array = np.moveaxis(np.asarray(value), axis, 0)
    return 0 if (array == array[:1]).all() else PLACED


def _through(equation: Any, facts: Facts, t: int) -> Facts:
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _scan(equation, facts, t)
    if name == "while":
        first = params["cond_nconsts"] + params["body_nconsts"]
        return _loop(params["body_jaxpr"], facts[params["cond_nconsts"] : first], facts[first:], t)
    if name == "cond":
        branches = [_closed(branch, facts[1:], t) for branch in params["branches"]]
        return [reduce(or_, results) | facts[0] for results in zip(*branches, strict=True)]
    inner = inner_of(equation)
    if inner is not None:
        return _closed(inner, facts, t)
    shapes = [np.shape(atom.aval) for atom in equation.invars]
    if name in ("gather", "dynamic_slice", "dynamic_update_slice") and t in shapes[0]:
        # Rows that are picked by their index, mostly each its own.
        facts = [facts[0], *(fact & ~PLACED for fact in facts[1:])]
    fact = reduce(or_, facts, 0)
    if name in {"add", "sub", *COMPARISONS} and _are_apart(*facts):
        fact &= ~PLACED
    if any(t == shapes[i][axis] for i, axis in _joined_axes(equation)):
        fact |= MIXED if fact & ROWS else PLACED * (name in CUMULATIVE)
    counted = name == "iota" and params["shape"][params["dimension"]] == t
    drawn = name in RANDOM and t not in sum(shapes, ()) and t in equation.outvars[-1].aval.shape
    return [fact | PLACED * (counted or drawn)] * len(equation.outvars)


def _are_apart(one: int, other: int) -> bool:
    """Returns whether a place in the block and the block's beginning make a position."""
    both = PLACED | START
    return (one | other) & both == both and both not in (one & both, other & both)


def _joined_axes(equation: Any) -> Iterator[tuple[int, int]]:
    """Yields the axes of operands along which entries are put together, each as (operand, axis)."""
    name, params = equation.primitive.name, equation.params
    if name in ("reduce_sum", "reduce_prod"):
        yield from ((0, axis) for axis in params["axes"])
    elif name in CUMULATIVE:
        yield 0, params["axis"]
    elif name == "sort":
        yield 0, params["dimension"]
    elif name == "dot_general":
        (left, right), _ = params["dimension_numbers"]
        yield from ((0, axis) for axis in left)
        yield from ((1, axis) for axis in right)
    elif name == "conv_general_dilated":
        numbers = params["dimension_numbers"]
        kernel = np.shape(equation.invars[1].aval)
        for axis, kernel_axis in zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], strict=True):
            if kernel[kernel_axis] > 1:
                yield 0, axis


def _scan(equation: Any, facts: Facts, t: int) -> Facts:
    """Returns the facts of a scan; a state carried from query to query depends on those before."""
    body = equation.params["jaxpr"]
    inner = getattr(body, "jaxpr", body)
    # Constants, the state and a row of each array come in, the state and a row of each result out.
    # A row has an axis less than its array, by which these are known in every version of JAX.
    states = sum(_is_whole(*pair) for pair in zip(equation.outvars, inner.outvars, strict=True))
    after = sum(_is_whole(*pair) for pair in zip(equation.invars, inner.invars, strict=True))
    first = after - states
    # A state that has rows of its own may be filled row by row.
    is_mixing = [
        equation.params["length"] == t and t not in np.shape(x.aval)
        for x in equation.invars[first:after]
    ]
    return _loop(body, facts[:first], facts[first:after], t, facts[after:], is_mixing)


def _loop(
    body: Any, constants: Facts, state: Facts, t: int, rows: Sequence[int] = (), mixing: Any = None
) -> Facts:
    """Returns the facts of a loop's results, once those of its state do not change."""
    mixing = mixing or [False] * len(state)
    while True:
        results = _closed(body, [*constants, *state, *rows], t)
        moved = [
            old | new | MIXED * bool(mixes and new & ~old & ROWS)
            for old, new, mixes in zip(state, results, mixing, strict=False)
        ]
        if moved == state:
            return results
        state = moved


def _is_whole(outside: Any, inside: Any) -> bool:
    return np.ndim(outside.aval) == np.ndim(inside.aval)
