"""Where a run begins that goes on from the weights of another."""

import jax
import jax.numpy as jnp

from experiments.translation.config import Config
from experiments.translation.gru import Params


def begun(drawn: Params, config: Config, trained: Params, before: Config) -> Params:
    """The trained weights, in the form that the model of `config` takes.

    General attention goes on as local-m, which has the same parameters, and as local-p, whose
    network for the centre stays as `drawn`. Every other mechanism goes on as itself.

    Raises:
        ValueError: the models differ in more than that.
    """
    if (before.attention, config.attention) == ("general", "local-p"):
        centre, _ = drawn.decoder.attention
        attention = (centre, trained.decoder.attention)
        trained = trained._replace(decoder=trained.decoder._replace(attention=attention))
    elif before.attention != config.attention and (before.attention, config.attention) not in {
        ("general", "local-m"),
        ("local-m", "general"),
    }:
        raise ValueError(
            f"weights of {before.attention} attention cannot become {config.attention}"
        )
    if jax.tree.map(jnp.shape, trained) != jax.tree.map(jnp.shape, drawn):
        raise ValueError("the weights to start from have other sizes than this configuration")
    return trained
