"""Loss, forced decoding and translation of the model that `config.attention` names."""

from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from experiments import seq2seq
from experiments.seq2seq import Targets
from experiments.translation import gru, transformer
from experiments.translation.config import TRANSFORMER, Config
from experiments.translation.pieces import START, STOP
from jattn import training

LEAST = 1e-6  # A weight below counts as this one: local attention has zeros outside its window.


def model(config: Config) -> ModuleType:
    """Returns the module whose `init`, `decode` and `stepping` make the model."""
    return transformer if config.attention == TRANSFORMER else gru


def init(rng: Key[Array, ""], config: Config, source: int, target: int) -> Any:
    """Draws the weights of a model of so many pieces of the source and of the target."""
    return model(config).init(rng, config, source, target)


def loss(
    params: Any,
    batch: Mapping[str, Array | np.ndarray],
    rng: Key[Array, ""],
    *,
    config: Config,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the cross entropy of each piece given those before it, and metrics.

    With `config.guided`, the cross entropy of attention given human links is added.
    """
    wanted = targets(batch)
    rngs = jax.random.split(rng, len(wanted.inputs))
    output = jax.vmap(lambda *pair, rng: model(config).decode(params, *pair, config, rng))(
        batch["source"], batch["source_length"], wanted.inputs, rng=rngs
    )
    entropy, metrics = seq2seq.token_loss(
        output.logits, wanted, label_smoothing=config.label_smoothing
    )
    if config.guided:
        strayed = guidance(own_rows(output.weights, config), batch)
        return entropy + config.guided * strayed, {**metrics, "guidance": strayed}
    return entropy, metrics


def targets(batch: Mapping[str, Any]) -> Targets:
    """Returns the pieces that the decoder reads and those that it should write."""
    lengths = batch["target_length"], batch["source_length"]
    return seq2seq.targets(batch["target"], *lengths, start=START, stop=STOP)


def own_rows(weights: Float[Array, "b u s"], config: Config) -> Float[Array, "b t s"]:
    """Returns the row of each piece: step 0 of t + 1 predicts piece 0, and step 1 reads it.

    Chen et al. (2020), arXiv:2004.14837, find that the step which reads a word aligns it best.
    """
    return weights[:, :-1] if config.aligned == "predicts" else weights[:, 1:]


def guidance(weights: Float[Array, "b t s"], batch: Mapping[str, Any]) -> Float[Array, ""]:
    """Returns the mean over the linked pieces of -Σ gold log(weights).

    `gold` is the same for all source pieces that a target piece is linked to. Supervised attention:
    Liu et al. (2016), arXiv:1609.04186; of one head of a transformer, Garg et al. (2019),
    arXiv:1909.02074. Both learn from links found by a program, this from human ones.
    """
    wanted = batch["links"][:, :, None, :] == batch["source_words"][:, None, :, None]
    within = training.length_mask(batch["source_length"], weights.shape[2])[:, None]
    linked = jnp.any(wanted & (batch["links"] > 0)[:, :, None], axis=-1) & within
    counts = jnp.sum(linked, axis=-1)
    logs = jnp.where(linked, jnp.log(jnp.maximum(weights, LEAST)), 0.0)
    strayed = -jnp.sum(logs, axis=-1) / jnp.maximum(counts, 1).astype(weights.dtype)
    kept = (counts > 0).astype(weights.dtype)
    return jnp.sum(strayed * kept) / jnp.maximum(jnp.sum(kept), 1.0)


@partial(jax.jit, static_argnames=("config",))
def forced(
    params: Any, batch: Mapping[str, Array | np.ndarray], *, config: Config
) -> tuple[Float[Array, ""], Float[Array, "b t s"]]:
    """Returns the loss of given translations, and the attention of each step and of the end."""
    wanted = targets(batch)
    output = jax.vmap(lambda *pair: model(config).decode(params, *pair, config))(
        batch["source"], batch["source_length"], wanted.inputs
    )
    loss, _ = seq2seq.token_loss(output.logits, wanted)
    return loss, output.weights


@partial(jax.jit, static_argnames=("config", "max_steps"))
def translate(
    params: Any,
    source: Int[Array, "b s"],
    lengths: Int[Array, " b"],
    *,
    config: Config,
    max_steps: int,
) -> tuple[Int[Array, "b m"], Int[Array, " b"]]:
    """Returns the likeliest target pieces of each sentence, and their number."""

    def translated(source, length):
        result = seq2seq.search(
            model(config).stepping(params, source, length, config, max_steps),
            start=START,
            stop=STOP,
            max_steps=max_steps,
            beam_size=config.beam_size,
        )
        return result.tokens[0], result.lengths[0]

    return jax.vmap(translated)(source, lengths)
