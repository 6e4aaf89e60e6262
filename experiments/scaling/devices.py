"""What both kinds of parallel training share: the mesh, arrays on it, and times of a program."""

import gc
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXIS = "devices"
WHOLE, PARTS = PartitionSpec(), PartitionSpec(AXIS)


def make_mesh() -> Mesh:
    """Returns a mesh of one axis with the devices of all processes."""
    return jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))


def put(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """Puts arrays that each process holds whole on the mesh; each process keeps its own part."""
    sharding = NamedSharding(mesh, spec)

    def placed(array: Any) -> jax.Array:
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])

    return jax.tree.map(placed, tree)


def varying(tree: Any) -> Any:
    """Marks arrays that all devices share as varying, so that their gradient is summed once."""
    return jax.tree.map(lambda leaf: jax.lax.pcast(leaf, AXIS, to="varying"), tree)


def flat(tree: Any) -> list[float]:
    """Returns all numbers of replicated arrays, in the order of the tree."""
    leaves = [np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)]
    return np.concatenate(leaves).tolist()


def shortest(call: Callable[[], Any], repeats: int) -> float:
    """Returns the seconds of the shortest of several calls, after one that is not counted."""
    jax.block_until_ready(call())
    durations = []
    gc.disable()
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(call())
        durations.append(time.perf_counter() - began)
    gc.enable()
    return min(durations)
