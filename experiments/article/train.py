"""Trains the article's model from many seeds at once, and from the article's zero start."""

import dataclasses
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
from experiments.command import option
from jattn import training


@dataclasses.dataclass(frozen=True)
class Config:
    """The options of the command; all numbers except `steps` and `seeds` are the article's."""

    steps: int = option(5000, "steps of Adam; the article takes 1000", most=1_000_000)
    learning_rate: float = option(0.01, "rate of Adam", above=0)
    hidden_size: int = option(3, "units of the GRU", most=1024)
    seed: int = option(0, "the first seed", least=0, most=2**31 - 1025)
    seeds: int = option(10, "number of consecutive seeds", most=1024)


class Run(NamedTuple):
    """A run, or several that are stacked; `losses[n]` is the loss after n steps.

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


def train(
    params: ArticleParams, steps: int, learning_rate: float
) -> tuple[ArticleParams, jax.Array]:
    """Takes `steps` steps of Adam on the article's one input, in one `jax.lax.scan`.

    Returns the parameters after the last step and the loss before each.
    """
    inputs = jnp.asarray(INPUT)
    optimizer = optax.adam(learning_rate)
    step = training.make_train_step(squared_error, optimizer, donates=False)
    state, metrics = jax.lax.scan(
        lambda state, _: step(state, inputs),
        training.init_train_state(params, optimizer, jax.random.key(0)),
        length=steps,
    )
    return state.params, metrics["loss"]


def largest_gradients(params: ArticleParams) -> dict[str, jax.Array]:
    """Returns the largest absolute entry of the gradient of the loss, by layer."""
    gradients, _ = jax.grad(squared_error, has_aux=True)(params, jnp.asarray(INPUT))
    return {
        name: jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(layer)]).max()
        for name, layer in gradients._asdict().items()
    }


def draw(config: Config) -> ArticleParams:
    """Draws the parameters of `config.seeds` consecutive seeds, stacked."""
    seeds = jnp.arange(config.seed, config.seed + config.seeds)
    return jax.vmap(
        lambda seed: init_article(
            jax.random.key(seed), jnp.asarray(INPUT), hidden_size=config.hidden_size
        )
    )(seeds)


def train_all(config: Config) -> tuple[Run, Run]:
    """Trains every seed, and the first seed again with W = U = v = 0, as the article starts.

    The runs are an axis of every array, so there is one compilation and one loop.
    """
    drawn = draw(config)
    zero = zero_attention(jax.tree.map(lambda leaf: leaf[:1], drawn))
    together = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), drawn, zero)
    gradients = jax.jit(jax.vmap(largest_gradients))

    @jax.jit
    @jax.vmap
    def run(params):
        trained, losses = train(params, config.steps, config.learning_rate)
        output, weights = apply_article(trained, jnp.asarray(INPUT))
        last, unseen = (squared_error(trained, jnp.asarray(x))[0] for x in (INPUT, UNSEEN))
        return trained, jnp.append(losses, last), output, weights, unseen

    trained, losses, output, weights, unseen = run(together)
    first, last = gradients(together), gradients(trained)
    runs = jax.device_get(Run(trained, losses, output, weights, unseen, first, last))
    return jax.tree.map(lambda leaf: leaf[:-1], runs), jax.tree.map(lambda leaf: leaf[-1], runs)
