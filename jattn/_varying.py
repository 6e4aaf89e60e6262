"""What starts a loop inside `jax.shard_map`, where types say over which mesh axes values vary."""

from collections.abc import Callable
from typing import Any

import jax


def varying_as(start: Any, *others: Any) -> Any:
    """`start`, marked as varying over the mesh axes of the others; outside of a mesh as it is.

    A loop whose steps read the others gives back such a type, and JAX wants it from the first.
    """
    every = frozenset().union(*map(_axes, jax.tree.leaves((start, others))))

    def marked(leaf: Any) -> Any:
        missing = tuple(sorted(every - _axes(leaf)))
        return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(marked, start)


def scan(step: Callable[..., Any], start: Any, rows: Any, *, reverse: bool = False) -> Any:
    """`jax.lax.scan` of a step with a caller's function in it, that may read what varies, or not.

    What such a function reads cannot be seen, so the types that the step gives say it.
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return jax.lax.scan(step, start, rows, reverse=reverse)
    start = varying_as(start, jax.eval_shape(jax.vmap(step, (None, 0)), start, rows)[0])

    def alike(carry: Any, row: Any) -> Any:
        after, found = step(carry, row)
        return varying_as(after, start), found

    return jax.lax.scan(alike, start, rows, reverse=reverse)


def _axes(leaf: Any) -> frozenset[str]:
    kind = jax.typeof(leaf)
    manual = getattr(kind, "manual_axis_type", None)
    return frozenset(getattr(kind, "vma", ()) if manual is None else manual.varying)
