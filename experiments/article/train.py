"""Trains the article's model from many seeds at once, and from the article's zero start."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.article.data import INPUT, UNSEEN
from experiments.article.model import (
    ArticleParams,
    apply_article,
    init_article,
    squared_error,
    zero_attention,
)
from jattn import training


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the command; every number but `steps` and `seeds` is the article's."""

    steps: int = 5000
    learning_rate: float = 0.01
    hidden_size: int = 3
    seed: int = 0
    seeds: int = 10
    out: Path | None = None


class Run(NamedTuple):
    """One run, or several stacked: `losses[n]` is the loss after n steps.

    `unseen_loss` is the loss on `data.UNSEEN`; the gradients are the largest absolute entries by
    layer, at the first step and after the last.
    """

    params: ArticleParams
    losses: jax.Array
    output: jax.Array
    weights: jax.Array
    unseen_loss: jax.Array
    first_gradients: dict[str, jax.Array]
    last_gradients: dict[str, jax.Array]


def train(params: ArticleParams, steps: int, learning_rate: float = 0.01) -> Run:
    """Takes `steps` steps of Adam on the article's one input, in one `jax.lax.scan`."""
    inputs, unseen = jnp.asarray(INPUT), jnp.asarray(UNSEEN)
    optimizer = optax.adam(learning_rate)
    step = training.make_train_step(squared_error, optimizer, donates=False)
    state, metrics = jax.lax.scan(
        lambda state, _: step(state, inputs),
        training.init_train_state(params, optimizer, jax.random.key(0)),
        length=steps,
    )
    output, weights = apply_article(state.params, inputs)
    return Run(
        params=state.params,
        losses=jnp.append(metrics["loss"], squared_error(state.params, inputs)[0]),
        output=output,
        weights=weights,
        unseen_loss=squared_error(state.params, unseen)[0],
        first_gradients=largest_gradients(params, inputs),
        last_gradients=largest_gradients(state.params, inputs),
    )


def largest_gradients(params: ArticleParams, inputs: jax.Array) -> dict[str, jax.Array]:
    """The largest absolute entry of the gradient of the loss, by layer."""
    gradients, _ = jax.grad(squared_error, has_aux=True)(params, inputs)
    return {
        name: jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(layer)]).max()
        for name, layer in gradients._asdict().items()
    }


def draw(config: Config) -> ArticleParams:
    """The parameters of every seed, stacked; `config.seeds` consecutive seeds."""
    seeds = jnp.arange(config.seed, config.seed + config.seeds)
    return jax.vmap(
        lambda seed: init_article(
            jax.random.key(seed), jnp.asarray(INPUT), hidden_size=config.hidden_size
        )
    )(seeds)


def train_all(config: Config) -> tuple[Run, Run]:
    """Trains every seed, and the first seed again with W = U = v = 0, as the article starts.

    All at once: one compilation and one loop, in which the runs are an axis of every array.
    """
    drawn = draw(config)
    zero = zero_attention(jax.tree.map(lambda leaf: leaf[:1], drawn))
    together = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), drawn, zero)
    run = jax.jit(jax.vmap(lambda params: train(params, config.steps, config.learning_rate)))
    runs = jax.device_get(run(together))
    return jax.tree.map(lambda leaf: leaf[:-1], runs), jax.tree.map(lambda leaf: leaf[-1], runs)
