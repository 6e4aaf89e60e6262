"""State of a training run, and the function that takes one step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from jattn.training.leaves import is_of, path_name


class TrainState(NamedTuple):
    """Everything that a step reads and changes; from a checkpoint of it a run continues exactly."""

    params: Any
    optimizer_state: optax.OptState
    step: jax.Array
    rng: jax.Array


def init_train_state(
    params: Any, optimizer: optax.GradientTransformation, rng: jax.Array
) -> TrainState:
    """Copies `params` into a state at step 0, so that donating the state does not delete them.

    `rng` is never split: step n draws from `fold_in(rng, n)`, a function of (rng, n) alone.
    Arrays keep their shardings. If parameters are on a mesh, all other arrays are put on it too.

    Raises:
        ValueError: if `rng` is not a key made by `jax.random.key`, or if a leaf of `params` is no
            array of numbers, or holds integers that jax arrays do not (64 bits without
            `jax_enable_x64`).
    """
    if not (isinstance(rng, jax.Array) and jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)):
        raise ValueError(
            f"init_train_state: rng is {type(rng).__name__}, expected a jax.random.key"
        )
    params = jax.tree.map_with_path(_checked_copy, params)
    with jax.numpy_dtype_promotion("standard"):
        optimizer_state = jax.tree.map(_strong_copy, optimizer.init(params))
    state = TrainState(params, optimizer_state, jnp.zeros((), jnp.int32), jnp.copy(rng))
    return _on_one_mesh(state)


def _on_one_mesh(state: TrainState) -> TrainState:
    """Puts arrays that are on no mesh on all devices of the parameters' mesh.

    A step returns them there. If it took them from elsewhere, it would be compiled twice.
    """
    place = lambda leaf: getattr(leaf, "sharding", None)  # A traced array has none.
    places = map(place, jax.tree.leaves(state.params))
    meshes = [sharding.mesh for sharding in places if isinstance(sharding, NamedSharding)]
    if not meshes:
        return state
    everywhere = NamedSharding(meshes[0], PartitionSpec())
    is_on_a_mesh = lambda leaf: isinstance(place(leaf), NamedSharding)
    return jax.tree.map(lambda leaf: leaf if is_on_a_mesh(leaf) else _put(leaf, everywhere), state)


def _put(leaf, sharding):
    """Returns an array with another sharding; JAX puts no keys on devices of other processes."""
    if not is_of(leaf.dtype, jax.dtypes.prng_key):
        return jax.device_put(leaf, sharding)
    words = jax.device_put(jax.random.key_data(leaf), sharding)
    return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))


def _checked_copy(path, leaf):
    try:
        with np.errstate(over="ignore"):  # Raised below.
            copied = _strong_copy(leaf)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"init_train_state: params {path_name(path)}: {error}") from error
    if isinstance(leaf, np.ndarray | np.generic) and (
        (np.asarray(copied) != leaf).any()
        if is_of(leaf.dtype, np.integer)
        else (np.isfinite(leaf) & ~np.isfinite(np.asarray(copied))).any()
    ):
        raise ValueError(
            f"init_train_state: params {path_name(path)} is {leaf.dtype}, and {copied.dtype} does"
            " not hold its numbers; jax_enable_x64 is off"
        )
    return copied


def _strong_copy(leaf):
    """Returns a copy without a weak type, which would change after a step and compile it twice."""
    leaf = jnp.asarray(leaf)
    return jnp.array(leaf, dtype=leaf.dtype, copy=True)


def make_train_step(
    loss: Callable[..., tuple[jax.Array, dict[str, jax.Array]]],
    optimizer: optax.GradientTransformation,
    *,
    donates: bool = True,
) -> Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]:
    """Compiles `train_step(state, batch) -> (state, metrics)`, one descent step on `loss`.

    Args:
        loss: `loss(params, batch, rng) -> (scalar, metrics)`, metrics a dict of scalars (or
            empty); the scalar is added to what the step returns, under "loss".
        optimizer: any optax transformation; clipping and schedules are parts of its chain. Those
            that read the loss (`optax.contrib.reduce_on_plateau`) get it as `value`.
        donates: whether to reuse the memory of the state passed in, which is then deleted.

    Raises:
        ValueError: at the first step, if `loss` returns a metric called "loss".
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def train_step(state: TrainState, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        rng = jax.random.fold_in(state.rng, state.step)
        (value, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.params, batch, rng
        )
        if "loss" in metrics:
            raise ValueError("make_train_step: a metric may not be called loss, the loss is")
        # optax computes float ** integer, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer_state = optimizer.update(
                gradients, state.optimizer_state, state.params, value=value
            )
            params = optax.apply_updates(state.params, updates)
        state = TrainState(params, optimizer_state, state.step + 1, state.rng)
        return state, {"loss": value, **metrics}

    return jax.jit(train_step, donate_argnums=0 if donates else ())
