"""Starts of loops inside `jax.shard_map`, whose types name the mesh axes that values vary over."""

from collections.abc import Callable
from typing import Any

import jax


def varying_as(start: Any, *others: Any) -> Any:
    """Returns `start` marked as varying over the mesh axes of the others; unchanged outside a mesh.

    A step that reads the others returns a carry of that type, and JAX requires the type of the
    start to be the same.
    """
    mesh_axes = frozenset().union(*map(_axes, jax.tree.leaves((start, others))))

    def marked(leaf: Any) -> Any:
        missing = tuple(sorted(mesh_axes - _axes(leaf)))
        return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(marked, start)


def scan(step: Callable[..., Any], start: Any, rows: Any, *, reverse: bool = False) -> Any:
    """Runs `jax.lax.scan` with a step whose caller's function may read varying values.

    The types of the step's results show which mesh axes that function depends on.
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return jax.lax.scan(step, start, rows, reverse=reverse)
    start = varying_as(start, jax.eval_shape(jax.vmap(step, (None, 0)), start, rows)[0])

    def typed_step(carry: Any, row: Any) -> Any:
        after, output = step(carry, row)
        return varying_as(after, start), output

    return jax.lax.scan(typed_step, start, rows, reverse=reverse)


def _axes(leaf: Any) -> frozenset[str]:
    kind = jax.typeof(leaf)
    manual = getattr(kind, "manual_axis_type", None)
    return frozenset(getattr(kind, "vma", ()) if manual is None else manual.varying)
