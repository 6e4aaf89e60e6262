"""Shows from a function's jaxpr that keys which its mask hides change nothing in its results.

The state of an array is the number that it has at every hidden key, or None. An operation that is
not listed here, with entries of keys, counts as one by which hidden keys may matter.
"""

import contextlib
import operator
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jattn.chunks.row_by_row import BRANCHING, Arrays, Call, equations_of, jaxpr_of, traces, walk

State = float | None
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
# Numbers that are the result, whatever the other operand is: as one of two operands, as the first.
DECIDING = {("mul", 0.0), ("and", 0.0), ("or", 1.0), ("add", -np.inf)}
DECIDING_FIRST = {*DECIDING, ("div", 0.0), ("sub", -np.inf)}
ELEMENTWISE = {
    *NUMBERS,
    *("select_n", "max", "min", "neg", "lt", "le", "gt", "ge", "eq", "ne", "xor", "is_finite"),
    *("exp2", "expm1", "log", "log1p", "tanh", "logistic", "sin", "cos", "sqrt", "rsqrt", "abs"),
    *("sign", "square", "pow", "integer_pow", "erf", "cbrt", "sinh", "cosh", "clamp", "div"),
}
# Numbers that change no result of a reduction.
NEUTRAL = {"reduce_sum": 0.0, "reduce_max": -np.inf, "reduce_min": np.inf}
NEUTRAL |= {"reduce_or": 0.0, "reduce_and": 1.0}
MOVING = {"transpose", "reshape", "squeeze", "broadcast_in_dim", "slice", "concatenate"}


class KeysMatter(Exception):
    """Results may depend on hidden keys, or on the positions or the number of the keys."""


def row_map(scores: Any, mask: Any) -> Any:
    """Stands for the normalizers of jattn, which ignore scores that the mask hides."""
    return scores if mask is None else jnp.where(mask, scores, 0.0)


def axes_of_keys(
    call: Call, shapes: Arrays, keys: dict[str, int], arguments: Arrays, mask: str
) -> list[int | None] | None:
    """Returns the axis of keys of each result; None unless hidden keys are seen to change nothing.

    Args:
        call: a function of arrays by name, and of the first query's position.
        shapes: shapes of the arrays; those in `keys` have an axis of keys there.
        arguments: all arguments of the call.
        mask: the array by which no query may attend to a hidden key.
    """
    states = [0.0 if path == mask else None for path in sorted(shapes)]
    with contextlib.suppress(Exception):  # What is wrong with a call, its blocks say.
        found = []
        for s, closed in traces(call, shapes, keys, arguments, shapes[mask].shape[-1]):
            rules, equations = HiddenKeys(s), list(equations_of(jaxpr_of(closed)))
            if any(x.primitive.name in BRANCHING for x in equations):
                return None
            results = walk(rules, closed, [*states, None])
            axes = [rules.axis(x) for x in jaxpr_of(closed).outvars]
            found.append((results, axes, rules.constants, [rules.trail(x) for x in equations]))
        results, axes, *_ = found[0]
        ignores = all(x == 0.0 for x, axis in zip(results, axes, strict=True) if axis is not None)
        return axes if ignores and found[0] == found[1] else None
    return None


class HiddenKeys:
    """Rules for a jaxpr of `keys` keys, and its constants, which may show their number."""

    def __init__(self, keys: int):
        self.keys = keys
        self.constants: list[Any] = []

    def shape(self, value: Any) -> Shape:
        return tuple("s" if size == self.keys else size for size in np.shape(value))

    def axis(self, atom: Any) -> int | None:
        shape = self.shape(atom.aval)
        return shape.index("s") if "s" in shape else None

    def trail(self, equation: Any) -> list[Any]:
        """Returns all in an equation that may show the number of keys, except constants."""
        numbers = [x for x in equation.params.values() if isinstance(x, int | float)]
        return [equation.primitive, *(self.shape(x.aval) for x in equation.outvars), *numbers]

    def constant(self, value: Any) -> State:
        if isinstance(value, Tracer):
            self.constants.append(value)
            return None
        shape, value = self.shape(value), np.asarray(value)
        self.constants += [shape, value.tobytes() if "s" not in shape else None]
        if value.size > 0 and value.dtype.kind in "bif" and (value == value.flat[0]).all():
            return float(value.flat[0])
        if "s" in shape:
            raise KeysMatter
        return None

    def results(self, equation: Any, states: list[State]) -> list[State]:
        name, params = equation.primitive.name, equation.params
        atoms = *equation.invars, *equation.outvars
        shapes, axes = [self.shape(x.aval) for x in atoms], [self.axis(x) for x in atoms]
        if name in ("and", "or", "not") and equation.outvars[0].aval.dtype != bool:
            name = "xor"
        state = None
        if name in ELEMENTWISE:
            matter, state = len({*axes} - {None}) > 1, _entry(name, states)
        elif name in NEUTRAL:
            joined, is_neutral = axes[0] in params["axes"], states[0] == NEUTRAL[name]
            matter = joined and not is_neutral
            state = states[0] if is_neutral and not joined else None
        elif name == "dot_general":
            joined = [
                x in own for x, own in zip(axes, params["dimension_numbers"][0], strict=False)
            ]
            has_zero = any(
                state == 0.0 and axis is not None for state, axis in zip(states, axes, strict=False)
            )
            matter = any(joined) and not (all(joined) and has_zero)
            state = 0.0 if has_zero and not any(joined) else None
        elif name in MOVING:
            matter = not _keeps_keys(name, shapes, axes)
            state = states[0] if len({*states}) == 1 else None
        else:
            matter = {*axes} != {None}
        if matter or any(shape.count("s") > 1 for shape in shapes):
            raise KeysMatter
        return [state] * len(equation.outvars)


def _entry(name: str, states: list[State]) -> State:
    """Returns the state of a function of entries at one place."""
    if name == "select_n":
        chosen, *cases = states
        if chosen is not None:
            return cases[int(chosen)]
        return cases[0] if len({*cases}) == 1 else None
    if None not in states:
        return float(NUMBERS[name](*states)) if name in NUMBERS else None
    deciding = zip(states, (DECIDING_FIRST, DECIDING), strict=False)
    return next((state for state, table in deciding if (name, state) in table), None)


def _keeps_keys(name: str, shapes: list[Shape], axes: list[int | None]) -> bool:
    """Returns whether entries stay at their keys, if an operation moves entries in order."""
    if {*axes} == {None}:
        return True
    if axes[-1] is None or (None in axes and name != "broadcast_in_dim"):
        return False
    before = {int(np.prod(x[:axis], dtype=int)) for x, axis in zip(shapes, axes, strict=True)}
    return name != "reshape" or len(before) == 1
