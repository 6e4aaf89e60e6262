"""The mesh, arrays on it and training steps, for both kinds of parallel training."""

import gc
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments.scaling.collectives import traffic
from experiments.scaling.config import Config
from jattn import training

AXIS = "devices"
# Values and traffic are those of other programs, and compiling is most of the work.
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
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


class Kept(NamedTuple):
    """The state of an optimizer that keeps the gradient of the last step."""

    gradient: Any
    inner: Any


def keeping(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Returns the optimizer with the gradient of the last step in its state."""

    def init(params: Any) -> Kept:
        return Kept(jax.tree.map(jnp.zeros_like, params), optimizer.init(params))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        changes, inner = optimizer.update(updates, state.inner, params)
        return changes, Kept(updates, inner)

    return optax.GradientTransformation(init, update)


def train(
    loss: Any,
    optimizer: optax.GradientTransformation,
    params: Any,
    batches: Callable[[int], Any],
    config: Config,
) -> dict[str, Any]:
    """Trains with one program; returns its losses, first gradient, result, times and traffic."""
    state = training.init_train_state(params, keeping(optimizer), jax.random.key(config.seed))
    step = training.make_train_step(loss, keeping(optimizer), donates=False)
    first = batches(0)
    lowered: Any = step.lower(state, first)  # type: ignore[attr-defined]
    compiled = lowered.compile(compiler_options=QUICKLY)
    after, losses = state, []
    gradient = None
    for number in range(config.steps):
        after, metrics = compiled(after, batches(number))
        losses.append(float(metrics["loss"]))
        gradient = after.optimizer_state.gradient if gradient is None else gradient
    return {
        "losses": losses,
        "gradient": flat(gradient),
        "trained": flat(after.params),
        "seconds": shortest(lambda: compiled(state, first), config.repeats),
        "sent": traffic(compiled.as_text() or "", jax.device_count()),
        "parameter_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(params)),
    }


def flat(tree: Any) -> np.ndarray:
    """Returns all numbers of replicated arrays, in the order of the tree."""
    leaves = [np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)]
    return np.concatenate(leaves)


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
