"""Runs the rows of sharding_rows.py on four devices, and prints what it finds as JSON.

A process of its own: the number of devices is fixed when JAX starts, and the suite has one.
"""

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from sharding_rows import ROWS, Row, Tree
from sharding_training import train_on

MESHES = {"4": (4,), "2x2": (2, 2)}
KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}
# The pullback is run here too. It doubles the time that a row takes.
WITH_GRADIENT = (("4", "auto"), ("2x2", "explicit"))

COLLECTIVE = re.compile(
    r"= (.*?) (all-gather|all-reduce|all-to-all|reduce-scatter|(?:collective|ragged)-[a-z-]+?)"
    r"(?:-start)?\("
)
ARRAY = re.compile(r"[a-z]\w*\[([\d,]*)\]")


class Collective(NamedTuple):
    """An operation of a compiled program that exchanges data, and the entries of its result."""

    operation: str
    size: int
    is_in_a_loop: bool


def collectives(program: str) -> list[Collective]:
    found, is_in_a_loop = [], False
    for line in program.splitlines():
        if line.endswith("{"):  # The beginning of a computation.
            is_in_a_loop = not line.startswith("ENTRY")
        if match := COLLECTIVE.search(line):
            shapes = [shape.split(",") for shape in ARRAY.findall(match[1])]
            size = sum(math.prod(int(n) for n in shape if n) for shape in shapes)
            found.append(Collective(match[2], size, is_in_a_loop))
    return found


def make_mesh(shape: tuple[int, ...], kind: AxisType) -> Mesh:
    names = ("x", "y")[: len(shape)]
    return jax.make_mesh(shape, names, axis_types=(kind,) * len(shape))


def sharding(row: Row, axes: str, mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array; a batch without heads is sharded over all mesh axes."""
    x, *y = mesh.axis_names
    has_heads = any("h" in axes.split() for axes in row.axes)
    names = {"b": x, "h": y[0] if y else None} if has_heads else {"b": mesh.axis_names}
    return NamedSharding(mesh, PartitionSpec(*(names.get(axis) for axis in axes.split())))


def with_gradient(row: Row):
    """Returns a function of the result, and of the gradient where the result is the cotangent."""

    def run(*arguments):
        leaves, structure = jax.tree.flatten(arguments)
        floats = {i: leaf for i, leaf in enumerate(leaves) if is_float(leaf)}

        def function(floats):
            every = [floats.get(i, leaf) for i, leaf in enumerate(leaves)]
            return row.function(*jax.tree.unflatten(structure, every))

        outputs, pullback = jax.vjp(function, floats)
        return outputs, *pullback(outputs)

    return run


def is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def largest_error(actual: Tree, expected: Tree) -> float:
    """Returns the largest difference, relative to the largest of all entries."""
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    errors, scale = [0.0], 0.0
    for left, right in (tuple(np.asarray(leaf, float) for leaf in pair) for pair in pairs):
        if left.shape != right.shape or (np.isfinite(left) != np.isfinite(right)).any():
            return math.inf
        difference = np.where(np.isfinite(right), left, 0.0) - np.where(
            np.isfinite(right), right, 0.0
        )
        errors.append(np.abs(difference).max(initial=0.0))
        scale = max(scale, np.abs(right[np.isfinite(right)]).max(initial=0.0))
    return float(max(errors) / scale)


def attempt(row: Row, mesh: Mesh, expected: Tree, takes_gradient: bool) -> dict[str, Any]:
    """Returns the result of `run`, or what was raised instead."""
    try:
        return run(row, mesh, expected, takes_gradient)
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"}


def run(row: Row, mesh: Mesh, expected: Tree, takes_gradient: bool) -> dict[str, Any]:
    """Returns the collectives of a row on a mesh, arrays in a wrong place, and the error."""
    function = with_gradient(row) if takes_gradient else row.function
    with jax.set_mesh(mesh):
        arguments = tuple(
            jax.device_put(tree, sharding(row, axes, mesh))
            for tree, axes in zip(row.arguments, row.axes, strict=True)
        )
        compiled = jax.jit(function).lower(*arguments).compile()
        results = compiled(*arguments)
    outputs, gradient = results if takes_gradient else (results, {})
    leaves, output_place = jax.tree.leaves(arguments), sharding(row, row.output, mesh)
    placed = [(leaf, output_place) for leaf in jax.tree.leaves(outputs)]
    placed += [(leaf, leaves[i].sharding) for i, leaf in gradient.items()]
    return {
        "collectives": collectives(compiled.as_text() or ""),
        "misplaced": [
            f"{leaf.sharding.spec}, expected {place.spec}"
            for leaf, place in placed
            if not leaf.sharding.is_equivalent_to(place, leaf.ndim)
        ],
        "error": largest_error(results, expected),
    }


def run_in_shard_map(row: Row) -> dict[str, Any]:
    """Returns the collectives where each device computes its part alone, and the error.

    A row with a gradient returns the gradient of the mean of squares, which is over devices too.
    """
    mesh = make_mesh((4,), AxisType.Auto)
    specs = tuple(PartitionSpec("x" if axes else None) for axes in row.axes)

    def loss(*arguments):
        return sum((leaf**2).mean() for leaf in jax.tree.leaves(row.function(*arguments)))

    def local_loss(*arguments):
        # The transpose of this conversion adds up the gradient of what is replicated.
        varying = lambda leaf: jax.lax.pcast(leaf, "x", to="varying")
        arguments = [
            argument if axes else jax.tree.map(varying, argument)
            for argument, axes in zip(arguments, row.axes, strict=True)
        ]
        return jax.lax.pmean(loss(*arguments), "x")

    if row.has_gradient:
        mapped = jax.shard_map(local_loss, mesh=mesh, in_specs=specs, out_specs=PartitionSpec())
        function, plain = jax.value_and_grad(mapped), jax.value_and_grad(loss)
    else:
        out_specs = PartitionSpec("x")
        function = jax.shard_map(row.function, mesh=mesh, in_specs=specs, out_specs=out_specs)
        plain = row.function
    compiled = jax.jit(function).lower(*row.arguments).compile()
    return {
        "collectives": collectives(compiled.as_text() or ""),
        "error": largest_error(compiled(*row.arguments), jax.jit(plain)(*row.arguments)),
    }


def run_everywhere(row: Row) -> dict[str, Any]:
    """Returns the result of `attempt` by mesh and kind of axes."""
    results = {}
    function = with_gradient(row) if row.has_gradient else row.function
    expected = jax.jit(function)(*row.arguments)
    for shape in MESHES:
        for kind in KINDS:
            takes_gradient = row.has_gradient and (shape, kind) in WITH_GRADIENT
            wanted = expected if takes_gradient or not row.has_gradient else expected[0]
            mesh = make_mesh(MESHES[shape], KINDS[kind])
            results[f"{shape}-{kind}"] = attempt(row, mesh, wanted, takes_gradient)
    if row.is_better_in_shard_map:
        results["shard_map"] = run_in_shard_map(row)
    return results


def train(kind: str) -> dict[str, Any]:
    """Returns the results of `train_on` for replicated and for sharded parameters."""
    mesh = make_mesh((4,), KINDS[kind])
    with jax.set_mesh(mesh):
        return {str(shards): train_on(mesh, shards) for shards in (False, True)}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    with ThreadPoolExecutor(2) as pool:  # Compiling, most of the work, holds no lock.
        rows = pool.map(run_everywhere, ROWS)
        results = {row.name: result for row, result in zip(ROWS, rows, strict=True)}
    # Signals, which a run listens to, are for the main thread.
    print(json.dumps({"rows": results, "training": {kind: train(kind) for kind in KINDS}}))
