"""What a model is trained on and what it is asked, whichever model `config.attention` names."""

from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from experiments.translation import gru, transformer
from experiments.translation.config import Config
from experiments.translation.pieces import START, STOP
from jattn import beam_search, training

TRANSFORMER = "transformer"
LEAST = 1e-6  # A weight below counts as this one: local attention has zeros outside its window.


def model(config: Config) -> ModuleType:
    """The module whose `init`, `decode` and `stepping` make the model."""
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
    """Cross entropy of each piece given those before it, and of the attention given human links."""
    before, labels, mask = targets(batch)
    found = jax.vmap(lambda *one: model(config).decode(params, *one[:3], config, one[3]))(
        batch["source"], batch["source_length"], before, jax.random.split(rng, len(before))
    )
    entropy = training.token_cross_entropy(
        found.logits, labels, mask, label_smoothing=config.label_smoothing
    )
    metrics = {"accuracy": training.token_accuracy(found.logits, labels, mask)}
    if config.guided:
        strayed = guidance(own_rows(found.weights, config), batch)
        return entropy + config.guided * strayed, {**metrics, "guidance": strayed}
    return entropy, metrics


def targets(batch: Mapping[str, Any]) -> tuple[Array, Array, Array]:
    """What the decoder reads, what it should say, and which of that counts."""
    target = jnp.asarray(batch["target"])
    start, stop = jnp.full_like(target[:, :1], START), jnp.full_like(target[:, :1], STOP)
    labels = jnp.concatenate([target, stop], axis=1)
    lengths = (batch["target_length"] + 1) * (batch["source_length"] > 0)
    mask = training.length_mask(lengths, labels.shape[1])
    return jnp.concatenate([start, target], axis=1), labels, mask


def own_rows(weights: Float[Array, "b u s"], config: Config) -> Float[Array, "b t s"]:
    """The row of each piece: of t + 1 steps the first predicts the first, the second reads it.

    That the step that reads a word knows best where it came from: Chen et al. (2020),
    arXiv:2004.14837.
    """
    return weights[:, :-1] if config.aligned == "predicts" else weights[:, 1:]


def guidance(weights: Float[Array, "b t s"], batch: Mapping[str, Any]) -> Float[Array, ""]:
    """Mean over the linked pieces of -Σ gold log(weights), gold the same for all linked pieces.

    Supervised attention: Liu et al. (2016), arXiv:1609.04186; of one head of a transformer, Garg et
    al. (2019), arXiv:1909.02074. Both learn from links found by a program, this from human ones.
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
    """The plain loss of given translations, and the attention of each step, the end's too."""
    before, labels, mask = targets(batch)
    found = jax.vmap(lambda *one: model(config).decode(params, *one, config))(
        batch["source"], batch["source_length"], before
    )
    return training.token_cross_entropy(found.logits, labels, mask), found.weights


@partial(jax.jit, static_argnames=("config", "max_steps"))
def translate(
    params: Any,
    source: Int[Array, "b s"],
    lengths: Int[Array, " b"],
    *,
    config: Config,
    max_steps: int,
) -> tuple[Int[Array, "b m"], Int[Array, " b"]]:
    """The likeliest target pieces of each sentence, and how many they are."""

    def one(source, length):
        start, step = model(config).stepping(params, source, length, config, max_steps)
        found = beam_search(
            step,
            start,
            start=START,
            stop=STOP,
            max_steps=max_steps,
            beam_size=config.beam_size,
            length_penalty=1.0 if config.beam_size > 1 else 0.0,
        )
        return found.tokens[0], found.lengths[0]

    return jax.vmap(one)(source, lengths)
