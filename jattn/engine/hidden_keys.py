"""Shows from a function's jaxpr that keys which its mask hides change nothing in its results.

The state of an array is the number that it has at every hidden key, `UNKNOWN` if that is none or
not known, or `DEPENDS` if its other entries may depend on hidden keys, or on the positions or the
number of the keys. An operation that is not listed here gives arrays that depend.
"""

import contextlib
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jattn.engine.row_by_row import inner_of, walk
from jattn.masks.algebra import Mask, array_rule

UNKNOWN, DEPENDS = "unknown", "depends"
State = float | str
Shape = tuple[Any, ...]

same = lambda x: x
NUMBERS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "exp": np.exp,
    "not": operator.not_,
    "and": min,
    "or": max,
    **dict.fromkeys(("name", "copy", "copy_p", "stop_gradient", "convert_element_type"), same),
}
# Numbers that decide the result, whatever the other operand is: (as the first, as the second).
DECIDING: dict[str, tuple[dict[float, float], dict[float, float]]] = {
    "mul": ({0.0: 0.0}, {0.0: 0.0}),
    "and": ({0.0: 0.0}, {0.0: 0.0}),
    "or": ({1.0: 1.0}, {1.0: 1.0}),
    "div": ({0.0: 0.0}, {}),
    "add": ({-np.inf: -np.inf}, {-np.inf: -np.inf}),
    "sub": ({-np.inf: -np.inf}, {}),
}
ELEMENTWISE = {
    *NUMBERS,
    *DECIDING,
    *("select_n", "max", "min", "neg", "lt", "le", "gt", "ge", "eq", "ne", "xor", "is_finite"),
    *("exp2", "expm1", "log", "log1p", "tanh", "logistic", "sin", "cos", "sqrt", "rsqrt", "abs"),
    *("sign", "square", "pow", "integer_pow", "erf", "cbrt", "sinh", "cosh", "clamp"),
}
NEUTRAL = {
    "reduce_sum": 0.0,
    "reduce_max": -np.inf,
    "reduce_min": np.inf,
    "reduce_or": 0.0,
    "reduce_and": 1.0,
}
REFUSED = {"scan", "while", "cond", "custom_vjp_call", "custom_vjp_call_jaxpr"}
MOVING = {"transpose", "reshape", "squeeze", "broadcast_in_dim", "slice", "concatenate"}


class GivenMask(Mask):
    """A mask that can be used as the array of all its queries and keys, and not otherwise."""

    def at(self, queries: Any, keys: Any) -> Any:
        raise NotImplementedError

    def dense(self, t: int, s: int) -> Any:
        if self.sizes != (t, s):
            raise NotImplementedError
        return self.operands[0]


def given_mask(seen: Any) -> Mask:
    """Returns the mask by which `axes_of_keys` calls a function."""
    return GivenMask(array_rule, (seen,), seen.shape)


def row_map(scores: Any, mask: Any) -> Any:
    """Stands for the normalizers of jattn, which ignore scores that the mask hides."""
    return scores if mask is None else jnp.where(mask, scores, 0.0)


def axes_of_keys(
    call: Callable[[Any], Any], shapes: list[dict[str, Any]], sizes: list[int], mask: str
) -> list[int | None] | None:
    """Returns the axis of keys of each result; None unless hidden keys are seen to change nothing.

    Args:
        call: a function of arrays by name.
        shapes: two sets of shapes of the arrays, which differ in the number of keys alone.
        sizes: their numbers of keys, which are the size of no other axis.
        mask: the array by which no query may attend to a hidden key.
    """
    with contextlib.suppress(Exception):  # What is wrong with a call, its blocks say.
        first, second = (
            _traced(call, arrays, mask, keys) for arrays, keys in zip(shapes, sizes, strict=True)
        )
        states, results, _ = first
        axes = [shape.index("s") if "s" in shape else None for shape in results]
        pairs = zip(states, axes, strict=True)
        ignores = all(x != DEPENDS if axis is None else x == 0.0 for x, axis in pairs)
        return axes if ignores and first == second else None
    return None


def _traced(call: Callable[[Any], Any], arrays: Any, mask: str, keys: int) -> Any:
    closed, facts = jax.make_jaxpr(call)(arrays), Facts(keys)
    states = [0.0 if name == mask else UNKNOWN for name in sorted(arrays)]
    states = walk(closed, states, facts.constant, facts.through)
    return states, [facts.shape(x.aval) for x in closed.jaxpr.outvars], facts.trail


class Facts:
    """Facts about a jaxpr of `keys` keys, and a trail of all in it that may show their number."""

    def __init__(self, keys: int):
        self.keys = keys
        self.trail: list[Any] = []

    def shape(self, value: Any) -> Shape:
        return tuple("s" if size == self.keys else size for size in np.shape(value))

    def through(self, equation: Any, operands: list[State]) -> list[State]:
        """Returns the states of an equation's results."""
        name, inner = equation.primitive.name, inner_of(equation)
        self.trail += [name, *(self.shape(x.aval) for x in equation.outvars)]
        self.trail += [x for x in equation.params.values() if isinstance(x, int | float)]
        shapes = [self.shape(x.aval) for x in (*equation.invars, *equation.outvars)]
        known = name not in REFUSED and all(x.count("s") < 2 for x in shapes)
        if known and inner is not None:
            return walk(inner, operands, self.constant, self.through)
        is_free = known and DEPENDS not in operands
        state = self.result(equation, operands, shapes) if is_free else DEPENDS
        return [state] * len(equation.outvars)

    def constant(self, value: Any) -> State:
        if isinstance(value, Tracer):
            self.trail.append(value)
            return UNKNOWN
        shape, value = self.shape(value), np.asarray(value)
        self.trail += [shape, value.tobytes() if "s" not in shape else None]
        uniform = value.size > 0 and value.dtype.kind in "bif" and (value == value.flat[0]).all()
        return float(value.flat[0]) if uniform else DEPENDS if "s" in shape else UNKNOWN

    def result(self, equation: Any, states: list[State], shapes: list[Shape]) -> State:
        name, params = equation.primitive.name, equation.params
        along = [shape.index("s") if "s" in shape else None for shape in shapes]
        if name in ("and", "or", "not") and equation.outvars[0].aval.dtype != bool:
            name = "xor"
        if name in ELEMENTWISE:
            return DEPENDS if len({*along} - {None}) > 1 else _entry(name, states)
        if name in NEUTRAL:
            if along[0] in params["axes"]:
                return UNKNOWN if states[0] == NEUTRAL[name] else DEPENDS
            return states[0] if name != "reduce_sum" or states[0] == 0.0 else UNKNOWN
        if name == "dot_general":
            return _product(params["dimension_numbers"], states, along)
        if name in MOVING and _keeps_keys(name, params, shapes, along):
            return states[0] if len({*states}) == 1 else UNKNOWN
        return UNKNOWN if {*along} == {None} else DEPENDS


def _entry(name: str, states: list[State]) -> State:
    """Returns the state of a function of entries at one place."""
    if name == "select_n":
        chosen, *cases = states
        if chosen != UNKNOWN:
            return cases[int(chosen)]
        return cases[0] if len({*cases}) == 1 else UNKNOWN
    if UNKNOWN not in states:
        return float(NUMBERS[name](*states)) if name in NUMBERS else UNKNOWN
    for state, table in zip(states, DECIDING.get(name, ()), strict=False):
        if state in table:
            return table[state]
    return UNKNOWN


def _product(numbers: Any, states: list[State], along: list[int | None]) -> State:
    (left, right), _ = numbers
    joined = [along[0] in left, along[1] in right]
    has_zero = any(x == 0.0 for x, axis in zip(states, along, strict=False) if axis is not None)
    if any(joined):
        return UNKNOWN if all(joined) and has_zero else DEPENDS
    return 0.0 if has_zero else UNKNOWN


def _keeps_keys(name: str, params: Any, shapes: list[Shape], along: list[int | None]) -> bool:
    """Returns whether entries stay at their keys."""
    *of_operands, of_result = along
    if of_result is None or name == "concatenate":
        return len({*along}) == 1 and params.get("dimension") != of_result
    if name == "broadcast_in_dim":
        axis = of_operands[0]
        return axis is None or params["broadcast_dimensions"][axis] == of_result
    if of_operands[0] is None:
        return False
    before = {int(np.prod(x[:axis], dtype=int)) for x, axis in zip(shapes, along, strict=True)}
    return name != "reshape" or len(before) == 1
