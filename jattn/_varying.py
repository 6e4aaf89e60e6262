"""What starts a loop inside `jax.shard_map`, where types say over which mesh axes values vary."""

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


def _axes(leaf: Any) -> frozenset[str]:
    kind = jax.typeof(leaf)
    manual = getattr(kind, "manual_axis_type", None)
    return frozenset(getattr(kind, "vma", ()) if manual is None else manual.varying)
