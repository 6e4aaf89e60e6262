"""Loops over leading axes, which broadcast without a copy."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

Arrays = dict[str, Any]


def over_leading(one: Callable[[Arrays], Any], arrays: Arrays, leading: dict[str, int]) -> Any:
    """Loops over the first leading axis, and inside of that over the next; arrays may lack them.

    `one` takes the arrays of one element, and `leading` says how many axes more each array has.
    """
    depth = max(leading.values(), default=0)
    if depth == 0:
        return one(arrays)
    rest = {path: min(axes, depth - 1) for path, axes in leading.items()}
    own = {path: x for path, x in arrays.items() if leading[path] == depth}
    mapped = {path: x for path, x in own.items() if x.shape[0] != 1}
    shared = {path: x[0] if path in own else x for path, x in arrays.items() if path not in mapped}
    step = lambda chosen: over_leading(one, {**shared, **chosen}, rest)
    if not mapped:  # All have size one.
        return jax.tree.map(lambda x: x[None], step({}))
    return lax.map(step, mapped)
