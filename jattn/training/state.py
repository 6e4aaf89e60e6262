"""What a training run carries from step to step, and the step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class TrainState(NamedTuple):
    """Everything that a step reads and changes; a checkpoint of it continues the run exactly."""

    params: Any
    optimizer_state: optax.OptState
    step: jax.Array
    rng: jax.Array


def init_train_state(
    params: Any, optimizer: optax.GradientTransformation, rng: jax.Array
) -> TrainState:
    """Copies `params` into a state at step 0, so that donating the state leaves them alone.

    `rng` is never split: step n draws from `fold_in(rng, n)`, a function of (rng, n) alone.

    Raises:
        ValueError: `rng` is not a key made by `jax.random.key`.
    """
    if not (isinstance(rng, jax.Array) and jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)):
        raise ValueError(
            f"init_train_state: rng is {type(rng).__name__}, expected a jax.random.key"
        )
    params = jax.tree.map(_strong_copy, params)
    with jax.numpy_dtype_promotion("standard"):
        optimizer_state = jax.tree.map(_strong_copy, optimizer.init(params))
    return TrainState(params, optimizer_state, jnp.zeros((), jnp.int32), jnp.copy(rng))


def _strong_copy(leaf):
    """A copy that promotes nothing: a weak type would change after a step and compile it twice."""
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
        optimizer: any optax transformation; clipping and schedules are links of its chain. Those
            that read the loss (`optax.contrib.reduce_on_plateau`) get it as `value`.
        donates: reuses the memory of the state passed in, which is then deleted.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def train_step(state: TrainState, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        rng = jax.random.fold_in(state.rng, state.step)
        (value, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.params, batch, rng
        )
        if "loss" in metrics:
            raise ValueError("make_train_step: a metric may not be called loss, the loss is")
        # optax raises floats to integer counts, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer_state = optimizer.update(
                gradients, state.optimizer_state, state.params, value=value
            )
            params = optax.apply_updates(state.params, updates)
        state = TrainState(params, optimizer_state, state.step + 1, state.rng)
        return state, {"loss": value, **metrics}

    return jax.jit(train_step, donate_argnums=0 if donates else ())
