"""Runs the schemes of `jattn.sharded` on eight devices, and prints their errors as JSON.

A process of its own: the number of devices is fixed when JAX starts, and the suite has one.
"""

import json
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from sharding_worker import ARRAY, collectives

import jattn
from jattn import masks, sharded

SCHEMES = ("all_gather", "ring", "zigzag", "ulysses")
N, B, T, H, G, K, V = 4, 2, 32, 8, 4, 3, 5
SHARD = PartitionSpec(None, "x")
RNG = np.random.default_rng(0)
DRAWN = {
    "query": RNG.standard_normal((B, T, H, K)),
    "key": RNG.standard_normal((B, T, G, K)),
    "value": RNG.standard_normal((B, T, G, V)),
    "sinks": RNG.standard_normal(H),
    "scale": np.asarray(0.7),
}
SEQUENCES = ("query", "key", "value", "ids")
IDS = np.sort(RNG.integers(0, 5, (B, T)), -1)
UNEVEN = np.array([17, 3], np.int32)


def make_mesh(shape: tuple[int, ...], kind: AxisType = AxisType.Auto) -> jax.sharding.Mesh:
    """Returns a mesh whose last axis is that of the sequence, and the one before of the batch."""
    return jax.make_mesh(shape, ("data", "x")[-len(shape) :], axis_types=(kind,) * len(shape))


def with_gap(ids):
    """Returns ids of keys, of which those of one segment are no query's: it sees nothing."""
    return jnp.where(ids == 2, -1, ids)


def of_own(queries, keys, table):
    """True for keys within a number of positions that a table has for the query."""
    return abs(queries - keys) <= table[queries]


TABLE = RNG.integers(0, 9, T)
DERIVED = {
    "causal": {"is_causal": True, "logits_soft_cap": 1.5},
    "window": {
        "local_window_size": (5, 2), "dropout_rate": 0.3, "dropout_rng": jax.random.key(5),
    },
    "segments": {"mask": lambda ids: masks.segments(ids, with_gap(ids)) & masks.causal()},
}  # fmt: skip
VALUES = {
    "dense": {"chunk_size": 2},
    "prefix": {"mask": lambda ids: masks.prefix(7) | masks.causal()},
    "blocks": {"mask": lambda ids: masks.blocks(5) & ~masks.window(1, 0)},
    "dilated": {"mask": lambda ids: masks.dilated(3) & masks.causal(2)},
    "global": {"mask": lambda ids: masks.global_tokens(2) | masks.window(3, 1)},
    "traced": {"mask": lambda ids: masks.causal(jnp.asarray(-4)) & masks.window(9, None)},
    "own rule": {"mask": lambda ids: masks.Mask(of_own, (jnp.asarray(TABLE),))},
    "lengths": {"mask": lambda ids: masks.lengths(9, 20), "is_causal": True},
    "each length": {"key_value_seq_lengths": UNEVEN, "query_seq_lengths": UNEVEN + 2},
    "empty": {"mask": lambda ids: masks.segments(ids, ids + 3) & masks.causal()},
    "dropout": {"dropout_rate": 0.4, "dropout_rng": jax.random.key(7), "is_causal": True},
}


def values_of(scheme: str) -> tuple[str, ...]:
    """Returns the names of values; a zig-zag, which shares the code of a ring, has fewer."""
    few = ("dense", "prefix", "global", "each length", "dropout")
    return few if scheme == "zigzag" else tuple(VALUES)


def on_one(options: dict[str, Any]):
    """Returns attention of one device, of a dict of arrays."""
    mask = options["mask"](jnp.asarray(IDS)) if "mask" in options else None

    def function(arrays):
        return jattn.dot_product_attention(
            **{**options, "mask": mask}, **arrays, return_residual=True
        )

    return function


def on_mesh(scheme: str, options: dict[str, Any], mesh: Any = None, **shard_map: Any):
    """Returns the same on a mesh; sequences in and out are in order."""
    mesh = make_mesh((N,)) if mesh is None else mesh
    n, attend = mesh.shape["x"], getattr(sharded, f"{scheme}_attention")
    lead = "data" if "data" in mesh.shape else None
    shard = PartitionSpec(lead, "x")

    def local(arrays):
        ids, arrays = arrays["ids"], {x: arrays[x] for x in arrays if x != "ids"}
        mask = options["mask"](ids) if "mask" in options else None
        given = {**options, "mask": mask, **arrays}
        return attend(**given, axis_name="x", return_residual=True)

    def function(arrays):
        arrays = {**arrays, "ids": jnp.asarray(IDS)}
        specs = {x: shard if x in SEQUENCES else PartitionSpec() for x in arrays}
        run = jax.shard_map(local, mesh=mesh, in_specs=(specs,), out_specs=shard, **shard_map)
        if scheme == "zigzag":
            order = lambda name, x: sharded.zigzag_order(x, n, 1) if name in SEQUENCES else x
            arrays = {name: order(name, x) for name, x in arrays.items()}
        if mesh.explicit_axes:
            arrays = {x: jax.sharding.reshard(y, specs[x]) for x, y in arrays.items()}
        results = run(arrays)
        if mesh.explicit_axes:
            results = jax.sharding.reshard(results, PartitionSpec())
        if scheme == "zigzag":
            results = tuple(sharded.from_zigzag_order(x, n, 1) for x in results)
        return results

    return function


def derivatives(function):
    """Returns a function of value, vjp, and the jvp of both."""

    def run(arrays, cotangent, direction):
        def gradient(arrays):
            result, pullback = jax.vjp(function, arrays)
            return result, *pullback(cotangent)

        first, along = jax.jvp(gradient, (arrays,), (direction,))
        return dict(zip(("value", "vjp", "jvp", "jvp of vjp"), (*first, *along), strict=True))

    return run


def error(actual: Any, expected: Any) -> float:
    """Returns the largest difference, each array's relative to its largest entry."""
    largest = 0.0
    for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        left, right = np.asarray(left), np.asarray(right)
        infinite = np.isneginf(right)
        if left.shape != right.shape or (np.isneginf(left) != infinite).any():
            return math.inf
        left, right = (np.where(infinite, 0.0, x) for x in (left, right))
        largest = max(largest, np.abs(left - right).max() / np.abs(right).max())
    return float(largest) if math.isfinite(largest) else math.inf


def arrays_of(name: str) -> dict[str, Any]:
    """Returns the arrays that are differentiated, NaN where no query may attend to a key."""
    names = DRAWN if name in ("causal", "dropout") else ("query", "key", "value")
    arrays = {x: DRAWN[x] for x in names}
    positions = np.arange(T)
    shown = {"lengths": positions < 9, "each length": positions < 17, "segments": IDS != 2}
    for x in ("key", "value") if name in shown else ():
        arrays[x] = np.where(shown[name][..., None, None], arrays[x], np.nan)
    return arrays


def run_derivatives() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, options in DERIVED.items():
        arrays = arrays_of(name)
        draw = lambda x: RNG.standard_normal(np.shape(x))
        cotangent = draw(np.zeros((B, T, H, V))), draw(np.zeros((B, T, H)))
        given = arrays, cotangent, jax.tree.map(draw, arrays)
        expected = jax.jit(derivatives(on_one(options)))(*given)
        for scheme in SCHEMES:
            # A zig-zag compiles as many programs as four rings.
            mesh = make_mesh((2 if scheme == "zigzag" and name != "causal" else N,))
            actual = jax.jit(derivatives(on_mesh(scheme, options, mesh)))(*given)
            errors = {x: error(actual[x], expected[x]) for x in expected}
            found.setdefault(scheme, {})[name] = errors
    return found


def run_values() -> dict[str, Any]:
    """Returns the errors of other masks and options, in one program for each scheme."""
    arrays = {name: arrays_of(name) for name in VALUES}
    every = lambda make: lambda arrays: {x: make(VALUES[x])(y) for x, y in arrays.items()}
    expected = jax.jit(every(on_one))(arrays)
    assert np.isneginf(expected["empty"][1]).any()
    found = {}
    for scheme in SCHEMES:
        some = {x: arrays[x] for x in values_of(scheme)}
        actual = jax.jit(every(lambda o, scheme=scheme: on_mesh(scheme, o)))(some)
        found[scheme] = {x: error(actual[x], expected[x]) for x in some}
    return found


MESHES = {
    "all_gather": ["two and four, explicit"],
    "ring": ["one", "two, explicit", "two and four, explicit", "eight"],
    "zigzag": ["two and four, explicit"],
    "ulysses": ["two and four, explicit", "eight"],
}


def run_meshes() -> dict[str, Any]:
    """Returns the errors on other meshes, of a loss and its gradient."""
    options, arrays = DERIVED["segments"], arrays_of("segments")
    loss = lambda function: (
        lambda arrays: sum(
            jnp.sin(jnp.where(jnp.isneginf(x), 0.0, x)).sum() for x in function(arrays)
        )
    )
    expected = jax.jit(jax.value_and_grad(loss(on_one(options))))(arrays)
    meshes = {
        "one": make_mesh((1,)),
        "two, explicit": make_mesh((2,), AxisType.Explicit),
        "two and four, explicit": make_mesh((2, 4), AxisType.Explicit),
        "eight": make_mesh((8,)),
    }
    found: dict[str, Any] = {}
    for scheme in SCHEMES:
        for name in MESHES[scheme]:
            with jax.set_mesh(meshes[name]):
                run = jax.jit(jax.value_and_grad(loss(on_mesh(scheme, options, meshes[name]))))
                found.setdefault(scheme, {})[name] = error(run(arrays), expected)
        unchecked = jax.jit(on_mesh(scheme, options, check_vma=False))(arrays)
        found[scheme]["check_vma=False"] = error(unchecked, on_one(options)(arrays))
    arrays = arrays_of("window")
    ring, one = (f("ring", {"is_causal": True}) for f in (on_mesh, lambda _, o: on_one(o)))
    found["ring"]["without jit"] = error(ring(arrays), one(arrays))
    mapped = {x: np.stack([y, y[::-1]]) for x, y in arrays.items()}
    gradient = lambda function: jax.jit(jax.vmap(jax.grad(loss(function))))(mapped)
    found["ring"]["vmap of grad"] = error(gradient(ring), gradient(one))
    twice = lambda function: jax.jit(
        jax.grad(lambda x: sum((y**2).sum() for y in jax.grad(loss(function))(x).values()))
    )(arrays)
    found["ring"]["grad of grad"] = error(twice(ring), twice(one))
    return found


LONG, FEATURES = 512, 32


def run_programs() -> dict[str, Any]:
    """Returns collectives and the largest array of compiled programs, forward and gradient."""
    mesh, found = make_mesh((8,)), {}
    shapes = [jax.ShapeDtypeStruct((1, LONG, h, FEATURES), "float32") for h in (8, 8, 8)]
    for scheme in SCHEMES:
        attend = getattr(sharded, f"{scheme}_attention")
        local = lambda *x, attend=attend: attend(*x, axis_name="x", is_causal=True, chunk_size=32)
        run = jax.shard_map(local, mesh=mesh, in_specs=(SHARD,) * 3, out_specs=SHARD)
        gradient = jax.grad(lambda *x, run=run: run(*x).sum(), (0, 1, 2))
        for kind, function in (("forward", run), ("gradient", gradient)):
            text = jax.jit(function).lower(*shapes).compile().as_text() or ""
            sizes = [math.prod(int(n) for n in x.split(",") if n) for x in ARRAY.findall(text)]
            operations = sorted({each.operation for each in collectives(text)})
            found[f"{scheme} {kind}"] = {"largest": max(sizes), "collectives": operations}
    return found


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    parts = {
        "derivatives": run_derivatives,
        "values": run_values,
        "meshes": run_meshes,
        "programs": run_programs,
    }
    print(json.dumps({name: part() for name, part in parts.items()}))


if __name__ == "__main__":
    main()
