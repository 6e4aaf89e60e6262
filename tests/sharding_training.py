"""Training on sharded batches, for test_sharding.py and its worker."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import jattn
from jattn import training

STEPS = 6
RNG = np.random.default_rng(0)
DATA = {"inputs": RNG.standard_normal((24, 3)), "targets": RNG.standard_normal((24, 8))}
WEIGHTS: Any = RNG.standard_normal((8, 3)), RNG.standard_normal(8)
PARAMS = jattn.AffineParams(*WEIGHTS)
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.01))
SHARDED, REPLICATED = PartitionSpec("x"), PartitionSpec()


def train_on(mesh: Mesh, shards_params: bool) -> dict[str, Any]:
    """Returns what a run on a mesh is like, compared with runs on one device and in two parts."""
    is_explicit = AxisType.Explicit in mesh.axis_types
    replicated, sharded = NamedSharding(mesh, REPLICATED), NamedSharding(mesh, SHARDED)
    place = sharded if shards_params else replicated
    compiled = []

    def loss(params, batch, rng):
        compiled.append(params)
        # On explicit axes the loss gathers sharded parameters itself.
        params = jax.sharding.reshard(params, replicated) if is_explicit else params
        return error(params, batch), {}

    data = jax.device_put(DATA, sharded)
    fit = fit_to(loss, jax.device_put(PARAMS, place), training.shuffled_batches(data, 8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.safetensors")
        at_once = fit(STEPS)
        times = len(compiled)
        fit(STEPS - 2, checkpoint=path)
        resumed = fit(STEPS, checkpoint=path, resume=True)
    plain = lambda params, batch, rng: (error(params, batch), {})
    alone = fit_to(plain, PARAMS, training.shuffled_batches(DATA, 8))(STEPS)
    states = jax.tree.leaves((at_once.state, at_once.best.params))
    pairs = zip(states, jax.tree.leaves((resumed.state, resumed.best.params)), strict=True)
    others = zip(at_once.state.params, alone.state.params, strict=True)
    return {
        "times compiled": times,
        "resumed with the same bits": all(map(has_same_bits, *zip(*pairs, strict=True))),
        "misplaced": [
            f"{leaf.shape} at {leaf.sharding}"
            for leaf in (*states, *jax.tree.leaves((resumed.state, resumed.best.params)))
            if not is_at(leaf, place if leaf.ndim else replicated)
        ],
        "error": max(float(abs(np.asarray(x) - np.asarray(y)).max()) for x, y in others),
    }


def error(params: jattn.AffineParams, batch: dict[str, Any]) -> jax.Array:
    outputs = jax.vmap(jattn.affine, (None, 0))(params, batch["inputs"])
    return ((outputs - batch["targets"]) ** 2).mean()


def fit_to(loss: Callable[..., Any], params: Any, batches: Callable[[int], Any]):
    def fit(steps: int, **options: Any) -> Any:
        return training.fit(
            loss,
            OPTIMIZER,
            params,
            batches,
            steps=steps,
            rng=jax.random.key(1),
            evaluate=lambda params: {"loss": abs(params.weight).mean()},
            evaluate_every=2,
            progress=False,
            **options,
        )

    return fit


def is_at(leaf: jax.Array, place: NamedSharding) -> bool:
    """Returns whether an array is on this mesh, even one of a single device, with this sharding."""
    sharding: Any = leaf.sharding
    is_on_it = isinstance(sharding, NamedSharding) and sharding.mesh == place.mesh
    return is_on_it and sharding.is_equivalent_to(place, leaf.ndim)


def has_same_bits(left: jax.Array, right: jax.Array) -> bool:
    if jax.numpy.issubdtype(left.dtype, jax.dtypes.prng_key):
        left, right = jax.random.key_data(left), jax.random.key_data(right)
    return np.array_equal(np.asarray(left), np.asarray(right))
